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
from itertools import pairwise
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
    """

    cells: IntArray
    items: IntArray

    @property
    def labels(self) -> int:
        """Number of labels."""
        return int(self.cells.sum(axis=1) @ self.items)


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


def histogram(counts: IntArray) -> Histogram:
    """Histogram of label counts.

    counts: (N, K) labels per item and category; items without labels are left out.
    Cost: one sort of N integers.

    >>> histogram(np.array([[3, 0], [2, 1], [0, 0], [3, 0]]))
    Histogram(cells=array([[2, 1],
           [3, 0]]), items=array([1, 2]))
    """
    return grouped_histograms(counts, np.zeros(len(counts), dtype=np.int64), 1)[0]


def grouped_histograms(counts: IntArray, group: IntArray, groups: int) -> list[Histogram]:
    """One histogram per group of items.

    counts: (N, K). group: (N,) from 0 to groups - 1, or -1 for items of no group.
    """
    keep = (counts.sum(axis=1) > 0) & (group >= 0)
    counts, group = counts[keep], group[keep]
    keys, radix, k = _cell_keys(counts)
    assert groups * radix**k < 2**62, f"{groups} groups of up to {radix}^{k} cells: not one integer"
    found, items = np.unique(group * radix**k + keys, return_counts=True)
    starts = np.searchsorted(found, np.arange(groups + 1) * radix**k)
    cells = found[:, None] // _places(radix, k) % radix
    return [Histogram(cells[a:b], items[a:b]) for a, b in pairwise(starts)]


def cluster_cells(histogram: Histogram, counts: IntArray, cluster: IntArray) -> IntArray:
    """Items of each cluster in each cell: (P, C), clusters in ascending order.

    counts: (N, K) of exactly the items behind the histogram. cluster: (N,) cluster of each.

    >>> counts = np.array([[3, 0], [2, 1], [3, 0]])
    >>> cluster_cells(histogram(counts), counts, np.array([7, 7, 4]))
    array([[0, 1],
           [1, 1]])
    """
    keys, radix, k = _cell_keys(counts)
    cell = np.searchsorted(histogram.cells @ _places(radix, k), keys)
    clusters, position = np.unique(cluster, return_inverse=True)
    shape = len(clusters), len(histogram.cells)
    found = np.bincount(position * shape[1] + cell, minlength=shape[0] * shape[1])
    return found.reshape(shape)


def cell_moments(cell: Sequence[int]) -> list[Fraction]:
    """The 4 + 3K contributions of one item with these label counts (see `Moments`)."""
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
    rows = [cell_moments(cell) for cell in histogram.cells.tolist()]
    sums = [
        sum((w * x for w, x in zip(weights, column, strict=True)), Fraction())
        for column in zip(*rows, strict=True)
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


def _measured(ratio: Callable[[Moments], tuple[Any, Any]], moments: Moments) -> Measured:
    numerator, denominator = ratio(moments)
    if denominator:
        return Measured(Fraction(numerator, denominator))
    return Measured(None, ALL_EQUAL if moments.pairable else NO_PAIRS)


def _cell_keys(counts: IntArray) -> tuple[IntArray, int, int]:
    """Each row of counts as one integer in base `radix`, the first category leading."""
    radix, k = int(counts.max(initial=0)) + 1, counts.shape[1]
    return counts @ _places(radix, k), radix, k


def _places(radix: int, k: int) -> IntArray:
    return radix ** np.arange(k - 1, -1, -1)


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
