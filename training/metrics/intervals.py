"""Intervals by prompt: whole prompts are drawn with replacement, and the metric is taken again.

Items of one prompt resemble one another, so drawing items would make intervals too narrow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from training.metrics.arrays import Floats, Ints, finite, groups_of
from training.metrics.order import ranks

REPLICATES = 1000
LEVEL = 0.95
BATCH = 1 << 20  # numbers: 8 MiB an array
ORDER = ("acc", "equal_share", "margin", "auc")


@dataclass(frozen=True)
class Interval:
    """A number with the ends of its bootstrap interval."""

    value: float | None
    low: float | None
    high: float | None


def bootstrap(
    names: Sequence[str],
    statistics: Callable[[Floats], Floats],
    prompts: int,
    values: int,
    seed: int = 0,
) -> dict[str, Interval]:
    """Point and 95 % percentile interval of several statistics by one set of draws.

    statistics: takes (B, G) how often each prompt was drawn, gives (B, K) a number for each of the
        K names, NaN where it is undefined; such draws are left out. All ones is the point.
    values: numbers that one draw needs; as many draws go together as stay below BATCH.
    Returns: name -> interval; its ends are None where fewer than two prompts are there.
    """
    (point,) = statistics(np.ones((1, prompts)))
    parts: list[Floats] = [np.empty((0, len(names)))]
    several = prompts > 1  # one prompt, or none, leaves nothing to draw
    together = max(1, BATCH // max(1, values, prompts))
    rng = np.random.default_rng(seed)
    for at in range(0, REPLICATES if several else 0, together):
        size = min(together, REPLICATES - at)
        draws = rng.multinomial(prompts, np.full(prompts, 1 / prompts), size)
        parts.append(statistics(draws.astype(float)))
    sample = np.concatenate(parts)
    return {
        name: _interval(float(value), column[~np.isnan(column)])
        for name, value, column in zip(names, point, sample.T, strict=True)
    }


def _interval(point: float, sample: Floats) -> Interval:
    value = None if np.isnan(point) else point
    if not len(sample):
        return Interval(value, None, None)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(sample, [tail, 1 - tail])
    return Interval(value, float(low), float(high))


def split_intervals(
    rewards: ArrayLike, passed: ArrayLike, prompts: Sequence[str], *, seed: int = 0
) -> dict[str, Interval]:
    """acc, equal_share, margin and auc over all pass x fail, with 95 % intervals by prompt.

    rewards: (N,). passed: (N,) bool. prompts: (N,) prompt_id; whole prompts are drawn.
    Returns: metric -> interval; its ends are None where fewer than two prompts are there.
    Cost: O(N) time and memory per replicate, after one sort.
    """
    reward, good = finite(rewards), np.asarray(passed, dtype=bool)
    number, group = groups_of(prompts)
    order = np.argsort(reward, kind="stable")
    reward, good, group = reward[order], good[order], group[order]
    split = _Split(reward[good], reward[~good], group[good], group[~good])
    own = _own_totals(split, number)

    def statistics(draws: Floats) -> Floats:
        repeated = summed(own, draws * draws - draws)  # copies of a prompt are not compared
        return _ratios(_weighted_totals(split, draws) - repeated)

    return bootstrap(ORDER, statistics, number, len(reward), seed)


def pair_intervals(
    gaps: ArrayLike,
    winner_prompts: Sequence[str],
    other_prompts: Sequence[str],
    *,
    seed: int = 0,
) -> dict[str, Interval]:
    """acc, equal_share, margin and auc of explicit pairs, with 95 % intervals by prompt.

    gaps: (P,) r_winner - r_other. A pair counts as often as both its prompts were drawn (a pair
    within one prompt as often as that prompt).
    Cost: O(P) time and memory per replicate.
    """
    gap = finite(gaps)
    number, times = pair_times(winner_prompts, other_prompts)
    rows = np.stack([np.ones_like(gap), gap > 0, gap == 0, gap])
    return bootstrap(
        ORDER, lambda draws: _ratios(summed(rows, times(draws))), number, len(gap), seed
    )


def share_interval(
    right: ArrayLike, prompts: Sequence[str], other_prompts: Sequence[str], *, seed: int = 0
) -> Interval:
    """Share of explicit pairs that are right, with its interval by prompt.

    right: (P,) bool, or any number whose mean is wanted. prompts, other_prompts: (P,) of the two
        items; the same twice where a row is about one prompt.
    """
    value = np.asarray(right, dtype=float)
    number, times = pair_times(prompts, other_prompts)
    rows = np.stack([np.ones_like(value), value])

    def statistics(draws: Floats) -> Floats:
        count, total = summed(rows, times(draws)).T
        share: Floats = total / np.where(count > 0, count, np.nan)
        return share[:, None]

    return bootstrap(("share",), statistics, number, len(value), seed)["share"]


def summed(rows: Floats, weights: Floats) -> Floats:
    """(B, K) weighted sums of (K, N) rows by (B, N) weights.

    Not by BLAS, whose last digits may depend on its threads.
    """
    total: Floats = np.einsum("kn,bn->bk", rows, weights)
    return total


def pair_times(
    prompts: Sequence[str], other_prompts: Sequence[str]
) -> tuple[int, Callable[[Floats], Floats]]:
    """Number of prompts, and from (B, G) how often each was drawn to (B, P) how often each pair."""
    number, group = groups_of([*prompts, *other_prompts])
    left, right = group[: len(prompts)], group[len(prompts) :]

    def times(draws: Floats) -> Floats:
        return np.where(left == right, draws[:, left], draws[:, left] * draws[:, right])

    return number, times


@dataclass(frozen=True)
class _Split:
    """Rewards of the pass and the fail items, each ascending, and their prompts' numbers."""

    won: Floats
    lost: Floats
    won_group: Ints
    lost_group: Ints


def _weighted_totals(split: _Split, draws: Floats) -> Floats:
    """(B, 4) pairs, right, equal and summed gap where an item counts draws[:, its prompt] times."""
    w, v = draws[:, split.won_group], draws[:, split.lost_group]
    upto = np.concatenate([np.zeros((len(draws), 1)), v.cumsum(axis=1)], axis=1)
    below, through = ranks(split.won, split.lost)
    won, lost = w.sum(axis=1), v.sum(axis=1)
    right = (w * upto[:, below]).sum(axis=1)
    equal = (w * (upto[:, through] - upto[:, below])).sum(axis=1)
    gap = (w * split.won).sum(axis=1) * lost - won * (v * split.lost).sum(axis=1)
    return np.stack([won * lost, right, equal, gap], axis=1)


def _own_totals(split: _Split, prompts: int) -> Floats:
    """(4, G) the same totals over the pairs within each prompt."""
    own = np.zeros((4, prompts))
    won, lost = _by_group(split.won, split.won_group), _by_group(split.lost, split.lost_group)
    for prompt in won.keys() & lost.keys():
        below, through = ranks(won[prompt], lost[prompt])
        gap = won[prompt].sum() * len(lost[prompt]) - len(won[prompt]) * lost[prompt].sum()
        pairs = len(won[prompt]) * len(lost[prompt])
        own[:, prompt] = pairs, below.sum(), (through - below).sum(), gap
    return own


def _by_group(values: Floats, group: Ints) -> dict[int, Floats]:
    """Values of each group, in their order."""
    order = np.argsort(group, kind="stable")
    numbers, starts = np.unique(group[order], return_index=True)
    parts = np.split(values[order], starts[1:]) if len(numbers) else []
    return dict(zip(numbers.tolist(), parts, strict=True))


def _ratios(totals: Floats) -> Floats:
    """(B, 4) totals to the four metrics; NaN where no pair was drawn."""
    pairs, right, equal, gap = totals.T
    counts = np.where(pairs > 0, pairs, np.nan)
    ratios: Floats = np.stack([right, equal, gap, right + equal / 2], axis=1) / counts[:, None]
    return ratios
