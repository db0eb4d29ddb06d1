from dataclasses import replace
from datetime import timedelta

import pytest

from annotation.events import to_events
from annotation.known import Known
from annotation.payload import User
from annotation.replay import AT_THE_SOURCE, GONE, OLD, STILL, replay
from annotation.versions import Version

NAMED = {"motion": {"OK": "pass", "No": "fail"}}


def open_rows(*events):
    resolved = {i for e in events for i in e.tables["resolutions"]["quarantine_id"].to_pylist()}
    rows = [row for e in events for row in e.tables["quarantine"].to_pylist()]
    schema = events[0].tables["quarantine"].schema
    return (
        events[0]
        .tables["quarantine"]
        .from_pylist([row for row in rows if row["quarantine_id"] not in resolved], schema)
    )


def labels(events):
    names = ("annotation_id", "dimension", "revision", "event", "value", "gold")
    return [tuple(row[n] for n in names) for row in events.tables["label_events"].to_pylist()]


def outcomes(events):
    return events.tables["resolutions"]["outcome"].to_pylist()


def again(studio, task, found, *events, **context):
    """Rows that a pull adds after a replay."""
    return to_events([task], studio.known(*events, found.events), studio.context(**context)).rows


def test_a_choice_named_since_becomes_a_label_that_a_pull_finds_there(studio):
    task = studio.task(1, studio.annotation(7, GROUND_TRUTH=True, motion="OK", shape="Pass"))
    first = to_events([task], Known(), studio.context())
    context = studio.context(mapping=NAMED)
    found = replay(open_rows(first), studio.known(first), context)
    assert labels(found.events) == [(7, "motion", 1, "seen", "pass", True)]
    assert outcomes(found.events) == ["replayed"]
    assert found.mended == {"unknown_choice": 1}
    assert found.left == {}
    assert again(studio, task, found, first, mapping=NAMED) == 0
    assert replay(open_rows(first, found.events), studio.known(first), context).events.rows == 0


def test_a_label_withdrawn_as_unknown_returns_with_the_next_revision(studio):
    first = to_events(
        [studio.task(1, studio.annotation(7, motion="Pass", shape="Pass"))],
        Known(),
        studio.context(),
    )
    task = studio.task(1, studio.annotation(7, changed=3, motion="No", shape="Pass"), changed=3)
    second = to_events([task], studio.known(first), studio.context())
    known = studio.known(first, second)
    found = replay(open_rows(first, second), known, studio.context(mapping=NAMED))
    assert labels(found.events) == [(7, "motion", 3, "seen", "fail", False)]
    assert again(studio, task, found, first, second, mapping=NAMED) == 0


def test_what_the_mapping_does_not_name_stays_and_says_so(studio):
    task = studio.task(1, studio.annotation(7, motion="Hm"), studio.annotation(8, user=None))
    first = to_events([task, studio.task(2, item="")], Known(), studio.context())
    found = replay(open_rows(first), studio.known(first), studio.context(mapping=NAMED))
    assert found.events.rows == 0
    assert found.left == {
        ("unknown_choice", STILL): 1,
        ("missing_dimension", STILL): 1,
        ("no_annotator", STILL): 1,
        ("no_item_id", AT_THE_SOURCE): 1,
    }


def test_a_control_that_is_a_dimension_by_now_is_a_label(studio):
    task = studio.task(1, studio.annotation(7, motion="Pass", shape="Pass", light="Fail"))
    first = to_events([task], Known(), studio.context())
    three = (*studio.dimensions, "light")
    found = replay(open_rows(first), studio.known(first), studio.context(three))
    assert labels(found.events) == [(7, "light", 1, "seen", "fail", False)]
    assert again(studio, task, found, first, dimensions=three) == 0


@pytest.mark.parametrize(
    ("answers", "reason"), [(["Pass", "Fail"], "contradictory"), (["Hm"], "unknown_choice")]
)
def test_a_control_that_is_a_dimension_by_now_may_still_be_no_label(studio, answers, reason):
    annotation = studio.annotation(7, motion="Pass", shape="Pass")
    annotation["result"] += [studio.answer("light", choice) for choice in answers]
    task = studio.task(1, annotation)
    first = to_events([task], Known(), studio.context())
    three = (*studio.dimensions, "light")
    found = replay(open_rows(first), studio.known(first), studio.context(three))
    assert labels(found.events) == []
    row = found.events.tables["quarantine"].to_pylist()[0]
    assert (row["dimension"], row["reason"]) == ("light", reason)
    assert again(studio, task, found, first, dimensions=three) == 0


def test_a_dimension_not_asked_any_more_is_not_missing(studio):
    task = studio.task(1, studio.annotation(7, motion="Pass"))
    first = to_events([task], Known(), studio.context())
    found = replay(open_rows(first), studio.known(first), studio.context(("motion",)))
    assert labels(found.events) == []
    assert found.mended == {"missing_dimension": 1}
    assert again(studio, task, found, first, dimensions=("motion",)) == 0


def test_mappings_that_agree_by_now_settle_an_ambiguous_choice(studio):
    start = studio.start
    task = studio.task(1, studio.annotation(7, created=20, motion="OK", shape="Pass"))
    one = Version(1, studio.dimensions, {"motion": {"OK": "pass"}}, "x")
    two = Version(
        2,
        studio.dimensions,
        {"motion": {"OK": "fail"}},
        "y",
        start + timedelta(minutes=10),
        start + timedelta(minutes=30),
    )
    first = to_events([task], Known(), studio.context(versions=(one, two)))
    mended = (one, two, replace(two, number=3, mapping={"motion": {"OK": "pass"}}))
    found = replay(open_rows(first), studio.known(first), studio.context(versions=mended))
    assert labels(found.events) == [(7, "motion", 1, "seen", "pass", False)]
    assert again(studio, task, found, first, versions=mended) == 0


def test_a_whole_annotation_is_read_again_when_the_clock_is_right(studio):
    early = studio.context(now=studio.start - timedelta(days=3))
    task = studio.task(1, studio.annotation(7, motion="Pass", shape="Hm"))
    first = to_events([task], Known(), early)
    assert first.tables["label_events"].num_rows == 0
    found = replay(open_rows(first), studio.known(first), studio.context())
    assert labels(found.events) == [(7, "motion", 1, "seen", "pass", False)]
    assert found.events.tables["quarantine"]["reason"].to_pylist() == ["unknown_choice"]
    assert found.mended == {"impossible_time": 1}
    assert found.left == {("impossible_time", AT_THE_SOURCE): 1}  # the task's own
    assert replay(open_rows(first), studio.known(first), early).events.rows == 0


def test_a_foreign_annotation_counts_once_its_user_is_known(studio):
    users = {1: User(id=1)}
    task = studio.task(1, studio.annotation(7, user=99, motion="Pass", shape="Fail"))
    first = to_events([task], Known(), studio.context(users=users))
    known = studio.known(first)
    assert replay(open_rows(first), known, studio.context()).left == {
        ("foreign_annotator", STILL): 1
    }
    file = to_events(
        [studio.task(2, studio.annotation(8, user=99, motion="Pass", shape="Fail"))],
        known,
        studio.context(live=False),
    )
    found = replay(open_rows(first), studio.known(first, file), studio.context())
    assert len(labels(found.events)) == 2
    assert again(studio, task, found, first, file, users=users) == 0


def test_rows_without_what_a_replay_needs_are_named_and_left(studio):
    first = to_events(
        [studio.task(1, studio.annotation(7, motion="OK", shape="Pass"))], Known(), studio.context()
    )
    rows = [
        {**row, "task_created_at": None, "project_version": None}
        for row in open_rows(first).to_pylist()
    ]
    old = open_rows(first).from_pylist(rows, open_rows(first).schema)
    found = replay(old, studio.known(first), studio.context(mapping=NAMED))
    assert found.left == {("unknown_choice", OLD): 1}
    assert found.events.rows == 0


def test_a_task_that_is_gone_gets_no_label(studio):
    task = studio.task(1, studio.annotation(7, motion="OK", shape="Pass"))
    first = to_events([task], Known(), studio.context())
    reused = to_events([studio.task(1, created=9)], studio.known(first), studio.context())
    known = studio.known(first, reused)
    found = replay(open_rows(first), known, studio.context(mapping=NAMED))
    assert found.left == {("unknown_choice", GONE): 1}


def test_a_label_is_of_the_item_that_its_task_is_about_now(studio):
    annotation = studio.annotation(7, motion="OK", shape="Pass")
    first = to_events([studio.task(1, annotation)], Known(), studio.context())
    moved = to_events(
        [studio.task(1, annotation, item="clip_2")], studio.known(first), studio.context()
    )
    found = replay(
        open_rows(first, moved), studio.known(first, moved), studio.context(mapping=NAMED)
    )
    assert found.events.tables["label_events"]["item_id"].to_pylist() == ["clip_2"]
