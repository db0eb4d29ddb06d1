import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agreement.bootstrap import bootstrap_intervals
from agreement.statistics import RATIOS, Histogram, cluster_cells, histogram, measure
from warehouse.errors import AgreementError


def simulated(items, accuracy, prevalence, seed, labels=3):
    rng = np.random.default_rng(seed)
    truth = rng.random((items, 1)) < prevalence
    passed = (truth == (rng.random((items, labels)) < accuracy)).sum(axis=1)
    return np.stack([passed, labels - passed], axis=1)


def resampled(counts, draws, unit, seed):
    """Quantiles of alpha over item (or cluster) resamples, the slow way."""
    rng = np.random.default_rng(seed)
    clusters = [np.flatnonzero(unit == u) for u in np.unique(unit)]
    found = []
    for _ in range(draws):
        drawn = np.concatenate(
            [clusters[c] for c in rng.integers(len(clusters), size=len(clusters))]
        )
        found.append(float(measure(histogram(counts[drawn]))["alpha"].value))
    return np.quantile(found, [0.025, 0.975])


def test_item_interval_equals_resampling_items_one_by_one():
    counts = simulated(150, 0.85, 0.6, seed=3)
    interval = bootstrap_intervals(histogram(counts))["alpha"]
    low, high = resampled(counts, 1_500, np.arange(150), seed=1)
    assert interval.low == pytest.approx(low, abs=0.015)
    assert interval.high == pytest.approx(high, abs=0.015)


def test_prompt_interval_equals_resampling_prompts_one_by_one():
    counts = np.repeat(simulated(40, 0.85, 0.6, seed=5), 4, axis=0)
    prompt = np.repeat(np.arange(40), 4)
    cells = histogram(counts)
    by_prompt = bootstrap_intervals(cells, cluster_cells(cells, counts, prompt))["alpha"]
    low, high = resampled(counts, 1_500, prompt, seed=2)
    assert by_prompt.low == pytest.approx(low, abs=0.03)
    assert by_prompt.high == pytest.approx(high, abs=0.03)
    by_item = bootstrap_intervals(cells)["alpha"]
    # Four copies of each item: half as many independent facts as items suggest, squared.
    ratio = (by_prompt.high - by_prompt.low) / (by_item.high - by_item.low)
    assert ratio == pytest.approx(2, abs=0.15)


@pytest.mark.parametrize("statistic", ["alpha", "kappa", "ac1"])
def test_interval_covers_the_true_value_in_about_95_of_100_data_sets(statistic):
    truth = float(measure(histogram(simulated(400_000, 0.85, 0.6, seed=0)))[statistic].value)
    covered = 0
    for seed in range(300):
        cells = histogram(simulated(200, 0.85, 0.6, seed=seed + 1))
        interval = bootstrap_intervals(cells, replicates=400, seed=seed)[statistic]
        covered += interval.low <= truth <= interval.high
    assert 0.905 <= covered / 300 <= 0.985


@given(st.integers(0, 2**32), st.integers(2, 60))
def test_interval_holds_the_value_or_ends_in_order_and_repeats_itself(seed, items):
    cells = histogram(simulated(items, 0.8, 0.5, seed=seed))
    first = bootstrap_intervals(cells, replicates=200, seed=seed)
    assert first == bootstrap_intervals(cells, replicates=200, seed=seed)
    for interval in first.values():
        assert (interval.low is None) == (interval.high is None) == (interval.reason is not None)
        assert interval.low is None or -1.0 <= interval.low <= interval.high <= 1 + 1e-12


def test_the_size_of_a_chunk_does_not_change_the_draws(monkeypatch):
    counts = simulated(50, 0.85, 0.6, seed=9)
    cells = histogram(counts)
    clusters = cluster_cells(cells, counts, np.arange(50) // 2)
    whole = bootstrap_intervals(cells), bootstrap_intervals(cells, clusters)
    monkeypatch.setattr("agreement.bootstrap.DRAWN_AT_ONCE", 1_000)
    assert (bootstrap_intervals(cells), bootstrap_intervals(cells, clusters)) == whole


def test_replicates_without_disagreement_are_counted_and_left_out():
    cells = histogram(np.array([[3, 0]] * 98 + [[2, 1]] * 2))
    intervals = bootstrap_intervals(cells)
    assert 1_200 < intervals["alpha"].undefined < 1_500  # 0.98^100 = 0.1326
    assert intervals["alpha"].low is not None
    assert intervals["raw"].undefined == 0


def test_an_interval_undefined_in_most_replicates_is_not_given():
    cells = Histogram(np.array([[2, 0]]), np.array([100]))
    interval = bootstrap_intervals(cells)["alpha"]
    assert (interval.low, interval.undefined) == (None, 10_000)
    assert interval.reason == "undefined in 10000 of 10000 replicates: no interval"


@pytest.mark.parametrize("items", [0, 1])
def test_no_interval_without_two_units_to_draw(items):
    cells = histogram(np.array([[2, 1]] * items).reshape(-1, 2))
    assert set(bootstrap_intervals(cells)) == set(RATIOS)
    assert {interval.low for interval in bootstrap_intervals(cells).values()} == {None}


@pytest.mark.parametrize(("given_", "words"), [({"level": 1.0}, "level"), ({"replicates": 9}, "9")])
def test_nonsense_settings_are_refused_with_their_value(given_, words):
    with pytest.raises(AgreementError, match=words):
        bootstrap_intervals(histogram(np.array([[2, 1], [3, 0]])), **given_)
