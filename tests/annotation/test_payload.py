from datetime import UTC, datetime

import pytest

from annotation.payload import (
    Annotation,
    cleaned,
    raw_id,
    read_annotation,
    read_answer,
    read_task,
)


def test_times_become_utc_whatever_zone_they_come_in(studio):
    for text in ("2026-11-20T10:00:00Z", "2026-11-20T12:00:00+02:00", "2026-11-20T10:00:00"):
        read = read_annotation({**studio.annotation(1), "created_at": text})
        assert isinstance(read, Annotation)
        assert read.created_at == datetime(2026, 11, 20, 10, tzinfo=UTC)


def test_a_time_beyond_the_calendar_is_a_reason_not_a_crash(studio):
    read = read_annotation({**studio.annotation(1), "created_at": "0001-01-01T00:00:00+10:00"})
    assert isinstance(read, str)
    assert "created_at" in read


def test_a_lead_time_that_is_no_number_is_left_open(studio):
    read = read_annotation({**studio.annotation(1), "lead_time": float("nan")})
    assert isinstance(read, Annotation)
    assert read.lead_time is None


def test_a_reason_names_the_place_and_never_the_value(studio):
    reason = read_annotation({**studio.annotation(1), "completed_by": "ann@x.example"})
    assert "completed_by" in reason
    assert "ann@" not in reason


def test_numbers_name_items_and_structures_do_not(studio):
    task = read_task(studio.task(1, item=17, extra=[1]))
    assert task.text("item_id") == "17"
    assert task.text("extra") is None
    assert task.text("missing") is None


@pytest.mark.parametrize("value", [True, "7", -1, 2**63, 1.5, None])
def test_only_a_plain_number_is_an_id(value):
    assert raw_id({"id": value}) is None


def test_choices_are_texts_or_nothing():
    read = read_answer({"from_name": "a", "value": {"choices": ["Pass", 1]}})
    assert read.choices is None


def test_a_cleaned_payload_holds_no_person_and_is_plain_json():
    payload = {
        "email": "a@b.example",
        "avatar": "x",
        "note": "write to a@b.example now",
        "nested": [{"username": "ann", "score": float("inf")}],
        "long": "x" * 5000,
        "odd": "\ud800",
    }
    found = cleaned(payload)
    assert set(found) == {"note", "nested", "long", "odd"}
    assert found["note"] == "write to <e-mail> now"
    assert found["nested"] == [{"score": "inf"}]
    assert len(found["long"]) == 2000
    assert found["odd"] == "?"


@pytest.mark.parametrize("value", [-1, -0.5, 2e6, 10**400, "-3", "1e9", float("inf")])
def test_a_lead_time_that_nobody_can_have_spent_is_left_open(studio, value):
    read = read_annotation({**studio.annotation(1), "lead_time": value})
    assert isinstance(read, Annotation)
    assert read.lead_time is None


def test_half_a_character_in_a_task_names_no_item_and_harms_no_other_field(studio):
    task = read_task(studio.task(1, item="clip \ud83d", note=["half \ud83d", "\U0001f600"]))
    assert task.text("item_id") is None
    assert task.text("prompt") == "a ball 1"
    assert task.data["note"] == ["half ?", "\U0001f600"]


@pytest.mark.parametrize("levels", [101, 3000, 100_000])
def test_data_of_more_levels_than_a_clip_has_are_a_reason_not_a_crash(studio, levels):
    deep = []
    for _ in range(levels):
        deep = [deep]
    assert "nested too deep" in read_task(studio.task(1, deep=deep))


def test_a_number_too_long_to_write_is_cut_from_a_payload():
    assert cleaned({"n": 10**5000, "m": 10**20}) == {"n": "<larger number>", "m": 10**20}


def test_a_task_says_the_same_of_itself_however_its_fields_are_ordered(studio):
    raw = studio.task(1, extra=1)
    turned = {**raw, "data": dict(reversed(raw["data"].items()))}
    assert read_task(raw).digest == read_task(turned).digest
