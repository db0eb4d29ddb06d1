"""One DuckDB per process for short questions: measured, a cursor costs 0.5 ms, a DuckDB 11 ms."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import duckdb

# What does not fit into memory goes here; DuckDB's own choice is the folder one happens to be in.
SPILL: dict[str, str | bool | int | float | list[str]] = {
    "temp_directory": str(Path(tempfile.gettempdir(), "soli-spill"))
}

_engines: dict[int, duckdb.DuckDBPyConnection] = {}


def cursor() -> duckdb.DuckDBPyConnection:
    """A connection of its own: give temporary names only, and close it."""
    process = os.getpid()  # after a fork the child has none of the engine's threads
    if process not in _engines:
        # Files are read once; a cache that lives as long as the process would only grow.
        _engines[process] = duckdb.connect(config=SPILL | {"enable_external_file_cache": False})
    connection = _engines[process].cursor()
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def forget() -> None:
    """Let the next cursor open another DuckDB: an internal error ends one for good."""
    _engines.pop(os.getpid(), None)
