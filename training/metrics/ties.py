"""Accuracy with ties: pairs whose rewards are almost equal are called ties, up to a threshold.

Source: Deutsch, Foster and Freitag (2023), "Ties Matter: Meta-Evaluating Modern Metrics with
Pairwise Accuracy and Tie Calibration", EMNLP: pairwise accuracy with ties and its calibration.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from training.metrics.arrays import Floats, finite
from warehouse.errors import TrainingError


@dataclass(frozen=True)
class TieThreshold:
    """The threshold that judges a calibration set best, and how well it does there."""

    epsilon: float
    """Gaps of at most this size are ties; 0: only equal rewards are."""
    acc: float
    """Share of the calibration set's own pairs that it judges right, so no honest test."""
    pairs: int


def judged_right(judged: ArrayLike, gaps: ArrayLike, epsilon: float) -> NDArray[np.bool_]:
    """(P,) whether each pair is judged as people did.

    judged: (P,) 1 first better, -1 second better, 0 a tie. gaps: (P,) reward of the first less the
        second's. epsilon: see TieThreshold.

    >>> judged_right([1, 1, 0], [0.3, 0.1, 0.1], 0.2).tolist()
    [True, False, True]
    """
    human, gap = _pairs(judged, gaps)
    called = np.where(np.abs(gap) <= epsilon, 0.0, np.sign(gap))
    right: NDArray[np.bool_] = called == human
    return right


def accuracy_with_ties(judged: ArrayLike, gaps: ArrayLike, epsilon: float) -> float:
    """Share of the pairs judged as people did, ties among them.

    Raises: TrainingError where there is no pair.
    """
    right = judged_right(judged, gaps, epsilon)
    if not len(right):
        raise TrainingError("accuracy with ties: there is no pair to judge")
    return float(right.mean())


def calibrate_ties(judged: ArrayLike, gaps: ArrayLike) -> TieThreshold:
    """The threshold with the highest accuracy with ties; of equally good ones the smallest.

    judged, gaps: as `judged_right`. Thresholds tried are 0, which calls no two different rewards a
        tie, and the size of each gap; the largest calls every pair a tie. Pairs with gaps of one
        size change sides together, so no order of the pairs matters.
    Raises: TrainingError where there is no pair, for a judgement that is not 1, 0 or -1, and for a
        gap that is not finite.
    Cost: O(P log P) time, O(P) memory.

    >>> calibrate_ties([1], [1.0])
    TieThreshold(epsilon=0.0, acc=1.0, pairs=1)
    >>> calibrate_ties([0, 1], [1.0, 1.0])  # the two cannot be told apart
    TieThreshold(epsilon=0.0, acc=0.5, pairs=2)
    >>> calibrate_ties([0, 1], [0.25, -1.0])
    TieThreshold(epsilon=0.25, acc=0.5, pairs=2)
    """
    human, gap = _pairs(judged, gaps)
    if not len(gap):
        raise TrainingError("accuracy with ties: there is no pair to choose a threshold on")
    # From one threshold to the next, the pairs of one size of gap become ties.
    sizes, which = np.unique(np.concatenate([[0.0], np.abs(gap)]), return_inverse=True)
    gained = (human == 0).astype(np.int64) - (human == np.sign(gap))
    steps = np.zeros(len(sizes), dtype=np.int64)
    np.add.at(steps, which[1:], gained)
    right = int((human == np.sign(gap)).sum()) + steps.cumsum()
    best = int(np.argmax(right))
    return TieThreshold(float(sizes[best]), int(right[best]) / len(gap), len(gap))


def _pairs(judged: ArrayLike, gaps: ArrayLike) -> tuple[Floats, Floats]:
    human, gap = np.asarray(judged, dtype=float), finite(gaps)
    if human.shape != gap.shape:
        raise TrainingError(
            f"accuracy with ties: {human.shape} judgements and {gap.shape} gaps; give one each"
        )
    strange = human[~np.isin(human, (-1, 0, 1))]
    if len(strange):
        raise TrainingError(
            f"accuracy with ties: a judgement is {strange[0]}; 1, -1 and 0 (a tie) are known"
        )
    return human, gap
