import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.metrics import pair_reliability, split_reliability

rewards = st.lists(st.floats(-4, 4), max_size=12)


def test_wins_drawn_by_the_model_s_own_probability_are_reliable():
    rng = np.random.default_rng(0)
    gaps = rng.normal(0, 2, 100_000)
    won = rng.random(len(gaps)) < 1 / (1 + np.exp(-gaps))
    seen = pair_reliability(np.where(won, gaps, -gaps))
    assert seen.ece < 0.01
    assert all(abs(each.predicted - each.observed) < 0.02 for each in seen.bins)


def test_a_model_that_is_too_sure_is_found():
    rng = np.random.default_rng(1)
    gaps = rng.normal(0, 2, 50_000)
    won = rng.random(len(gaps)) < 1 / (1 + np.exp(-gaps))
    assert pair_reliability(5 * np.where(won, gaps, -gaps)).ece > 0.1


@given(rewards, rewards)
def test_a_split_is_its_pairs_one_by_one(passed, failed):
    gaps = [p - f for p in passed for f in failed]
    counted, listed = split_reliability(passed, failed), pair_reliability(gaps)
    assert [each.pairs for each in counted.bins] == [each.pairs for each in listed.bins]
    assert counted.ece == pytest.approx(listed.ece)
    assert sum(each.pairs for each in counted.bins) == len(gaps)


def test_a_split_is_counted_in_parts_with_the_same_outcome(monkeypatch):
    rng = np.random.default_rng(2)
    passed, failed = rng.normal(1, 1, 40), rng.normal(0, 1, 30)
    whole = split_reliability(passed, failed)
    monkeypatch.setattr("training.metrics.reliability.CHUNK", 100)
    assert split_reliability(passed, failed).ece == pytest.approx(whole.ece)


def test_equal_rewards_are_a_toss_up_that_half_wins():
    first = pair_reliability([0.0, 0.0]).bins[0]
    assert (first.pairs, first.predicted, first.observed) == (2, 0.5, 0.5)


def test_certainty_falls_in_the_last_bin_and_no_pair_says_nothing():
    assert pair_reliability([800.0, -800.0]).bins[-1].pairs == 2
    assert pair_reliability([800.0, -800.0]).ece == 0.5
    assert pair_reliability([]).ece is None
    assert pair_reliability([]).bins[0].observed is None
