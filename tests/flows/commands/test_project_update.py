"""`soli annotate project update` on the real server: labels already given stay what they are."""

import json

import pytest

from annotation.labeling import config_dimensions

pytestmark = pytest.mark.server
ASKED = """
[[dimensions]]
name = "{name}"
question = "{question}"
guidelines = ["Look."]
"""


@pytest.fixture
def asks(tmp_path):
    """Function that writes a soli.toml with these dimensions and their questions."""

    def write(**questions):
        parts = [ASKED.format(name=name, question=said) for name, said in questions.items()]
        (tmp_path / "soli.toml").write_text("".join(parts))

    return write


def answers(**choices):
    return [
        {"from_name": name, "to_name": "video", "type": "choices", "value": {"choices": [choice]}}
        for name, choice in choices.items()
    ]


@pytest.fixture
def project(soli, served, asks, tmp_path):
    """Id of a project that asks about `motion`, with one task."""
    asks(motion="Does it move?")
    made = json.loads(soli("annotate", "project", "create", "--title", "Growing", "--json")[1])
    (tmp_path / "clips.jsonl").write_text(
        json.dumps({"item_id": f"grow_{made['id']}", "prompt": "p", "media": "https://x/v.mp4"})
    )
    assert soli("annotate", "items", "clips.jsonl", "--project", made["id"])[0] == 0
    return made["id"]


def judge(admin, project, **choices):
    """Answer the project's task."""
    (task,) = next(iter(admin.tasks(project)))[0]
    admin.annotate(task["id"], {"result": answers(**choices)})


def labels(settings):
    return settings.store.query(
        "SELECT dimension, value, project_version FROM label_events ORDER BY ALL"
    ).to_pylist()


def test_a_new_version_asks_more_and_labels_given_before_keep_theirs(
    soli, settings, project, admin, asks
):
    update = ("annotate", "project", "update", "--project", project)
    check = ("annotate", "project", "check", "--project", project)
    judge(admin, project, motion="Pass")
    asks(motion="Does it move well?", shape="Is it sound?")
    code, out, _ = soli(*update)  # the answer above was not pulled yet
    assert (code, out.splitlines()[-1]) == (
        0,
        "labelling version 2; labels given before keep theirs",
    )
    assert config_dimensions(admin.project(project).config) == ["motion", "shape"]
    given = [{"dimension": "motion", "value": "pass", "project_version": 1}]
    assert labels(settings) == given
    assert soli(*check)[0] == 0
    judge(admin, project, motion="Fail", shape="Pass")
    assert soli("ingest", "--full", "--project", project)[0] == 0
    assert labels(settings) == [
        {"dimension": "motion", "value": "fail", "project_version": 2},
        *given,
        {"dimension": "shape", "value": "pass", "project_version": 2},
    ]
    # nobody owed an answer to `shape` before it was asked
    assert settings.store.read("quarantine").num_rows == 0
    again = json.loads(soli(*update, "--json")[1])
    assert (again["changes"], again["version"]) == ([], 2)


def test_a_dry_run_says_what_it_would_change_and_changes_nothing(
    soli, settings, project, asks, unchanged
):
    asks(motion="Does it move well?", shape="Is it sound?")
    with unchanged(settings.home):
        update = ("annotate", "project", "update", "--project", project, "--dry-run", "--json")
        planned = json.loads(soli(*update)[1])
    assert soli("annotate", "project", "check", "--project", project)[0] == 1
    assert any('name="shape"' in line for line in planned["labelling"])


def test_a_dimension_that_people_answered_cannot_be_taken_away_but_another_can(
    soli, project, admin, asks, only_line
):
    update = ("annotate", "project", "update", "--project", project)
    asks(sound="Is there none?")
    assert soli(*update)[0] == 0
    judge(admin, project, sound="Pass")
    asks(motion="Does it move?")
    before = admin.project(project)
    code, out, err = soli(*update)
    assert (code, out) == (1, "")
    assert "dimension sound has answers (1)" in only_line(err)
    assert admin.project(project) == before


def test_what_was_changed_by_hand_is_put_right_without_a_new_version(soli, project, admin):
    changes = {"show_collab_predictions": True, "expert_instruction": "<p>Be quick.</p>"}
    admin.update_project(project, changes)
    found = json.loads(soli("annotate", "project", "update", "--project", project, "--json")[1])
    assert {row["what"] for row in found["changes"]} == {"show_collab_predictions", "instructions"}
    assert (found["labelling"], found["version"]) == ([], None)
    assert soli("annotate", "project", "check", "--project", project)[0] == 0


def test_the_number_of_labels_a_task_is_set_where_it_is_named(soli, project, admin):
    update = ("annotate", "project", "update", "--project", project)
    check = ("annotate", "project", "check", "--project", project)
    assert json.loads(soli(*update, "--overlap", "2", "--dry-run", "--json")[1])["changes"]
    assert admin.project(project).overlap == 3
    assert soli(*update, "--overlap", "2")[0] == 0
    assert admin.project(project).overlap == 2
    assert soli(*update)[0] == 0  # not named: it stays
    assert admin.project(project).overlap == 2
    code, _, err = soli(*check)
    assert code == 1
    assert "put it back" not in err
    assert f"soli annotate project update --project {project} --overlap 3" in err
    assert soli(*check, "--overlap", "2")[0] == 0


def test_the_labels_a_task_of_a_paused_project_stay(soli, project, only_line):
    named = ("--project", project)
    assert soli("annotate", "project", "pause", *named, "--reason", "lunch")[0] == 0
    code, _, err = soli("annotate", "project", "update", *named, "--overlap", "2")
    assert code == 1
    assert "soli annotate project resume" in only_line(err)
