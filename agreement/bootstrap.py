"""Bootstrap intervals from the histogram: an item bootstrap is a multinomial over its cells.

Resampling N items with replacement and counting cells gives exactly a multinomial draw with the
cells' shares, so a replicate costs the number of cells, not the number of items. Items of one
prompt may be alike: the clustered bootstrap draws prompts, each with its own histogram.
Source: Efron and Tibshirani (1993), An Introduction to the Bootstrap, ch. 13 (percentile method).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from agreement.labels import FloatArray, IntArray
from agreement.statistics import RATIOS, Histogram, cell_moments, replicate_values
from warehouse.errors import AgreementError

REPLICATES = 10_000
LEVEL = 0.95
MINIMUM_REPLICATES = 100  # a 2.5 % quantile needs some tail
MOST_REPLICATES = 1_000_000  # more change no digit that is shown
TOO_FEW = "fewer than two items or prompts to resample: no interval"
DRAWN_AT_ONCE = 2**22  # counts in memory at a time: 32 MB
Draw = Callable[[int], IntArray]


@dataclass(frozen=True)
class Interval:
    """Percentile interval. Ends are None where fewer than half of the replicates are defined.

    undefined: replicates in which the statistic is not defined (all labels equal, or no item with
    two labels); the ends are quantiles over the others.
    """

    low: float | None
    high: float | None
    undefined: int
    reason: str | None = None


def check(replicates: int, level: float, seed: int) -> None:
    """Refuse a level outside (0, 1), too few replicates for a tail, and a seed that is none.

    Raises: AgreementError.
    """
    if not 0 < level < 1:
        raise AgreementError(f"level {level} of an interval lies outside (0, 1); 0.95 is usual")
    if not isinstance(replicates, int) or not MINIMUM_REPLICATES <= replicates <= MOST_REPLICATES:
        raise AgreementError(
            f"{replicates} bootstrap replicates; give a whole number from {MINIMUM_REPLICATES} to"
            f" {MOST_REPLICATES}"
        )
    if not isinstance(seed, int) or seed < 0:
        raise AgreementError(f"bootstrap seed {seed}; give a whole number from 0 on")


def bootstrap_intervals(
    histogram: Histogram,
    clusters: IntArray | None = None,
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
    level: float = LEVEL,
) -> dict[str, Interval]:
    """Interval of every statistic; all of them see the same replicates.

    clusters: (P, C) items of each prompt in each of the histogram's cells, to draw prompts;
        without it, single items are drawn.
    Returns: statistic -> Interval, the same for the same histogram and seed.
    Raises: AgreementError as `check` does.

    >>> cells = Histogram(np.array([[0, 3], [1, 2], [2, 1], [3, 0]]), np.array([40, 10, 10, 60]))
    >>> interval = bootstrap_intervals(cells, replicates=2_000)["alpha"]
    >>> round(interval.low, 2), round(interval.high, 2)
    (0.67, 0.85)
    """
    check(replicates, level, seed)
    units = int(histogram.items.sum()) if clusters is None else len(clusters)
    if units <= 1:
        return dict.fromkeys(RATIOS, Interval(None, None, 0, TOO_FEW))
    rng = np.random.default_rng(seed)
    moments = np.array([cell_moments(cell) for cell in histogram.cells.tolist()], dtype=np.float64)
    draw = _items(histogram.items, rng) if clusters is None else _prompts(units, rng)
    unit_moments = moments if clusters is None else _products(clusters, moments)
    sizes = _chunks(replicates, len(unit_moments))
    sums = np.concatenate([_products(draw(size), unit_moments) for size in sizes])
    return {name: _interval(replicate_values(name, sums), level) for name in RATIOS}


def _chunks(replicates: int, width: int) -> Iterator[int]:
    size = max(1, DRAWN_AT_ONCE // width)
    for start in range(0, replicates, size):
        yield min(size, replicates - start)


def _items(items: IntArray, rng: np.random.Generator) -> Draw:
    """Item bootstraps: n -> (n, C) items drawn from each cell."""
    total = int(items.sum())
    shares = items / total
    return lambda n: rng.multinomial(total, shares, size=n)


def _prompts(prompts: int, rng: np.random.Generator) -> Draw:
    """Prompt bootstraps: n -> (n, P) times that each prompt was drawn."""

    def draw(n: int) -> IntArray:
        drawn = rng.integers(prompts, size=(n, prompts)) + np.arange(n)[:, None] * prompts
        return np.bincount(drawn.ravel(), minlength=n * prompts).reshape(n, prompts)

    return draw


def _products(times: IntArray, moments: FloatArray) -> FloatArray:
    """Sums of moments: (n, U) x (U, F) -> (n, F)."""
    # einsum, not a matrix product: a BLAS may add in another order with other thread counts.
    sums: FloatArray = np.einsum("nu,uf->nf", times.astype(np.float64), moments)
    return sums


def _interval(values: FloatArray, level: float) -> Interval:
    defined = values[~np.isnan(values)]
    undefined = len(values) - len(defined)
    if undefined * 2 > len(values):
        reason = f"undefined in {undefined} of {len(values)} replicates: no interval"
        return Interval(None, None, undefined, reason)
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), undefined)
