"""Means and paired differences over seeds, against scipy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from flows.ablate_stats import mean_over, paired_difference, t_interval
from warehouse.errors import TrainingError

numbers = st.floats(-100, 100).map(lambda value: round(value, 3))
samples = st.lists(numbers, min_size=2, max_size=12)


@given(samples)
def test_the_interval_is_that_of_scipy(values):
    found = t_interval(values)
    error = stats.sem(values)
    if error == 0:
        assert found.low == found.high == found.mean
        return
    low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), error)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)
    assert found.mean == pytest.approx(np.mean(values))
    assert found.seeds == len(values)


@given(samples, samples)
def test_a_paired_difference_leaves_out_0_where_scipy_s_test_says_so(values, others):
    both = min(len(values), len(others))
    found = paired_difference(dict(enumerate(values)), dict(enumerate(others)))
    gaps = np.subtract(values[:both], others[:both])
    if np.ptp(gaps) < 1e-6:
        return
    p_value = stats.ttest_rel(values[:both], others[:both]).pvalue
    if abs(p_value - 0.05) > 1e-9:
        assert found.apart == (p_value < 0.05)


def test_only_seeds_that_both_have_are_compared():
    found = paired_difference({0: 1.5, 1: 2.5, 7: 9.0}, {1: 2.0, 0: 1.0, 3: 50.0})
    assert (found.mean, found.seeds) == (0.5, 2)
    assert paired_difference({0: 1.0}, {1: 1.0}) is None


def test_one_seed_has_no_interval_and_none_no_mean():
    one = t_interval([0.5])
    assert (one.mean, one.low, one.high, one.half, one.apart) == (0.5, None, None, None, False)
    assert t_interval([]) is None


def test_a_number_that_is_not_finite_is_refused():
    with pytest.raises(TrainingError, match="no finite number"):
        t_interval([0.5, float("nan")])


def test_a_mean_over_dimensions_needs_all_of_them():
    assert mean_over([0.25, 0.75]) == 0.5
    assert mean_over([0.25, None]) is None
    assert mean_over([]) is None
