import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.metrics import pair_intervals, pair_metrics, split_intervals, split_metrics
from warehouse.errors import TrainingError

levels = st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0]), min_size=1, max_size=12)


def brute(passed, failed):
    """(acc, equal, margin, auc) over all pass x fail, pair by pair."""
    pairs = [(p, f) for p in passed for f in failed]
    right = sum(p > f for p, f in pairs) / len(pairs)
    equal = sum(p == f for p, f in pairs) / len(pairs)
    return right, equal, sum(p - f for p, f in pairs) / len(pairs), right + equal / 2


@given(levels, levels)
def test_split_metrics_equal_brute_force_with_and_without_equal_rewards(passed, failed):
    seen = split_metrics(passed, failed)
    expected = brute(passed, failed)
    assert (seen.acc, seen.equal_share, seen.margin, seen.auc) == pytest.approx(expected)
    assert seen.pairs == len(passed) * len(failed)


@given(levels, levels)
def test_explicit_pairs_agree_with_the_split_they_list(passed, failed):
    pairs = [(p, f) for p in passed for f in failed]
    listed = pair_metrics([p for p, _ in pairs], [f for _, f in pairs])
    counted = split_metrics(passed, failed)
    assert listed.acc == pytest.approx(counted.acc)
    assert listed.auc == pytest.approx(counted.auc)


def test_equal_rewards_count_as_wrong():
    seen = pair_metrics([1.0, 1.0], [1.0, 0.0])
    assert (seen.acc, seen.equal_share, seen.auc) == (0.5, 0.5, 0.75)


def test_no_pair_has_no_number_but_a_reason():
    assert pair_metrics([], []).acc is None
    assert split_metrics([1.0], []).reason == "no fail item"
    assert split_metrics([], [1.0]).reason == "no pass item"


def test_a_reward_that_is_no_number_is_an_error():
    with pytest.raises(TrainingError, match="reward 1 of 2 is nan"):
        split_metrics([1.0, float("nan")], [0.0])


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
