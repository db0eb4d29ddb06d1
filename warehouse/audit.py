"""Is the warehouse what its contracts say? Every table, every key, every reference."""

from __future__ import annotations

from typing import Any

from warehouse.check import check
from warehouse.contracts import TABLES, Table
from warehouse.digest import table_digest
from warehouse.errors import ContractError
from warehouse.store import Store

# (table, its columns, the table referred to, that table's columns)
REFERENCES = (
    ("items", "prompt_id", "prompts", "prompt_id"),
    ("consensus", "item_id", "items", "item_id"),
    ("pair_set_items", "item_id", "items", "item_id"),
    ("pair_set_items", "pair_set_id", "pair_sets", "pair_set_id"),
    ("pairs", "pair_set_id", "pair_sets", "pair_set_id"),
    (
        "pairs",
        "pair_set_id, dimension, winner",
        "pair_set_items",
        "pair_set_id, dimension, ordinal",
    ),
    ("pairs", "pair_set_id, dimension, other", "pair_set_items", "pair_set_id, dimension, ordinal"),
    ("runs", "pair_set_id", "pair_sets", "pair_set_id"),
    ("scores", "model_id", "runs", "model_id"),
    ("scores", "item_id", "items", "item_id"),
    ("label_events", "source", "projects", "source"),
    ("label_events", "pull_id", "pulls", "pull_id"),
)


def audit(store: Store) -> list[dict[str, Any]]:
    """One row per table: rows, digest of its content, and the problems found ('' where none)."""
    return [_audited(store, table) for table in TABLES.values()]


def _audited(store: Store, table: Table) -> dict[str, Any]:
    rows = store.read(table.name)
    problems = []
    try:
        check(table, rows)
    except ContractError as error:
        problems.append(str(error))
    problems += [
        _dangling(store, *reference) for reference in REFERENCES if reference[0] == table.name
    ]
    return {
        "table": table.name,
        "rows": rows.num_rows,
        "digest": table_digest(rows, table.content)[:16],
        "problems": "; ".join(filter(None, problems)),
    }


def _dangling(store: Store, table: str, columns: str, other: str, keys: str) -> str:
    """Words for rows that refer to nothing; '' where all refer to something."""
    found = store.query(
        f"SELECT DISTINCT {columns} FROM {table} EXCEPT SELECT {keys} FROM {other} ORDER BY ALL"
    )
    if not found.num_rows:
        return ""
    first = ", ".join(str(value) for value in found.to_pylist()[0].values())
    return f"{found.num_rows} values of {columns} are not in {other} (first: {first})"
