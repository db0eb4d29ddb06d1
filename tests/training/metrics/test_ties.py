"""Accuracy with ties against brute force, and where a known implementation is wrong."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.metrics import accuracy_with_ties, calibrate_ties, judged_right
from warehouse.errors import TrainingError

LENGTHS = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89)
CASES = 1000  # of each length: 10,000 with equal gaps, and 10,000 without


def cases(length, *, equal_gaps):
    """(C, P) judgements and gaps; equal gaps lie on a coarse grid, zero among them."""
    rng = np.random.default_rng([length, equal_gaps])
    judged = rng.integers(-1, 2, (CASES, length))
    gaps = rng.normal(judged * rng.random((CASES, 1)), 1.0)
    return judged, np.round(2 * gaps) / 2 if equal_gaps else gaps


def brute(judged, gaps):
    """(C,) most pairs right, over every threshold that can matter and those between and beyond."""
    sizes = np.sort(np.abs(gaps), axis=1)
    between = (sizes[:, 1:] + sizes[:, :-1]) / 2
    beyond = np.stack([np.zeros(len(gaps)), sizes[:, -1] + 1], axis=1)
    best = np.zeros(len(gaps), dtype=int)
    for epsilons in np.concatenate([sizes, between, beyond], axis=1).T:
        best = np.maximum(best, right_at(judged, gaps, epsilons))
    return best


def right_at(judged, gaps, epsilons):
    """(C,) pairs right at a threshold a case."""
    tie = np.abs(gaps) <= epsilons[:, None]
    right = (tie & (judged == 0)) | (~tie & (judged != 0) & (judged * gaps > 0))
    return right.sum(axis=1)


@pytest.mark.slow
@pytest.mark.parametrize("equal_gaps", [False, True])
@pytest.mark.parametrize("length", LENGTHS)
def test_calibration_equals_brute_force_on_ten_thousand_cases(length, equal_gaps):
    judged, gaps = cases(length, equal_gaps=equal_gaps)
    found = [calibrate_ties(*case) for case in zip(judged, gaps, strict=True)]
    best = brute(judged, gaps)
    assert [each.acc for each in found] == (best / length).tolist()
    assert (right_at(judged, gaps, np.array([each.epsilon for each in found])) == best).all()


gaps_of_both_kinds = st.one_of(st.sampled_from([-2.0, -1.0, 0.0, 0.5, 1.0, 2.0]), st.floats(-3, 3))
pairs = st.lists(st.tuples(st.sampled_from([-1, 0, 1]), gaps_of_both_kinds), min_size=1)


@given(pairs, st.randoms(use_true_random=False))
def test_neither_the_order_of_the_pairs_nor_the_side_of_an_item_matters(given_pairs, random):
    found = calibrate_ties(*zip(*given_pairs, strict=True))
    turned = [(-h, -m) if random.random() < 0.5 else (h, m) for h, m in given_pairs]
    random.shuffle(turned)
    assert calibrate_ties(*zip(*turned, strict=True)) == found


@given(pairs)
def test_the_smallest_of_equally_good_thresholds_is_taken(given_pairs):
    judged, gaps = zip(*given_pairs, strict=True)
    found = calibrate_ties(judged, gaps)
    for smaller in {0.0, *map(abs, gaps)}:
        if smaller < found.epsilon:
            assert accuracy_with_ties(judged, gaps, smaller) < found.acc


def test_one_win_with_a_gap_is_right_as_no_gap_need_be_a_tie():
    """VideoAlign's code says 0.0: it never tries the threshold below every gap."""
    assert calibrate_ties([1], [1.0]).acc == 1.0


def test_equal_gaps_move_together_in_either_order():
    """VideoAlign's code says 1.0, or 0.5 in the other order: it parts gaps that are equal."""
    for judged in ([0, 1], [1, 0]):
        assert calibrate_ties(judged, [1.0, 1.0]).acc == 0.5


def test_a_set_of_ties_has_all_its_pairs_called_ties():
    found = calibrate_ties([0, 0, 0], [0.5, -3.0, 1.0])
    assert (found.epsilon, found.acc) == (3.0, 1.0)


def test_equal_rewards_are_a_tie_under_every_threshold():
    assert judged_right([0, 1, -1], [0.0, 0.0, 0.0], 0.0).tolist() == [True, False, False]


def test_reversed_gaps_of_the_wrong_sign_are_never_right_as_wins():
    assert calibrate_ties([-1, 1], [2.0, -2.0]).acc == 0.0


@pytest.mark.parametrize(
    ("judged", "gaps", "words"),
    [
        ([], [], "no pair to choose a threshold on"),
        ([1, 2], [0.0, 1.0], "a judgement is 2.0"),
        ([1], [float("nan")], "reward 0 of 1 is nan"),
        ([1, 1], [1.0], "one each"),
    ],
)
def test_what_is_no_pair_is_refused(judged, gaps, words):
    with pytest.raises(TrainingError, match=words):
        calibrate_ties(judged, gaps)


def test_no_pair_has_no_accuracy():
    with pytest.raises(TrainingError, match="no pair to judge"):
        accuracy_with_ties([], [], 0.0)
