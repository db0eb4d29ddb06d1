"""Agreement between annotators, exactly, from a histogram of label counts.

For items i with n_ic labels in category c and n_i labels in all, every statistic here needs only
how many items have which counts: the histogram is sufficient. Sums are fractions, so a value has
no rounding error until it becomes a float. An item is *pairable* when it has two labels or more.

raw         mean over pairable items of the share of its label pairs that agree
alpha       Krippendorff's alpha, nominal: 1 - D_o / D_e over pairable items
kappa       Fleiss' kappa; where items have unequal numbers of labels, Gwet's generalisation: chance
            from the mean over all items of the item's share in each category
ac1         Gwet's AC1, with the same shares
prevalence  share of all labels in the first category (pass)

Sources: Krippendorff (2011), Computing Krippendorff's Alpha-Reliability; Fleiss (1971), Measuring
nominal scale agreement among many raters; Gwet (2014), Handbook of Inter-Rater Reliability, ch. 2
and 5; Landis and Koch (1977), The measurement of observer agreement for categorical data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from agreement.labels import FloatArray, IntArray
from warehouse.errors import AgreementError

NO_LABELS = "no design labels"
NO_PAIRS = "no item has two design labels"
ALL_EQUAL = "all labels are equal: there is no disagreement to expect by chance"

WORDS = (  # Landis and Koch (1977), table 2: upper ends of 0 and more
    (0.2, "slight"),
    (0.4, "fair"),
    (0.6, "moderate"),
    (0.8, "substantial"),
    (1.0, "almost perfect"),
)


@dataclass(frozen=True)
class Histogram:
    """How many items have which label counts.

    cells: (C, K) labels per category; distinct rows with at least one label, in ascending order;
        for Pass/Fail the two columns are (n_pass, n_fail).
    items: (C,) number of items with these counts.
    own: (C,) category that one annotator chose, to measure this annotator against the others; the
        cells then count the others' labels, and (own, cell) is distinct. Each label of another is
        one unit of two labels, {own, other}: a statistic is that of all these units, while the
        bootstrap still draws items. The agreement between other people plays no part.
    """

    cells: IntArray
    items: IntArray
    own: IntArray | None = None

    @property
    def labels(self) -> int:
        """Number of labels on the items, the annotator's own among them, each counted once."""
        per_item = self.cells.sum(axis=1) + (self.own is not None)
        return int(per_item @ self.items)

    @cached_property
    def moments(self) -> list[list[Fraction]]:
        """What one item of each cell adds to the sums of `Moments`: (C, 4 + 3K)."""
        own = [None] * len(self.items) if self.own is None else self.own.tolist()
        return [cell_moments(cell, one) for cell, one in zip(self.cells.tolist(), own, strict=True)]


@dataclass(frozen=True)
class Measured:
    """A statistic's exact value, or the reason why it has none."""

    value: Fraction | None
    reason: str | None = None


@dataclass(frozen=True)
class Moments:
    """Sums over items from which every statistic follows; K = number of categories.

    Each is a Fraction, or a float array (R,) with one sum per bootstrap replicate.
    """

    items: Any  # I
    pairable: Any  # M, items with two labels or more
    agreeing: Any  # sum over pairable items of the share of agreeing pairs
    disagreeing: Any  # sum over pairable items of sum_c n_ic (n_i - n_ic) / (n_i - 1)
    shares: Sequence[Any]  # K sums over items of n_ic / n_i
    labels: Sequence[Any]  # K sums over items of n_ic
    paired: Sequence[Any]  # K sums over pairable items of n_ic

    @classmethod
    def of(cls, columns: Sequence[Any]) -> Moments:
        """Moments from the 4 + 3K sums in the order of `cell_moments`."""
        k = (len(columns) - 4) // 3
        parts = [columns[4 + k * i : 4 + k * (i + 1)] for i in range(3)]
        return cls(*columns[:4], *parts)


def histogram(counts: IntArray, own: IntArray | None = None) -> Histogram:
    """Histogram of label counts.

    counts: (N, K) labels per item and category; items without labels are left out.
    own: (N,) one annotator's category on each item, where counts are the others' labels.
    Cost: one sort of N integers.

    >>> found = histogram(np.array([[3, 0], [2, 1], [0, 0], [3, 0]]))
    >>> found.cells.tolist(), found.items.tolist()
    ([[2, 1], [3, 0]], [1, 2])
    """
    labelled = counts.any(axis=1)
    if own is None:
        return Histogram(*_distinct(counts[labelled]))
    rows, items = _distinct(np.column_stack([own, counts])[labelled])
    return Histogram(rows[:, 1:], items, rows[:, 0])


def cluster_cells(histogram: Histogram, counts: IntArray, cluster: IntArray) -> IntArray:
    """Items of each cluster in each cell: (P, C), clusters in ascending order.

    counts: (N, K) of exactly the items behind the histogram. cluster: (N,) cluster of each.

    >>> counts = np.array([[3, 0], [2, 1], [3, 0]])
    >>> cluster_cells(histogram(counts), counts, np.array([7, 7, 4]))
    array([[0, 1],
           [1, 1]])
    """
    cell = np.unique(_keys(counts)[0], return_inverse=True)[1]
    clusters, position = np.unique(cluster, return_inverse=True)
    shape = len(clusters), len(histogram.items)
    found = np.bincount(position * shape[1] + cell, minlength=shape[0] * shape[1])
    return found.reshape(shape)


def cell_moments(cell: Sequence[int], own: int | None = None) -> list[Fraction]:
    """The 4 + 3K contributions of one item with these label counts (see `Moments`).

    own: category of one annotator's label, where the cell counts the others' (see `Histogram`).
    """
    if own is None:
        return _unit_moments(cell)
    categories = range(len(cell))
    units = [_unit_moments([(c == own) + (c == other) for c in categories]) for other in categories]
    return [
        sum((n * x for n, x in zip(cell, column, strict=True)), Fraction())
        for column in zip(*units, strict=True)
    ]


def measure(histogram: Histogram) -> dict[str, Measured]:
    """Every statistic of a histogram, exact, or the reason why it is not defined.

    >>> result = measure(Histogram(np.array([[2, 0], [1, 1], [0, 2]]), np.array([2, 1, 1])))
    >>> {name: str(measured.value) for name, measured in result.items()}
    {'alpha': '8/15', 'kappa': '7/15', 'ac1': '9/17', 'raw': '3/4', 'prevalence': '5/8'}
    >>> measure(Histogram(np.array([[3, 0]]), np.array([7])))["alpha"].reason
    'all labels are equal: there is no disagreement to expect by chance'
    """
    if not len(histogram.items):
        return {name: Measured(None, NO_LABELS) for name in RATIOS}
    weights = histogram.items.tolist()
    sums = [
        sum((w * x for w, x in zip(weights, column, strict=True)), Fraction())
        for column in zip(*histogram.moments, strict=True)
    ]
    return {name: _measured(ratio, Moments.of(sums)) for name, ratio in RATIOS.items()}


def replicate_values(statistic: str, sums: FloatArray) -> FloatArray:
    """A statistic for each row of moment sums: (R, 4 + 3K) -> (R,), NaN where undefined.

    Raises: AgreementError for an unknown statistic.
    """
    if statistic not in RATIOS:
        raise AgreementError(f"unknown statistic {statistic!r}; known are {', '.join(RATIOS)}")
    numerator, denominator = RATIOS[statistic](Moments.of(list(sums.T)))
    values = np.full(len(sums), np.nan)
    np.divide(numerator, denominator, out=values, where=denominator != 0)
    return values


def landis_koch(value: Fraction | float) -> str:
    """Word of Landis and Koch for an alpha or a kappa.

    >>> landis_koch(0.4939), landis_koch(-0.1), landis_koch(0), landis_koch(1)
    ('moderate', 'poor', 'slight', 'almost perfect')
    """
    if value < 0:
        return "poor"
    return next(word for end, word in WORDS if float(value) <= end)


def _unit_moments(cell: Sequence[int]) -> list[Fraction]:
    """Contributions of one item whose labels may all be compared with each other."""
    n = sum(cell)
    pairable = n > 1
    agreeing = Fraction(sum(c * (c - 1) for c in cell), n * (n - 1) if pairable else 1)
    disagreeing = Fraction(sum(c * (n - c) for c in cell), n - 1 if pairable else 1)
    shares = [Fraction(c, n) for c in cell]
    labels = [Fraction(c) for c in cell]
    paired = [c * pairable for c in labels]
    return [
        Fraction(1),
        Fraction(pairable),
        agreeing * pairable,
        disagreeing * pairable,
        *shares,
        *labels,
        *paired,
    ]


def _measured(ratio: Callable[[Moments], tuple[Any, Any]], moments: Moments) -> Measured:
    numerator, denominator = ratio(moments)
    if denominator:
        return Measured(Fraction(numerator, denominator))
    return Measured(None, ALL_EQUAL if moments.pairable else NO_PAIRS)


def _distinct(rows: IntArray) -> tuple[IntArray, IntArray]:
    """Distinct rows of counts in ascending order, and how often each occurs."""
    keys, shape = _keys(rows)
    found, times = np.unique(keys, return_counts=True)
    return np.stack(np.unravel_index(found, shape), axis=1), times


def _keys(rows: IntArray) -> tuple[IntArray, tuple[int, ...]]:
    """Each row as one integer, in the order of the rows, and the shape that it is a place in."""
    shape = tuple((rows.max(axis=0, initial=0) + 1).tolist())
    return np.ravel_multi_index(tuple(rows.T), shape), shape


# Each statistic as (numerator, denominator): one formula for exact fractions and for replicates,
# and a denominator of exactly zero says that the statistic is not defined.


def _alpha(m: Moments) -> tuple[Any, Any]:
    total = sum(m.paired)
    expected = total * total - sum(n * n for n in m.paired)
    return expected - (total - 1) * m.disagreeing, expected


def _mixed(m: Moments) -> Any:
    """I^2 times the chance that two categories drawn from the mean item shares differ."""
    return m.items * m.items - sum(s * s for s in m.shares)


def _kappa(m: Moments) -> tuple[Any, Any]:
    same = m.items * m.items - _mixed(m)
    return m.agreeing * m.items * m.items - m.pairable * same, m.pairable * _mixed(m)


def _ac1(m: Moments) -> tuple[Any, Any]:
    chance = _mixed(m)
    full = m.items * m.items * (len(m.shares) - 1)
    return m.agreeing * full - m.pairable * chance, m.pairable * (full - chance)


def _raw(m: Moments) -> tuple[Any, Any]:
    return m.agreeing, m.pairable


def _prevalence(m: Moments) -> tuple[Any, Any]:
    return m.labels[0], sum(m.labels)


RATIOS: dict[str, Callable[[Moments], tuple[Any, Any]]] = {
    "alpha": _alpha,
    "kappa": _kappa,
    "ac1": _ac1,
    "raw": _raw,
    "prevalence": _prevalence,
}
