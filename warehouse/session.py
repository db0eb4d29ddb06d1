"""A private read-only session on the face, for people."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import duckdb
import pyarrow as pa

from warehouse import engine
from warehouse.contracts import TABLES
from warehouse.errors import StoreError

QUESTIONS = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN)


class Session:
    """In-memory DuckDB with the current face attached READ_ONLY.

    home: folder of the warehouse.
    as_of: every table and view reads as it was known then; None: as it is known now.
    Raises: StoreError where no face was published yet.
    """

    def __init__(self, home: Path, as_of: datetime | None = None) -> None:
        face = home.absolute() / "warehouse.duckdb"
        if not face.exists():
            raise StoreError(
                f"no warehouse at {face}; run `soli ingest` (where there are tables:"
                " `soli warehouse rebuild`), or name another --home"
            )
        self.face = face.resolve()
        self._db = engine.connect()
        try:
            self._db.execute(f"ATTACH '{_escaped(self.face)}' AS face (READ_ONLY)")
            self._db.execute("USE face")
            if as_of is not None:
                _cut(self._db, as_of)
        except duckdb.Error as error:
            raise StoreError(
                f"{face} cannot be opened ({error}); make it anew with `soli warehouse rebuild`"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._db.close()

    def ask(self, sql: str, values: Mapping[str, str] | None = None) -> pa.Table:
        """Arrow table of one query; values are bound as $name.

        Raises: StoreError with DuckDB's own words, and for anything but one question.
        """
        try:
            kinds = [statement.type for statement in self._db.extract_statements(sql)]
            if len(kinds) != 1 or kinds[0] not in QUESTIONS:
                raise StoreError(
                    "ask one question with SELECT, FROM or DESCRIBE; the session is read-only"
                )
            answer = self._db.sql(sql, params=dict(values) if values else None)
        except duckdb.IOException as error:
            raise StoreError(
                f"a file of the warehouse cannot be read ({error}); ask again, and if it stays so"
                " make the face anew with `soli warehouse rebuild`"
            ) from error
        except duckdb.Error as error:
            raise StoreError(f"query failed: {error}") from error
        assert answer is not None
        return answer.to_arrow_table()

    def names(self) -> list[str]:
        """Tables and views that can be asked."""
        rows = self._db.execute(
            "SELECT view_name FROM duckdb_views()"
            " WHERE NOT internal AND database_name = current_database() ORDER BY 1"
        ).fetchall()
        return [name for (name,) in rows]


def _cut(db: duckdb.DuckDBPyConnection, moment: datetime) -> None:
    """Put a view of its name before each one of the face: tables cut at the moment, and questions.

    A question names what it reads without a database, so its own text finds the cut tables, and so
    do the macros of the face.
    """
    found = db.execute(
        "SELECT view_name, sql FROM duckdb_views() WHERE database_name = 'face' AND NOT internal"
        " ORDER BY view_oid"
    ).fetchall()
    db.execute("SET search_path = 'memory.main,face.main'")
    for name, sql in found:
        known = f"FROM face.{name} WHERE observed_at <= TIMESTAMPTZ '{moment.isoformat()}'"
        db.execute(f"CREATE VIEW {name} AS {known}" if name in TABLES else sql)


def _escaped(path: Path) -> str:
    return str(path).replace("'", "''")
