"""Rows in the shape of a contract. The store stamps `observed_at` when it commits them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from warehouse.contracts import OBSERVED_AT, TABLES


def contract_schema(table: str) -> pa.Schema:
    """Arrow schema of a table of record, without observed_at."""
    fields = [field for field in TABLES[table].schema if field.name != OBSERVED_AT.name]
    return pa.schema(fields)


def contract_table(table: str, rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Rows as a table of record, without observed_at; a key that is missing becomes NULL."""
    return pa.Table.from_pylist(list(rows), schema=contract_schema(table))
