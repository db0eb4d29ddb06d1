"""What a later reading may and may not undo: old exports, changed projects, odd clocks, people."""

from dataclasses import replace
from datetime import timedelta

import pytest

from annotation.events import gone_tasks, to_events
from annotation.known import Known, Memory
from annotation.payload import User
from annotation.versions import Version

GOOD = {"motion": "Pass", "shape": "Fail"}
FAR = "2199-01-01T00:00:00Z"


def rows(events, table, *columns):
    return [tuple(row[name] for name in columns) for row in events.tables[table].to_pylist()]


def labels(events):
    return rows(events, "label_events", "annotation_id", "dimension", "event", "value")


def quarantined(events):
    return rows(events, "quarantine", "annotation_id", "dimension", "reason")


def version(studio, number, mapping, minutes=None, *, config="x", dimensions=None):
    """A version read first at `minutes`, the one before certainly until then."""
    when = None if minutes is None else studio.start + timedelta(minutes=minutes)
    return Version(number, dimensions or studio.dimensions, mapping, config, when, when)


# Old files


def test_an_old_export_brings_nothing_back(studio):
    first = [
        studio.task(1, studio.annotation(7, **GOOD), studio.annotation(8, user=2, **GOOD)),
        studio.task(2, studio.annotation(9, **GOOD)),
        studio.task(3, studio.annotation(10, motion="Hm", shape="Pass")),
    ]
    corrected = studio.annotation(7, changed=5, motion="Fail", shape="Fail")
    mended = studio.task(3, studio.annotation(10, changed=6, **GOOD), changed=6)
    events = [to_events(first, Known(), studio.context())]
    now = [studio.task(1, corrected, changed=5), mended]
    events.append(to_events(now, studio.known(*events), studio.context()))
    events.append(gone_tasks(studio.known(*events), [1, 3], studio.context()))
    old = to_events(first, studio.known(*events), studio.context(live=False))
    assert old.rows == 0
    assert old.counts["stale"] == 3
    fresh = to_events(now, studio.known(*events), studio.context(live=False))
    assert fresh.rows == 0
    assert "stale" not in fresh.counts


def test_an_export_older_than_what_was_only_rejected_settles_nothing(studio):
    first = to_events([studio.task(1)], Known(), studio.context())
    broken = studio.task(1, studio.annotation(7, changed=5, motion="Hm"), changed=5)
    second = to_events([broken], studio.known(first), studio.context())
    assert second.counts["quarantined"] == 2
    known = studio.known(first, second)
    assert to_events([studio.task(1)], known, studio.context(live=False)).rows == 0


def test_a_server_is_believed_even_where_it_goes_back(studio):
    corrected = studio.task(1, studio.annotation(7, changed=5, **GOOD), changed=5)
    first = to_events([corrected], Known(), studio.context())
    restored = studio.task(1, studio.annotation(7, motion="Fail", shape="Fail"))
    second = to_events([restored], studio.known(first), studio.context())
    assert labels(second) == [(7, "motion", "changed", "fail")]


def test_an_export_with_an_earlier_holder_of_a_reused_id_is_old(studio):
    old = studio.task(1, studio.annotation(7, **GOOD), changed=99)
    first = to_events([old], Known(), studio.context())
    reused = studio.task(1, studio.annotation(8, created=50, **GOOD), created=50, item="clip_9")
    second = to_events([reused], studio.known(first), studio.context())
    again = to_events([old], studio.known(first, second), studio.context(live=False))
    assert again.rows == 0
    new = studio.task(1, created=70, item="clip_10")
    third = to_events([new], studio.known(first, second), studio.context(live=False))
    assert rows(third, "task_events", "item_id", "event") == [
        ("clip_9", "gone"),
        ("clip_10", "seen"),
    ]


def test_times_a_quarter_of_a_second_apart_are_no_older_state(studio):
    ahead = studio.annotation(7, changed=5 + 0.25 / 60, **GOOD)
    first = to_events([studio.task(1, ahead, changed=5)], Known(), studio.context())
    second = studio.task(1, ahead, studio.annotation(8, user=2, **GOOD), changed=5)
    found = to_events([second], studio.known(first), studio.context(live=False))
    assert len(labels(found)) == 2


# Changed projects


def test_a_renamed_choice_leaves_older_labels_and_reads_later_answers(studio):
    before = [version(studio, 1, {"motion": {"OK": "pass"}})]
    old = studio.annotation(7, motion="OK", shape="Pass")
    first = to_events([studio.task(1, old)], Known(), studio.context(versions=tuple(before)))
    after = (*before, version(studio, 2, {"motion": {"Fine": "pass"}}, 10, config="y"))
    new = studio.annotation(8, user=2, created=20, motion="Fine", shape="Pass")
    second = to_events(
        [studio.task(1, old, new)], studio.known(first), studio.context(versions=after)
    )
    assert labels(second) == [(8, "motion", "seen", "pass"), (8, "shape", "seen", "pass")]
    assert set(second.tables["label_events"]["project_version"].to_pylist()) == {2}


def test_an_inverted_mapping_leaves_older_labels(studio):
    before = version(studio, 1, {"motion": {"Yes": "pass", "No": "fail"}})
    after = version(studio, 2, {"motion": {"Yes": "fail", "No": "pass"}}, 10, config="y")
    old = studio.annotation(7, motion="Yes", shape="Pass")
    first = to_events([studio.task(1, old)], Known(), studio.context(versions=(before,)))
    new = studio.annotation(8, user=2, created=20, motion="Yes", shape="Pass")
    second = to_events(
        [studio.task(1, old, new)], studio.known(first), studio.context(versions=(before, after))
    )
    assert labels(second)[0] == (8, "motion", "seen", "fail")
    assert {row[0] for row in labels(second)} == {8}


def test_a_dropped_dimension_keeps_its_labels_and_is_not_asked_of_later_answers(studio):
    before = version(studio, 1, {})
    after = version(studio, 2, {}, 10, config="y", dimensions=("motion",))
    old = studio.annotation(7, **GOOD)
    first = to_events([studio.task(1, old)], Known(), studio.context(versions=(before,)))
    new = studio.annotation(8, user=2, created=20, motion="Pass")
    second = to_events(
        [studio.task(1, old, new)], studio.known(first), studio.context(versions=(before, after))
    )
    assert labels(second) == [(8, "motion", "seen", "pass")]
    assert quarantined(second) == []


def test_an_answer_of_either_time_that_they_read_differently_is_named(studio):
    start = studio.start
    after = replace(
        version(studio, 2, {"motion": {"Yes": "fail"}}, 10, config="y"),
        in_force_at=start + timedelta(minutes=30),
    )
    versions = (version(studio, 1, {"motion": {"Yes": "pass"}}), after)
    task = studio.task(1, studio.annotation(7, created=20, motion="Yes", shape="Pass"))
    found = to_events([task], Known(), studio.context(versions=versions))
    assert labels(found) == [(7, "shape", "seen", "pass")]
    assert quarantined(found) == [(7, "motion", "ambiguous_choice")]


def test_a_dimension_asked_in_one_of_two_possible_times_may_be_missing(studio):
    after = replace(
        version(studio, 2, {}, 10, config="y", dimensions=("motion",)),
        in_force_at=studio.start + timedelta(minutes=30),
    )
    both = studio.context(versions=(version(studio, 1, {}), after))
    tasks = [
        studio.task(1, studio.annotation(7, created=20, motion="Pass")),
        studio.task(2, studio.annotation(8, created=20, shape="Fail", motion="Pass")),
    ]
    found = to_events(tasks, Known(), both)
    assert [row[:2] for row in labels(found)] == [(7, "motion"), (8, "motion"), (8, "shape")]
    assert quarantined(found) == []


# Clocks


@pytest.mark.parametrize("field", ["created_at", "updated_at"])
def test_a_task_with_an_impossible_time_keeps_its_labels_and_is_named_once(studio, field):
    task = {**studio.task(1, studio.annotation(7, **GOOD)), field: FAR}
    first = to_events([task], Known(), studio.context())
    assert len(labels(first)) == 2
    assert quarantined(first) == [(None, None, "impossible_time")]
    assert FAR[:4] not in str(first.tables["task_events"]["occurred_at"].to_pylist())
    assert to_events([task], studio.known(first), studio.context()).rows == 0
    assert to_events([task], studio.known(first), studio.context(live=False)).rows == 0


def test_an_impossible_time_does_not_make_later_exports_look_old(studio):
    far = {**studio.task(1, studio.annotation(7, **GOOD)), "updated_at": FAR}
    first = to_events([far], Known(), studio.context(live=False))
    mended = studio.task(1, studio.annotation(7, changed=5, motion="Fail", shape="Fail"), changed=5)
    second = to_events([mended], studio.known(first), studio.context(live=False))
    assert labels(second) == [(7, "motion", "changed", "fail")]
    assert rows(second, "resolutions", "outcome") == [("mended",)]


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ({"UPDATED_AT": FAR}, "impossible_time"),
        ({"completed_by": None}, "no_annotator"),
        ({"result": "x"}, "unreadable_annotation"),
        ({"id": "seven"}, "unreadable_annotation"),
    ],
)
def test_what_is_not_believed_withdraws_nothing(studio, broken, reason):
    first = to_events([studio.task(1, studio.annotation(7, **GOOD))], Known(), studio.context())
    annotation = studio.annotation(7, **GOOD)
    annotation |= {name.lower(): value for name, value in broken.items()}
    second = to_events([studio.task(1, annotation)], studio.known(first), studio.context())
    assert labels(second) == []
    assert second.tables["quarantine"]["reason"].to_pylist() == [reason]


# People


def test_one_person_of_two_projects_is_one_annotator(studio):
    users = {1: User(id=1, email="Ann@x.example"), 2: User(id=2, email="")}
    task = studio.task(1, studio.annotation(7, **GOOD), studio.annotation(8, user=2, **GOOD))
    first = to_events([task], Known(), studio.context(users=users))
    elsewhere = {5: User(id=5, email=" ann@X.example"), 6: User(id=6, email="")}
    other = studio.task(
        1, studio.annotation(7, user=5, **GOOD), studio.annotation(8, user=6, **GOOD)
    )
    context = studio.context(users=elsewhere, source="2" * 8)
    second = to_events([other], replace(Known(), people=first.tables["people"]), context)
    ann, nobody = first.tables["people"]["annotator_id"].to_pylist()
    found = dict(rows(second, "people", "user_id", "annotator_id"))
    assert found[5] == ann
    assert found[6] not in {ann, nobody}


def test_an_annotation_by_somebody_who_was_never_a_member_is_foreign(studio):
    users = {1: User(id=1, email="ann@x.example")}
    task = studio.task(1, studio.annotation(7, **GOOD), studio.annotation(8, user=99, **GOOD))
    found = to_events([task], Known(), studio.context(users=users))
    assert quarantined(found) == [(8, None, "foreign_annotator")]
    assert rows(found, "people", "user_id") == [(1,)]
    assert rows(found, "quarantine", "annotator_id") == [(None,)]
    again = to_events([task], studio.known(found), studio.context(users=users))
    assert again.rows == 0


def test_a_member_who_left_is_still_known_and_files_are_taken_at_their_word(studio):
    task = studio.task(1, studio.annotation(7, user=99, **GOOD))
    first = to_events([task], Known(), studio.context(live=False))
    assert len(labels(first)) == 2
    users = {1: User(id=1)}
    later = studio.task(1, studio.annotation(7, user=99, changed=1, motion="Fail", shape="Fail"))
    second = to_events([later], studio.known(first), studio.context(users=users))
    assert labels(second) == [(7, "motion", "changed", "fail")]


# Parts of a batch


def test_an_annotation_standing_in_two_parts_of_a_batch_counts_in_the_first(studio):
    memory, context = Memory(), studio.context()
    twin = studio.annotation(7, **GOOD)
    first = to_events([studio.task(1, twin)], Known(), context, memory)
    second = to_events(
        [studio.task(2, twin, item="clip_1", prompt="a ball 1")], Known(), context, memory
    )
    assert len(labels(first)) == 2
    assert labels(second) == []
    assert quarantined(second) == [(7, None, "repeated_annotation")]
    assert second.tables["items"].num_rows == second.tables["people"].num_rows == 0
