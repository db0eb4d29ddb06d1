"""Rows of a small table as Python's own values."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import pyarrow as pa

Rows = list[dict[str, Any]]


def rows_of(table: pa.Table) -> Rows:
    """The rows, times as datetimes in UTC.

    As `table.to_pylist()`, which imports pandas, a quarter of a second, where a time has a zone.

    >>> rows_of(pa.table({"at": pa.array([0], pa.timestamp("us", tz="UTC"))}))
    [{'at': datetime.datetime(1970, 1, 1, 0, 0, tzinfo=datetime.timezone.utc)}]
    """
    zoned = [field.name for field in table.schema if getattr(field.type, "tz", None)]
    for name in zoned:
        place = table.column_names.index(name)
        table = table.set_column(place, name, table[name].cast(pa.timestamp("us")))
    rows = [dict(row) for row in table.to_pylist()]
    for row in rows:
        row |= {name: row[name].replace(tzinfo=UTC) for name in zoned if row[name] is not None}
    return rows
