"""`soli annotate project check` on the real server, and templates that make no sense."""

import json

import pytest

from annotation.projects import SETTINGS

pytestmark = pytest.mark.server


@pytest.fixture
def project(soli, served):
    """A project that Soli made, by its id."""
    made = json.loads(soli("annotate", "project", "create", "--title", "Watched", "--json")[1])
    return made["id"]


def test_a_project_as_made_passes_and_every_change_by_hand_is_told(soli, project, admin):
    check = ("annotate", "project", "check", "--project", str(project))
    assert soli(*check) == (0, f"project {project} (Watched): as it should be\n", "")
    config = admin.project(project).config
    changes = {
        "label_config": config.replace('value="Pass" hotkey="1"', 'value="Fine" hotkey="1"'),
        "show_collab_predictions": True,
        "expert_instruction": "<p>Be quick.</p>",
    }
    admin.update_project(project, changes)
    code, out, err = soli(*check, "--json")
    assert (code, err) == (1, "")
    found = json.loads(out)
    assert {row["what"] for row in found["differences"]} == {
        "labelling", "show_collab_predictions", "instructions",
    }  # fmt: skip
    assert found["labelling"] == [
        '-<Choice value="Pass" hotkey="1" />',
        '+<Choice value="Fine" hotkey="1" />',
    ]
    code, out, err = soli(*check)
    assert code == 1
    assert "physical_plausibility: choices are ['Fine', 'Fail']" in " ".join(out.split())
    assert "annotators see what a model thinks" in " ".join(out.split())
    assert "put it back" in err


def test_an_adopted_project_is_held_to_its_last_pull(soli, served, admin):
    config = (
        '<View><Video name="video" value="$video"/><Choices name="q" toName="video"'
        ' required="true"><Choice value="Pass"/><Choice value="Fail"/></Choices></View>'
    )
    made = admin.create_project({"title": "Theirs", "label_config": config})
    named = ("--project", str(made.id))
    assert soli("annotate", "project", "update", *named)[0] == 0
    check = ("annotate", "project", "check", *named, "--json")

    def found():
        """What is changed beside the settings, which are those of the people who made it."""
        checked = json.loads(soli(*check)[1])
        return {row["what"] for row in checked["differences"]} - set(SETTINGS), checked["labelling"]

    assert found() == (set(), [])
    assert soli("ingest", *named)[0] == 0
    other = config.replace("<Choice value", '<Choice hotkey="x" value', 1)
    admin.update_project(made.id, {"label_config": other})
    what, lines = found()
    assert (what, len(lines)) == ({"labelling"}, 2)
    assert soli("ingest", *named)[0] == 0  # now it is a version
    assert found() == (set(), [])
