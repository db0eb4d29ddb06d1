import numpy as np
import pytest

from training.metrics import by_rank, group_advantages


def sample():
    rng = np.random.default_rng(0)
    return rng.normal(size=60), [f"p{n % 10}" for n in range(60)]


def test_advantages_are_standard_scores_within_a_prompt():
    rewards, prompts = sample()
    seen = group_advantages(rewards, prompts)
    for number, prompt in enumerate(seen.prompts):
        mine = np.sort(rewards[np.asarray(prompts) == prompt])[::-1]
        here = seen.group == number
        assert seen.advantage[here] == pytest.approx((mine - mine.mean()) / mine.std())
        assert seen.rank[here].tolist() == [1, 2, 3, 4, 5, 6]


def test_the_scale_of_rewards_and_the_order_of_rows_say_nothing():
    rewards, prompts = sample()
    seen = group_advantages(rewards, prompts)
    order = np.random.default_rng(1).permutation(60)
    again = group_advantages(7 * rewards[order] - 3, [prompts[n] for n in order])
    assert again.advantage == pytest.approx(seen.advantage)
    assert again.prompts == seen.prompts


def test_an_outlier_has_a_higher_advantage_than_the_best_of_many_good_ones():
    outlier = by_rank(group_advantages([9.0, 1.0, 0.9, 1.1], list("aaaa")))[0]
    compact = by_rank(group_advantages([1.2, 1.0, 1.1, -3.0], list("aaaa")))[0]
    assert outlier.mean > 1.7
    assert compact.mean < 0.7


def test_groups_with_nothing_to_compare_are_counted_and_left_out():
    seen = group_advantages([1.0, 2.0, 5.0, 5.0, 5.0, 1.0, 2.0, 3.0], list("aabbbccc"))
    assert (seen.prompts, seen.small, seen.flat) == (("c",), 1, 1)
    assert group_advantages([], []).prompts == ()
    assert by_rank(group_advantages([], [])) == []


def test_ranks_are_summed_up_over_the_groups_that_have_them():
    rows = by_rank(group_advantages([3.0, 2.0, 1.0, 4.0, 3.0, 2.0, 1.0], list("aaabbbb")))
    assert [row.items for row in rows] == [2, 2, 2, 1]
    assert rows[0].low <= rows[0].quarter <= rows[0].median <= rows[0].three_quarters
    assert rows[0].mean == pytest.approx((1.5**0.5 + 1.5 / 1.25**0.5) / 2)
