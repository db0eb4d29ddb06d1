"""Tables of record: append-only Delta tables under one home, read through DuckDB.

The home holds
  tables/NAME/     Delta tables of the contracts (people apart, readable by the owner only)
  face/N.duckdb    what readers open; warehouse.duckdb is a symlink to the newest
  writer.lock      the writer's lease
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import duckdb
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError, TableNotFoundError
from deltalake.schema import Schema

from warehouse import views
from warehouse.check import check
from warehouse.contracts import TABLES, Table
from warehouse.digest import table_digest
from warehouse.errors import ContractError, StoreError
from warehouse.lease import lease

VERSION_PROPERTY = "soli.contract.version"
UNUSABLE = re.compile(r"[\[\]|^?\\\n]|%[0-9A-Fa-f]{2}")  # measured: delta-rs 1.6, DuckDB 2.0


class Store:
    """The warehouse under one home.

    home: a local directory; made at the first write.
    """

    def __init__(self, home: Path) -> None:
        self.home = home.absolute()
        self._holding = False

    # Writing

    @contextmanager
    def writing(self, purpose: str, wait: float = 60.0, *, dry_run: bool = False) -> Iterator[None]:
        """Hold the writer's lease for a batch of appends; nested calls share it.

        dry_run: nothing will be written, so nothing is held, and the home is not made.
        Raises: StoreError where another process writes, or the home cannot be written.
        """
        if self._holding or dry_run:
            yield
            return
        self._make_home()
        with lease(self.home / "writer.lock", purpose, wait):
            self._holding = True
            try:
                yield
            finally:
                self._holding = False

    def _make_home(self) -> None:
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

    def append(self, name: str, rows: pa.Table) -> int:
        """Commit the rows that are not there yet; return how many were added.

        rows: columns of the contract without `observed_at`, which is stamped here.
        A row whose key is known with the same content is left out, so every write can be
        repeated; with other content it is refused.
        Raises: ContractError for rows that break the contract; StoreError for the lease.
        """
        contract = contract_of(name)
        if not rows.num_rows:
            return 0
        with self.writing(f"append to {name}"):
            stamped = rows.append_column("observed_at", self._stamps(contract, rows.num_rows))
            fresh = self._unknown(contract, check(contract, stamped))
            if fresh.num_rows:
                write_deltalake(self._ensure(contract), fresh, mode="append")
            return int(fresh.num_rows)

    def _stamps(self, contract: Table, count: int) -> pa.Array:
        """Commit time: now, or just after the newest row where the clock went backwards."""
        with self._only(contract) as db:
            row = db.execute(f"SELECT epoch_us(max(observed_at)) FROM {contract.name}").fetchone()
        now = int(datetime.now(UTC).timestamp() * 1e6)
        stamp = max(now, ((row and row[0]) or 0) + 1)
        return pa.array([stamp] * count, pa.int64()).cast(contract.schema.field("observed_at").type)

    def _unknown(self, contract: Table, batch: pa.Table) -> pa.Table:
        """Rows of the batch whose key is not in the table."""
        key = ", ".join(contract.key)
        content = ", ".join(dict.fromkeys((*contract.key, *contract.content)))
        with self._only(contract) as db:
            db.register("batch", batch)
            clash = db.execute(
                f"SELECT {key} FROM (SELECT {content} FROM batch SEMI JOIN {contract.name}"
                f" USING ({key}) EXCEPT SELECT {content} FROM {contract.name}) ORDER BY ALL LIMIT 1"
            ).fetchone()
            if clash:
                raise ContractError(
                    f"{contract.name}: ({key}) = {clash} is known with other content, and rows are"
                    " never changed in place; give the changed row a key of its own"
                )
            return db.sql(
                f"SELECT * FROM batch ANTI JOIN {contract.name} USING ({key}) ORDER BY {key}"
            ).to_arrow_table()

    def _ensure(self, contract: Table) -> str:
        """Location of the Delta table, made empty with its contract's version if missing."""
        path = self.path(contract.name)
        if contract.private:
            if path.is_symlink():
                raise StoreError(f"{path} is a link; people are kept in a folder of this home")
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not DeltaTable.is_deltatable(str(path)):
            table = DeltaTable.create(
                str(path),
                Schema.from_arrow(contract.schema),
                name=contract.name,
                description=contract.doc,
            )
            table.alter.set_table_properties(
                {VERSION_PROPERTY: str(contract.version)}, raise_if_not_exists=False
            )
        return str(path)

    # Reading

    def path(self, name: str) -> Path:
        """Folder of a Delta table."""
        return self.home / ("people" if TABLES[name].private else f"tables/{name}")

    def files(self, name: str) -> list[str]:
        """Parquet files of the table's current version, sorted; empty where nothing was written.

        Raises: StoreError where the table is damaged, or its contract newer than this program.
        """
        try:
            table = DeltaTable(str(self.path(name)))
        except TableNotFoundError:
            return []
        except DeltaError as error:
            raise StoreError(f"{self.path(name)} is damaged ({error}); restore it") from error
        version = int(table.metadata().configuration.get(VERSION_PROPERTY) or 0)
        if version > TABLES[name].version:
            raise StoreError(
                f"{name}: written under contract version {version}, this Soli knows up to"
                f" {TABLES[name].version}; upgrade Soli"
            )
        return sorted(unquote(uri) for uri in table.file_uris())

    @contextmanager
    def _only(self, contract: Table) -> Iterator[duckdb.DuckDBPyConnection]:
        """In-memory DuckDB with one table of record, `people` included."""
        with _readable(self.home), duckdb.connect() as db:
            views.create_table(db, contract, self.files(contract.name))
            yield db

    @contextmanager
    def connect(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """In-memory DuckDB with every table and view of the face over the current files."""
        with _readable(self.home), duckdb.connect() as db:
            views.create(db, {n: self.files(n) for n, t in TABLES.items() if not t.private})
            yield db

    def query(self, sql: str, values: Mapping[str, Any] | None = None) -> pa.Table:
        """Arrow table of a SQL query over tables and views; values are bound as $name."""
        with self.connect() as db:
            try:
                return db.sql(sql, params=dict(values or {})).to_arrow_table()
            except duckdb.Error as error:
                raise StoreError(f"query failed: {error}") from error

    def read(self, name: str) -> pa.Table:
        """A whole table of record in its contract's schema, in the order of its key."""
        contract = contract_of(name)
        with self._only(contract) as db:
            rows = db.sql(f"FROM {name} ORDER BY {', '.join(contract.key)}").to_arrow_table()
            return rows.cast(contract.schema)

    def digest(self, name: str, where: str = "true") -> str:
        """Digest over the content columns of a table, or of the rows that `where` keeps."""
        contract = contract_of(name)
        rows = self.query(f"SELECT * FROM {name} WHERE {where}")
        return table_digest(rows, contract.content)


@contextmanager
def _readable(home: Path) -> Iterator[None]:
    """Name the file of a table that is gone or damaged; DuckDB says which."""
    try:
        yield
    except (duckdb.IOException, duckdb.InvalidInputException) as error:
        raise StoreError(
            f"a table of {home} cannot be read ({error}); restore the file from a backup"
        ) from error


def contract_of(name: str) -> Table:
    """Contract of a table, by name.

    Raises: StoreError for a name that no contract has.
    """
    if name not in TABLES:
        raise StoreError(f"no table {name!r}; the tables are {', '.join(TABLES)}")
    return TABLES[name]
