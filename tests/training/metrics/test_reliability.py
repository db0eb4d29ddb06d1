import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.metrics import pair_ece, pair_reliability, split_ece, split_reliability
from training.metrics.intervals import LEVEL, REPLICATES

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


def items(seed, prompts=8, each=4):
    """Rewards, labels and prompts: items of a prompt lie together."""
    rng = np.random.default_rng(seed)
    rewards = (rng.normal(0, 1, (prompts, 1)) + rng.normal(0, 1, (prompts, each))).ravel()
    names = np.repeat([f"p{number}" for number in range(prompts)], each).tolist()
    return rewards, rng.random(len(rewards)) < 0.5, names


def ece_of_draws(rewards, passed, prompts, seed):
    """The plain way: draw prompts, list their pairs one by one, and take the error anew."""
    names = sorted(set(prompts))
    found = []
    rng = np.random.default_rng(seed)
    for times in rng.multinomial(len(names), np.full(len(names), 1 / len(names)), REPLICATES):
        drawn = dict(zip(names, times.tolist(), strict=True))
        gaps = []
        for i in np.flatnonzero(passed):
            for j in np.flatnonzero(~passed):
                one, two = prompts[i], prompts[j]
                often = drawn[one] if one == two else drawn[one] * drawn[two]
                gaps += [rewards[i] - rewards[j]] * often
        if gaps:
            found.append(pair_reliability(gaps).ece)
    return np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])


def test_the_interval_is_that_of_drawing_prompts_and_listing_their_pairs():
    rewards, passed, prompts = items(3)
    seen = split_ece(rewards, passed, prompts, seed=5)
    low, high = ece_of_draws(rewards, passed, prompts, seed=5)
    assert (seen.low, seen.high) == (pytest.approx(low), pytest.approx(high))
    assert seen.value == split_reliability(rewards[passed], rewards[~passed]).ece


@given(st.permutations(range(12)))
def test_the_error_and_its_interval_do_not_depend_on_the_order_of_pairs(order):
    rng = np.random.default_rng(4)
    gaps, left, right = rng.normal(0, 2, 12), list("aabbccddeeff"), list("abcdefabcdef")
    plain = pair_ece(gaps, left, right)
    moved = pair_ece(gaps[order], [left[n] for n in order], [right[n] for n in order])
    assert plain.value == pytest.approx(pair_reliability(gaps).ece)
    assert (moved.low, moved.high) == (pytest.approx(plain.low), pytest.approx(plain.high))


def test_of_very_many_pairs_the_interval_takes_some_drawn_by_lot(monkeypatch):
    rewards, passed, prompts = items(6, prompts=20, each=10)
    whole = split_ece(rewards, passed, prompts)
    monkeypatch.setattr("training.metrics.reliability.MOST_DRAWN", 5000)
    drawn = split_ece(rewards, passed, prompts)
    assert drawn.value == whole.value
    assert (drawn.low, drawn.high) != (whole.low, whole.high)
    assert (drawn.low, drawn.high) == pytest.approx((whole.low, whole.high), abs=0.03)


def test_one_prompt_has_no_interval_and_no_pair_no_error():
    alone = split_ece([1.0, 0.0], [True, False], ["p", "p"])
    assert (alone.low, alone.high) == (None, None)
    assert alone.value == pytest.approx(0.269, abs=1e-3)
    assert split_ece([1.0], [True], ["p"]).value is None
