"""Runs: what was measured or decided at one time, under an id of its own."""

from __future__ import annotations

import pyarrow as pa

from warehouse.digest import table_digest, value_digest
from warehouse.store import Store, contract_of


def as_run(
    store: Store, tables: dict[str, pa.Table], column: str, method: str | None = None
) -> dict[str, pa.Table]:
    """The tables of one run under its id, in `column`.

    method: for consensus, whose methods are runs of their own.

    The newest run keeps its id where it found the same; anything else is a run of its own. Labels
    or settings that change and change back are so a new run, and the newest rows are those of the
    last run. The first table, which is written first, knows the runs.
    """
    content = [
        [_ids(table, column), table_digest(table, _told(name, column))]
        for name, table in tables.items()
    ]
    runs = _runs(store, next(iter(tables)), column, method)
    identity = value_digest([content, len(runs) - 1])
    if not runs or runs[-1] != identity:
        identity = value_digest([content, len(runs)])
    return {name: _under(table, column, identity) for name, table in tables.items()}


def _told(name: str, column: str) -> list[str]:
    """Columns by which two runs differ: content and key, without the run's id."""
    contract = contract_of(name)
    return sorted({*contract.content, *contract.key} - {column})


def _runs(store: Store, name: str, column: str, method: str | None) -> list[str]:
    """Ids of the runs in a table, in the order of their commits."""
    where = "WHERE method = $m" if method else ""
    found = store.query(
        f"SELECT {column} AS id FROM {name} {where} GROUP BY id ORDER BY min(observed_at)",
        {"m": method} if method else {},
    )
    ids: list[str] = found["id"].to_pylist()
    return ids


def _ids(table: pa.Table, column: str) -> list[str]:
    """Ids that the rows came with: what they were made from; none where they came without."""
    return sorted(set(table[column].to_pylist())) if column in table.column_names else []


def _under(table: pa.Table, column: str, identity: str) -> pa.Table:
    """The rows under this id, which is the first column of its contracts."""
    ids = pa.array([identity] * table.num_rows, pa.string())
    field = pa.field(column, pa.string(), nullable=False)
    rest = table.drop([column]) if column in table.column_names else table
    return rest.add_column(0, field, ids)
