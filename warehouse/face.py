"""The reading face: a DuckDB file of views that nobody can lock us out of.

Each publication is a new file `face/N.duckdb`; `warehouse.duckdb` is a symlink swapped atomically
to it. DuckDB puts a write-ahead log beside the file that the symlink names, so even somebody who
opens a face read-write and is killed leaves the next one untouched.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from warehouse import engine, views
from warehouse.contracts import TABLES
from warehouse.errors import StoreError, one_line
from warehouse.store import Store

KEEP = 5  # so many stay in any case: who follows the symlink now opens one of them in time
ON_THE_WAY = 0.2  # seconds; who followed the symlink has its face open by then
LAST = ".last.duckdb"  # copy of the newest face
# Prints 1 for each file that somebody holds a lock on, else 0. macOS orders the struct differently.
PROBE = """
import fcntl, os, struct, sys
form, kind = ("qqihh", 3) if sys.platform == "darwin" else ("hhqqi4x", 0)
for path in sys.argv[1:]:
    file = os.open(path, os.O_RDONLY)
    lock = [0, 0, 0, 0, 0]
    lock[kind] = fcntl.F_WRLCK
    found = struct.unpack(form, fcntl.fcntl(file, fcntl.F_GETLK, struct.pack(form, *lock)))
    print(int(found[kind] != fcntl.F_UNLCK))
    os.close(file)
"""


def publish(store: Store, *, anew: bool = False) -> Path:
    """Make a face of the tables as they are now and point `warehouse.duckdb` at it.

    anew: take nothing over from the last one.
    Returns: the new file. Safe to repeat and to kill: readers see the old face or the new one.
    """
    folder = store.home / "face"
    with store.writing("publish the face"), _writable(folder):
        store.tidy()
        folder.mkdir(parents=True, exist_ok=True)
        number = max(versions(folder), default=0) + 1
        target = folder / f"{number}.duckdb"
        building = folder / f".building-{os.getpid()}"
        for left in (*folder.glob(".building-*"), *store.home.glob(".warehouse.duckdb-*")):
            left.unlink()  # by somebody who was killed: whoever is alive holds the lease
        if anew:
            (folder / LAST).with_suffix(".json").unlink(missing_ok=True)
        _build(store, folder, building)
        building.chmod(0o444)
        target.with_suffix(".json").write_text(json.dumps(_note(store)))
        building.rename(target)
        _point(store.home / "warehouse.duckdb", Path("face") / target.name)
        _prune(folder)
    return target


def _build(store: Store, folder: Path, building: Path) -> None:
    """Write a face: the last one with other views of the tables that changed, or all anew.

    Making hundreds of views and comments takes half a second, a few of them nothing. The last one
    is a copy of our own that no reader is pointed to: what somebody does to a face stays in it.
    """
    files = {name: store.files(name) for name in _public()}
    last, note = folder / LAST, (folder / LAST).with_suffix(".json")
    known = json.loads(note.read_text()) if note.exists() and last.exists() else {}
    same_code = known.get("made_by") == views.made_by()
    if same_code:
        shutil.copyfile(last, building)
    with engine.connect(building) as db:
        if same_code:
            views.replace(
                db, {n: paths for n, paths in files.items() if known["files"][n] != paths}
            )
        else:
            views.create(db, files, comments=True)
    note.unlink(missing_ok=True)  # killed before the new one stands, the next face is made anew
    shutil.copyfile(building, last)
    fresh = note.with_suffix(".new")
    fresh.write_text(json.dumps({"made_by": views.made_by(), "files": files}))
    fresh.replace(note)


def current(store: Store) -> bool:
    """Whether `warehouse.duckdb` shows the tables as they are; a killed writer may have left it.

    Where there is no table yet, there is nothing to show.
    """
    link = store.home / "warehouse.duckdb"
    if not link.exists():
        return not any(store.files(name) for name in _public())
    return _noted(link.resolve()) == _note(store)


def _prune(folder: Path) -> None:
    """Remove all but the newest faces, and those that somebody has open.

    One that does not say what it reads, made before faces did, would keep every file for ever.
    """
    newest = sorted(versions(folder), reverse=True)
    faces = [folder / f"{number}.duckdb" for number in newest]
    old = faces[KEEP:] + [face for face in faces[:KEEP] if recorded(face) is None]
    open_ones = in_use(old)
    for face in old:
        if face not in open_ones:
            _remove(face)


def retire(folder: Path, patience: float) -> int:
    """Remove every face but the newest, whose files are about to go.

    patience: seconds given to those who have one open; then it goes all the same.
    Returns: how many were still open: their next question finds no file, another session does.
    """
    *old, _ = sorted(versions(folder)) or [0]
    faces = [folder / f"{number}.duckdb" for number in old]
    until = time.monotonic() + patience
    time.sleep(ON_THE_WAY)
    while (held := in_use(faces)) and time.monotonic() < until:
        time.sleep(ON_THE_WAY)
    for face in faces:
        _remove(face)
    return len(held)


def in_use(faces: Sequence[Path]) -> set[Path]:
    """Those of the files that a DuckDB, in any process, has open.

    DuckDB holds a POSIX lock on each file it opens. Asking for one opens and closes the file, and
    closing ends all locks that the asking process itself holds: so a process of its own asks.
    """
    if not faces:
        return set()
    asked = subprocess.run(
        [sys.executable, "-I", "-S", "-c", PROBE, *map(str, faces)],
        capture_output=True,
        text=True,
        check=True,
    )
    return {face for face, held in zip(faces, asked.stdout.split(), strict=True) if held == "1"}


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    """Say what to do where the disk is full: the tables are safe."""
    try:
        yield
    except (OSError, duckdb.IOException, duckdb.TransactionException) as error:
        raise StoreError(
            f"the tables are written, but {folder} is not ({one_line(error)}): make room,"
            " then run `soli warehouse rebuild`"
        ) from error


def _public() -> list[str]:
    return [name for name, table in TABLES.items() if not table.private]


def _note(store: Store) -> dict[str, Any]:
    """What a face made now says: the versions of the Delta tables, and whose files it reads.

    A home that was moved has faces that read the files of the old place.
    """
    tables = {name: store.lake.version(name) for name in _public()}
    return {"home": str(store.home), "tables": tables}


def _noted(face: Path) -> dict[str, Any]:
    """What a face says; nothing where it was made before faces did."""
    try:
        found: dict[str, Any] = json.loads(face.with_suffix(".json").read_text())
    except FileNotFoundError:
        return {}
    return found


def recorded(face: Path) -> dict[str, int] | None:
    """Version of each Delta table that a face reads; None where the face does not say."""
    tables: dict[str, int] | None = _noted(face).get("tables")
    return tables


def versions(folder: Path) -> list[int]:
    """Numbers of the faces in the folder."""
    names = (re.fullmatch(r"(\d+)\.duckdb", path.name) for path in folder.glob("*.duckdb"))
    return [int(match[1]) for match in names if match]


def _point(link: Path, target: Path) -> None:
    fresh = link.with_name(f".{link.name}-{os.getpid()}")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(link)


def _remove(face: Path) -> None:
    for path in (face, face.with_name(face.name + ".wal"), face.with_suffix(".json")):
        path.unlink(missing_ok=True)
