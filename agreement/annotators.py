"""One row per annotator and dimension: how many labels, how good, how fast."""

from __future__ import annotations

from typing import Any

import numpy as np

from agreement.consensus import annotator_coins
from agreement.dawid_skene import Prior
from agreement.labels import Coded, FloatArray, IntArray


def annotator_rows(coded: Coded, prior: Prior | None = None) -> list[dict[str, Any]]:
    """Rows of the contract `annotators` without measurement_id, by annotator and dimension.

    coded: design labels with their column `seconds`. prior: of Dawid-Skene's coins.
    sensitivity and specificity are Dawid-Skene's; leave_one_out compares with the majority of the
    others, leaving out items where they tie; seconds is the median of the times that are known.
    """
    group = coded.annotator * len(coded.dimensions) + coded.dimension
    coins = annotator_coins(coded, prior)
    given, passed = np.bincount(group), np.bincount(group, weights=coded.passed)
    compared, alike = _leave_one_out(coded, group)
    medians = group_medians(group, coded.table["seconds"].cast("float64").to_numpy())
    rows = []
    for place in np.flatnonzero(given).tolist():
        annotator, dimension = divmod(place, len(coded.dimensions))
        coin = coins[annotator, dimension]
        rows.append(
            {
                "annotator_id": coded.annotators[annotator].as_py(),
                "dimension": coded.dimensions[dimension],
                "labels": int(given[place]),
                "pass_rate": float(passed[place] / given[place]),
                "sensitivity": coin.sensitivity,
                "specificity": coin.specificity,
                "leave_one_out": float(alike[place] / compared[place]) if compared[place] else None,
                "seconds": medians.get(place),
            }
        )
    return rows


def group_medians(group: IntArray, values: FloatArray) -> dict[int, float]:
    """Median of each group's values; NaN is no value, and a group without values has no entry.

    >>> group_medians(np.array([0, 0, 1, 0, 2]), np.array([3.0, 1.0, 5.0, 2.0, np.nan]))
    {0: 2.0, 1: 5.0}
    """
    known = ~np.isnan(values)
    group, values = group[known], values[known]
    order = np.lexsort((values, group))
    group, values = group[order], values[order]
    groups, starts, sizes = np.unique(group, return_index=True, return_counts=True)
    middle = (values[starts + (sizes - 1) // 2] + values[starts + sizes // 2]) / 2
    return dict(zip(groups.tolist(), middle.tolist(), strict=True))


def _leave_one_out(coded: Coded, group: IntArray) -> tuple[IntArray, IntArray]:
    """Labels on which the others have a majority, and how many agree with it, per group."""
    others = coded.counts[coded.dimension, coded.item]
    others[:, 0] -= coded.passed
    others[:, 1] -= ~coded.passed
    decided = others[:, 0] != others[:, 1]
    agrees = decided & ((others[:, 0] > others[:, 1]) == coded.passed)
    size = int(group.max(initial=-1)) + 1
    compared = np.bincount(group[decided], minlength=size)
    return compared, np.bincount(group[agrees], minlength=size)
