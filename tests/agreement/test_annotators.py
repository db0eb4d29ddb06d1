import numpy as np
import pytest

from agreement.annotators import annotator_rows, group_medians
from agreement.labels import code


def rows_of(labels):
    return {row["annotator_id"]: row for row in annotator_rows(code(labels, ["seconds"]))}


def test_rates_and_counts_are_per_annotator(make_labels):
    labels = make_labels([("v1", "a", "pass"), ("v2", "a", "fail"), ("v1", "b", "pass")])
    rows = rows_of(labels)
    assert {name: (r["labels"], r["pass_rate"]) for name, r in rows.items()} == {
        "a": (2, 0.5),
        "b": (1, 1.0),
    }


def test_leave_one_out_compares_with_the_majority_of_the_others_and_skips_their_ties(make_labels):
    said = {"v1": "ppp", "v2": "pff", "v3": "pfpf", "v4": "p"}
    word = {"p": "pass", "f": "fail"}
    rows = rows_of(
        make_labels(
            (item, person, word[letter])
            for item, letters in said.items()
            for person, letter in zip("abcd", letters, strict=False)
        )
    )
    # a agrees on v1, not on v2 (others f f), not on v3 (others f p f); v4 nobody else judged.
    assert rows["a"]["leave_one_out"] == pytest.approx(1 / 3)
    # d judged v3 only: the others say p f p.
    assert rows["d"]["leave_one_out"] == 0


def test_an_annotator_alone_has_no_leave_one_out(make_labels):
    assert rows_of(make_labels([("v1", "a", "pass")]))["a"]["leave_one_out"] is None


def test_seconds_are_the_median_of_the_known_ones(make_labels):
    labels = make_labels([(f"v{n}", "a", "pass") for n in range(4)])
    times = [9.0, None, 1.0, 2.0]
    labels = labels.set_column(7, "seconds", [times])
    assert rows_of(labels)["a"]["seconds"] == 2.0
    unknown = labels.set_column(7, "seconds", [[None] * 4]).cast(labels.schema)
    assert rows_of(unknown)["a"]["seconds"] is None


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
    rows = rows_of(labels)
    ours = [rows[name]["sensitivity"] + rows[name]["specificity"] for name in hits]
    truth = [np.mean(right) for right in hits.values()]
    assert np.corrcoef(ours, truth)[0, 1] > 0.9
