"""Reliability of sigma(r_w - r_l), the model's probability of a win: how often it comes true.

Source: DeGroot and Fienberg (1983), reliability diagrams; Naeini, Cooper and Hauskrecht (2015),
"Obtaining Well Calibrated Probabilities Using Bayesian Binning": the expected calibration error.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from training.metrics.arrays import Floats, Ints, finite
from training.metrics.intervals import Interval, bootstrap, pair_times

BINS = 10
CHUNK = 1 << 20  # pairs at a time
MOST_DRAWN = 100_000  # pairs whose calibration error is taken again for each draw of prompts


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


def pair_ece(
    gaps: ArrayLike,
    winner_prompts: Sequence[str],
    other_prompts: Sequence[str],
    *,
    seed: int = 0,
) -> Interval:
    """Expected calibration error over explicit win-lose pairs, with its 95 % interval by prompt.

    gaps: (P,) r_winner - r_loser. A pair counts as often as both its prompts were drawn, as in
        `pair_intervals`. The error is a sum of sizes, so chance makes it larger, never smaller:
        with few prompts the interval may lie above the value.
    Cost: O(P) time and memory per replicate.
    """
    sure, won, at = _favourites(finite(gaps))
    if not len(at):
        return Interval(None, None, None)
    order = np.argsort(at, kind="stable")
    missed = (sure - won)[order]
    starts = np.flatnonzero(np.diff(at[order], prepend=-1))  # of each bin that has a pair
    sides = (np.asarray(names, dtype=str)[order] for names in (winner_prompts, other_prompts))
    number, times = pair_times(*(side.tolist() for side in sides))

    def statistics(draws: Floats) -> Floats:
        weight = times(draws)
        total = np.abs(np.add.reduceat(weight * missed, starts, axis=1)).sum(axis=1)
        pairs = weight.sum(axis=1)
        error: Floats = total / np.where(pairs > 0, pairs, np.nan)
        return error[:, None]

    return bootstrap(("ece",), statistics, number, len(missed), seed)["ece"]


def split_ece(
    rewards: ArrayLike, passed: ArrayLike, prompts: Sequence[str], *, seed: int = 0
) -> Interval:
    """Expected calibration error over every pass x fail pair, with its 95 % interval by prompt.

    rewards: (N,). passed: (N,) bool. prompts: (N,) prompt_id.
    The interval is of the pairs, or of a hundred thousand of them drawn by lot.
    """
    reward, good, prompt = finite(rewards), np.asarray(passed, bool), np.asarray(prompts, str)
    won, lost = np.flatnonzero(good), np.flatnonzero(~good)
    count, rng = len(won) * len(lost), np.random.default_rng(seed)
    pairs = rng.integers(count, size=MOST_DRAWN) if count > MOST_DRAWN else np.arange(count)
    left, right = won[pairs // max(1, len(lost))], lost[pairs % max(1, len(lost))]
    gaps = reward[left] - reward[right]
    drawn = pair_ece(gaps, prompt[left].tolist(), prompt[right].tolist(), seed=seed)
    return Interval(split_reliability(reward[good], reward[~good]).ece, drawn.low, drawn.high)


def _favourites(gap: Floats) -> tuple[Floats, Floats, Ints]:
    """(P,) probability of each favourite, whether it won (no favourite: a half), and its bin."""
    sure = 1 / (1 + np.exp(-np.abs(gap)))
    at = np.minimum((2 * BINS * (sure - 0.5)).astype(int), BINS - 1)
    return sure, (gap > 0) + (gap == 0) / 2, at


def _reliability(parts: Iterable[Floats]) -> Reliability:
    count, predicted, observed = np.zeros((3, BINS))
    for gap in parts:
        sure, won, at = _favourites(gap)
        count += np.bincount(at, minlength=BINS)
        predicted += np.bincount(at, sure, minlength=BINS)
        observed += np.bincount(at, won, minlength=BINS)
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
