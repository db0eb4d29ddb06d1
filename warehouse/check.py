"""A batch against its contract, in an in-memory DuckDB table that enforces it.

Arrow's own validation lets a null through a non-nullable field; DuckDB enforces NOT NULL, CHECK
and PRIMARY KEY. Where it refuses, `explain` finds the column, the count and the first value.
"""

from __future__ import annotations

import duckdb
import pyarrow as pa

from warehouse.contracts import Column, Table
from warehouse.errors import ContractError


def check(contract: Table, batch: pa.Table) -> pa.Table:
    """Return the batch in the contract's column order and types.

    batch: columns of the contract, in any order.
    Raises: ContractError naming the table, the column, how many rows and the first bad value.
    """
    typed = _typed(contract, batch)
    with duckdb.connect() as db:
        db.register("batch", typed)
        try:
            db.execute(contract.ddl)
            db.execute(f"INSERT INTO {contract.name} SELECT * FROM batch")
        except duckdb.ConstraintException as error:
            raise ContractError(explain(contract, db) or f"{contract.name}: {error}") from error
    return typed


def _typed(contract: Table, batch: pa.Table) -> pa.Table:
    expected, given = set(contract.schema.names), set(batch.column_names)
    if expected != given:
        raise ContractError(
            f"{contract.name}: columns differ from the contract"
            f" (missing {sorted(expected - given)}, unknown {sorted(given - expected)})"
        )
    columns = [_cast(contract, column, batch[column.name]) for column in contract.columns]
    return pa.table(columns, schema=_lenient(contract.schema))


def _lenient(schema: pa.Schema) -> pa.Schema:
    """Schema without NOT NULL: the check below reports nulls with their place."""
    return pa.schema([field.with_nullable(True) for field in schema])


def _cast(contract: Table, column: Column, values: pa.ChunkedArray) -> pa.ChunkedArray:
    wanted = contract.schema.field(column.name).type
    try:
        return values.cast(wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ContractError(
            f"{contract.name}.{column.name}: cannot be read as {column.kind}: {error}"
        ) from error


def explain(contract: Table, db: duckdb.DuckDBPyConnection) -> str | None:
    """One line on the first broken constraint of the registered `batch`; None where all hold."""
    key = ", ".join(contract.key)
    total = _one(db, "SELECT count(*) FROM batch")[0]
    for column in contract.columns:
        for wrong, sentence in _broken(column):
            count, first, where = _one(
                db,
                f"SELECT count(*), any_value({column.name}), any_value(concat_ws('/', {key}))"
                f" FROM (SELECT * FROM batch WHERE {wrong} ORDER BY ALL LIMIT 1000000)",
            )
            if count:
                return (
                    f"{contract.name}.{column.name}: {count} of {total} rows {sentence}"
                    f" (for example {first!r} at {key} = {where})"
                )
    doubles = db.execute(
        f"SELECT concat_ws('/', {key}), count(*) FROM batch GROUP BY {key} HAVING count(*) > 1"
        " ORDER BY 1 LIMIT 1"
    ).fetchone()
    if doubles:
        return f"{contract.name}: key ({key}) = {doubles[0]} stands {doubles[1]} times in the batch"
    return None


def _broken(column: Column) -> list[tuple[str, str]]:
    """SQL for the rows that break the column, with the words for it."""
    rules = []
    if not column.nullable:
        rules.append((f"{column.name} IS NULL", "hold no value"))
    if column.check:
        rules.append((f"NOT ({column.check})", f"break {column.check}"))
    return rules


def _one(db: duckdb.DuckDBPyConnection, sql: str) -> tuple[object, ...]:
    row = db.execute(sql).fetchone()
    assert row is not None
    return tuple(row)
