"""Rows of one table on their way into it: kept, told from what is known, staged as its file."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from warehouse import engine, views
from warehouse.check import check, doubled, one
from warehouse.contracts import Table
from warehouse.disk import sync
from warehouse.errors import ContractError
from warehouse.lake import Lake, readable
from warehouse.manifest import Staged, rows_digest, staged_file, writable

# Rows of a table wait in memory until they take so much: half a million pairs do not.
SPOOL_BYTES = 32 << 20
ROW_GROUP = 32_768  # rows; larger ones take more memory to read

FILE_ROW_GROUP = 122_880  # of the files of tables: DuckDB's own, which its threads share out


class Spool:
    """Rows of one table in the order they came: in memory, on disk where they are many."""

    def __init__(self, contract: Table, folder: Path) -> None:
        self.contract = contract
        self.file = folder / f"{contract.name}.parquet"
        self._waiting: list[pa.Table] = []
        self._bytes = 0
        self._writer: pq.ParquetWriter | None = None

    @property
    def on_disk(self) -> bool:
        """Whether there are more rows than memory should hold."""
        return self._writer is not None

    @property
    def empty(self) -> bool:
        """Whether no row came."""
        return not self._waiting and not self.on_disk

    def append(self, rows: pa.Table) -> None:
        """Take in rows of the contract, unstamped."""
        self._waiting.append(rows)
        # Chunks that repeat one value share their memory, which `nbytes` would count again.
        self._bytes += min(rows.nbytes, rows.get_total_buffer_size())
        if self._bytes >= SPOOL_BYTES:
            self._flush()

    def _flush(self) -> None:
        rows = pa.concat_tables(self._waiting)
        if self._writer is None:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(self.file, rows.schema, compression="lz4")
        self._writer.write_table(rows, row_group_size=ROW_GROUP)
        self._waiting, self._bytes = [], 0

    def finish(self) -> Path | pa.Table:
        """All rows: a file, or a table where they are few."""
        if self._writer is None:
            return pa.concat_tables(self._waiting)
        if self._waiting:
            self._flush()
        self.close()
        return self.file

    def close(self) -> None:
        """Write no more; safe to repeat."""
        if self._writer is not None:
            self._writer.close()


class Incoming:
    """Rows of one table that a batch adds.

    Each has a connection of its own, so that the tables of a batch need not wait for each other.
    """

    def __init__(self, contract: Table, lake: Lake, folder: Path) -> None:
        self._contract = contract
        self._lake = lake
        self._folder = folder
        self._spool = Spool(contract, folder)
        self._batch = f"{contract.name}_batch"  # a view of the rows as they came
        self._source = self._batch  # SQL for those of them that are to be added
        self._kept: pa.Table | None = None  # the rows as they came, where memory holds them all
        self._db = engine.cursor()

    @property
    def on_disk(self) -> bool:
        """Whether there are more rows than memory should hold."""
        return self._spool.on_disk

    def add(self, rows: pa.Table) -> None:
        """Check rows and keep them.

        Raises: ContractError for rows that break the contract; StoreError for a full disk.
        """
        checked = check(self._contract, rows, self._db)
        if checked.num_rows:
            with writable(self._folder):
                self._spool.append(checked)

    def move(self, db: duckdb.DuckDBPyConnection) -> None:
        """Go on in another DuckDB."""
        self._db.close()
        self._db = db

    def prepare(self) -> int:
        """Find the rows that the table does not hold yet, and say how many they are.

        Raises: ContractError for a key with two contents, here or in the table.
        """
        contract = self._contract
        if self._spool.empty:
            return 0
        self._expose()
        self._source = self._once()
        if files := self._lake.files(contract.name):
            with readable(self._lake.home):
                views.create_table(self._db, contract, files, temp=True)
            if self._known():
                key = _key(contract)
                self._source = f"(FROM {self._source} ANTI JOIN {contract.name} USING ({key}))"
        return int(one(self._db, f"SELECT count(*) FROM {self._source}")[0])

    def _expose(self) -> None:
        """Make the rows a view, with their place as `file_row_number`."""
        rows = self._spool.finish()
        if isinstance(rows, Path):
            scan = f"read_parquet({views.quoted(str(rows))}, file_row_number = true)"
            self._db.execute(f"CREATE TEMP VIEW {self._batch} AS FROM {scan}")
        else:
            self._kept = rows
            places = pa.array(np.arange(rows.num_rows))
            self._db.register(self._batch, rows.append_column("file_row_number", places))

    def _once(self) -> str:
        """SQL source of the batch with each key once.

        Raises: ContractError where a key stands twice with different content.
        """
        contract, batch = self._contract, self._batch
        if not doubled(contract, batch, self._db):
            return batch
        suspects = f"suspects_of_{contract.name}"
        key, suspect = _key(contract), f"hash({_key(contract)}) IN (FROM {suspects})"
        clashes = self._db.execute(
            f"SELECT {key} FROM (SELECT DISTINCT {_content(contract)} FROM {batch} WHERE {suspect})"
            f" GROUP BY ALL HAVING count(*) > 1 ORDER BY ALL LIMIT 1"
        ).fetchall()
        for clash in clashes:
            raise ContractError(
                f"{contract.name}: key ({key}) = {_words(clash)} stands twice in the batch, with"
                " different content; give one of the rows a key of its own"
            )
        return (
            f"(FROM {batch} WHERE NOT {suspect} UNION ALL (SELECT DISTINCT ON ({key}) *"
            f" FROM {batch} WHERE {suspect} ORDER BY file_row_number))"
        )

    def _known(self) -> int:
        """How many rows of the batch have a key that the table holds, with the same content.

        Raises: ContractError where one has other content.
        """
        contract = self._contract
        key, columns = _key(contract), _content(contract).split(", ")
        ours, theirs = (", ".join(f"{side}.{c}" for c in columns) for side in ("b", "k"))
        count, clash = one(
            self._db,
            "SELECT count(*),"
            f" min(row({key})) FILTER (row({ours}) IS DISTINCT FROM row({theirs}))"
            f" FROM {self._batch} b JOIN {contract.name} k USING ({key})",
        )
        if clash:
            raise ContractError(
                f"{contract.name}: ({key}) = {_words(clash)} is known with other content, and rows"
                " are never changed in place; give the changed row a key of its own"
            )
        return int(count)

    def newest(self) -> int:
        """Stamp of the table's newest row, in microseconds; 0 where it has none."""
        if not self._lake.files(self._contract.name):
            return 0
        (newest,) = one(self._db, f"SELECT epoch_us(max(observed_at)) FROM {self._contract.name}")
        return int(newest or 0)

    def stage(self, stamp: int) -> Staged:
        """Write the new rows as the file that the table will hold."""
        contract = self._contract
        path = staged_file(self._folder, contract.name)
        if self._kept is not None and self._source == self._batch:
            _write(path, contract, self._kept, stamp)
        else:
            self._copy(path, stamp)
        sync(path)
        rows, digest = rows_digest(self._db, contract, f"read_parquet({views.quoted(str(path))})")
        return Staged(contract.name, rows, digest, self._lake.version(contract.name))

    def _copy(self, path: Path, stamp: int) -> None:
        """Write rows that only DuckDB can tell, or has the memory for."""
        columns = [
            f"make_timestamptz({stamp}) AS observed_at" if c.name == "observed_at" else c.name
            for c in self._contract.columns
        ]
        # Rows read as they lie keep their order; joins lose it, and sorting all costs seconds.
        order = "" if self._source == self._batch else "ORDER BY file_row_number"
        self._db.execute(
            f"COPY (SELECT {', '.join(columns)} FROM {self._source} {order})"
            f" TO {views.quoted(str(path))} (FORMAT parquet, COMPRESSION zstd)"
        )

    def close(self) -> None:
        """Let go of the rows; safe to repeat."""
        self._spool.close()
        self._db.close()


def _write(path: Path, contract: Table, rows: pa.Table, stamp: int) -> None:
    """All rows as they lie, stamped: half the work of handing them to DuckDB."""
    at = pa.repeat(pa.scalar(stamp, pa.timestamp("us", "UTC")), rows.num_rows)
    values = [at if c.name == "observed_at" else rows[c.name] for c in contract.columns]
    stamped = pa.table(values, names=[c.name for c in contract.columns])
    pq.write_table(
        stamped, path, compression="zstd", row_group_size=FILE_ROW_GROUP, store_schema=False
    )


def _key(contract: Table) -> str:
    return ", ".join(contract.key)


def _content(contract: Table) -> str:
    """Columns that a key must always stand with: itself and what digests see."""
    return ", ".join(dict.fromkeys((*contract.key, *contract.content)))


def _words(key: object) -> str:
    values = key.values() if isinstance(key, dict) else key
    return " / ".join(map(str, values))  # type: ignore[call-overload]
