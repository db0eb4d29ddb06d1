import numpy as np
import pytest

from training.metrics import pass_spread


def sample(width):
    rng = np.random.default_rng(0)
    passed = rng.random(400) < 0.5
    rewards = np.where(passed, rng.normal(4, width, 400), rng.normal(0, 1, 400))
    return rewards, passed, [f"{n}" for n in rng.integers(0, 40, 400)]


def test_the_spread_is_that_of_the_items_that_passed():
    rewards, passed, prompts = sample(1.0)
    seen = pass_spread(rewards, passed, prompts)
    assert seen["pass_std"].value == pytest.approx(rewards[passed].std())
    low, high = np.quantile(rewards[passed], [0.25, 0.75], method="inverted_cdf")
    assert seen["pass_iqr"].value == pytest.approx(high - low)
    assert seen["pass_relative"].value == pytest.approx(rewards[passed].std() / rewards.std())
    assert all(each.low < each.value < each.high for each in seen.values())


def test_a_concentrated_pass_is_seen_apart_in_every_measure():
    wide, narrow = pass_spread(*sample(1.0)), pass_spread(*sample(0.4))
    assert all(narrow[name].high < wide[name].low for name in wide)


def test_another_scale_changes_the_spread_but_not_the_relative_one():
    rewards, passed, prompts = sample(1.0)
    one, ten = pass_spread(rewards, passed, prompts), pass_spread(10 * rewards, passed, prompts)
    assert ten["pass_std"].value == pytest.approx(10 * one["pass_std"].value)
    assert vars(ten["pass_relative"]) == pytest.approx(vars(one["pass_relative"]))


@pytest.mark.parametrize("passed", [[False, False], [True, False]])
def test_fewer_than_two_pass_items_have_no_spread(passed):
    seen = pass_spread([1.0, 2.0], passed, ["a", "b"])
    assert {each.value for each in seen.values()} == {None}


def test_equal_rewards_have_no_relative_spread():
    seen = pass_spread([1.0, 1.0], [True, True], ["a", "b"])
    assert (seen["pass_std"].value, seen["pass_relative"].value) == (0.0, None)
