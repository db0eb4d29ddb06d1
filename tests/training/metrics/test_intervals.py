import numpy as np
import pytest

from training.metrics import pair_intervals, share_interval, split_intervals, split_metrics


def sample(seed=0, items=60):
    rng = np.random.default_rng(seed)
    passed = rng.random(items) < 0.5
    rewards = np.round(rng.normal(passed * 1.0, 1.0), 1)
    return rewards, passed, [f"prompt {n}" for n in rng.integers(0, 12, items)]


def test_intervals_hold_the_point_and_do_not_depend_on_the_order():
    rewards, passed, prompts = sample()
    seen = split_intervals(rewards, passed, prompts)
    point = split_metrics(rewards[passed], rewards[~passed])
    order = np.random.default_rng(1).permutation(len(rewards))
    again = split_intervals(rewards[order], passed[order], [prompts[n] for n in order])
    for name, interval in seen.items():
        assert interval.value == pytest.approx(getattr(point, name))
        assert interval.low <= interval.value <= interval.high
        assert (again[name].low, again[name].high) == pytest.approx((interval.low, interval.high))


def test_all_pass_x_fail_and_the_same_pairs_listed_have_the_same_interval():
    rewards, passed, prompts = sample(2)
    pairs = [(w, f) for w in np.flatnonzero(passed) for f in np.flatnonzero(~passed)]
    listed = pair_intervals(
        [rewards[w] - rewards[f] for w, f in pairs],
        [prompts[w] for w, _ in pairs],
        [prompts[f] for _, f in pairs],
    )
    counted = split_intervals(rewards, passed, prompts)
    for name, interval in counted.items():
        expected = (interval.value, interval.low, interval.high)
        seen = listed[name]
        assert (seen.value, seen.low, seen.high) == pytest.approx(expected, abs=1e-9)


def test_one_prompt_has_a_point_but_no_interval():
    seen = split_intervals([1.0, 0.0], [True, False], ["a", "a"])["acc"]
    assert (seen.value, seen.low, seen.high) == (1.0, None, None)


def test_no_pair_has_no_number():
    assert set(vars(split_intervals([1.0], [True], ["a"])["acc"]).values()) == {None}
    assert set(vars(pair_intervals([], [], [])["acc"]).values()) == {None}
    assert set(vars(share_interval([], [], [])).values()) == {None}


def test_a_share_has_the_interval_of_the_accuracy_that_it_is():
    rng = np.random.default_rng(3)
    gaps, names = rng.normal(size=50), [f"{n}" for n in rng.integers(0, 9, (2, 50)).ravel()]
    sides = names[:50], names[50:]
    share = share_interval(gaps > 0, *sides)
    accuracy = pair_intervals(gaps, *sides)["acc"]
    assert vars(share) == pytest.approx(vars(accuracy))


def test_many_items_are_drawn_in_parts_with_the_same_outcome(monkeypatch):
    rewards, passed, prompts = sample(4)
    whole = split_intervals(rewards, passed, prompts)
    monkeypatch.setattr("training.metrics.intervals.BATCH", 1000)
    assert split_intervals(rewards, passed, prompts) == whole
