"""Numbers over seeds: means, paired differences, and Student's intervals of both.

A seed decides the weights that an arm starts from and its order of batches, so two arms of one seed
are a pair, and their difference varies less than either. What an interval covers is other seeds on
the same clips and labels; other clips would vary more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from warehouse.errors import TrainingError

LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its 95 % interval."""

    mean: float
    low: float | None
    high: float | None
    """None of fewer than two seeds."""
    seeds: int

    @property
    def half(self) -> float | None:
        """Half the width of the interval."""
        return None if self.high is None else self.high - self.mean

    @property
    def apart(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


def t_interval(values: Sequence[float]) -> Estimate | None:
    """Mean of independent values with Student's 95 % interval; None without a value.

    values: (S,) one a seed.
    Returns: mean -+ t(0.975; S - 1) s / sqrt(S), s with S - 1 in the denominator.
    Raises: TrainingError for a value that is not finite.

    >>> found = t_interval([1.0, 2.0, 3.0])
    >>> round(found.low, 3), found.mean, round(found.high, 3)
    (-0.484, 2.0, 4.484)
    """
    sample = np.asarray(values, dtype=float)
    if not np.isfinite(sample).all():
        raise TrainingError(f"means over seeds: {values} holds a value that is no finite number")
    if not len(sample):
        return None
    mean = float(sample.mean())
    if len(sample) == 1:
        return Estimate(mean, None, None, 1)
    error = float(sample.std(ddof=1)) / len(sample) ** 0.5
    half = float(stdtrit(len(sample) - 1, (1 + LEVEL) / 2)) * error
    return Estimate(mean, mean - half, mean + half, len(sample))


def paired_difference(values: Mapping[int, float], others: Mapping[int, float]) -> Estimate | None:
    """Mean of value less other over the seeds that both have, with its interval.

    values, others: seed -> value.

    >>> paired_difference({0: 1.5, 1: 2.5, 2: 9.0}, {0: 1.0, 1: 2.0}).mean
    0.5
    """
    both = sorted(values.keys() & others.keys())
    return t_interval([values[seed] - others[seed] for seed in both])


def mean_over(values: Sequence[float | None]) -> float | None:
    """Mean of what is there, as over dimensions; None where a value is missing, or all are.

    >>> mean_over([1.0, 2.0]), mean_over([1.0, None])
    (1.5, None)
    """
    there = [value for value in values if value is not None]
    return sum(there) / len(there) if there and len(there) == len(values) else None
