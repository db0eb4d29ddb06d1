"""A private read-only session on the face, for people."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

import duckdb
import pyarrow as pa

from warehouse.errors import StoreError

QUESTIONS = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN)


class Session:
    """In-memory DuckDB with the current face attached READ_ONLY.

    home: folder of the warehouse.
    Raises: StoreError where no face was published yet.
    """

    def __init__(self, home: Path) -> None:
        face = home.absolute() / "warehouse.duckdb"
        if not face.exists():
            raise StoreError(
                f"no warehouse at {face}; run `soli demo` or `soli ingest`, or name another --home"
            )
        self._db = duckdb.connect()
        self._db.execute("SET TimeZone = 'UTC'")
        try:
            self._db.execute(f"ATTACH '{_escaped(face.resolve())}' AS face (READ_ONLY)")
            self._db.execute("USE face")
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

    def ask(self, sql: str) -> pa.Table:
        """Arrow table of one query.

        Raises: StoreError with DuckDB's own words, and for anything but one question.
        """
        try:
            kinds = [statement.type for statement in self._db.extract_statements(sql)]
            if len(kinds) != 1 or kinds[0] not in QUESTIONS:
                raise StoreError(
                    "ask one question with SELECT, FROM or DESCRIBE; the session is read-only"
                )
            answer = self._db.sql(sql)
        except duckdb.Error as error:
            raise StoreError(f"query failed: {error}") from error
        assert answer is not None
        return answer.to_arrow_table()

    def names(self) -> list[str]:
        """Tables and views of the face."""
        rows = self._db.execute(
            "SELECT view_name FROM duckdb_views() WHERE NOT internal ORDER BY 1"
        ).fetchall()
        return [name for (name,) in rows]


def _escaped(path: Path) -> str:
    return str(path).replace("'", "''")
