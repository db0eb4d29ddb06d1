"""Whether the warehouse is what its contracts, its commits and its face say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import duckdb

from warehouse.check import broken, doubled
from warehouse.contracts import TABLES, Table
from warehouse.digest import table_digest
from warehouse.errors import ContractError, StoreError, one_line
from warehouse.manifest import digest_sql
from warehouse.session import Session
from warehouse.store import Store

# (table, its columns, the table referred to, that table's columns)
REFERENCES = (
    ("items", "prompt_id", "prompts", "prompt_id"),
    ("media", "item_id", "items", "item_id"),
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
    ("task_events", "pull_id", "pulls", "pull_id"),
    ("quarantine", "pull_id", "pulls", "pull_id"),
    ("resolutions", "quarantine_id", "quarantine", "quarantine_id"),
    ("resolutions", "pull_id", "pulls", "pull_id"),
)

Stamps = dict[int, tuple[int, str]]  # observed_at in microseconds -> rows, their digest


def audit(store: Store) -> list[dict[str, Any]]:
    """One row per table: rows, digest of its content, and the problems found ('' where none).

    `unrecorded` counts rows that no commit gave a digest for (written before Soli did so, or by
    another program): whether they are what was committed, nobody can say. Where a face is
    published, the last row, `face`, says whether it shows the rows of the tables.
    Raises: StoreError where there is no warehouse.
    """
    store.require()
    stamps: dict[str, Stamps] = {}
    rows = [_audited(store, table, stamps) for table in TABLES.values()]
    if len(stamps) == len(TABLES):  # a reference needs both of its tables
        with store.connect(TABLES) as db:
            for row in rows:
                dangling = [_dangling(db, *each) for each in REFERENCES if each[0] == row["table"]]
                counted = _uncounted(db) if row["table"] == "pulls" else ""
                row["problems"] = "; ".join(filter(None, [row["problems"], *dangling, counted]))
    if (store.home / "warehouse.duckdb").is_symlink():
        public = {name: found for name, found in stamps.items() if not TABLES[name].private}
        rows.append(_face(store, public))
    return rows


def _audited(store: Store, table: Table, stamps: dict[str, Stamps]) -> dict[str, Any]:
    """Rows, digest and own problems of a table; `stamps` gets what each of its commits holds."""
    found: dict[str, Any] = {"table": table.name, "rows": None, "digest": None, "unrecorded": 0}
    try:
        with store.connect([table.name]) as db:
            there = _stamps(db, table)
            noted = {note.stamp: (note.rows, note.digest) for note in store.lake.notes(table.name)}
            problems = [*_lost(noted, there), *_broken(db, table)]
            content = db.sql(f"SELECT {', '.join(table.content) or 'NULL'} FROM {table.name}")
            found["digest"] = table_digest(content.to_arrow_table(), table.content)[:16]
        found["rows"] = sum(rows for rows, _ in there.values())
        found["unrecorded"] = sum(rows for at, (rows, _) in there.items() if at not in noted)
        stamps[table.name] = there
    except (ContractError, StoreError) as error:
        problems = [one_line(error)]
    return found | {"problems": "; ".join(filter(None, problems))}


def _stamps(db: duckdb.DuckDBPyConnection, table: Table) -> Stamps:
    """Rows and their digest per commit time."""
    rows = db.execute(
        f"SELECT epoch_us(observed_at), count(*), {digest_sql(table)} FROM {table.name} GROUP BY 1"
    ).fetchall()
    return {stamp: (count, digest) for stamp, count, digest in rows}


def _broken(db: duckdb.DuckDBPyConnection, table: Table) -> list[str]:
    """Words for values that break the contract, and for a key that stands twice."""
    words = [broken(table, table.columns, table.name, db)]
    if doubled(table, table.name, db):
        key = ", ".join(table.key)
        twice = db.execute(
            f"SELECT concat_ws('/', {key}), count(*) FROM {table.name}"
            f" WHERE hash({key}) IN (FROM suspects_of_{table.name})"
            f" GROUP BY {key} HAVING count(*) > 1 ORDER BY 1 LIMIT 1"
        ).fetchall()
        words += [f"key ({key}) = {where} stands {count} times" for where, count in twice]
    return words


def _lost(noted: Stamps, there: Stamps) -> Iterator[str]:
    """Words for commits whose rows are not what was committed."""
    for stamp, (rows, digest) in sorted(noted.items()):
        left, now = there.get(stamp, (0, ""))
        if left != rows:
            yield f"of {rows} rows committed at {_moment(stamp)}, {left} are there"
        elif now != digest:
            yield f"the {rows} rows committed at {_moment(stamp)} have changed since"


def _moment(stamp: int) -> str:
    return datetime.fromtimestamp(stamp / 1e6, UTC).isoformat(sep=" ", timespec="microseconds")


def _face(store: Store, tables: Mapping[str, Stamps]) -> dict[str, Any]:
    """The row of the face: whether it shows the rows of the tables, or of an earlier moment."""
    row: dict[str, Any] = {"table": "face", "rows": None, "digest": None, "unrecorded": 0}
    row["problems"] = ""
    try:
        with Session(store.home) as session:
            problems = [_shown(session, name, stamps) for name, stamps in tables.items()]
    except StoreError as error:
        problems = [one_line(error)]
    if found := list(filter(None, problems)):
        lost = any("has lost" in words for words in found)
        advice = (
            "restore the tables from a backup"
            if lost
            else ("make it anew with `soli warehouse rebuild`")
        )
        row["problems"] = "; ".join([*found, advice])
    return row


def _shown(session: Session, name: str, there: Stamps) -> str:
    """Words for a table of which the face shows other rows."""
    rows = session.ask(f"SELECT epoch_us(observed_at) AS s, count(*) AS n FROM {name} GROUP BY 1")
    shown = dict(zip(rows["s"].to_pylist(), rows["n"].to_pylist(), strict=True))
    newest = max(shown, default=0)  # it cannot show what came later
    expected = {stamp: count for stamp, (count, _) in there.items() if stamp <= newest}
    if shown == expected:
        return ""
    if shown.items() > expected.items():
        lost = min(shown.keys() - expected.keys())
        return f"{name} has lost the rows committed at {_moment(lost)}, which the face still names"
    return (
        f"{name}: the face shows {sum(shown.values())} rows where the table has"
        f" {sum(expected.values())}"
    )


def _uncounted(db: duckdb.DuckDBPyConnection) -> str:
    """Words for pulls that added more events than are there: a commit was lost; '' for none."""
    rows = db.execute(
        "SELECT pull_id, events, n FROM (SELECT pull_id, events, (SELECT count(*) FROM label_events"
        " AS e WHERE e.pull_id = p.pull_id) AS n FROM pulls AS p) WHERE n <> events ORDER BY ALL"
    ).fetchall()
    if not rows:
        return ""
    first, wanted, there = rows[0]
    return (
        f"{len(rows)} pulls added other numbers of label events than are there (first: {first},"
        f" {wanted} added, {there} there); restore the tables from a backup"
    )


def _dangling(
    db: duckdb.DuckDBPyConnection, table: str, columns: str, other: str, keys: str
) -> str:
    """Words for rows that refer to nothing; '' where all refer to something."""
    missing = f"SELECT DISTINCT {columns} FROM {table} EXCEPT SELECT {keys} FROM {other}"
    rows = db.execute(f"{missing} ORDER BY ALL").fetchall()
    if not rows:
        return ""
    first = ", ".join(map(str, rows[0]))
    return f"{len(rows)} values of {columns} are not in {other} (first: {first})"
