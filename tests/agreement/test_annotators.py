import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from agreement.annotators import annotator_report, group_medians
from agreement.flags import AnnotatorConfig
from agreement.rows import contract_schema
from warehouse.errors import AgreementError

START = datetime(2026, 1, 1, tzinfo=UTC)


def timed(labels):
    """Labels a minute apart."""
    times = [START + timedelta(minutes=n) for n in range(labels.num_rows)]
    return labels.append_column("created_at", pa.array(times, pa.timestamp("us", "UTC")))


def report_of(labels, **config):
    report = annotator_report(timed(labels), AnnotatorConfig(**config))
    return {row["annotator_id"]: row for row in report.rows.to_pylist()}


def flags_of(row):
    return [flag["flag"] for flag in json.loads(row["flags"])]


@pytest.fixture(scope="module")
def team(make_labels):
    """Labels of seven people, gold labels on a third of the items.

    0 to 3 are honest, 4 copies 3, 5 presses keys in a second, 6 stops looking at half time.
    """
    rng = np.random.default_rng(0)
    truth = rng.random(700) < 0.6
    rows = []
    for item, passed in enumerate(truth):
        right = rng.random(7) < (0.85, 0.9, 0.9, 0.8, 0.8, 0.5, 0.95 if item < 350 else 0.5)
        right[4] = right[3]
        rows += [(f"v{item:03}", f"a{n}", "p" if passed == right[n] else "f") for n in range(7)]
    word = {"p": "pass", "f": "fail"}
    labels = make_labels((item, person, word[said]) for item, person, said in rows)
    seconds = [1.0 if person == "a5" else 9.0 for _, person, _ in rows]
    labels = labels.set_column(7, "seconds", [seconds])
    gold = make_labels(
        ((f"v{item:03}", "lead", "pass" if truth[item] else "fail") for item in range(0, 700, 3)),
        role="gold",
    )
    return timed(pa.concat_tables([labels, gold]))


@pytest.fixture(scope="module")
def report(team):
    return annotator_report(team)


def test_rates_and_counts_are_per_annotator(make_labels):
    labels = make_labels([("v1", "a", "pass"), ("v2", "a", "fail"), ("v1", "b", "pass")])
    rows = report_of(labels)
    assert {name: (r["labels"], r["pass_rate"]) for name, r in rows.items()} == {
        "a": (2, 0.5),
        "b": (1, 1.0),
    }


def test_leave_one_out_compares_with_the_majority_of_the_others_and_skips_their_ties(make_labels):
    said = {"v1": "ppp", "v2": "pff", "v3": "pfpf", "v4": "p"}
    word = {"p": "pass", "f": "fail"}
    rows = report_of(
        make_labels(
            (item, person, word[letter])
            for item, letters in said.items()
            for person, letter in zip("abcd", letters, strict=False)
        )
    )
    # a agrees on v1, not on v2 (others f f), not on v3 (others f p f); v4 nobody else judged.
    assert rows["a"]["leave_one_out"] == pytest.approx(1 / 3)
    assert rows["a"]["compared"] == 3
    # d judged v3 only: the others say p f p.
    assert rows["d"]["leave_one_out"] == 0


def test_pass_bias_is_against_the_others_on_the_same_items(make_labels):
    said = [("v1", "pff"), ("v2", "pp"), ("v3", "p")]
    word = {"p": "pass", "f": "fail"}
    rows = report_of(
        make_labels(
            (item, person, word[letter])
            for item, letters in said
            for person, letter in zip("abc", letters, strict=False)
        )
    )
    # On v1 and v2 a says pass, pass; the others 0 and 1. Nobody else judged v3.
    assert rows["a"]["pass_bias"] == pytest.approx(0.5)


def test_an_annotator_alone_has_no_comparison_and_no_flag(make_labels):
    row = report_of(make_labels([("v1", "a", "pass")]))["a"]
    nothing = ("leave_one_out", "low", "high", "pass_bias", "gold_accuracy", "gold_low")
    assert {row[name] for name in nothing} == {None}
    assert (row["compared"], row["gold_labels"], row["flags"]) == (0, 0, "[]")


def test_no_labels_give_no_rows(make_labels):
    report = annotator_report(timed(make_labels([])))
    assert (report.rows.num_rows, report.drift.num_rows, report.copies.num_rows) == (0, 0, 0)


def test_seconds_are_the_median_of_the_known_ones(make_labels):
    labels = make_labels([(f"v{n}", "a", "pass") for n in range(4)])
    times = [9.0, None, 1.0, 2.0]
    labels = labels.set_column(7, "seconds", [times])
    assert report_of(labels)["a"]["seconds"] == 2.0
    unknown = labels.set_column(7, "seconds", [[None] * 4]).cast(labels.schema)
    assert report_of(unknown)["a"]["seconds"] is None
    assert report_of(unknown)["a"]["fast_share"] is None


def test_medians_equal_numpys_over_random_groups():
    rng = np.random.default_rng(0)
    group, values = rng.integers(9, size=200), rng.random(200)
    for name, median in group_medians(group, values).items():
        assert median == pytest.approx(np.median(values[group == name]))


def test_the_crowds_annotators_are_ranked_as_the_truth_ranks_them(bluebirds):
    labels, gold = bluebirds
    hits = {}
    for row in labels.to_pylist():
        hits.setdefault(row["annotator_id"], []).append(row["value"] == gold[row["item_id"]])
    rows = report_of(labels)
    ours = [rows[name]["sensitivity"] + rows[name]["specificity"] for name in hits]
    truth = [np.mean(right) for right in hits.values()]
    assert np.corrcoef(ours, truth)[0, 1] > 0.9


def test_rows_fit_the_contract(report):
    fields = [f for f in contract_schema("annotators") if f.name != "measurement_id"]
    assert report.rows.schema.equals(pa.schema(fields))
    for field in fields:
        assert field.nullable or not report.rows[field.name].null_count


def test_who_should_be_flagged_is_and_nobody_else(report):
    flags = {row["annotator_id"]: flags_of(row) for row in report.rows.to_pylist()}
    assert flags == {
        "a0": [],
        "a1": [],
        "a2": [],
        "a3": ["copies"],
        "a4": ["copies"],
        "a5": ["random", "fast"],
        "a6": ["drifts"],
    }


def test_a_copy_is_said_to_be_perhaps_one_person_under_two_accounts(report):
    reason = json.loads(report.rows.to_pylist()[3]["flags"])[0]["reason"]
    assert "a4" in reason
    assert "one person under two accounts" in reason


def test_the_order_of_the_rows_changes_nothing(team, report):
    shuffled = team.take(pa.array(np.random.default_rng(1).permutation(team.num_rows)))
    assert annotator_report(shuffled) == report


def test_names_of_annotators_change_nothing_but_names(team, report):
    # The two with equal labels keep their order: they differ in nothing.
    renamed = {"a0": "z", "a1": "c", "a2": "x", "a5": "a", "a6": "b"}
    names = [renamed.get(name, name) for name in team["annotator_id"].to_pylist()]
    place = team.schema.get_field_index("annotator_id")
    other = annotator_report(team.set_column(place, "annotator_id", [names])).rows
    bare = [
        {**row, "annotator_id": renamed.get(row["annotator_id"], row["annotator_id"])}
        for row in report.rows.to_pylist()
    ]
    assert sorted(other.to_pylist(), key=str) == sorted(bare, key=str)


def test_gold_accuracy_counts_all_labels_but_gold_ones(make_labels):
    parts = [
        make_labels([("v1", "a", "pass"), ("v2", "a", "fail"), ("v3", "a", "fail")]),
        make_labels([("v4", "a", "pass")], role="escalation"),
        make_labels([("v4", "b", "pass"), ("v4", "c", "pass")]),
        make_labels([("v1", "x", "pass"), ("v2", "x", "pass"), ("v4", "x", "pass")], role="gold"),
    ]
    rows = report_of(pa.concat_tables(parts))
    assert (rows["a"]["gold_labels"], rows["a"]["gold_accuracy"]) == (3, pytest.approx(2 / 3))
    assert rows["a"]["gold_low"] < 2 / 3 < rows["a"]["gold_high"]
    assert "x" not in rows


def test_the_gold_labels_of_the_moment_decide(make_labels):
    design = make_labels([("v1", "a", "pass")])
    before = pa.concat_tables([design, make_labels([("v1", "x", "pass")], role="gold")])
    after = pa.concat_tables([design, make_labels([("v1", "x", "fail")], role="gold")])
    assert report_of(before)["a"]["gold_accuracy"] == 1
    assert report_of(after)["a"]["gold_accuracy"] == 0


def test_too_fast_is_a_quarter_of_the_teams_median_whoever_labels_most(make_labels):
    labels = make_labels(
        (f"v{n}", person, "pass")
        for person, many in (("a", 2), ("b", 2), ("c", 50))
        for n in range(many)
    )
    seconds = [8.0, 8.0, 12.0, 12.0] + [1.9] * 50
    rows = report_of(labels.set_column(7, "seconds", [seconds]))
    assert [rows[name]["fast_share"] for name in "abc"] == [0, 0, 1]
    assert flags_of(rows["c"]) == ["fast"]


def test_a_threshold_for_too_fast_can_be_set(make_labels):
    labels = make_labels([(f"v{n}", "a", "pass") for n in range(9)])
    assert report_of(labels, fast_seconds=5.0)["a"]["fast_share"] == 1
    assert report_of(labels, fast_seconds=3.0)["a"]["fast_share"] == 0


def test_labels_without_a_time_are_refused(make_labels):
    labels = timed(make_labels([("v1", "a", "pass"), ("v1", "b", "pass")]))
    place = labels.schema.get_field_index("created_at")
    missing = labels.set_column(place, "created_at", pa.nulls(2, pa.timestamp("us", "UTC")))
    with pytest.raises(AgreementError, match="2 of 2 rows have no created_at"):
        annotator_report(missing)


def test_of_the_crowd_those_are_called_random_who_know_nothing_of_the_truth(bluebirds):
    labels, gold = bluebirds
    said = {}
    for row in labels.to_pylist():
        right = row["value"] == gold[row["item_id"]]
        said.setdefault((row["annotator_id"], gold[row["item_id"]]), []).append(right)
    flagged, informed = {}, {}
    for name, row in report_of(labels).items():
        flagged[name] = "random" in flags_of(row)
        informed[name] = np.mean(said[name, "pass"]) + np.mean(said[name, "fail"]) - 1
    # 39 people; sensitivity + specificity - 1 against the experts' truth goes from -0.4 to 0.8.
    assert all(flagged[name] for name in informed if informed[name] < 0.1)
    assert not any(flagged[name] for name in informed if informed[name] > 0.2)
