"""The queue: which items deserve one more label, asked for on a real Label Studio."""

import json
import uuid

import pytest
from pydantic import SecretStr

from annotation.labeling import DEFAULT_DIMENSIONS, OBJECT
from annotation.projects import ensure_project, item_tasks
from annotation.queue import Asked, draw
from flows.measure import build, measure
from flows.queue import ask_for_more, most_wanted, pause, resume
from warehouse.errors import AgreementError


@pytest.fixture
def project(admin, small):
    """A project on the server whose tasks are items of the small home, each fully labelled."""
    made = ensure_project(admin, str(uuid.uuid4()), "Queue", DEFAULT_DIMENSIONS, 1)
    wanted = [row["item_id"] for row in most_wanted(small, limit=3, most_labels=None)]
    tasks = [
        {"data": {"item_id": name, "prompt": "p", OBJECT: "x.mp4"}} for name in (*wanted, "other")
    ]
    admin.import_tasks(made.id, tasks)
    for task in item_tasks(admin, made.id).values():
        admin.annotate(task, {"result": []})
    return made


@pytest.fixture
def connected(small, label_studio):
    """The small home's settings with the server's address and token."""
    access = {
        "label_studio_url": label_studio.url,
        "label_studio_api_key": SecretStr(label_studio.token),
    }
    return small.model_copy(update=access)


@pytest.mark.slow
def test_open_items_come_first_with_what_is_known_of_each_dimension(small):
    found = most_wanted(small, limit=5, most_labels=None)
    worth = [row["usefulness"] for row in found]
    assert worth == sorted(worth, reverse=True)
    assert all("bits about" in row["why"] for row in found)
    assert [row["rank"] for row in found] == [1, 2, 3, 4, 5]
    for row in found:
        assert row["information"] == pytest.approx(
            sum(part["information"] for part in row["labels"]), abs=2e-6
        )
    first, last = (
        max(4 * part["p_pass"] * (1 - part["p_pass"]) for part in row["labels"])
        for row in (found[0], most_wanted(small, limit=1000, most_labels=None)[-1])
    )
    assert first > last


def test_items_with_enough_labels_are_left_out(small):
    assert most_wanted(small, limit=5, most_labels=3) == []


@pytest.mark.slow
def test_without_a_consensus_the_next_step_is_named(settings, export, tasks):
    from flows.exports import ingest_export
    from flows.labelling import Labelling

    dimensions = tuple(dimension.name for dimension in DEFAULT_DIMENSIONS)
    ingest_export(settings.store, export(tasks), labelling=Labelling(dimensions))
    with pytest.raises(AgreementError, match="soli consensus build"):
        most_wanted(settings, limit=5, most_labels=None)


def test_nothing_is_asked_without_a_push(small):
    assert ask_for_more(small, limit=3).asked == {}


@pytest.mark.server
def test_a_push_asks_for_one_more_label_of_each_item_once(connected, project):
    assert ask_for_more(connected, limit=3, push=True, project=project.id).asked == {
        project.id: Asked(3, 0, 0)
    }
    assert ask_for_more(connected, limit=3, push=True, project=project.id).asked == {
        project.id: Asked(0, 3, 0)
    }


@pytest.mark.server
def test_a_pause_and_its_end(connected, project, admin):
    assert pause(connected, "why", project.id) == {project.id: True}
    assert pause(connected, "why", project.id) == {project.id: False}
    assert resume(connected, project.id, dry_run=True) == 1
    assert admin.project(project.id).overlap == 0
    assert resume(connected, project.id) == 1
    assert admin.project(project.id).overlap == 1


@pytest.mark.slow
def test_the_command_lists_each_dimension_of_an_item(soli, small):
    measure(small, small.store)
    build(small, small.store)
    code, out, _ = soli("annotate", "queue", "--limit", "2", "--json")
    assert code == 0
    found = json.loads(out)
    assert [len(row["labels"]) for row in found["items"]] == [3, 3]
    code, out, _ = soli("annotate", "queue", "--limit", "2")
    assert code == 0
    first = found["items"][0]
    assert out.count(first["item_id"]) == 4  # a row a dimension, and why
    assert f"1. {first['item_id']}: {first['why']}" in out


@pytest.mark.slow
def test_before_the_first_consensus_fresh_items_come_in_random_order(soli, settings, tmp_path):
    rows = [{"item_id": f"v{n}", "prompt": "p", "media": "https://x/v.mp4"} for n in range(9)]
    (tmp_path / "clips.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert soli("annotate", "items", "clips.jsonl")[0] == 0
    drawn = sorted((row["item_id"] for row in rows), key=lambda item: draw(0, item))
    found = json.loads(soli("annotate", "queue", "--fresh", "--limit", "4", "--json")[1])
    assert [(row["rank"], row["item_id"]) for row in found["items"]] == list(
        enumerate(drawn[:4], start=1)
    )
    code, out, _ = soli("annotate", "queue", "--fresh")
    assert code == 0
    assert f"1. {drawn[0]}: nobody has judged it; in random order" in out
    assert soli("annotate", "queue")[0] == 1


@pytest.mark.slow
def test_without_a_consensus_what_is_judged_is_not_fresh(settings, export, tasks):
    from flows.exports import ingest_export
    from flows.labelling import Labelling

    dimensions = tuple(dimension.name for dimension in DEFAULT_DIMENSIONS)
    ingest_export(settings.store, export(tasks), labelling=Labelling(dimensions))
    assert most_wanted(settings, limit=5, most_labels=None, fresh=True) == []


@pytest.mark.slow
def test_items_that_nobody_has_judged_are_listed_apart(small):
    import pyarrow as pa

    from warehouse.contracts import OBSERVED_AT, TABLES

    store = small.store
    schema = pa.schema([f for f in TABLES["items"].schema if f.name != OBSERVED_AT.name])
    new = store.read("items").select(schema.names).slice(0, 1).to_pylist()[0]
    store.append("items", pa.Table.from_pylist([new | {"item_id": "fresh"}], schema))
    (found,) = most_wanted(small, limit=5, most_labels=None, fresh=True)
    assert found["item_id"] == "fresh"
    assert found["why"].startswith("nobody has judged it")
    labelled = most_wanted(small, limit=1000, most_labels=None)
    assert "fresh" not in {row["item_id"] for row in labelled}
