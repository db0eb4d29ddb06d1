"""The data dictionary: every table, view and column in words, as a page of Markdown.

Written from the contracts and the headers of the views, which alone say what a column means.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing

import duckdb

from warehouse.contracts import SQL_TYPES, TABLES, Column, Table
from warehouse.engine import connect
from warehouse.views import VIEWS, View, column_docs, create, view

_SHORT = {"TIMESTAMP WITH TIME ZONE": SQL_TYPES["timestamp"]}  # DuckDB's own word for it
_INTRODUCTION = """\
# Data dictionary

Written by `make docs` from the contracts in `warehouse/contracts` and the views in `warehouse/sql`:
change those, not this page.

- *Grain*: what one row stands for, in the first sentence.
- *Key*: no two rows of a table agree in all columns marked so.
- *NULL*: `yes` where a value may be missing, and the meaning says when.
- *Role*: a digest sees *content*. *Bookkeeping* is what depends on the moment, the machine or the
  server: times of commit, ids given at random, places of files.
- `json` is text that holds JSON. Times are in UTC.
- As of: `labels_as_of(TIMESTAMPTZ '2026-11-21 04:56+00')`, and so on for each table and view, is
  what was [known then](../researchers.md#as-it-was-known-then).

What each is good for, with examples: [for researchers](../researchers.md)."""


def dictionary() -> str:
    """The page; the same bytes for the same contracts and views."""
    parts = [
        _INTRODUCTION,
        "## Tables of record\n\nOnly ever added to.",
        *map(_table, TABLES.values()),
        "## Views\n\nComputed from the tables of record whenever they are asked.",
        *_views(),
    ]
    return "\n\n".join(parts) + "\n"


def _table(table: Table) -> str:
    header = ("column", "type", "NULL", "key", "role", "meaning")
    rows = [_column(column, keyed=column.name in table.key) for column in table.columns]
    words = f"{table.doc} Version {table.version} of its contract."
    return f"### {table.name}\n\n{words}\n\n{markdown_table(header, rows)}"


def _column(column: Column, *, keyed: bool) -> tuple[str, ...]:
    kind = "json" if column.kind == "json" else SQL_TYPES[column.kind]
    meaning = column.doc + (f"; always `{column.check}`" if column.check else "")
    null, key = ("yes" if marked else "" for marked in (column.nullable, keyed))
    return (f"`{column.name}`", kind, null, key, column.role, meaning)


def _views() -> Iterator[str]:
    """A section for each view, with the types that DuckDB finds."""
    with closing(connect()) as db:
        create(db, {name: [] for name, table in TABLES.items() if not table.private})
        for question in map(view, VIEWS):
            yield _view(db, question)


def _view(db: duckdb.DuckDBPyConnection, question: View) -> str:
    known = column_docs() | question.columns
    described = db.execute(f"DESCRIBE {question.name}").fetchall()
    rows = [(f"`{name}`", _SHORT.get(kind, kind), known[name]) for name, kind, *_ in described]
    body = markdown_table(("column", "type", "meaning"), rows)
    return f"### {question.name}\n\n{question.doc}\n\n{body}"


def markdown_table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    r"""Cells as a table of Markdown.

    >>> print(markdown_table(["a", "b"], [["1 | 2", ""]]))
    | a | b |
    |---|---|
    | 1 \| 2 |  |
    """
    head = list(header)
    lines = [head, *(list(row) for row in rows)]
    drawn = [
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines
    ]
    return "\n".join([drawn[0], "|" + "---|" * len(head), *drawn[1:]])
