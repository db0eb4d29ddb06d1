"""Upkeep of the tables: small files become large ones, files that nobody needs go."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from warehouse.contracts import TABLES
from warehouse.face import publish, recorded, versions
from warehouse.remote import sizes
from warehouse.store import Store


def compact(store: Store, *, hours: int = 24, dry_run: bool = False) -> list[dict[str, Any]]:
    """Merge small files, publish, then remove files that no face and no current version needs.

    hours: files are kept for so long after they went out of use, for those who read tables without
        a face; those of a face are kept as long as the face stays or somebody has it open.
    dry_run: say what there is to merge and to remove; write nothing.
    Returns: one row per table: files, those to merge, files removed (or to be removed).
    Raises: StoreError for the lease, a table that cannot be read, or where there is no warehouse.
    """
    store.require()
    with store.writing("compact", dry_run=dry_run):
        rows = [_merged(store, name, dry_run=dry_run) for name in TABLES]
        if not dry_run:
            publish(store)
        faces = _faces(store.home / "face")
        for row in rows:
            row["removed"] = _vacuumed(store, row["table"], faces, hours, dry_run=dry_run)
    return rows


def _merged(store: Store, name: str, *, dry_run: bool) -> dict[str, Any]:
    before, small = len(_files(store, name)), store.lake.small(name)
    if small > 1 and not dry_run:
        store.lake.compact(name)
    return {
        "table": name,
        "files": before if dry_run else len(_files(store, name)),
        "merged": small if small > 1 else 0,
    }


def _files(store: Store, name: str) -> dict[str, int]:
    table = store.lake.table(name)
    return sizes(table) if table else {}


def _faces(folder: Path) -> list[Mapping[str, int] | None]:
    """What each face reads; None for one from before faces said so, which somebody has open."""
    faces = [folder / f"{number}.duckdb" for number in versions(folder)]
    return [recorded(face) for face in faces]


def _vacuumed(
    store: Store,
    name: str,
    faces: Sequence[Mapping[str, int] | None],
    hours: int,
    *,
    dry_run: bool,
) -> int:
    if None in faces:
        return 0
    kept = {face[name] for face in faces if face and face.get(name, -1) >= 0}
    removed = store.lake.vacuum(name, hours, sorted(kept), dry_run=dry_run)
    return len(removed) + _mirror_pruned(store, name, kept, hours, dry_run=dry_run)


def _mirror_pruned(store: Store, name: str, kept: set[int], hours: int, *, dry_run: bool) -> int:
    """Remove local copies, older than `hours`, that no face reads and no current version lists."""
    if not store.lake.remote(name):
        return 0
    needed = set(_files(store, name))
    needed.update(*(sizes(store.lake.at(name, version)) for version in kept))
    before = time.time() - hours * 3600
    stale = [
        file
        for file in store.path(name).glob("*.parquet")
        if file.name not in needed and file.stat().st_mtime <= before
    ]
    for file in stale:
        if not dry_run:
            file.unlink()
    return len(stale)
