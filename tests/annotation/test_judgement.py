from datetime import timedelta

import pytest

from annotation.judgement import judge
from annotation.payload import read_annotation
from annotation.versions import Choice, Version


def judged(studio, context=None, **values):
    read = read_annotation(studio.annotation(7, **values))
    return judge(read, context or studio.context())


def reasons(found):
    return [(r.dimension, r.reason) for r in found.rejections]


def test_each_dimension_is_judged_alone(studio):
    found = judged(studio, motion="Pass", shape="Perhaps")
    assert found.labels == {"motion": Choice("pass", 1)}
    assert reasons(found) == [("shape", "unknown_choice")]


def test_a_skip_is_no_label_in_every_dimension_asked(studio):
    found = judged(studio, WAS_CANCELLED=True, motion="Pass")
    assert found.labels == dict.fromkeys(studio.dimensions, Choice(None, 1))


def test_an_answer_notes_the_version_that_it_was_read_by(studio):
    change = studio.start + timedelta(minutes=10)
    versions = (
        Version(1, studio.dimensions, {"motion": {"OK": "pass"}}, "x"),
        Version(2, studio.dimensions, {"shape": {"OK": "fail"}}, "y", change, change),
    )
    context = studio.context(versions=versions)
    early = judged(studio, context, motion="OK", shape="Pass")
    assert early.labels == {"motion": Choice("pass", 1), "shape": Choice("pass", 1)}
    late = judged(studio, context, created=20, motion="Pass", shape="OK")
    assert late.labels == {"motion": Choice("pass", 2), "shape": Choice("fail", 2)}


@pytest.mark.parametrize(
    ("created", "changed", "word"),
    [
        ("1999-01-01T00:00:00Z", "2026-11-20T10:00:00Z", "created_at"),
        ("2026-11-20T10:00:00Z", "2199-01-01T00:00:00Z", "updated_at"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "created_at"),
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z", "future"),
        ("2026-11-20T10:00:00Z", "2026-11-20T09:58:00Z", "precedes"),
    ],
)
def test_a_time_that_cannot_be_is_named(studio, created, changed, word):
    found = judged(studio, CREATED_AT=created, UPDATED_AT=changed, motion="Pass", shape="Pass")
    assert found.labels == {}
    assert reasons(found) == [(None, "impossible_time")]
    assert word in found.rejections[0].detail


def test_a_minute_between_two_stamps_of_one_server_is_no_fault(studio):
    found = judged(studio, created=1, changed=0, motion="Pass", shape="Pass")
    assert found.rejections == []


def test_a_mapping_never_changes_what_pass_and_fail_mean(studio):
    found = judged(studio, studio.context(mapping={"motion": {"Pass": "fail"}}), motion="Pass")
    assert found.labels == {"motion": Choice("pass", 1)}
