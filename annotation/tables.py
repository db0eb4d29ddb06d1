"""Arrow tables in the shape of the contracts, before the store stamps `observed_at`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from warehouse.contracts import TABLES


def schema(table: str) -> pa.Schema:
    """The contract's schema without `observed_at`."""
    full = TABLES[table].schema
    return full.remove(full.get_field_index("observed_at"))


def from_rows(table: str, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Rows as a table; keys that the contract does not know are left out."""
    return pa.Table.from_pylist(list(rows), schema=schema(table))
