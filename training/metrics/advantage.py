"""Group advantage: what policy training would see of the items of one prompt.

Source: SoliReward paper, section 4.2.2: A_i = (r_i - mean) / sigma within the group, by rank
(Figure 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from training.metrics.arrays import Floats, Ints, finite, groups_of

# Two items always have the advantages 1 and -1, whatever the model says.
SMALLEST = 3


@dataclass(frozen=True)
class Advantages:
    """Advantages of the items of all groups with something to compare."""

    advantage: Floats
    """(M,) dimensionless; in each group the mean is 0 and the mean square 1."""
    rank: Ints
    """(M,) 1 for the highest reward of its group."""
    group: Ints
    """(M,) number of the group."""
    prompts: tuple[str, ...]
    """Of the groups."""
    flat: int
    """Groups left out as all their rewards are equal: policy training learns nothing there."""
    small: int
    """Prompts left out as they have fewer than three items."""


@dataclass(frozen=True)
class RankSummary:
    """Advantages of the items of one rank."""

    rank: int
    items: int
    mean: float
    low: float
    """10 % of the items lie below."""
    quarter: float
    median: float
    three_quarters: float
    high: float
    """10 % of the items lie above."""


def group_advantages(rewards: ArrayLike, prompts: Sequence[str]) -> Advantages:
    """Advantages within the items of each prompt.

    rewards: (N,). prompts: (N,). sigma has the group's size in the denominator. Equal rewards have
    equal advantages, so it does not matter which of them ranks first.

    >>> group_advantages([3.0, 1.0, 2.0], ["a", "a", "a"]).advantage.round(3).tolist()
    [1.225, 0.0, -1.225]
    """
    reward = finite(rewards)
    names = np.asarray(prompts, dtype=str)
    _, number = groups_of(names.tolist())
    order = np.lexsort((-reward, number))
    starts = np.flatnonzero(np.diff(number[order], prepend=-1))
    parts = np.split(order, starts[1:]) if len(order) else []
    large = [part for part in parts if len(part) >= SMALLEST]
    uneven = [part for part in large if reward[part[0]] > reward[part[-1]]]
    found = [_standardised(reward[part]) for part in uneven]
    sizes = [len(part) for part in uneven]
    return Advantages(
        advantage=np.concatenate([np.empty(0), *found]),
        rank=np.array([rank for size in sizes for rank in range(1, size + 1)], dtype=np.intp),
        group=np.repeat(np.arange(len(uneven)), sizes),
        prompts=tuple(str(names[part[0]]) for part in uneven),
        flat=len(large) - len(uneven),
        small=len(parts) - len(large),
    )


def _standardised(reward: Floats) -> Floats:
    centred = reward - reward.mean()
    scaled: Floats = centred / np.sqrt((centred**2).mean())
    return scaled


def by_rank(advantages: Advantages) -> list[RankSummary]:
    """Distribution of the advantages of each rank, from the best down."""
    found = []
    for rank in np.unique(advantages.rank).tolist():
        mine = advantages.advantage[advantages.rank == rank]
        quantiles = np.quantile(mine, [0.1, 0.25, 0.5, 0.75, 0.9]).tolist()
        found.append(RankSummary(rank, len(mine), float(mine.mean()), *quantiles))
    return found
