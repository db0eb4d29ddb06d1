"""The reading face: a DuckDB file of views that nobody can lock us out of.

Each publication is a new file `face/N.duckdb`; `warehouse.duckdb` is a symlink swapped atomically
to it. DuckDB puts a write-ahead log beside the file that the symlink names, so even somebody who
opens a face read-write and is killed leaves the next one untouched.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import duckdb

from warehouse import views
from warehouse.contracts import TABLES
from warehouse.store import Store

KEEP = 5  # older faces stay for readers that hold them open


def publish(store: Store) -> Path:
    """Make a face of the tables as they are now and point `warehouse.duckdb` at it.

    Returns: the new file. Safe to repeat and to kill: readers see the old face or the new one.
    """
    folder = store.home / "face"
    with store.writing("publish the face"):
        folder.mkdir(parents=True, exist_ok=True)
        number = max(versions(folder), default=0) + 1
        target = folder / f"{number}.duckdb"
        building = folder / f".building-{os.getpid()}"
        _remove(building)
        with duckdb.connect(building) as db:
            public = [name for name, table in TABLES.items() if not table.private]
            views.create(db, {name: store.files(name) for name in public}, comments=True)
        building.chmod(0o444)
        building.rename(target)
        _point(store.home / "warehouse.duckdb", Path("face") / target.name)
        for old in sorted(versions(folder))[:-KEEP]:
            _remove(folder / f"{old}.duckdb")
    return target


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
    for path in (face, face.with_name(face.name + ".wal")):
        path.unlink(missing_ok=True)
