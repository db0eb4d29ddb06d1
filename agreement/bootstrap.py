"""Bootstrap intervals from the histogram: an item bootstrap is a multinomial over its cells.

Resampling N items with replacement and counting cells gives exactly a multinomial draw with the
cells' shares, so a replicate costs the number of cells, not the number of items. Items of one
prompt may be alike: the clustered bootstrap draws prompts, each with its own counts of cells;
prompts with the same counts are one cell again.

The interval is BCa, bias-corrected and accelerated: it reads its ends at levels of the replicates
that allow for the replicates' median lying off the estimate, and for a spread that changes with
the true value. It is widened from the normal to Student's t, as a bootstrap of n units spreads by
sqrt((n - 1) / n) too little. Both ends are values that replicates took, or lie between two such:
an interval never leaves the range of its statistic. soak/coverage.py shows how often it holds the
true value; plain percentiles do so a little too seldom, and lie too low or too high.

Sources: Efron (1987), Better bootstrap confidence intervals, JASA 82; Hesterberg (2015), What
teachers should know about the bootstrap, The American Statistician 69 (expanded percentiles).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from agreement.labels import FloatArray, IntArray
from agreement.statistics import RATIOS, Histogram, Measured, measure, replicate_values
from warehouse.errors import AgreementError

REPLICATES = 10_000
LEVEL = 0.95
MINIMUM_REPLICATES = 100  # a 2.5 % quantile needs some tail
MOST_REPLICATES = 1_000_000  # more change no digit that is shown
TOO_FEW = "fewer than two items or prompts to resample: no interval"
DRAWN_AT_ONCE = 2**20  # counts in memory at a time: 8 MB, which a cache may hold
SLOWER = 8  # drawing the number of one kind, against drawing one unit: measured
DECIMALS = 12  # equal replicates stay equal: what floats add beyond that is their rounding
NORMAL = NormalDist()


@dataclass(frozen=True)
class Interval:
    """BCa interval; it holds the estimate. Ends are None where most replicates are undefined.

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
    (0.66, 0.85)
    """
    check(replicates, level, seed)
    cells, times = _distinct(clusters) if clusters is not None else (None, histogram.items)
    units = int(times.sum())
    if units <= 1:
        return dict.fromkeys(RATIOS, Interval(None, None, 0, TOO_FEW))
    moments = np.array(histogram.moments, dtype=np.float64)
    if cells is not None:
        moments = moment_sums(cells, moments)
    drawn = resampled(moments, times, replicates, np.random.default_rng(seed))
    without_one = moment_sums(times[None, :], moments) - moments
    reach = _student(NORMAL.inv_cdf((1 + level) / 2), units - 1) * math.sqrt(units / (units - 1))
    return {
        name: _interval(
            measured,
            _values(name, drawn),
            _acceleration(_values(name, without_one), times),
            reach,
        )
        for name, measured in measure(histogram).items()
    }


def resampled(
    moments: FloatArray, times: IntArray, replicates: int, rng: np.random.Generator
) -> FloatArray:
    """Moment sums of as many units as there are, drawn with replacement: (R, F).

    moments: (U, F) of one unit of each kind. times: (U,) units of each kind, at least one in all.
    """
    draws = _draws(times, replicates, rng)
    return np.concatenate([moment_sums(drawn, moments) for drawn in draws])


def _distinct(clusters: IntArray) -> tuple[IntArray, IntArray]:
    """Distinct counts of cells (U, C), and the number of prompts that have them (U,)."""
    return np.unique(clusters, axis=0, return_counts=True)


def _draws(times: IntArray, replicates: int, rng: np.random.Generator) -> Iterator[IntArray]:
    """How often each of U kinds of unit is drawn, some replicates at a time: (n, U) each.

    times: (U,) units of each kind. Few kinds are drawn by their numbers; where nearly every unit
    is of a kind of its own, units are drawn one by one.
    """
    kinds, units = len(times), int(times.sum())
    if SLOWER * kinds <= units:
        for n in _chunks(replicates, kinds):
            yield rng.multinomial(units, times / units, size=n)
        return
    kind = np.repeat(np.arange(kinds), times)
    for n in _chunks(replicates, units):
        place = kind[rng.integers(units, size=(n, units))] + np.arange(n)[:, None] * kinds
        yield np.bincount(place.ravel(), minlength=n * kinds).reshape(n, kinds)


def _chunks(replicates: int, width: int) -> Iterator[int]:
    size = max(1, DRAWN_AT_ONCE // width)
    for start in range(0, replicates, size):
        yield min(size, replicates - start)


def moment_sums(times: IntArray, moments: FloatArray) -> FloatArray:
    """Sums of moments: (n, U) x (U, F) -> (n, F)."""
    # einsum, not a matrix product: a BLAS may add in another order with other thread counts.
    columns = np.ascontiguousarray(moments.T)  # twice as fast as rows
    sums: FloatArray = np.einsum("nu,fu->nf", times.astype(np.float64), columns)
    return sums


def _values(name: str, sums: FloatArray) -> FloatArray:
    values: FloatArray = np.round(replicate_values(name, sums), DECIMALS)
    return values


def _interval(
    measured: Measured, values: FloatArray, acceleration: float, reach: float
) -> Interval:
    """BCa interval: Efron (1987), equation 3.9 with `reach` standard errors to either side.

    values: (R,) of the replicates, NaN where undefined.
    """
    defined = values[~np.isnan(values)]
    undefined = len(values) - len(defined)
    if measured.value is None or undefined * 2 > len(values):
        reason = f"undefined in {undefined} of {len(values)} replicates: no interval"
        return Interval(None, None, undefined, reason)
    estimate = float(measured.value)
    bias = _bias(round(estimate, DECIMALS), defined)
    # The spread grows by `acceleration` per standard error; where it has shrunk to nothing on the
    # way, the end is that of the replicates.
    steps = (bias - reach, bias + reach)
    levels = [
        NORMAL.cdf(bias + step / max(1 - acceleration * step, np.finfo(float).eps))
        for step in steps
    ]
    low, high = np.quantile(defined, levels)
    return Interval(float(min(low, estimate)), float(max(high, estimate)), undefined)


def _bias(estimate: float, values: FloatArray) -> float:
    """How far the estimate lies above the replicates' median, in standard errors: Efron's z0.

    Replicates equal to the estimate count half on each side. With all on one side, half a
    replicate is thought to lie on the other.
    """
    below = np.count_nonzero(values < estimate) + np.count_nonzero(values == estimate) / 2
    return NORMAL.inv_cdf(min(max(below, 0.5), len(values) - 0.5) / len(values))


def _acceleration(values: FloatArray, times: IntArray) -> float:
    """How fast the standard error grows with the true value: Efron and Tibshirani (1993), 14.15.

    values: (U,) of the statistic without one unit of each kind, NaN where undefined, which counts
        as no change. times: (U,) units of each kind.
    Returns: a sixth of the skewness of the jackknife, from -1/6 to 1/6; 0 where no unit matters.
    """
    defined = ~np.isnan(values)
    if not defined.any():
        return 0.0
    change = np.where(defined, np.average(values[defined], weights=times[defined]) - values, 0.0)
    spread = float((times * change**2).sum())
    return float((times * change**3).sum()) / (6 * math.pow(spread, 1.5)) if spread else 0.0


def _student(normal: float, freedom: float) -> float:
    """Student's t quantile at the level of a normal quantile: Abramowitz and Stegun, 26.7.5.

    >>> [round(_student(NORMAL.inv_cdf(0.975), freedom), 3) for freedom in (4, 10, 199)]
    [2.776, 2.228, 1.972]
    """
    z = normal
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / freedom**power for power, term in enumerate(terms, start=1))
