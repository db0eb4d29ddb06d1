"""What every metric takes: rewards that are numbers, prompts as groups."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from warehouse.errors import TrainingError

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


def finite(values: ArrayLike) -> Floats:
    """Rewards, or differences of them, as float64.

    Raises: TrainingError for values that are not finite.
    """
    array = np.asarray(values, dtype=float)
    bad = np.flatnonzero(~np.isfinite(array))
    if len(bad):
        raise TrainingError(
            f"metrics: reward {bad[0]} of {len(array)} is {array[bad[0]]}; score the items again"
        )
    return array


def groups_of(names: Sequence[str]) -> tuple[int, Ints]:
    """How many different names there are, and (N,) the number of each, in the names' order."""
    unique, number = np.unique(np.asarray(names, dtype=str), return_inverse=True)
    return len(unique), number
