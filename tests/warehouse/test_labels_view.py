"""The role of a label is computed in the view: these are DESIGN's rules, one by one."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from warehouse.contracts import LABEL_EVENTS
from warehouse.store import Store

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "home")
    item = {
        "item_id": "v1", "prompt_id": "p1", "uri": "v1.mp4", "generator": "g", "attributes": "{}",
        "design_k": 2,
    }  # fmt: skip
    media = ("codec", "width", "height", "fps", "frames", "duration", "media_sha256")
    store.append("items", pa.Table.from_pylist([item | dict.fromkeys(media)]))
    return store


def event(annotator, value="pass", *, minute=0, annotation=None, revision=1, kind="seen", **more):
    row = {
        "source": "s", "annotation_id": annotation or ord(annotator), "dimension": "d",
        "annotation_created_at": START + timedelta(minutes=minute), "revision": revision,
        "event": kind, "value": value, "item_id": "v1", "annotator_id": annotator, "gold": False,
        "seconds": 3.0, "task_id": 1, "task_created_at": START, "project_version": 1,
        "occurred_at": START + timedelta(minutes=minute), "pull_id": "pull",
    }  # fmt: skip
    return row | more


def add(store, *events):
    schema = pa.schema([f for f in LABEL_EVENTS.schema if f.name != "observed_at"])
    store.append("label_events", pa.Table.from_pylist(list(events), schema=schema))


def roles(store):
    rows = store.query(
        "SELECT annotator_id, role, value FROM labels ORDER BY created_at"
    ).to_pylist()
    return [(row["annotator_id"], row["role"], row["value"]) for row in rows]


def test_the_first_k_annotators_are_design_and_later_ones_escalation(store):
    add(store, event("c", minute=3), event("a", minute=1), event("b", "fail", minute=2))
    assert roles(store) == [("a", "design", "pass"), ("b", "design", "fail"),
                            ("c", "escalation", "pass")]  # fmt: skip


def test_annotators_at_the_same_moment_are_ordered_by_annotation_id(store):
    add(store, *(event(name, annotation=n) for n, name in ((3, "a"), (1, "b"), (2, "c"))))
    assert {name: role for name, role, _ in roles(store)} == {
        "b": "design", "c": "design", "a": "escalation",
    }  # fmt: skip


def test_a_correction_keeps_its_slot_and_the_current_value_counts(store):
    add(store, event("a", minute=1), event("b", minute=2), event("c", minute=3))
    add(store, event("a", "fail", minute=1, revision=2, kind="changed"))
    assert roles(store)[0] == ("a", "design", "fail")
    changed = store.query("SELECT annotator_id FROM labels WHERE changed")
    assert changed["annotator_id"].to_pylist() == ["a"]


def test_a_skip_takes_no_slot(store):
    add(store, event("a", None, minute=1, kind="skipped"), event("b", minute=2),
        event("c", minute=3))  # fmt: skip
    assert roles(store) == [("b", "design", "pass"), ("c", "design", "pass")]


def test_a_withdrawn_label_frees_no_slot(store):
    add(store, event("a", minute=1), event("b", minute=2), event("c", minute=3))
    add(store, event("a", None, minute=1, revision=2, kind="withdrawn"))
    assert roles(store) == [("b", "design", "pass"), ("c", "escalation", "pass")]


def test_ground_truth_and_reviews_take_no_slot(store):
    project = {
        "source": "s", "version": 1, "config_digest": "x", "config": "<View/>",
        "dimensions": '["d"]', "mapping": "{}", "reviewers": '["r"]', "changed_after": None,
        "in_force_at": None,
    }  # fmt: skip
    store.append("projects", pa.Table.from_pylist([project]))
    add(store, event("g", minute=1, gold=True), event("r", minute=2), event("a", minute=3),
        event("b", minute=4))  # fmt: skip
    assert [role for _, role, _ in roles(store)] == ["gold", "review", "design", "design"]


def test_a_second_answer_of_the_same_person_is_no_label_of_its_own(store):
    add(store, event("a", minute=1), event("a", "fail", minute=2, annotation=7),
        event("b", minute=3))  # fmt: skip
    assert roles(store) == [("a", "design", "pass"), ("b", "design", "pass")]


def test_the_second_answer_stands_as_a_repeat_where_the_first_was_withdrawn(store):
    add(store, event("a", minute=1), event("a", "fail", minute=2, annotation=7))
    add(store, event("a", None, minute=1, revision=2, kind="withdrawn"))
    assert roles(store) == [("a", "repeat", "fail")]


def why(store):
    rows = store.query("SELECT annotator_id, chosen, answers FROM labels ORDER BY created_at")
    return [tuple(row.values()) for row in rows.to_pylist()]


def test_a_label_says_why_it_is_this_one_of_several(store):
    add(store, event("a", minute=1), event("b", minute=2), event("b", "fail", minute=9),
        event("c", minute=3), event("c", "fail", minute=9, annotation=7),
        event("d", minute=4, gold=True), event("d", minute=9, gold=True, annotation=8))  # fmt: skip
    add(store, event("c", None, minute=3, revision=2, kind="withdrawn"))
    assert why(store) == [("a", "only", 1), ("b", "first", 2), ("d", "gold", 2), ("c", "next", 2)]


def test_an_answer_counts_before_ground_truth_of_the_same_person_whenever_it_came(store):
    add(store, event("a", minute=1), event("b", minute=2), event("c", minute=3, gold=True),
        event("c", "fail", minute=4, annotation=7))  # fmt: skip
    assert roles(store)[-1] == ("c", "escalation", "fail")
    assert why(store)[-1] == ("c", "first", 2)


def test_a_withdrawn_skip_takes_no_slot(store):
    add(store, event("a", None, minute=1, kind="skipped"), event("b", minute=2),
        event("c", minute=3))  # fmt: skip
    add(store, event("a", None, minute=1, revision=2, kind="withdrawn"))
    assert roles(store) == [("b", "design", "pass"), ("c", "design", "pass")]
    states = store.query("SELECT state FROM answers ORDER BY annotator_id")["state"]
    assert states.to_pylist() == ["skip_withdrawn", "active", "active"]


def test_labels_as_of_a_moment_are_what_was_known_then(store):
    add(store, event("a", minute=1))
    moment = datetime.now(UTC)
    add(store, event("a", "fail", minute=1, revision=2, kind="changed"))
    then = store.query("SELECT value FROM labels_as_of($t)", {"t": moment})
    assert then["value"].to_pylist() == ["pass"]
    assert roles(store) == [("a", "design", "fail")]


def test_progress_counts_design_labels_only(store):
    add(store, event("a", minute=1), event("b", "fail", minute=2), event("c", minute=3))
    (row,) = store.query("FROM label_progress").to_pylist()
    assert row == {
        "item_id": "v1", "dimension": "d", "design_k": 2, "design_labels": 2, "n_pass": 1,
        "n_fail": 1, "other_labels": 1, "complete": True,
    }  # fmt: skip
