"""A deletion request in the history of runs that Prefect keeps in a home, a SQLite database.

Runs, their states and their numbers stay. In what they said (logs, artifacts, messages, parameters)
another word takes the place of a name; then the database is written anew, so that neither its free
pages nor its write-ahead log hold what was there.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from warehouse.erasure import WORD
from warehouse.errors import StoreError

DATABASE = Path("prefect") / "prefect.db"
PATIENCE = 20.0  # seconds that a run gets to end its transaction
# Columns that hold words of ours, in any table; the others hold Prefect's own. Prefect 3.8.8.
SAID = ("message", "data", "description", "metadata_", "parameters", "payload")


def erase_said(home: Path, words: re.Pattern[str]) -> int:
    """Put another word for these; safe to repeat, while Prefect runs, too.

    Returns: values that were changed.
    Raises: StoreError where the database is damaged, or somebody does not let go of it.
    """
    path = home / DATABASE
    if not path.exists():
        return 0
    try:
        with closing(sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)) as db:
            return _erase(db, words)
    except sqlite3.Error as error:
        raise StoreError(
            f"{path}: {error}; end the flows that run, and the Prefect server over this file,"
            " then go on with `soli forget --finish`"
        ) from error


def _erase(db: sqlite3.Connection, words: re.Pattern[str]) -> int:
    def mended(text: Any) -> Any:
        return redacted(text, words) if isinstance(text, str) else text

    db.create_function("mended", 1, mended, deterministic=True)
    db.execute("PRAGMA temp_store = memory")
    db.execute("BEGIN IMMEDIATE")
    changed = 0
    for table, column in _said(db):
        name, value = _quoted(table), _quoted(column)
        sql = f"UPDATE {name} SET {value} = mended({value}) WHERE {value} IS NOT mended({value})"
        changed += db.execute(sql).rowcount
    db.execute("COMMIT")
    db.execute("VACUUM")
    (busy, _, _) = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise sqlite3.OperationalError("its write-ahead log is being read")
    return changed


def _said(db: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    tables = db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
    for (table,) in tables.fetchall():
        columns = [row[1] for row in db.execute(f"PRAGMA table_info({_quoted(table)})")]
        if not table.startswith("block_"):  # descriptions of Prefect's own, and encrypted secrets
            yield from ((table, column) for column in columns if column in SAID)


def redacted(text: str, words: re.Pattern[str]) -> str:
    """A text, or the texts within JSON, with another word for these; keys are not said by anybody.

    >>> redacted('{"data": "of Ana", "Ana": 1}', re.compile("Ana"))
    '{"data": "of forgotten", "Ana": 1}'
    >>> redacted("of Ana", re.compile("Ana"))
    'of forgotten'
    """
    try:
        value = json.loads(text)
    except ValueError:
        return words.sub(WORD, text)
    mended = _within(value, words)
    return text if mended == value else json.dumps(mended)


def _within(value: Any, words: re.Pattern[str]) -> Any:
    if isinstance(value, dict):
        return {key: _within(each, words) for key, each in value.items()}
    if isinstance(value, list):
        return [_within(each, words) for each in value]
    return words.sub(WORD, value) if isinstance(value, str) else value


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
