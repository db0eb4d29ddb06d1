from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from annotation.moments import micros
from annotation.versions import Readings, Version, candidates, periods, read_versions

START = datetime(2026, 11, 20, 10, tzinfo=UTC)


def at(minutes):
    return START + timedelta(minutes=minutes)


def version(number, mapping=None, *, dimensions=("a", "b"), config="x", after=None, known=None):
    return Version(
        number,
        dimensions,
        {"a": mapping or {}},
        config,
        None if after is None else at(after),
        None if known is None else at(known),
    )


def means(readings, minutes, choice="OK"):
    """What a choice of dimension a means at a time, `ambiguous`, or None."""
    reading = readings.at(micros(at(minutes)))
    if ("a", choice) in reading.ambiguous:
        return "ambiguous"
    found = reading.choices["a"].get(choice)
    return found and tuple(found)


def test_versions_come_from_rows_of_projects_in_their_order():
    rows = [
        {
            "version": number,
            "dimensions": '["a"]',
            "mapping": '{"a":{"OK":"pass"}}',
            "config_digest": "x",
            "changed_after": None,
            "in_force_at": at(number),
        }
        for number in (2, 1)
    ]
    first, second = read_versions(rows)
    assert (first.number, second.number) == (1, 2)
    assert first.mapping == {"a": {"OK": "pass"}}
    assert second.in_force_at == at(2)


def test_one_version_reads_everything_whenever_it_was_given():
    readings = Readings([version(1, {"OK": "pass"}, known=50)])
    assert means(readings, 0) == means(readings, 99) == ("pass", 1)
    assert readings.always is not None


def test_an_inverted_mapping_reads_later_answers_and_leaves_earlier_ones():
    readings = Readings(
        [version(1, {"OK": "pass"}), version(2, {"OK": "fail"}, config="y", after=10, known=20)]
    )
    assert means(readings, 10) == ("pass", 1)
    assert means(readings, 15) == means(readings, 20) == "ambiguous"
    assert means(readings, 21) == ("fail", 2)


def test_a_corrected_mapping_of_the_same_configuration_reads_its_period_again():
    readings = Readings(
        [
            version(1, {"OK": "pass"}),
            version(2, {"OK": "fail"}),
            version(3, {"OK": "pass"}, config="y", after=10, known=10),
        ]
    )
    assert means(readings, 5) == ("fail", 2)
    assert means(readings, 11) == ("pass", 3)


def test_a_renamed_choice_is_known_to_its_own_period_and_to_both_in_between():
    readings = Readings(
        [version(1, {"OK": "pass"}), version(2, {"Fine": "pass"}, config="y", after=10, known=20)]
    )
    assert means(readings, 15) == ("pass", 1)
    assert means(readings, 15, "Fine") == ("pass", 2)
    assert means(readings, 30) is None  # nobody of that time knows it, nor does the newest mapping


def test_the_newest_mapping_helps_where_no_version_of_the_time_knows_a_choice():
    readings = Readings(
        [
            version(1),
            version(2, config="y", after=10, known=20),
            version(3, {"OK": "pass"}, config="y"),
        ]
    )
    assert means(readings, 5) == ("pass", 3)


def test_pass_and_fail_mean_what_they_say_whatever_a_mapping_claims():
    readings = Readings([version(1, {"Pass": "fail"})])
    assert means(readings, 0, "Pass") == ("pass", 1)


def test_a_dimension_dropped_or_added_is_required_only_where_it_certainly_was():
    readings = Readings(
        [
            version(1, dimensions=("a", "b")),
            version(2, dimensions=("a", "c"), config="y", after=10, known=20),
        ]
    )

    def asked(minutes):
        reading = readings.at(micros(at(minutes)))
        return reading.required, sorted(reading.choices)

    assert asked(5) == (("a", "b"), ["a", "b"])
    assert asked(15) == (("a",), ["a", "b", "c"])
    assert asked(25) == (("a", "c"), ["a", "c"])


def test_undated_versions_leave_the_newest_and_an_unknown_bound_excludes_nothing():
    undated = [version(1, {"OK": "pass"}, known=0), version(2, {"OK": "fail"}, config="y")]
    assert means(Readings(undated), 0) == ("fail", 2)
    half = [version(1, {"OK": "pass"}), version(2, {"OK": "fail"}, config="y", known=20)]
    assert means(Readings(half), 1) == "ambiguous"
    assert means(Readings(half), 21) == ("fail", 2)


def test_a_configuration_that_came_back_is_a_period_of_its_own():
    found = periods(
        [version(1), version(2, config="y", after=1, known=2), version(3, after=3, known=4)]
    )
    assert [period.newest.number for period in found] == [1, 2, 3]


BOUND = st.none() | st.integers(0, 20)


@given(st.lists(st.tuples(BOUND, BOUND), min_size=1, max_size=5), st.integers(0, 21))
def test_candidates_are_those_that_no_bound_excludes(bounds, minutes):
    versions = [
        version(n, config=str(n), after=after, known=known)
        for n, (after, known) in enumerate(bounds)
    ]
    first, last = candidates(periods(versions), micros(at(minutes)))
    later = list(enumerate(bounds))[1:]
    began = [n for n, (_, known) in later if known is not None and known < minutes]
    latest = [n - 1 for n, (after, _) in later if after is not None and minutes <= after]
    low, high = max(began, default=0), min(latest, default=len(bounds) - 1)
    assert (first, last) == (min(low, high), max(low, high))
