"""How far the rewards of items that passed lie apart, which win-ties are to narrow (Figure 3)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from training.metrics.arrays import Floats, finite, groups_of
from training.metrics.intervals import Interval, bootstrap

SPREAD = ("pass_std", "pass_iqr", "pass_relative")
FEWEST = 2  # items


def pass_spread(
    rewards: ArrayLike, passed: ArrayLike, prompts: Sequence[str], *, seed: int = 0
) -> dict[str, Interval]:
    """Spread of the rewards of items that passed, with 95 % intervals by prompt.

    rewards: (N,) of pass and fail items. passed: (N,) bool. prompts: (N,).
    Returns: pass_std, standard deviation (n in the denominator); pass_iqr, width of the middle half
        (quantile q is the smallest reward with at least q of the items at or below it);
        pass_relative, pass_std over the standard deviation of all rewards, which is the one that
        models of different scales share. A value is None where fewer than two items passed.
    Cost: O(N) per replicate, after one sort.
    """
    reward, good = finite(rewards), np.asarray(passed, dtype=bool)
    number, group = groups_of(prompts)
    order = np.argsort(reward, kind="stable")
    reward, good, group = reward[order], good[order], group[order]

    def statistics(draws: Floats) -> Floats:
        weight = draws[:, group]
        won = weight[:, good]
        inner, outer = _deviation(reward[good], won), _deviation(reward, weight)
        relative = inner / np.where(outer > 0, outer, np.nan)
        found = np.stack([inner, _middle_half(reward[good], won), relative], axis=1)
        return np.where(won.sum(axis=1, keepdims=True) >= FEWEST, found, np.nan)

    return bootstrap(SPREAD, statistics, number, len(reward), seed)


def _deviation(reward: Floats, weight: Floats) -> Floats:
    """(B,) weighted standard deviations; NaN without weight."""
    total = weight.sum(axis=1)
    total = np.where(total > 0, total, np.nan)
    mean = (weight * reward).sum(axis=1) / total
    spread: Floats = np.sqrt((weight * (reward - mean[:, None]) ** 2).sum(axis=1) / total)
    return spread


def _middle_half(reward: Floats, weight: Floats) -> Floats:
    """(B,) distances of the weighted quartiles of (N,) rewards that are sorted."""
    if not len(reward):
        return np.full(len(weight), np.nan)
    upto = weight.cumsum(axis=1)
    low, high = ((upto < share * upto[:, -1:]).sum(axis=1) for share in (0.25, 0.75))
    width: Floats = reward[high] - reward[low]
    return width
