"""Intervals of shares, against statsmodels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from agreement.intervals import wilson


@given(st.integers(1, 500), st.floats(0, 1), st.sampled_from([0.8, 0.95]))
def test_wilsons_interval_is_that_of_statsmodels(trials, share, level):
    successes = round(share * trials)
    low, high = proportion_confint(successes, trials, alpha=1 - level, method="wilson")
    ours = wilson(np.array([successes]), np.array([trials]), level)
    assert ours[0] == pytest.approx(max(low, 0), abs=1e-9)
    assert ours[1] == pytest.approx(min(high, 1), abs=1e-9)


def test_nothing_tried_has_no_interval():
    low, high = wilson(np.array([0]), np.array([0]))
    assert np.isnan([low[0], high[0]]).all()
