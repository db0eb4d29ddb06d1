import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.metrics import pair_metrics, split_metrics
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
