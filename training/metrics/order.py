"""How well rewards order pass above fail: accuracy, margin and AUC.

Two ways of choosing pairs: the explicit pairs of a pair set, or every pass x fail of a split, which
is computed by counting in sorted order and never written out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from training.metrics.arrays import Floats, Ints, finite


@dataclass(frozen=True)
class Metrics:
    """What is said about win-lose pairs. NaN never: `reason` says why a number is missing."""

    acc: float | None
    """Share of pairs whose pass item has the higher reward; equal rewards count as wrong."""
    equal_share: float | None
    """Share of pairs with equal rewards."""
    margin: float | None
    """Mean of r_pass - r_fail."""
    auc: float | None
    """Share of pairs in the right order with equal rewards counted half."""
    pairs: int
    """Win-lose pairs behind the numbers."""
    items: int
    """Items in those pairs."""
    reason: str | None = None
    """Why there are no numbers."""


def pair_metrics(winner: ArrayLike, other: ArrayLike, items: int | None = None) -> Metrics:
    """Metrics of explicit win-lose pairs.

    winner, other: (P,) rewards of the pass and of the fail item of each pair.
    items: number of distinct items, where the caller knows it.
    Raises: TrainingError for rewards that are not finite.

    >>> pair_metrics([1.0, 0.0, 2.0, 1.0], [0.0, 1.0, 2.0, 0.5]).acc
    0.5
    """
    won, lost = finite(winner), finite(other)
    if not len(won):
        return Metrics(None, None, None, None, 0, 0, "no win-lose pair")
    right, equal = float((won > lost).mean()), float((won == lost).mean())
    return Metrics(
        acc=right,
        equal_share=equal,
        margin=float((won - lost).mean()),
        auc=right + equal / 2,
        pairs=len(won),
        items=2 * len(won) if items is None else items,
    )


def split_metrics(passed: ArrayLike, failed: ArrayLike) -> Metrics:
    """Metrics over every pass x fail pair of a split.

    passed: (W,) rewards of items that passed. failed: (L,) of items that failed.
    Raises: TrainingError for rewards that are not finite.
    Cost: O((W + L) log L) time; the W * L pairs are counted, not listed.

    >>> split_metrics([1.0, 2.0], [0.0, 1.0])
    Metrics(acc=0.75, equal_share=0.25, margin=1.0, auc=0.875, pairs=4, items=4, reason=None)
    """
    won, lost = finite(passed), finite(failed)
    if not (len(won) and len(lost)):
        missing = "pass" if not len(won) else "fail"
        return Metrics(None, None, None, None, 0, len(won) + len(lost), f"no {missing} item")
    below, upto = ranks(won, lost)
    pairs = len(won) * len(lost)
    right, equal = int(below.sum()) / pairs, int((upto - below).sum()) / pairs
    return Metrics(
        acc=right,
        equal_share=equal,
        margin=float(won.mean() - lost.mean()),
        auc=right + equal / 2,
        pairs=pairs,
        items=len(won) + len(lost),
    )


def ranks(won: Floats, lost: Floats) -> tuple[Ints, Ints]:
    """For each pass reward: fails strictly below it, and fails at or below it."""
    ordered = np.sort(lost)
    return np.searchsorted(ordered, won, "left"), np.searchsorted(ordered, won, "right")
