"""Tables of record at an object store: how it is reached, and the local mirror DuckDB reads.

A table's files never change once written, so a mirror is complete when it holds every name that
the table's current version lists. delta-rs reads AWS_* from the environment by itself.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.fs import DeltaStorageHandler

# A server that is gone is named within seconds; delta-rs would go on trying for three minutes.
OPTIONS = {
    "connect_timeout": "3s",
    "timeout": "60s",
    "max_retries": "3",
    "retry_timeout": "20s",
}


def sizes(table: DeltaTable) -> dict[str, int]:
    """Bytes per file of a table's version; the files lie flat in the table's folder."""
    actions = pa.table(table.get_add_actions(flatten=True))
    return dict(zip(actions["path"].to_pylist(), actions["size_bytes"].to_pylist(), strict=True))


def mirror(folder: Path, table: DeltaTable) -> list[str]:
    """Fetch what the mirror's folder lacks of a table's version; return the local files, sorted."""
    wanted = sizes(table)
    if missing := {name: size for name, size in wanted.items() if not _holds(folder / name, size)}:
        folder.mkdir(parents=True, exist_ok=True)
        _fetch(DeltaStorageHandler(table.table_uri, OPTIONS), folder, missing)
    return sorted(str(folder / name) for name in wanted)


def _holds(file: Path, size: int) -> bool:
    return file.exists() and file.stat().st_size == size


def _fetch(source: DeltaStorageHandler, folder: Path, names: Mapping[str, int]) -> None:
    for name in names:
        part = folder / f".{uuid.uuid4().hex}"
        try:
            with source.open_input_stream(name) as stream, part.open("wb") as file:
                shutil.copyfileobj(stream, file, 1 << 20)
            part.rename(folder / name)
        finally:
            part.unlink(missing_ok=True)
