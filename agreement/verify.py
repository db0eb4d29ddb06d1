"""Our numbers against krippendorff and statsmodels, on the same labels.

Ours come from the tallies that the report is made of, theirs from the labels counted one by one.
krippendorff is GPL-3.0-or-later: it checks our numbers here and in tests, and nothing else uses it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from agreement.labels import Coded, IntArray, code
from agreement.slices import slices_of
from agreement.statistics import Histogram, measure
from warehouse.errors import AgreementError
from warehouse.tallies import ALL, tally_table

SCHEMA = pa.schema(
    [
        pa.field("dimension", pa.string(), nullable=False),
        pa.field("slice", pa.string(), nullable=False),
        pa.field("statistic", pa.string(), nullable=False),
        pa.field("items", pa.int64(), nullable=False),
        pa.field("ours", pa.float64()),
        pa.field("theirs", pa.float64()),
        pa.field("library", pa.string(), nullable=False),
        pa.field("difference", pa.float64()),
    ]
)
Theirs = Callable[[IntArray], float]


def verify(labels: pa.Table, slices: Sequence[str] = ()) -> pa.Table:
    """Recompute alpha with krippendorff and kappa with statsmodels.

    labels: the view `labels`; only design labels count. slices: beside `all`; those that are no
        columns of the labels are left out.
    Returns: dimension, slice, statistic, items compared, ours, theirs, library, difference (ours
        minus theirs). statsmodels needs equal numbers of labels, so kappa is compared, on both
        sides, on the items with the most frequent number. Where a statistic is not defined, ours,
        theirs and difference are NULL: the libraries raise an error or give NaN there.
    Raises: AgreementError where the libraries are not installed; as `agreement_report` does.
    """
    krippendorff, inter_rater = _libraries()
    columns = [name for name in slices if name in labels.column_names]
    coded = code(labels, columns)
    tallies = tally_table(labels, columns)
    rows = []
    for part in slices_of(tallies, coded.dimensions, by_prompt=False):
        counts = _counts(coded, part.dimension, part.slicing, part.value)
        head = {"dimension": part.dimension, "slice": part.name}
        alpha = _row("alpha", part.histogram, counts, _alpha_of(krippendorff), "krippendorff")
        equal, equally = _modal(part.histogram, counts)
        kappa = _row("kappa", equal, equally, inter_rater.fleiss_kappa, "statsmodels")
        rows += [head | alpha, head | kappa]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _libraries() -> tuple[Any, Any]:
    try:
        import krippendorff
        from statsmodels.stats import inter_rater
    except ImportError as error:
        raise AgreementError(
            f"verify needs {error.name}, which is not installed: pip install 'soli[verify]'"
        ) from error
    return krippendorff, inter_rater


def _alpha_of(krippendorff: Any) -> Theirs:
    return lambda counts: krippendorff.alpha(value_counts=counts, level_of_measurement="nominal")


def _counts(coded: Coded, dimension: str, slicing: str, value: str) -> IntArray:
    """(n_pass, n_fail) of each labelled item of a slice: (N, 2)."""
    rows = coded.dimension == coded.dimensions.index(dimension)
    if slicing != ALL:
        rows &= np.array(coded.table[slicing].cast(pa.string())) == value
    place = coded.item[rows] * 2 + ~coded.passed[rows]
    counts = np.bincount(place, minlength=2 * len(coded.items)).reshape(-1, 2)
    return counts[counts.any(axis=1)]


def _modal(whole: Histogram, counts: IntArray) -> tuple[Histogram, IntArray]:
    """Items with the most frequent number of labels, of two or more; the larger of equals."""
    labels = counts.sum(axis=1)
    frequency = np.bincount(labels[labels > 1], minlength=1)
    modal = len(frequency) - 1 - np.argmax(frequency[::-1])
    cells = whole.cells.sum(axis=1) == modal
    return Histogram(whole.cells[cells], whole.items[cells]), counts[labels == modal]


def _row(
    statistic: str, ours: Histogram, counts: IntArray, theirs: Theirs, library: str
) -> dict[str, Any]:
    row: dict[str, Any] = {"statistic": statistic, "items": len(counts), "library": library}
    exact = measure(ours)[statistic].value
    if exact is None:
        return row
    value, other = float(exact), float(theirs(counts))
    return row | {"ours": value, "theirs": other, "difference": value - other}
