"""`soli annotate gold` on the real server, up to the labels that the warehouse then holds."""

import json

import pytest

pytestmark = pytest.mark.server
SOLI_TOML = """
[[dimensions]]
name = "motion"
question = "Does it move well?"
guidelines = ["Look."]
"""


@pytest.fixture
def project(soli, served, tmp_path):
    """Id of a project that asks about `motion`, with three tasks."""
    (tmp_path / "soli.toml").write_text(SOLI_TOML)
    made = json.loads(soli("annotate", "project", "create", "--title", "Gold", "--json")[1])
    rows = [
        {"item_id": f"gold_{made['id']}_{n}", "prompt": "p", "media": "https://x/v.mp4"}
        for n in range(3)
    ]
    (tmp_path / "clips.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert soli("annotate", "items", "clips.jsonl", "--project", made["id"])[0] == 0
    return made["id"]


@pytest.fixture
def truth(tmp_path, project):
    """A file of gold labels: two sound rows, and an item that has no task."""
    path = tmp_path / "truth.csv"
    lines = [f"gold_{project}_0,pass", f"gold_{project}_1,FAIL", "nobody,Pass"]
    path.write_text("\n".join(["item_id,motion", *lines]))
    return path


def test_gold_labels_of_a_file_are_taken_in_as_gold(soli, settings, project, truth):
    command = ("annotate", "gold", truth, "--project", project)
    code, out, err = soli(*command)
    assert code == 0
    assert out.split()[-4:] == ["2", "0", "0", "1"]
    assert f"refused, row 3 (nobody): item has no task in project {project}" in err
    again = json.loads(soli(*command, "--json")[1])
    assert (again["made"], again["changed"], again["there"]) == (0, 0, 2)
    assert soli("ingest", "--project", project)[0] == 0
    labels = settings.store.query("SELECT item_id, value, role FROM labels ORDER BY item_id")
    assert [tuple(label.values()) for label in labels.to_pylist()] == [
        (f"gold_{project}_0", "pass", "gold"),
        (f"gold_{project}_1", "fail", "gold"),
    ]


def test_a_dry_run_says_what_it_would_make_and_makes_nothing(
    soli, settings, project, truth, unchanged
):
    command = ("annotate", "gold", truth, "--project", project, "--dry-run", "--json")
    with unchanged(settings.home):
        found = [json.loads(soli(*command)[1])["made"] for _ in range(2)]
    assert found == [2, 2]


def test_a_project_that_soli_does_not_know_and_a_missing_file_are_one_line_each(
    soli, project, truth, admin, only_line
):
    stranger = admin.create_project({"title": "Strange"})
    code, _, err = soli("annotate", "gold", truth, "--project", stranger.id)
    assert code == 1
    assert "carries no source" in only_line(err)
    code, _, err = soli("annotate", "gold", "nowhere.csv", "--project", project)
    assert code == 1
    assert "no such file" in only_line(err)
