"""Our numbers against krippendorff and statsmodels, on the same labels.

krippendorff is GPL-3.0-or-later: it checks our numbers here and in tests, and nothing else uses it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from agreement.labels import IntArray, code
from agreement.statistics import histogram, measure
from warehouse.errors import AgreementError

SCHEMA = pa.schema(
    [
        pa.field("dimension", pa.string(), nullable=False),
        pa.field("statistic", pa.string(), nullable=False),
        pa.field("items", pa.int64(), nullable=False),
        pa.field("ours", pa.float64()),
        pa.field("theirs", pa.float64()),
        pa.field("library", pa.string(), nullable=False),
        pa.field("difference", pa.float64()),
    ]
)


def verify(labels: pa.Table) -> pa.Table:
    """Recompute alpha with krippendorff and kappa with statsmodels.

    labels: the view `labels`; only design labels count.
    Returns: dimension, statistic, items compared, ours, theirs, library, difference (ours minus
        theirs). statsmodels needs equal numbers of labels, so kappa is compared, on both sides, on
        the items with the most frequent number. Where a statistic is not defined, ours, theirs and
        difference are NULL: the libraries raise an error or give NaN there.
    Raises: AgreementError where the libraries are not installed.
    """
    krippendorff, inter_rater = _libraries()
    coded = code(labels)
    rows = []
    for position, dimension in enumerate(coded.dimensions):
        counts = coded.counts[position]
        counts = counts[counts.sum(axis=1) > 0]
        theirs = _alpha_of(krippendorff)
        rows.append(_row(dimension, "alpha", counts, theirs, "krippendorff"))
        equal = _modal(counts)
        rows.append(_row(dimension, "kappa", equal, inter_rater.fleiss_kappa, "statsmodels"))
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


def _alpha_of(krippendorff: Any) -> Any:
    return lambda counts: krippendorff.alpha(value_counts=counts, level_of_measurement="nominal")


def _modal(counts: IntArray) -> IntArray:
    """Items with the most frequent number of labels, of two or more; the larger of equals."""
    labels = counts.sum(axis=1)
    frequency = np.bincount(labels[labels > 1])
    if not len(frequency):
        return counts[:0]
    modal = len(frequency) - 1 - np.argmax(frequency[::-1])
    equal: IntArray = counts[labels == modal]
    return equal


def _row(
    dimension: str, statistic: str, counts: IntArray, theirs: Any, library: str
) -> dict[str, Any]:
    row: dict[str, Any] = {"dimension": dimension, "statistic": statistic, "items": len(counts)}
    exact = measure(histogram(counts))[statistic].value
    if exact is None:
        return {**row, "library": library}
    ours, other = float(exact), float(theirs(counts))
    return {**row, "library": library, "ours": ours, "theirs": other, "difference": ours - other}
