"""Whether an annotator got worse: control charts of how often they are right, over their labels.

The labels of a chart are cut, in the order of their time, into periods of equal numbers of labels;
an unfinished period is not judged yet. The share of right answers in a period is compared with all
labels up to its end: if nothing changed, the number of right ones in the period is hypergeometric
given the total, whatever the true accuracy is (Fisher's exact test as a chart). So the centre need
not be known, the limits are exact, periods are independent of each other, and a period once judged
stays as it is when more labels come.

Sources: Quesenberry (1991), SPC Q charts for a binomial parameter p: short or long runs; charts of
shares in Montgomery (2013), Introduction to statistical quality control, ch. 7.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from agreement.checks import Checks
from agreement.labels import FloatArray, IntArray
from agreement.others import Answers

RECENT = 20  # periods over which the false alarms are counted; older signals raise no flag
TIME = pa.timestamp("us", "UTC")
SCHEMA = pa.schema(
    [
        pa.field("annotator_id", pa.string(), nullable=False),
        pa.field("dimension", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),  # gold or leave_one_out
        pa.field("period", pa.int64(), nullable=False),  # 1, 2, ...
        pa.field("start", TIME, nullable=False),  # time of its first label
        pa.field("end", TIME, nullable=False),  # and of its last
        pa.field("labels", pa.int64(), nullable=False),
        pa.field("share", pa.float64(), nullable=False),  # right answers
        pa.field("centre", pa.float64(), nullable=False),  # right answers up to its end
        pa.field("lower", pa.float64(), nullable=False),  # least share inside the limits
        pa.field("upper", pa.float64(), nullable=False),
        pa.field("signal", pa.bool_(), nullable=False),  # below lower
        pa.field("recent", pa.bool_(), nullable=False),  # among the chart's last 20 periods
    ]
)


class _Periods(NamedTuple):
    """P complete periods: their chart, number in it from 0, right answers, first and last time."""

    chart: IntArray
    number: IntArray
    right: IntArray
    start: IntArray
    end: IntArray


def drift_charts(
    checks: Mapping[str, Checks], answers: Answers, *, size: int, level: float
) -> pa.Table:
    """Charts for every kind, person and dimension with at least one whole period.

    checks: by kind (gold, leave_one_out), people and dimensions numbered as in `answers`.
    size: labels per period. level: chance that any chart of a steady person signals in 20 periods.
    Returns: rows of SCHEMA by annotator, dimension, kind and period.
    """
    tail = level / (RECENT * max(len(checks) * len(answers.dimensions), 1))
    parts = [
        _chart(_periods(found, answers, size), answers, kind, size, tail)
        for kind, found in checks.items()
    ]
    keys = [(name, "ascending") for name in ("annotator_id", "dimension", "kind", "period")]
    return pa.concat_tables([SCHEMA.empty_table(), *parts]).sort_by(keys)


def _chart(periods: _Periods, answers: Answers, kind: str, size: int, tail: float) -> pa.Table:
    """Charts of one kind: centre, limits that leave `tail` on either side, and signals."""
    starts = np.flatnonzero(periods.number == 0)
    sizes = np.diff(starts, append=len(periods.chart))
    known = np.cumsum(periods.right)
    total = known - np.repeat(known[starts] - periods.right[starts], sizes)
    lower, upper = _limits(size * (periods.number + 1), total, size, tail)
    person, dimension = np.divmod(periods.chart, max(len(answers.dimensions), 1))
    columns = {
        "annotator_id": answers.people.take(pa.array(person)),
        "dimension": pa.array(answers.dimensions, pa.string()).take(pa.array(dimension)),
        "kind": pa.repeat(kind, len(person)),
        "period": periods.number + 1,
        "start": pa.array(periods.start, TIME),
        "end": pa.array(periods.end, TIME),
        "labels": np.full(len(person), size),
        "share": periods.right / size,
        "centre": total / (size * (periods.number + 1)),
        "lower": lower / size,
        "upper": upper / size,
        "signal": periods.right < lower,
        "recent": periods.number >= np.repeat(sizes - RECENT, sizes),
    }
    return pa.table([columns[name] for name in SCHEMA.names], schema=SCHEMA)


def _periods(checks: Checks, answers: Answers, size: int) -> _Periods:
    """Whole periods of `size` labels, by chart (person * D + dimension) and time."""
    chart = checks.person * len(answers.dimensions) + checks.dimension
    order = np.lexsort((checks.order, checks.time, chart))
    chart, right, time = chart[order], checks.right[order], checks.time[order]
    starts = np.flatnonzero(np.diff(chart, prepend=-1))
    sizes = np.diff(starts, append=len(chart))
    whole = sizes // size
    number = np.arange(whole.sum()) - np.repeat(np.cumsum(whole) - whole, whole)
    begin = np.repeat(starts, whole) + number * size
    known = np.concatenate([[0], np.cumsum(right)])
    return _Periods(
        chart[begin],
        number,
        known[begin + size] - known[begin],
        time[begin],
        time[begin + size - 1],
    )


def _limits(labels: IntArray, right: IntArray, size: int, tail: float) -> tuple[IntArray, IntArray]:
    """Least and largest number of right ones in a period that leave more than `tail` outside.

    labels, right: (P,) up to the end of the period, which holds `size` of them.

    >>> _limits(np.array([4]), np.array([2]), 2, 0.2)  # 0, 1, 2 right: 1/6, 4/6, 1/6
    (array([1]), array([1]))
    """
    count = np.arange(size + 1)
    log = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, labels.max(initial=1) + 1)))])

    def choose(n: IntArray, k: IntArray) -> FloatArray:
        inside = (k >= 0) & (k <= n)
        k = np.where(inside, k, 0)
        return np.where(inside, log[n] - log[k] - log[n - k], -np.inf)

    n, k = labels[:, None], right[:, None]
    drawn = np.full_like(n, size)
    chance = np.exp(choose(k, count + 0 * k) + choose(n - k, size - count) - choose(n, drawn))
    at_most = np.cumsum(chance, axis=1)
    at_least = np.cumsum(chance[:, ::-1], axis=1)
    return np.argmax(at_most > tail, axis=1), size - np.argmax(at_least > tail, axis=1)
