"""Where words stand in the texts of the tables."""

from __future__ import annotations

from collections.abc import Sequence

from warehouse.contracts import TABLES
from warehouse.store import Store
from warehouse.views import quoted


def columns_naming(store: Store, texts: Sequence[str]) -> dict[tuple[str, str], int]:
    """(table, column) -> rows whose text holds one of the texts as a word, in whatever case.

    Columns that may only hold one of a few words are left out.
    """
    found: dict[tuple[str, str], int] = {}
    for name, contract in TABLES.items():
        columns = [c.name for c in contract.columns if c.kind in ("string", "json") and not c.check]
        if not texts or not columns or not store.files(name):
            continue
        counts = ", ".join(
            f"count(*) FILTER ({' OR '.join(_holds(column, text) for text in texts)})"
            for column in columns
        )
        with store.connect({name}) as db:
            row = db.sql(f"SELECT {counts} FROM {name}").fetchall()[0]
        found |= {(name, c): int(n) for c, n in zip(columns, row, strict=True) if n}
    return found


def _holds(column: str, text: str) -> str:
    """Most rows are told from others by `contains`, which is faster than an expression."""
    word, other = quoted(text), r"[^\pL\pN_]"
    bounded = f"'(?i)(^|{other})' || regexp_escape({word}) || '($|{other})'"
    found = f"contains(lower({column}), lower({word}))"
    return f"({found} AND regexp_matches({column}, {bounded}))"
