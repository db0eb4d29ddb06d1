"""The Delta tables of record: where each lies, what it holds, and what its commits say.

A commit's metadata carry the note `soli`: the batch that made it, its stamp, the number of its
rows and their digest (manifest.rows_digest), so that `verify` can tell what was committed from what
is there. The log is kept for ever for that reason.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, WriterProperties, write_deltalake
from deltalake.exceptions import DeltaError, TableNotFoundError
from deltalake.schema import Schema
from deltalake.transaction import AddAction

from warehouse import engine, remote
from warehouse.contracts import TABLES, Table
from warehouse.disk import sync
from warehouse.errors import StoreError, one_line

VERSION_PROPERTY = "soli.contract.version"
NOTE = "soli"
REWRITTEN = (
    "soli_rewritten"  # in a commit of rewrite.py, instead of NOTE: the notes of what is left
)
SMALL = 16 << 20  # bytes; files below are merged
TARGET = 64 << 20  # bytes; no merged file is larger
KEEP_LOG = {"delta.enableExpiredLogCleanup": "false"}
# Measured: what DuckDB 2.0 raises, beside duckdb.Error itself, where bytes of a file were changed;
# and BinderException where a column's name was hit.
DAMAGE = (
    duckdb.FatalException,  # what follows an InternalException
    duckdb.InternalException,
    duckdb.InvalidInputException,
    duckdb.IOException,
    duckdb.NotImplementedException,
    duckdb.OutOfMemoryException,  # a length; or memory ran out indeed
)


@dataclass(frozen=True)
class Note:
    """What a commit says about itself."""

    batch: str
    stamp: int  # observed_at of all its rows, microseconds since 1970
    rows: int
    digest: str


class Lake:
    """Delta tables below one folder or URL; opened once, then kept up to date.

    url: object store that holds the tables, e.g. s3://bucket/prefix; None: the home does. `people`
        are always in the home.
    """

    def __init__(self, home: Path, url: str | None = None) -> None:
        self.home = home
        self.url = url
        self._open: dict[str, tuple[tuple[int, int], DeltaTable]] = {}

    def path(self, name: str) -> Path:
        """Folder of a table in the home: the Delta table itself, or the mirror of a remote one."""
        if TABLES[name].private:
            return self.home / "people"
        return self.home / ("mirror" if self.url else "tables") / name

    def remote(self, name: str) -> bool:
        """Whether the table lies at the object store."""
        return self.url is not None and not TABLES[name].private

    def location(self, name: str) -> str:
        """Where the Delta table lies: a folder or a URL."""
        return f"{self.url}/{name}" if self.remote(name) else str(self.path(name))

    # Reading

    def table(self, name: str) -> DeltaTable | None:
        """The table as it is now; None where nothing was written.

        Raises: StoreError where it is damaged or cannot be reached, or its contract is newer than
            this program.
        """
        with self._sound(name):
            table = self._current(name)
        if table is not None and (version := contract_version(table)) > TABLES[name].version:
            raise StoreError(
                f"{name}: written under contract version {version}, this Soli knows up to"
                f" {TABLES[name].version}; upgrade Soli"
            )
        return table

    def _current(self, name: str) -> DeltaTable | None:
        """An opened table costs 5 ms, one that is open already 0.3 ms."""
        identity = self._identity(name)
        known = self._open.get(name)
        if known and known[0] == identity:
            known[1].update_incremental()
            return known[1]
        self._open.pop(name, None)
        if identity is None:
            return None
        try:
            table = self.at(name)
        except TableNotFoundError:
            return None
        self._open[name] = identity, table
        return table

    def at(self, name: str, version: int | None = None) -> DeltaTable:
        """The Delta table opened for itself, as it is or as it was at a version."""
        options = remote.OPTIONS if self.remote(name) else None
        return DeltaTable(self.location(name), version=version, storage_options=options)

    def _identity(self, name: str) -> tuple[int, int] | None:
        """What tells a table from another one put in its place, e.g. restored from a backup."""
        if self.remote(name):
            return 0, 0
        log = self.path(name) / "_delta_log"
        # The first commit never changes; after a rewrite a checkpoint is the first there is.
        for path in (log / f"{0:020}.json", log / "_last_checkpoint", log):
            with suppress(FileNotFoundError):
                found = path.stat()
                return found.st_ino, 0 if path == log else found.st_mtime_ns
        return None

    @contextmanager
    def _sound(self, name: str) -> Iterator[None]:
        try:
            yield
        except (DeltaError, OSError) as error:
            raise StoreError(self._trouble(name, one_line(error))) from error

    def _trouble(self, name: str, words: str) -> str:
        if self.remote(name):
            return (
                f"{self.location(name)} cannot be read ({words}); check SOLI_TABLES, AWS_* and that"
                " the server is up"
            )
        return f"{self.path(name)} is damaged ({words}); restore it"

    def files(self, name: str) -> list[str]:
        """Local Parquet files of the table's current version, sorted; empty where there is none.

        Raises: StoreError where the table is damaged or cannot be reached, or its contract is newer
            than this program.
        """
        table = self.table(name)
        if table is None:
            return []
        if self.remote(name):
            with self._sound(name):
                return remote.mirror(self.path(name), table)
        return sorted(unquote(uri) for uri in table.file_uris())

    def exists(self, name: str) -> bool:
        """Whether the table was ever written, sound or not."""
        if not self.remote(name):
            return self._identity(name) is not None
        return self.table(name) is not None

    def version(self, name: str) -> int:
        """Version of the Delta table; -1 where nothing was written."""
        table = self.table(name)
        return int(table.version()) if table else -1

    def notes(self, name: str, after: int = -1) -> list[Note]:
        """What the commits after a version say about themselves, the newest first.

        A rewrite says it of all the commits before.
        """
        table = self.table(name)
        newer = int(table.version()) - after if table else 0
        if table is None or newer <= 0:
            return []
        with self._sound(name):
            history = table.history(newer)
        notes = []
        for commit in history:
            if NOTE in commit:
                notes.append(Note(**commit[NOTE]))
            if REWRITTEN in commit:
                return notes + [Note(**note) for note in reversed(commit[REWRITTEN])]
        return notes

    # Writing

    def commit(self, contract: Table, file: Path, note: Note) -> None:
        """Add a Parquet file of the contract's columns as one commit that carries the note."""
        table = self._ready(contract)
        properties = CommitProperties(custom_metadata={NOTE: asdict(note)})
        if self.remote(contract.name):
            with pq.ParquetFile(file) as rows:
                write_deltalake(
                    table,
                    pa.RecordBatchReader.from_batches(rows.schema_arrow, rows.iter_batches(16_384)),
                    mode="append",
                    writer_properties=WriterProperties(compression="ZSTD"),
                    commit_properties=properties,
                )
            return
        name = f"part-{note.batch}.parquet"
        target = self.path(contract.name) / name
        target.unlink(missing_ok=True)  # left by a commit that was killed
        place(file, target)
        table.create_write_transaction(
            [added(target, note.rows, note.stamp // 1000)],
            mode="append",
            schema=table.schema(),
            partition_by=[],
            commit_properties=properties,
        )
        table.update_incremental()
        sync(self.path(contract.name) / f"_delta_log/{table.version():020}.json")

    def _ready(self, contract: Table) -> DeltaTable:
        """The Delta table, made where it is missing, raised to the contract's version."""
        wanted = {VERSION_PROPERTY: str(contract.version), **KEEP_LOG}
        table = self.table(contract.name)
        if table is None:
            return self._made(contract, wanted)
        known = {field.name: field for field in table.schema().fields}
        wished = Schema.from_arrow(contract.schema).fields
        for field in wished:
            if field.nullable and field.name in known and not known[field.name].nullable:
                table.alter.drop_column_not_null(field.name)
        fresh = [field for field in wished if field.name not in known]
        if fresh:
            table.alter.add_columns(fresh)
        if wanted.items() - table.metadata().configuration.items():
            table.alter.set_table_properties(wanted, raise_if_not_exists=False)
        return table

    def _made(self, contract: Table, properties: dict[str, str]) -> DeltaTable:
        if contract.private:
            path = self.path(contract.name)
            if path.is_symlink():
                raise StoreError(f"{path} is a link; people are kept in a folder of this home")
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
        return DeltaTable.create(
            self.location(contract.name),
            Schema.from_arrow(contract.schema),
            name=contract.name,
            description=contract.doc,
            configuration=properties,
            storage_options=remote.OPTIONS if self.remote(contract.name) else None,
            raise_if_key_not_exists=False,
        )

    # Upkeep

    def small(self, name: str) -> int:
        """How many files of the table are worth merging."""
        table = self.table(name)
        return sum(size < SMALL for size in remote.sizes(table).values()) if table else 0

    def compact(self, name: str) -> None:
        """Merge small files into larger ones; the rows, and so every digest, stay as they are."""
        if table := self.table(name):
            with self._sound(name):
                table.optimize.compact(target_size=TARGET, max_concurrent_tasks=2)

    def vacuum(
        self, name: str, hours: int, keep_versions: Sequence[int], *, dry_run: bool
    ) -> list[str]:
        """Remove files that neither the current version nor one of those kept lists.

        hours: only files that have been out of use, or unknown to the log, for so long.
        Returns: the files removed, or to be removed.
        """
        table = self.table(name)
        if table is None:
            return []
        with self._sound(name):
            removed: list[str] = table.vacuum(
                hours,
                dry_run=dry_run,
                enforce_retention_duration=False,
                full=True,
                keep_versions=sorted(set(keep_versions)),
            )
        return removed


def added(file: Path, rows: int, milliseconds: int | None = None) -> AddAction:
    """Entry of a file that a commit adds: its rows are counted, their values stay out of the log.

    milliseconds: when the file was written, since 1970; None: as the disk says.
    """
    facts = file.stat()
    return AddAction(
        path=file.name,
        size=facts.st_size,
        partition_values={},
        modification_time=facts.st_mtime_ns // 10**6 if milliseconds is None else milliseconds,
        data_change=True,
        stats=json.dumps({"numRecords": rows}),
    )


def contract_version(table: DeltaTable) -> int:
    """Version of the contract that the table was last written under; 0 where none is named."""
    configuration: dict[str, Any] = table.metadata().configuration
    return int(configuration.get(VERSION_PROPERTY) or 0)


def place(file: Path, target: Path) -> None:
    """Link a file into a table or out of it; copy it where the table lies on another disk."""
    try:
        os.link(file, target)
    except OSError:
        shutil.copyfile(file, target)
        sync(target)


@contextmanager
def readable(home: Path) -> Iterator[None]:
    """Name the file of a table that is gone or damaged, as far as DuckDB says which.

    Memory may run out for either reason: a damaged length asks for up to 2 GiB.
    """
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise StoreError(
            f"memory ran out over the tables of {home} ({_first_words(error)}); make more of it"
            " free; where that does not help, a file is damaged: `soli warehouse verify` says"
            " which table cannot be read, restore that one from a backup"
        ) from error
    except duckdb.Error as error:
        if not of_files(error) and not isinstance(error, duckdb.BinderException):
            raise
        if isinstance(error, duckdb.FatalException | duckdb.InternalException):
            engine.forget()
        raise StoreError(
            f"a table of {home} cannot be read ({_first_words(error)}); `soli warehouse verify`"
            " says which, restore it from a backup"
        ) from error


def of_files(error: duckdb.Error) -> bool:
    """Whether an error is about the files that were read, not about the question."""
    return isinstance(error, DAMAGE) or type(error) is duckdb.Error


def _first_words(error: duckdb.Error) -> str:
    """DuckDB's words without the query, its own stack and its advice, which follow them."""
    return one_line(str(error).partition("\n\n")[0])
