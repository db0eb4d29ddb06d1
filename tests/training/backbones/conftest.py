"""One tiny random checkpoint of each family, made once per session."""

import pytest

from training.tiny import BUILDERS, TinyShape

SHAPE = TinyShape(image=16, patch=4, vision_hidden=16, vision_layers=2, hidden=32, layers=3)
TEXTS = ("a red ball falls", "a blue square slides", "a star rises")


@pytest.fixture(scope="session")
def checkpoint_of(tmp_path_factory):
    """Function that gives a family's tiny checkpoint."""
    made = {}

    def folder(family):
        if family not in made:
            made[family] = BUILDERS[family](tmp_path_factory.mktemp(family), 0, TEXTS, SHAPE)
        return made[family]

    return folder


@pytest.fixture(params=BUILDERS)
def family(request):
    return request.param


@pytest.fixture
def checkpoint(checkpoint_of, family):
    """A checkpoint of every family in turn."""
    return checkpoint_of(family)


@pytest.fixture(scope="session")
def build():
    """Function that writes a family's tiny checkpoint into a folder."""

    def write(family, folder, seed=0):
        return BUILDERS[family](folder, seed, TEXTS, SHAPE)

    return write
