"""What the tests of the command line share."""

import pytest


@pytest.fixture
def only_line():
    """The one line of an error."""

    def only(err):
        assert "Traceback" not in err
        (line,) = err.splitlines()
        assert line.startswith("soli: ")
        return line

    return only


@pytest.fixture
def token():
    """A token that no output may hold."""
    return "s3cret-t0ken-nobody-may-see"


@pytest.fixture
def served(label_studio, monkeypatch, settings):
    monkeypatch.setenv("LABEL_STUDIO_URL", label_studio.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", label_studio.token)
    return label_studio
