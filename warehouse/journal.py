"""What a writer adds: rows of any tables, checked, kept, and committed as one unit."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TypeVar

import duckdb
import pyarrow as pa

from warehouse import engine
from warehouse.contracts import TABLES, Table
from warehouse.errors import StoreError
from warehouse.forgotten import ABOUT, Forgotten
from warehouse.incoming import Incoming
from warehouse.lake import Lake
from warehouse.manifest import MANIFEST, commit, writable, write_manifest

T = TypeVar("T")

# Measured on 2.7M label events: more memory makes nothing faster. Beyond it DuckDB spills.
LIMITS: dict[str, engine.Setting] = {
    "memory_limit": "192MiB",
    "threads": min(4, os.cpu_count() or 1),
}


class Batch:
    """Rows of one unit of work; see Store.batch.

    added: rows added per table that got some; known after the block.
    """

    def __init__(self, lake: Lake, folder: Path, forgotten: Callable[[], Forgotten]) -> None:
        self.added: dict[str, int] = {}
        self._forgotten = cache(forgotten)  # read where rows may be about somebody, once
        self._lake = lake
        self._folder = folder
        self._tables: dict[str, Incoming] = {}
        self._limited: duckdb.DuckDBPyConnection | None = None
        self._awaited: Callable[[], object] = lambda: None

    def add(self, table: str, rows: pa.Table) -> None:
        """Check rows and keep them for the commit; any number of calls, any order of tables.

        Tables are committed in the order in which they are first named here: who reads them without
        the lease, while a commit is under way, sees rows of a later one only with the earlier ones.
        rows: columns of the contract without `observed_at`, which the commit stamps.
        Raises: ContractError for rows that break the contract; StoreError for an unknown table,
            and rows about what was deleted on request.
        """
        contract = contract_of(table)
        if ABOUT.keys() & rows.column_names:
            self._forgotten().refuse(table, rows)
        if table not in self._tables:
            self._tables[table] = Incoming(contract, self._lake, self._folder)
        self._tables[table].add(rows)

    def wait_for(self, done: Callable[[], object]) -> None:
        """Call this when all is staged and nothing is committed; where it raises, nothing will be.

        done: such as the `result` of a future that writes what the rows speak of.
        """
        self._awaited = done

    def prepare(self) -> None:
        """Find what is not known yet and count it in `added`.

        Raises: ContractError for a key with two contents, here or in the table.
        """
        with writable(self._folder):
            if any(incoming.on_disk for incoming in self._tables.values()):
                self._limit()
            counts = self._each(Incoming.prepare, self._tables)
            self.added |= {name: count for name, count in counts.items() if count}

    def _limit(self) -> None:
        """Go on in a DuckDB of our own, which spills to the batch's folder."""
        spill = str(self._folder / "spill")
        self._limited = engine.connect(config=LIMITS | {"temp_directory": spill})
        for incoming in self._tables.values():
            incoming.move(engine.cursor(self._limited))

    def _each(self, function: Callable[[Incoming], T], names: Iterable[str]) -> dict[str, T]:
        """What a function says of tables: all at once, one by one where memory is kept small."""
        tables = {name: self._tables[name] for name in names}
        with ThreadPoolExecutor(1 if self._limited else max(1, len(tables))) as pool:
            return dict(zip(tables, pool.map(function, tables.values()), strict=True))

    def commit(self, purpose: str) -> None:
        """Write all new rows under one stamp; from the manifest on, they are there."""
        if not self.added:
            self._awaited()
            return
        with writable(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            stamp = self._stamp()
            staged = list(self._each(lambda table: table.stage(stamp), self.added).values())
        self._awaited()
        with writable(self._folder):
            if len(staged) > 1:  # a single Delta commit is whole by itself
                write_manifest(self._folder, purpose, stamp, staged)
            for each in staged:
                commit(self._lake, self._folder, stamp, each)
            (self._folder / MANIFEST).unlink(missing_ok=True)

    def _stamp(self) -> int:
        """Commit time: now, or just after the newest row where the clock went backwards."""
        newest = [self._tables[name].newest() for name in self.added]
        return max(int(datetime.now(UTC).timestamp() * 1e6), *(each + 1 for each in newest))

    def close(self) -> None:
        """Let go of everything that was staged, unless the batch is to be finished by others."""
        for incoming in self._tables.values():
            incoming.close()
        if self._limited:
            self._limited.close()
        if not (self._folder / MANIFEST).exists():
            shutil.rmtree(self._folder, ignore_errors=True)


def contract_of(name: str) -> Table:
    """Contract of a table, by name.

    Raises: StoreError for a name that no contract has.
    """
    if name not in TABLES:
        raise StoreError(f"no table {name!r}; the tables are {', '.join(TABLES)}")
    return TABLES[name]
