"""Tables of record: append-only Delta tables under one home, read through DuckDB.

The home holds
  tables/NAME/     Delta tables of the contracts
  people/          one more, apart, readable by the owner only
  mirror/NAME/     local copies of the files where the tables lie at an object store
  face/N.duckdb    what readers open; warehouse.duckdb is a symlink to the newest
  staging/ID/      a batch on its way into the tables
  writer.lock      the writer's lease
"""

from __future__ import annotations

import re
import tempfile
import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from warehouse import engine, views
from warehouse.contracts import TABLES
from warehouse.digest import table_digest
from warehouse.errors import StoreError
from warehouse.forgotten import forgotten
from warehouse.journal import Batch, contract_of
from warehouse.lake import Lake, of_files, readable
from warehouse.lease import lease
from warehouse.manifest import recover

UNUSABLE = re.compile(r"[\[\]|^?\\\n]|%[0-9A-Fa-f]{2}")  # measured: delta-rs 1.6, DuckDB 2.0

__all__ = ["Batch", "Store", "contract_of"]

MANY_FILES = 64  # measured: DuckDB opens so many in a few milliseconds


class Store:
    """The warehouse under one home.

    home: a local directory; made at the first write.
    tables: URL below which the tables of record lie (s3://bucket/prefix), all but `people`; None:
        in the home. The lease is the home's: let one home write to a URL, others may read.
    """

    def __init__(self, home: Path, tables: str | None = None) -> None:
        self.home = home.absolute()
        self.lake = Lake(self.home, tables)
        self._staging = self.home / "staging"
        self._holding = False
        self._running: set[str] = set()

    def __reduce__(self) -> tuple[type[Store], tuple[Path, str | None]]:
        return Store, (self.home, self.lake.url)  # a copy opens the tables for itself

    # Writing

    @contextmanager
    def writing(self, purpose: str, wait: float = 60.0, *, dry_run: bool = False) -> Iterator[None]:
        """Hold the writer's lease for several batches; nested calls share it.

        A batch that a killed writer left behind is finished, or forgotten, before the block begins.
        dry_run: nothing will be written, so nothing is held, and the home is not made.
        Raises: StoreError where another process writes, or the home cannot be written.
        """
        if self._holding or dry_run:
            yield
            return
        self.make_home()
        with lease(self.home / "writer.lock", purpose, wait):
            recover(self.lake, self._staging)
            self._holding = True
            try:
                yield
            finally:
                self._holding = False

    def make_home(self) -> None:
        """Make the folder of the home.

        Raises: StoreError where it cannot be one.
        """
        if found := UNUSABLE.search(str(self.home)):
            raise StoreError(
                f"{self.home} cannot be the home of a warehouse: its tables are reached by URL,"
                f" which {found[0]!r} breaks; name another folder with --home or SOLI_HOME"
            )
        try:
            self.home.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"{self.home} cannot be the home of a warehouse ({error.strerror}); name another"
                " folder with --home or SOLI_HOME"
            ) from error

    @contextmanager
    def batch(self, purpose: str, wait: float = 60.0, *, dry_run: bool = False) -> Iterator[Batch]:
        """Collect rows of any tables; leaving the block commits them as one unit.

        Rows whose key is known with the same content are left out, so every write can be repeated.
        The others get one `observed_at`, later than any row of the tables touched. Killed at any
        moment, the batch is there as a whole or not at all once somebody writes again. Leaving the
        block by an exception adds nothing. `added` says afterwards how many rows came, per table.
        purpose: said to others who wait for the lease, which is held for the block.
        dry_run: check everything, count what would be added, write nothing.
        Raises: ContractError for rows that break their contract, or a key with two contents;
            StoreError for the lease, or a disk that is full.
        """
        identity = uuid.uuid4().hex
        folder = Path(tempfile.gettempdir(), f"soli-{identity}") if dry_run else None
        with self.writing(purpose, wait, dry_run=dry_run):
            if not dry_run:  # one that failed under this very lease comes first, too
                recover(self.lake, self._staging, self._running)
            self._running.add(identity)
            batch = Batch(self.lake, folder or self._staging / identity, lambda: forgotten(self))
            try:
                yield batch
                batch.prepare()
                if not dry_run:
                    batch.commit(purpose)
            finally:
                batch.close()
                self._running.discard(identity)

    def append(self, name: str, rows: pa.Table) -> int:
        """Commit the rows that are not there yet, as a batch of one; return how many were added.

        Raises: as `batch`.
        """
        if not rows.num_rows:
            contract_of(name)
            return 0
        with self.batch(f"append to {name}") as batch:
            batch.add(name, rows)
        return batch.added.get(name, 0)

    def tidy(self) -> None:
        """Merge the small files of tables that have got many; their rows stay as they are."""
        with self.writing("merge small files"):
            for name in TABLES:
                if self.lake.small(name) > MANY_FILES:
                    self.lake.compact(name)

    # Reading

    def require(self) -> None:
        """Raise StoreError where nothing was ever written."""
        if not any(self.lake.exists(name) for name in TABLES):
            place = f"at {self.lake.url}" if self.lake.url else f"in {self.home}"
            raise StoreError(f"no warehouse {place}; name its folder with --home")

    def path(self, name: str) -> Path:
        """Folder of a Delta table, or of its mirror."""
        return self.lake.path(name)

    def files(self, name: str) -> list[str]:
        """Parquet files of the table's current version, sorted; empty where nothing was written.

        Raises: StoreError where the table is damaged, or its contract newer than this program.
        """
        return self.lake.files(name)

    @contextmanager
    def connect(self, names: Collection[str] | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
        """In-memory DuckDB over the current files.

        names: these tables of record alone (`people` may be one), which takes a few milliseconds,
            and these views, with what they read; None: every table and view of the face.
        """
        if names is None:
            names = [*views.VIEWS, *(n for n, table in TABLES.items() if not table.private)]
        names = views.read_by(" ".join(names))
        plain = TABLES.keys() >= names
        with (
            readable(self.home),
            engine.cursor() if plain else engine.connect() as db,
        ):
            files = {name: self.files(name) for name in names if name in TABLES}
            if plain:
                views.create_tables(db, files, temp=True)
            else:
                views.create(db, files, names)
            yield db

    def query(
        self, sql: str, values: Mapping[str, Any] | None = None, *, people: bool = False
    ) -> pa.Table:
        """Arrow table of a SQL query of tables of record and views; values are bound as $name.

        people: let it read the table `people`, too.
        """
        names = views.read_by(sql)
        with self.connect(names if people else names - {"people"}) as db:
            try:
                return db.sql(sql, params=dict(values or {})).to_arrow_table()
            except duckdb.Error as error:
                if of_files(error):
                    raise  # `readable` says what to do
                raise StoreError(f"query failed: {error}") from error

    def read(self, name: str) -> pa.Table:
        """A whole table of record in its contract's schema, in the order of its key."""
        contract = contract_of(name)
        rows = self.query(
            f"FROM {name} ORDER BY {', '.join(contract.key)}", people=contract.private
        )
        return rows.cast(contract.schema)

    def digest(self, name: str, where: str = "true") -> str:
        """Digest over the content columns of a table, or of the rows that `where` keeps."""
        contract = contract_of(name)
        columns = ", ".join(contract.content) or "NULL"
        rows = self.query(f"SELECT {columns} FROM {name} WHERE {where}", people=contract.private)
        return table_digest(rows, contract.content)
