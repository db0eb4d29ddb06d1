"""The only rewrite there is: rows leave a table, and every older file and log entry with them.

`rewrite` is one Delta commit: files without a row to change are listed anew under another name,
the others are written without it. Its note says what is left of each commit before, so that
`verify` can still tell what was committed from what is there. `purge` then removes what the table
no longer lists: files, and the log up to that commit, whose statistics hold smallest and largest
values. Both can be repeated, and killed at any moment.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, WriterProperties, write_deltalake
from deltalake.fs import DeltaStorageHandler
from deltalake.transaction import AddAction, RemoveAction
from pyarrow.fs import FileSelector

from warehouse import engine, remote, views
from warehouse.contracts import SQL_TYPES, TABLES, Table
from warehouse.disk import sync
from warehouse.errors import StoreError
from warehouse.lake import REWRITTEN, Note, added, place
from warehouse.manifest import digest_sql, writable
from warehouse.store import Store

VERSION_DIGITS = 20  # of a file's name in a Delta log


@dataclass(frozen=True)
class Rewrite:
    """What becomes of a table's rows, in SQL over its columns; it may ask other tables."""

    table: str
    gone: str = "false"
    """Rows that leave."""
    changed: Mapping[str, str] = field(default_factory=dict)
    """Column -> what it holds from now on."""

    @property
    def touched(self) -> str:
        """Condition of the rows that leave or change."""
        differs = [f"{name} IS DISTINCT FROM ({value})" for name, value in self.changed.items()]
        return " OR ".join(f"coalesce({each}, false)" for each in (self.gone, *differs))

    @property
    def reads(self) -> set[str]:
        """Tables that it has to see."""
        return {self.table, *views.read_by(self.touched)} & TABLES.keys()

    def rows(self, source: str) -> str:
        """SQL for what is left of a source's rows, in the contract's columns."""
        columns = (c.name for c in TABLES[self.table].columns)
        values = ", ".join(f"{self.changed.get(name, name)} AS {name}" for name in columns)
        return f"SELECT {values} FROM {source} WHERE NOT coalesce({self.gone}, false)"


def touched_rows(store: Store, change: Rewrite) -> int:
    """How many rows of the table as it is now would leave or change."""
    if not store.files(change.table):
        return 0
    with store.connect(change.reads) as db:
        sql = f"SELECT count(*) FROM {change.table} WHERE {change.touched}"
        return int(db.sql(sql).fetchall()[0][0])


def rewrite(store: Store, change: Rewrite) -> int:
    """Commit the table without its rows that leave, and with the others as they are to be.

    Needs the writer's lease. Returns: rows that left or changed; with none nothing is written.
    Raises: StoreError where these rows are not what was committed, or the disk is full.
    """
    contract = TABLES[change.table]
    staging = store.home / "staging" / f"rewrite-{uuid.uuid4().hex}"
    with writable(staging), store.connect(change.reads) as db:
        touched = _touched(db, change)
        if not touched:
            return 0
        before = _stamped(db, contract, change.table, touched)
        notes = {note.stamp: note for note in store.lake.notes(contract.name)}
        _check_sound(contract, notes, before)
        staging.mkdir(parents=True)
        try:
            files = _staged(store, db, change, staging)
            after = _stamped_files(contract, files, touched)
            kept = [
                _kept(note, after) if stamp in touched else note for stamp, note in notes.items()
            ]
            _overwrite(store, contract, files, [note for note in kept if note.rows])
        finally:
            for path in staging.iterdir():
                path.unlink()
            staging.rmdir()
    return sum(touched.values())


def _touched(db: duckdb.DuckDBPyConnection, change: Rewrite) -> dict[int, int]:
    """Stamp of each commit with rows that leave or change -> how many."""
    sql = (
        f"SELECT epoch_us(observed_at), count(*) FROM {change.table}"
        f" WHERE {change.touched} GROUP BY 1"
    )
    return {int(stamp): int(count) for stamp, count in db.sql(sql).fetchall()}


Stamped = dict[int, tuple[int, str]]


def _stamped(
    db: duckdb.DuckDBPyConnection, contract: Table, source: str, stamps: Mapping[int, int]
) -> Stamped:
    """Rows and their digest by commit, of these commits."""
    sql = (
        f"SELECT epoch_us(observed_at), count(*), {digest_sql(contract)} FROM {source}"
        f" WHERE epoch_us(observed_at) IN ({', '.join(map(str, stamps))}) GROUP BY 1"
    )
    return {stamp: (count, digest) for stamp, count, digest in db.sql(sql).fetchall()}


def _stamped_files(contract: Table, files: Sequence[Path], stamps: Mapping[int, int]) -> Stamped:
    with engine.cursor() as db:
        views.create_table(db, contract, list(map(str, files)), temp=True)
        return _stamped(db, contract, contract.name, stamps)


def _check_sound(contract: Table, notes: Mapping[int, Note], there: Stamped) -> None:
    """Rows that are not what was committed must not get a note that says they are."""
    for stamp, found in there.items():
        if stamp in notes and (notes[stamp].rows, notes[stamp].digest) != found:
            raise StoreError(
                f"{contract.name} holds other rows than were committed; `soli warehouse verify`"
                " says which, restore the table from a backup first"
            )


def _kept(note: Note, after: Stamped) -> Note:
    """What a commit's note says of the rows that are left of it."""
    rows, digest = after.get(note.stamp, (0, ""))
    return Note(note.batch, note.stamp, rows, digest)


def _staged(
    store: Store, db: duckdb.DuckDBPyConnection, change: Rewrite, staging: Path
) -> list[Path]:
    """The table's files as they will be: links to those that stay as they are, the others anew."""
    contract, found = TABLES[change.table], []
    for number, file in enumerate(store.files(contract.name)):
        source = _file_rows(contract, file)
        target = staging / f"{number}.parquet"
        ((left, wrong),) = db.sql(
            f"SELECT count(*) FILTER (NOT coalesce({change.gone}, false)),"
            f" count(*) FILTER ({change.touched}) FROM {source} AS {contract.name}"
        ).fetchall()
        if wrong and left:
            db.execute(
                f"COPY (SELECT * EXCLUDE file_row_number FROM ({_numbered(change, source)})"
                f" ORDER BY file_row_number) TO {views.quoted(str(target))}"
                " (FORMAT parquet, COMPRESSION zstd)"
            )
            sync(target)
        elif left:
            place(Path(file), target)
        if left:
            found.append(target)
    return found


def _numbered(change: Rewrite, source: str) -> str:
    rows = change.rows(f"{source} AS {change.table}")
    return rows.replace("SELECT ", "SELECT file_row_number, ", 1)


def _file_rows(contract: Table, file: str) -> str:
    """SQL for the rows of one file; an older contract's lacks the newest columns."""
    empty = ", ".join(f"NULL::{SQL_TYPES[c.kind]} AS {c.name}" for c in contract.columns)
    scan = f"read_parquet({views.quoted(file)}, file_row_number = true)"
    return f"(SELECT {empty} WHERE false UNION ALL BY NAME FROM {scan})"


def _overwrite(store: Store, contract: Table, files: Sequence[Path], notes: list[Note]) -> None:
    """One commit that lists these files and no other."""
    table = store.lake.table(contract.name)
    assert table is not None
    said = {REWRITTEN: [asdict(note) for note in sorted(notes, key=lambda note: note.stamp)]}
    properties = CommitProperties(custom_metadata=said)
    if store.lake.remote(contract.name):
        _send(table, contract, files, properties)
        return
    folder = store.path(contract.name)
    actions: list[AddAction | RemoveAction] = []
    for file in files:
        target = folder / f"part-{uuid.uuid4().hex}.parquet"
        place(file, target)
        actions.append(added(target, pq.read_metadata(target).num_rows))
    table.create_write_transaction(
        actions,
        mode="overwrite",
        schema=table.schema(),
        partition_by=[],
        commit_properties=properties,
    )
    table.update_incremental()
    sync(folder / f"_delta_log/{table.version():020}.json")


def _send(
    table: DeltaTable, contract: Table, files: Sequence[Path], properties: CommitProperties
) -> None:
    with engine.cursor() as db:
        views.create_table(db, contract, list(map(str, files)), temp=True)
        rows = db.sql(f"FROM {contract.name}").to_arrow_reader(16_384)
        write_deltalake(
            table,
            rows.cast(contract.schema),
            mode="overwrite",
            writer_properties=WriterProperties(compression="ZSTD"),
            commit_properties=properties,
        )


def purge(store: Store, name: str) -> None:
    """Remove every file, mirrored file and log entry from before the table's newest rewrite.

    Needs the writer's lease. A table that was never rewritten stays as it is.
    """
    table = store.lake.table(name)
    if table is None:
        return
    versions = [commit["version"] for commit in table.history() if REWRITTEN in commit]
    if not versions:
        return
    store.lake.vacuum(name, 0, [], dry_run=False)
    if store.lake.remote(name):
        needed = {Path(file).name for file in store.files(name)}
        for file in store.path(name).glob("*.parquet"):
            if file.name not in needed:
                file.unlink()
    _cut_log(store, name, max(versions))


def _cut_log(store: Store, name: str, version: int) -> None:
    """Let the log begin with a checkpoint of this version; what came later stays."""
    store.lake.at(name, version).create_checkpoint()
    options = remote.OPTIONS if store.lake.remote(name) else {}
    files = DeltaStorageHandler(store.lake.location(name), options)
    found = files.get_file_info_selector(FileSelector("_delta_log"))
    for path in sorted(info.path for info in found):  # the oldest first: no gap behind
        number = Path(path).name[:VERSION_DIGITS]
        if number.isdecimal() and int(number) < version:
            files.delete_file(path)
