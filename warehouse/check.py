"""Rows against their contract: types and columns, NOT NULL and CHECK, and unique keys.

Arrow's own validation lets a null through a non-nullable field, so DuckDB looks for nulls as it
does for broken CHECKs, in one pass. Keys are compared by a grouping that can spill to disk: the
index of a PRIMARY KEY over millions of rows lives in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb
import pyarrow as pa

from warehouse.contracts import Column, Table
from warehouse.errors import ContractError


def check(contract: Table, rows: pa.Table, db: duckdb.DuckDBPyConnection) -> pa.Table:
    """Return the rows in the contract's column order and types.

    rows: columns of the contract without `observed_at`, in any order.
    db: any connection; used for the moment only.
    Raises: ContractError naming the table, the column, how many rows and the first bad value.
    Keys are not compared: see `doubled`.
    """
    columns = unstamped(contract)
    typed = _typed(contract, columns, rows)
    db.register("checked", typed)
    try:
        if words := broken(contract, columns, "checked", db):
            raise ContractError(words)
    finally:
        db.unregister("checked")
    return typed


def unstamped(contract: Table) -> tuple[Column, ...]:
    """Columns that a writer gives; `observed_at` is ours."""
    return tuple(column for column in contract.columns if column.name != "observed_at")


def _typed(contract: Table, columns: Sequence[Column], rows: pa.Table) -> pa.Table:
    expected, given = {column.name for column in columns}, set(rows.column_names)
    if expected != given:
        raise ContractError(
            f"{contract.name}: columns differ from the contract"
            f" (missing {sorted(expected - given)}, unknown {sorted(given - expected)})"
        )
    values = [_cast(contract, column, rows[column.name]) for column in columns]
    # Without NOT NULL: nulls are reported with their place.
    fields = [contract.schema.field(c.name).with_nullable(nullable=True) for c in columns]
    return pa.table(values, schema=pa.schema(fields))


def _cast(contract: Table, column: Column, values: pa.ChunkedArray) -> pa.ChunkedArray:
    wanted = contract.schema.field(column.name).type
    try:
        return values.cast(wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ContractError(
            f"{contract.name}.{column.name}: cannot be read as {column.kind}: {error}"
        ) from error


def broken(
    contract: Table, columns: Sequence[Column], source: str, db: duckdb.DuckDBPyConnection
) -> str:
    """One line on the first NOT NULL or CHECK that rows of the source break; '' where all hold."""
    rules = [(column, *rule) for column in columns for rule in _rules(column)]
    counts = ", ".join(f"count(*) FILTER ({wrong})" for _, wrong, _ in rules)
    total, *found = one(db, f"SELECT count(*), {counts} FROM {source}")
    for (column, wrong, sentence), count in zip(rules, found, strict=True):
        if count:
            key = ", ".join(contract.key)
            first, where = one(
                db,
                f"SELECT {column.name}, concat_ws('/', {key}) FROM {source} WHERE {wrong}"
                " ORDER BY ALL LIMIT 1",
            )
            return (
                f"{contract.name}.{column.name}: {count} of {total} rows {sentence}"
                f" (for example {first!r} at {key} = {where})"
            )
    return ""


def _rules(column: Column) -> list[tuple[str, str]]:
    """SQL for the rows that break the column, with the words for it."""
    rules = []
    if not column.nullable:
        rules.append((f"{column.name} IS NULL", "hold no value"))
    if column.check:
        rules.append((f"NOT ({column.check})", f"break {column.check}"))
    return rules


def doubled(contract: Table, source: str, db: duckdb.DuckDBPyConnection) -> bool:
    """Is a key likely to stand twice in the source? Their hashes go to `suspects_of_TABLE`.

    Hashes are compared, which is a fifth of the memory; two keys with one hash make suspects of
    each other and no more, so what is decided on suspects must compare the keys themselves.
    """
    key, suspects = ", ".join(contract.key), f"suspects_of_{contract.name}"
    db.execute(
        f"CREATE OR REPLACE TEMP TABLE {suspects} AS SELECT hash({key}) AS h FROM {source}"
        " GROUP BY h HAVING count(*) > 1"
    )
    return bool(one(db, f"SELECT count(*) FROM {suspects}")[0])


def one(db: duckdb.DuckDBPyConnection, sql: str) -> tuple[Any, ...]:
    """The only row of an answer; read to its end, as DuckDB wants before the next question."""
    (row,) = db.execute(sql).fetchall()
    return tuple(row)
