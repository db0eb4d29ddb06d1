"""Score clustering: whether a model gives many items the same score.

The paper stars such rows in its Tables 2 and 5: equal scores count as wrong, so accuracy falls
where they are many (LiFT 1.75 %), and as rewards they say nothing about most pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from training.metrics.arrays import finite

# Scores closer than a thousandth of their standard deviation are one level: a collapsed head's
# outputs differ in their last digits. Of normal scores 0.03 % of the pairs lie so close.
RESOLUTION = 1e-3
# n equally used levels put 1/n of the pairs of items on one level: 5 % is the accuracy that 20
# levels lose. Rounding to bf16 stays below 1 % (scores around 4 to 8, spread 1).
CLUSTERED = 0.05
FEWEST = 20  # items; of fewer, some chance equality would already be 5 %
# A level is worth a mark in a figure that holds so many of the items.
MARKED, MARKED_ITEMS = 0.05, 3


@dataclass(frozen=True)
class ScoreLevels:
    """How the scores of some items fall on levels."""

    items: int
    levels: int
    """Different scores, at the resolution."""
    equal_items: float | None
    """Share of the pairs of items that lie on one level; None where there is no pair."""
    marked: tuple[tuple[float, float], ...]
    """(score, share of the items) of each level that holds many of them, ascending."""

    @property
    def clustered(self) -> bool:
        """Whether so many pairs share a level that accuracy cannot be taken as it is."""
        return self.items >= FEWEST and (self.equal_items or 0.0) >= CLUSTERED

    @property
    def warning(self) -> str | None:
        """How much scores cluster, where they do."""
        if not self.clustered:
            return None
        assert self.equal_items is not None
        levels = "1 level" if self.levels == 1 else f"{self.levels} levels"
        return f"{self.items} items on {levels}, {self.equal_items:.0%} of their pairs on one level"


def score_levels(rewards: ArrayLike) -> ScoreLevels:
    """Levels of the scores of items.

    rewards: (N,).
    Raises: TrainingError for rewards that are not finite.
    Cost: O(N log N).

    >>> seen = score_levels([1.0, 1.0, 2.0, 1.0])
    >>> seen.levels, seen.equal_items, seen.marked
    (2, 0.5, ((1.0, 0.75),))
    """
    reward = np.sort(finite(rewards))
    number = len(reward)
    step = RESOLUTION * reward.std() if number else 0.0
    # Without spread the cells have no width, and the standard deviation is rounding at best.
    flat = step <= np.finfo(float).eps * np.abs(reward).max(initial=0.0)
    cells = np.zeros(number) if flat else np.rint((reward - np.median(reward)) / step)
    _, first, counts = np.unique(cells, return_index=True, return_counts=True)
    pairs = number * (number - 1)
    equal = int((counts.astype(np.int64) * (counts - 1)).sum()) / pairs if pairs else None
    held = counts >= max(MARKED_ITEMS, MARKED * number)
    marked = zip(reward[first][held].tolist(), (counts[held] / number).tolist(), strict=True)
    return ScoreLevels(number, len(counts), equal, tuple(marked))
