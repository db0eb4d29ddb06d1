import json
import math
from fractions import Fraction
from itertools import permutations
from pathlib import Path

import krippendorff
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from statsmodels.stats.inter_rater import fleiss_kappa

from agreement.statistics import (
    ALL_EQUAL,
    NO_LABELS,
    NO_PAIRS,
    RATIOS,
    cell_moments,
    cluster_cells,
    grouped_histograms,
    histogram,
    landis_koch,
    measure,
    replicate_values,
)
from warehouse.errors import AgreementError

KNOWN = json.loads(
    (Path(__file__).parents[1] / "data" / "agreement" / "known_values.json").read_text()
)
THEIR_NAMES = {
    "alpha": "alpha_nominal",
    "kappa": "fleiss_kappa_gwet",
    "ac1": "gwet_ac1",
    "raw": "raw_pairwise_agreement",
}
CHANCE_CORRECTED = ("alpha", "kappa", "ac1", "raw")

binary = arrays(np.int64, st.tuples(st.integers(1, 25), st.just(2)), elements=st.integers(0, 5))
several = arrays(
    np.int64, st.tuples(st.integers(1, 15), st.integers(2, 5)), elements=st.integers(0, 4)
)


def values(counts):
    return {name: measured.value for name, measured in measure(histogram(counts)).items()}


def known_counts(dataset):
    if dataset["layout"] == "value_counts":
        return np.array(dataset["data"])
    columns = list(zip(*dataset["data"], strict=True))
    categories = sorted({value for column in columns for value in column if value is not None})
    return np.array([[column.count(category) for category in categories] for column in columns])


def by_hand(counts):
    """Every statistic from lists of single labels, as its definition reads."""
    items = [[c for c, n in enumerate(row) for _ in range(n)] for row in counts.tolist()]
    items = [item for item in items if item]
    pairable = [item for item in items if len(item) > 1]
    if not items:
        return dict.fromkeys(RATIOS)
    k = counts.shape[1]
    coincidence = {}
    for item in pairable:
        for a, b in permutations(item, 2):
            coincidence[a, b] = coincidence.get((a, b), 0) + Fraction(1, len(item) - 1)
    margin = [sum(coincidence.get((c, d), Fraction()) for d in range(k)) for c in range(k)]
    n = sum(margin)
    expected = sum(margin[c] * margin[d] for c in range(k) for d in range(k) if c != d)
    observed = sum(v for (a, b), v in coincidence.items() if a != b)
    share = [
        sum(Fraction(item.count(c), len(item)) for item in items) / len(items) for c in range(k)
    ]
    agreeing = [
        Fraction(sum(a == b for a, b in permutations(item, 2)), len(item) * (len(item) - 1))
        for item in pairable
    ]
    raw = sum(agreeing) / len(agreeing) if agreeing else None
    pe_kappa = sum(s * s for s in share)
    pe_ac1 = sum(s * (1 - s) for s in share) / (k - 1)
    return {
        "alpha": 1 - (n - 1) * observed / expected if expected else None,
        "kappa": (raw - pe_kappa) / (1 - pe_kappa) if agreeing and pe_kappa != 1 else None,
        "ac1": (raw - pe_ac1) / (1 - pe_ac1) if agreeing else None,
        "raw": raw,
        "prevalence": Fraction(sum(i.count(0) for i in items), sum(map(len, items))),
    }


@pytest.mark.parametrize("dataset", KNOWN["datasets"], ids=lambda dataset: dataset["name"])
def test_published_tables_give_their_exact_fractions(dataset):
    found = values(known_counts(dataset))
    for ours, theirs in THEIR_NAMES.items():
        assert found[ours] == Fraction(dataset["exact"][theirs]["fraction"]), ours
        if theirs in dataset["published"]:
            assert float(found[ours]) == pytest.approx(dataset["published"][theirs], abs=5e-4)


def test_gwets_program_gives_the_same_numbers_for_the_four_raters():
    found = values(known_counts(KNOWN["datasets"][0]))
    published = KNOWN["irrcac_raw4"]
    assert float(found["ac1"]) == pytest.approx(published["gwet"], abs=5e-6)
    assert float(found["kappa"]) == pytest.approx(published["fleiss"], abs=5e-6)
    assert float(found["alpha"]) == pytest.approx(published["krippendorff"], abs=5e-6)


@given(several)
def test_every_statistic_equals_its_definition_worked_on_single_labels(counts):
    assert values(counts) == by_hand(counts)


@given(several)
def test_alpha_equals_krippendorffs_library_wherever_it_is_defined(counts):
    found = values(counts)["alpha"]
    if found is not None:
        theirs = krippendorff.alpha(value_counts=counts, level_of_measurement="nominal")
        assert float(found) == pytest.approx(theirs, abs=1e-9)


@given(
    st.integers(2, 6).flatmap(
        lambda n: arrays(np.int64, st.integers(1, 25), elements=st.integers(0, n)).map(
            lambda passed: np.stack([passed, n - passed], axis=1)
        )
    )
)
def test_kappa_equals_statsmodels_where_every_item_has_the_same_number_of_labels(counts):
    found = values(counts)["kappa"]
    if found is not None:
        assert float(found) == pytest.approx(fleiss_kappa(counts), abs=1e-9)


@given(several, st.randoms())
def test_no_statistic_depends_on_the_order_of_items(counts, random):
    order = random.sample(range(len(counts)), len(counts))
    assert values(counts[order]) == values(counts)


@given(binary)
def test_swapping_pass_and_fail_changes_prevalence_alone(counts):
    found, swapped = values(counts), values(counts[:, ::-1])
    assert all(found[name] == swapped[name] for name in CHANCE_CORRECTED)
    if found["prevalence"] is not None:
        assert found["prevalence"] == 1 - swapped["prevalence"]


@given(binary)
def test_a_statistic_has_a_value_at_most_one_or_a_reason_but_never_both(counts):
    for measured in measure(histogram(counts)).values():
        assert (measured.value is None) == (measured.reason is not None)
        assert measured.value is None or measured.value <= 1


@given(several)
def test_replicates_follow_the_exact_formulas(counts):
    cells = histogram(counts)
    if not len(cells.items):
        return
    moments = np.array([cell_moments(cell) for cell in cells.cells.tolist()], dtype=float)
    for name, measured in measure(cells).items():
        (found,) = replicate_values(name, (cells.items @ moments)[None, :])
        if measured.value is None:
            assert math.isnan(found)
        else:
            assert found == pytest.approx(float(measured.value), abs=1e-12)


def test_an_unknown_statistic_is_refused_with_the_known_ones():
    with pytest.raises(AgreementError, match="unknown statistic 'beta'; known are alpha"):
        replicate_values("beta", np.ones((1, 10)))


def test_items_that_all_pass_have_raw_agreement_and_ac1_but_no_alpha_or_kappa():
    result = measure(histogram(np.array([[3, 0], [3, 0], [2, 0]])))
    assert result["alpha"].reason == result["kappa"].reason == ALL_EQUAL
    assert result["raw"].value == result["ac1"].value == result["prevalence"].value == 1


def test_one_label_each_gives_a_prevalence_and_a_reason_for_the_rest():
    result = measure(histogram(np.array([[1, 0], [0, 1], [1, 0]])))
    assert {result[name].reason for name in CHANCE_CORRECTED} == {NO_PAIRS}
    assert result["prevalence"].value == Fraction(2, 3)


def test_no_labels_give_a_reason_for_everything():
    result = measure(histogram(np.zeros((4, 2), dtype=np.int64)))
    assert {measured.reason for measured in result.values()} == {NO_LABELS}


def test_perfect_agreement_on_both_labels_is_one():
    assert set(list(values(np.array([[3, 0], [0, 2]])).values())[:4]) == {1}


def test_skewed_prevalence_lowers_alpha_but_not_ac1():
    # Two labels, 95 % pass, each right in 95 %: shares of both-pass, mixed, both-fail items.
    right, passing = Fraction(95, 100), Fraction(95, 100)
    both = passing * right**2 + (1 - passing) * (1 - right) ** 2
    mixed = 2 * right * (1 - right)
    items = [int(share * 10**6) for share in (both, mixed, 1 - both - mixed)]
    found = values(np.repeat([[2, 0], [1, 1], [0, 2]], items, axis=0))
    assert float(found["raw"]) == pytest.approx(0.905, abs=1e-3)
    assert float(found["alpha"]) == pytest.approx(0.4475, abs=1e-3)
    assert float(found["ac1"]) == pytest.approx(0.885, abs=1e-3)


@given(binary, st.randoms())
def test_groups_together_hold_every_item_once(counts, random):
    group = np.array([random.randrange(-1, 3) for _ in counts])
    for position, part in enumerate(grouped_histograms(counts, group, 3)):
        alone = histogram(counts[group == position])
        assert part.cells.tolist() == alone.cells.tolist()
        assert part.items.tolist() == alone.items.tolist()


@given(binary, st.randoms())
def test_cells_of_clusters_add_up_to_the_histogram(counts, random):
    counts = counts[counts.sum(axis=1) > 0]
    clusters = np.array([random.randrange(4) for _ in counts], dtype=np.int64)
    whole = histogram(counts)
    found = cluster_cells(whole, counts, clusters)
    assert found.sum(axis=0).tolist() == whole.items.tolist()
    assert len(found) == len(set(clusters.tolist()))


def test_words_of_landis_and_koch_begin_above_their_lower_ends():
    ends = [-0.01, 0, 0.2, 0.21, 0.4, 0.6, 0.8, 0.81, 1]
    words = ["poor", "slight", "slight", "fair", "fair", "moderate", "substantial"]
    assert [landis_koch(end) for end in ends] == [*words, "almost perfect", "almost perfect"]
