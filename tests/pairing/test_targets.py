from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pairing.targets import soft_targets

shares = st.floats(0, 1)


@pytest.mark.parametrize(
    ("first", "second", "mu", "weight"), [(1, 0, 1, 1), (1, 1, 0.5, 1), (0, 0, 0.5, 0)]
)
def test_hard_labels_are_the_ends_of_the_soft_formula(first, second, mu, weight):
    assert [float(x[0]) for x in soft_targets([first], [second])] == [mu, weight]


@given(first=shares, second=shares)
def test_exchanging_the_items_turns_mu_around_and_keeps_the_weight(first, second):
    mu, weight = soft_targets([first, second], [second, first])
    assert weight[0] == weight[1]
    if weight[0] > 0:
        assert mu[0] + mu[1] == pytest.approx(1, abs=2e-6)
    assert ((mu >= 0) & (mu <= 1)).all()


def test_targets_are_the_expectation_over_random_labels():
    rng = np.random.default_rng(0)
    first, second = rng.random((2, 400_000)) < np.array([[0.8], [0.3]])
    met = first | second
    mu = np.where(first & second, 0.5, first)[met].mean()
    soft_mu, soft_weight = soft_targets([0.8], [0.3])
    assert soft_mu[0] == pytest.approx(mu, abs=5e-3)
    assert soft_weight[0] == pytest.approx(met.mean(), abs=5e-3)
