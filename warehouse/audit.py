"""Is the warehouse what its contracts say? Every table, every key, every reference."""

from __future__ import annotations

from typing import Any

from warehouse.check import check
from warehouse.contracts import TABLES, Table
from warehouse.digest import table_digest
from warehouse.errors import ContractError, StoreError
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
    """One row per table: rows, digest of its content, and the problems found ('' where none).

    Raises: StoreError where there is no warehouse.
    """
    if not (store.home / "tables").is_dir():
        raise StoreError(f"no warehouse in {store.home}; name its folder with --home")
    rows = [_audited(store, table) for table in TABLES.values()]
    if all(row["rows"] is not None for row in rows):  # a reference needs both of its tables
        for row in rows:
            broken = [_dangling(store, *each) for each in REFERENCES if each[0] == row["table"]]
            row["problems"] = "; ".join(filter(None, [row["problems"], *broken]))
    return rows


def _audited(store: Store, table: Table) -> dict[str, Any]:
    """Rows, digest and own problems of a table; rows is None where it cannot be read."""
    found: dict[str, Any] = {"table": table.name, "rows": None, "digest": None, "problems": ""}
    try:
        rows = store.read(table.name)
        found |= {"rows": rows.num_rows, "digest": table_digest(rows, table.content)[:16]}
        check(table, rows)
    except (ContractError, StoreError) as error:
        found["problems"] = str(error)
    return found


def _dangling(store: Store, table: str, columns: str, other: str, keys: str) -> str:
    """Words for rows that refer to nothing; '' where all refer to something."""
    found = store.query(
        f"SELECT DISTINCT {columns} FROM {table} EXCEPT SELECT {keys} FROM {other} ORDER BY ALL"
    )
    if not found.num_rows:
        return ""
    first = ", ".join(str(value) for value in found.to_pylist()[0].values())
    return f"{found.num_rows} values of {columns} are not in {other} (first: {first})"
