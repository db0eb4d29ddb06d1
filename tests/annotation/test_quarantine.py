from dataclasses import replace

import pytest

from annotation.events import gone_tasks, settle_repeated, to_events
from annotation.known import Known, Memory

GOOD = {"motion": "Pass", "shape": "Fail"}


class Story:
    """States of a project, one pull after the other."""

    def __init__(self, studio):
        self.studio = studio
        self.events = []

    @property
    def known(self):
        return self.studio.known(*self.events) if self.events else Known()

    def pull(self, *tasks, memory=None, **context):
        context = self.studio.context(pull_id=str(len(self.events)), **context)
        self.events.append(to_events(tasks, self.known, context, memory))
        return self.events[-1]

    def gone(self, *present, memory=None):
        context = self.studio.context(pull_id="gone")
        self.events.append(gone_tasks(self.known, present, context, memory))
        return self.events[-1]


@pytest.fixture
def story(studio):
    return Story(studio)


def outcomes(events):
    return sorted(events.tables["resolutions"]["outcome"].to_pylist())


def reasons(events):
    return sorted(events.tables["quarantine"]["reason"].to_pylist())


def open_reasons(story):
    rows = story.known.quarantine.to_pylist()
    return sorted(row["reason"] for row in rows if not row["resolved"])


def test_a_unit_that_was_answered_is_mended_and_its_siblings_stay_open(studio, story):
    story.pull(studio.task(1, studio.annotation(7, motion="Hm", shape="Hm")))
    found = story.pull(studio.task(1, studio.annotation(7, motion="Pass", shape="Hm")))
    assert outcomes(found) == ["mended"]
    assert reasons(found) == []
    assert open_reasons(story) == ["unknown_choice"]


def test_a_skip_mends_and_a_deletion_ends(studio, story):
    hm = {"motion": "Hm", "shape": "Pass"}
    story.pull(studio.task(1, studio.annotation(7, **hm), studio.annotation(8, user=2, **hm)))
    found = story.pull(studio.task(1, studio.annotation(7, WAS_CANCELLED=True)))
    assert outcomes(found) == ["gone", "mended"]
    assert open_reasons(story) == []


def test_another_fault_of_the_same_unit_takes_the_place_of_the_first(studio, story):
    story.pull(studio.task(1, studio.annotation(7, motion="Hm", shape="Pass")))
    found = story.pull(studio.task(1, studio.annotation(7, motion="Well", shape="Pass")))
    assert outcomes(found) == ["changed"]
    assert reasons(found) == ["unknown_choice"]
    found = story.pull(studio.task(1, studio.annotation(7, user=None, motion="Well")))
    assert outcomes(found) == ["changed"]
    assert open_reasons(story) == ["no_annotator"]


def test_a_fault_that_comes_back_is_open_again(studio, story):
    hm = studio.task(1, studio.annotation(7, motion="Hm", shape="Pass"))
    well = studio.task(1, studio.annotation(7, motion="Well", shape="Pass"))
    ids = [
        story.pull(task).tables["quarantine"]["quarantine_id"][0] for task in (hm, well, hm, well)
    ]
    assert len(set(ids)) == 4
    assert [outcomes(events) for events in story.events] == [[], *[["changed"]] * 3]
    assert story.pull(well).rows == 0


def test_reading_a_fault_again_adds_nothing_but_what_a_replay_needs_is_kept_up(studio, story):
    hm = {"motion": "Hm", "shape": "Pass"}
    story.pull(studio.task(1, studio.annotation(7, **hm)))
    assert story.pull(studio.task(1, studio.annotation(7, **hm), changed=9)).rows == 0
    gold = story.pull(studio.task(1, studio.annotation(7, changed=9, GROUND_TRUTH=True, **hm)))
    assert outcomes(gold) == ["changed"]
    assert gold.tables["quarantine"]["gold"].to_pylist() == [True]
    moved = studio.annotation(7, changed=9, GROUND_TRUTH=True, **hm)
    found = story.pull(studio.task(1, moved, item="clip_2"))
    assert found.tables["quarantine"]["item_id"].to_pylist() == ["clip_2"]
    assert open_reasons(story) == ["unknown_choice"]


def test_rows_carry_what_a_replay_needs(studio, story):
    row = (
        story.pull(studio.task(1, studio.annotation(7, changed=5, motion="Hm", shape="Pass")))
        .tables["quarantine"]
        .to_pylist()[0]
    )
    assert (row["gold"], row["seconds"], row["project_version"]) == (False, 4.5, 1)
    assert row["task_created_at"] == studio.start
    assert row["occurred_at"].minute == 5


def test_a_row_of_an_older_soli_is_replaced_by_one_that_can_be_replayed(studio, story):
    task = studio.task(1, studio.annotation(7, motion="Hm", shape="Pass"))
    first = story.pull(task)
    names = ("task_created_at", "gold", "seconds", "occurred_at", "project_version")
    rows = [{**row, **dict.fromkeys(names)} for row in first.tables["quarantine"].to_pylist()]
    old = first.tables["quarantine"].from_pylist(rows, first.tables["quarantine"].schema)
    story.events[0] = replace(first, tables={**first.tables, "quarantine": old})
    second = story.pull(task)
    assert outcomes(second) == ["changed"]
    assert second.tables["quarantine"]["gold"].to_pylist() == [False]
    assert story.pull(task).rows == 0


def test_the_ids_of_open_rows_are_what_they_always_were(studio, story):
    """Changed ids would reject every known unit once more."""
    row = story.pull(studio.task(1, studio.annotation(7, motion="Hm", shape="Pass")))
    assert row.tables["quarantine"]["quarantine_id"][0].as_py().startswith("0665f2b7f4de0e90")


def test_a_task_without_an_item_is_mended_when_it_names_one(studio, story):
    story.pull(studio.task(1, studio.annotation(7, **GOOD), item=""), studio.task(2, item=""))
    found = story.pull(studio.task(1, studio.annotation(7, **GOOD)), studio.task(2))
    assert outcomes(found) == ["mended", "mended"]


def test_what_left_the_project_is_settled_whatever_it_was(studio, story):
    memory = Memory()
    story.pull(
        studio.task(1, studio.annotation(7, motion="Hm", shape="Pass")),
        studio.task(2, item=""),
        studio.task(3, studio.annotation(9, motion="Hm", shape="Pass")),
        "no task at all",
    )
    assert outcomes(story.gone(3)) == ["gone", "gone"]
    assert outcomes(story.gone(3, memory=memory)) == ["gone"]  # all was read, and it was not there
    assert open_reasons(story) == ["unknown_choice"]


def test_a_reused_task_id_ends_the_units_of_the_task_before(studio, story):
    story.pull(studio.task(1, studio.annotation(7, motion="Hm", shape="Pass")))
    found = story.pull(studio.task(1, created=60, item="clip_9"))
    assert outcomes(found) == ["gone"]


def test_an_unreadable_annotation_is_mended_by_one_of_its_id_or_gone(studio, story):
    story.pull(studio.task(1, {"id": 7}, "text"))
    found = story.pull(studio.task(1, studio.annotation(7, **GOOD)))
    assert outcomes(found) == ["gone", "mended"]


def test_a_task_repeated_in_every_reading_is_one_open_row_until_it_stands_once(studio, story):
    twice = (studio.task(1), studio.task(1, item="clip_9"))
    for times in (1, 0):
        memory = Memory()
        assert len(reasons(story.pull(*twice, memory=memory))) == times
        assert settle_repeated(story.known, memory, studio.context()).rows == 0
    memory = Memory()
    assert story.pull(studio.task(1), memory=memory).rows == 0
    assert outcomes(settle_repeated(story.known, memory, studio.context())) == ["mended"]


def test_one_control_that_is_no_dimension_is_one_row_however_often_it_is_answered(studio, story):
    annotation = studio.annotation(7, comment="a", **GOOD)
    annotation["result"].append(studio.answer("comment", "b"))
    assert reasons(story.pull(studio.task(1, annotation))) == ["unknown_control"]
    found = story.pull(studio.task(1, studio.annotation(7, **GOOD)))
    assert outcomes(found) == ["mended"]
