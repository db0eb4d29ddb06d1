"""Reliability of sigma(r_w - r_l), the model's probability of a win: how often it comes true.

Source: DeGroot and Fienberg (1983), reliability diagrams; Naeini, Cooper and Hauskrecht (2015),
"Obtaining Well Calibrated Probabilities Using Bayesian Binning": the expected calibration error.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from training.metrics.arrays import Floats, finite

BINS = 10
CHUNK = 1 << 20  # pairs at a time


@dataclass(frozen=True)
class Bin:
    """Pairs whose favourite's probability lies between `low` and `high`."""

    low: float
    high: float
    pairs: int
    predicted: float | None
    """Mean probability that the model gives its favourite; None where there is no pair."""
    observed: float | None
    """Share of the pairs whose favourite is the winner; without a favourite half a pair."""


@dataclass(frozen=True)
class Reliability:
    """The bins, from a toss-up to certainty, and their summary."""

    bins: tuple[Bin, ...]
    ece: float | None
    """Expected calibration error: mean over the pairs of |predicted - observed| of their bin."""


def pair_reliability(gaps: ArrayLike) -> Reliability:
    """Reliability over explicit win-lose pairs.

    gaps: (P,) r_winner - r_loser. The favourite is the item with the higher reward; its probability
        is sigma(|gap|), from 1/2 to 1, so that no pair counts twice.

    >>> seen = pair_reliability([4.0, 4.0, 4.0, -4.0])
    >>> round(seen.bins[-1].predicted, 3), seen.bins[-1].observed, round(seen.ece, 3)
    (0.982, 0.75, 0.232)
    """
    return _reliability([finite(gaps)])


def split_reliability(passed: ArrayLike, failed: ArrayLike) -> Reliability:
    """Reliability over every pass x fail pair. passed: (W,) rewards. failed: (L,).

    Cost: O(W L) time in chunks of a million pairs.
    """
    won, lost = finite(passed), np.sort(finite(failed))
    rows = max(1, CHUNK // max(1, len(lost)))
    parts = (won[at : at + rows, None] - lost for at in range(0, len(won), rows))
    return _reliability(part.ravel() for part in parts)


def _reliability(parts: Iterable[Floats]) -> Reliability:
    count, predicted, observed = np.zeros((3, BINS))
    for gap in parts:
        sure = 1 / (1 + np.exp(-np.abs(gap)))
        at = np.minimum((2 * BINS * (sure - 0.5)).astype(int), BINS - 1)
        count += np.bincount(at, minlength=BINS)
        predicted += np.bincount(at, sure, minlength=BINS)
        observed += np.bincount(at, (gap > 0) + (gap == 0) / 2, minlength=BINS)
    edges = np.linspace(0.5, 1, BINS + 1)
    bins = tuple(
        Bin(
            low=float(edges[n]),
            high=float(edges[n + 1]),
            pairs=int(count[n]),
            predicted=float(predicted[n] / count[n]) if count[n] else None,
            observed=float(observed[n] / count[n]) if count[n] else None,
        )
        for n in range(BINS)
    )
    pairs = count.sum()
    return Reliability(bins, float(np.abs(predicted - observed).sum() / pairs) if pairs else None)
