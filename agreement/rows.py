"""Rows in the shape of a contract. The store stamps `observed_at` when it commits them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from agreement.bootstrap import Interval
from agreement.statistics import Measured, landis_koch
from warehouse.contracts import OBSERVED_AT, TABLES

WORDED = ("alpha", "kappa")  # statistics beside which Landis and Koch's word stands


def contract_schema(table: str) -> pa.Schema:
    """Arrow schema of a table of record, without observed_at."""
    fields = [field for field in TABLES[table].schema if field.name != OBSERVED_AT.name]
    return pa.schema(fields)


def contract_table(table: str, rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Rows as a table of record, without observed_at; a key that is missing becomes NULL."""
    return pa.Table.from_pylist(list(rows), schema=contract_schema(table))


def statistic_rows(
    measured: Mapping[str, Measured], intervals: Mapping[str, Interval]
) -> Iterator[dict[str, Any]]:
    """One row per statistic: value, low, high, word, reason.

    A value that is not defined is missing, and so are interval and word; the reason says why.
    """
    for statistic, found in measured.items():
        interval = intervals[statistic]
        row: dict[str, Any] = {"statistic": statistic, "reason": found.reason or interval.reason}
        if found.value is not None:
            row["value"] = float(found.value)
            row["word"] = landis_koch(found.value) if statistic in WORDED else None
            row |= {"low": interval.low, "high": interval.high}
        yield row
