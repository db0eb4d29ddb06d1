import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.metrics import score_levels


def test_scores_from_one_to_five_cluster():
    seen = score_levels(np.random.default_rng(0).integers(1, 6, 200).astype(float))
    assert (seen.levels, seen.clustered) == (5, True)
    assert seen.equal_items == pytest.approx(0.2, abs=0.02)
    assert "200 items on 5 levels" in seen.warning
    assert [score for score, _ in seen.marked] == [1, 2, 3, 4, 5]
    assert sum(share for _, share in seen.marked) == pytest.approx(1)


def test_scores_that_collapsed_to_a_few_values_but_for_their_last_digits_cluster():
    rng = np.random.default_rng(1)
    scores = rng.choice([-1.0, 0.5, 2.0], 300) + rng.normal(0, 1e-7, 300)
    assert score_levels(scores).levels <= 6  # a value may lie on the edge of two levels
    assert score_levels(scores).clustered


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_continuous_scores_do_not_cluster_whatever_their_scale(scale):
    seen = score_levels(scale * np.random.default_rng(2).normal(3, 1, 5000))
    assert seen.equal_items < 0.001
    assert seen.warning is None
    assert seen.marked == ()


def test_scores_rounded_to_bf16_do_not_cluster():
    scores = np.random.default_rng(3).normal(6, 1, 5000).astype(np.float32)
    rounded = ((scores.view(np.uint32) + 0x8000) & 0xFFFF0000).view(np.float32)
    assert len(np.unique(rounded)) < 400
    assert 0.005 < score_levels(rounded).equal_items < 0.012
    assert not score_levels(rounded).clustered


def test_one_score_for_all_is_one_level_even_where_it_cannot_be_averaged_exactly():
    seen = score_levels([0.1] * 30)
    assert (seen.levels, seen.equal_items, seen.clustered) == (1, 1.0, True)
    assert "30 items on 1 level," in seen.warning


def test_few_items_are_not_warned_about():
    assert not score_levels([1.0, 1.0, 2.0]).clustered
    assert score_levels([]).equal_items is None
    assert score_levels([]).levels == 0


@given(st.lists(st.integers(-3, 3), min_size=2, max_size=60))
def test_equal_scores_are_counted_as_pair_by_pair(scores):
    seen = score_levels(np.asarray(scores, dtype=float))
    pairs = [(a, b) for at, a in enumerate(scores) for b in scores[:at]]
    assert seen.levels == len(set(scores))
    assert seen.equal_items == pytest.approx(sum(a == b for a, b in pairs) / len(pairs))
