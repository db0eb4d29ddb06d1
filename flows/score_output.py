"""Rows of rewards as a file: Parquet, CSV, JSON or JSON lines, whole or not at all."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from flows.score_list import Entry
from warehouse.errors import StoreError

if TYPE_CHECKING:
    from training.reference import Reference

Row = dict[str, Any]
Write = Callable[[Path, Iterable[Row]], None]

ROWS = 10_000  # rows of a Parquet row group
SCORED = pa.schema(
    [
        pa.field("line", pa.int64(), nullable=False),
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("dimension", pa.string(), nullable=False),
        pa.field("reward", pa.float64(), nullable=False),
        pa.field("standardised", pa.float64()),
        pa.field("percentile", pa.float64()),
    ]
)


def row_of(entry: Entry, dimension: str, reward: float, reference: Reference | None) -> Row:
    """A row of SCORED; without a reference, nothing is said of the reward's standing."""
    return {
        "line": entry.line,
        "item_id": entry.item_id,
        "path": entry.path,
        "prompt": entry.prompt,
        "dimension": dimension,
        **standing(dimension, reward, reference),
    }


def standing(dimension: str, reward: float, reference: Reference | None) -> Row:
    """A reward, and where it stands among the reference's: None where there is none."""
    spread = reference.dimensions.get(dimension) if reference else None
    return {
        "reward": reward,
        "standardised": float(spread.standardised(reward)) if spread and spread.std else None,
        "percentile": float(spread.percentile(reward)) if spread else None,
    }


def writer_of(path: Path) -> Write:
    """What writes a file of this ending.

    Raises: StoreError for another ending, or a place where no file can be.
    """
    writers: dict[str, Write] = {
        ".parquet": _parquet,
        ".csv": _csv,
        ".json": _json,
        ".jsonl": _jsonl,
    }
    if path.suffix.lower() not in writers:
        raise StoreError(f"{path}: ending {path.suffix!r} is none of {', '.join(writers)}")
    if path.exists() and not path.is_file():
        raise StoreError(f"{path} is there and is no file; name another")
    return writers[path.suffix.lower()]


@contextmanager
def saving(path: Path) -> Iterator[None]:
    """What goes wrong with the disk becomes one error that names the output."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written ({error.strerror or error}); make room or mend its"
            " permissions, and run it again: it goes on where it stopped"
        ) from error


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write rows of SCORED; the file appears whole. Same rows, same bytes."""
    part = path.with_name(f".{path.name}.part")
    writer_of(path)(part, rows)
    part.replace(path)


def write_lines(path: Path, rows: list[Row]) -> None:
    """Write rows as JSON lines, whole; no file where there are none."""
    if not rows:
        path.unlink(missing_ok=True)
        return
    part = path.with_name(f".{path.name}.part")
    _jsonl(part, rows)
    part.replace(path)


def _parquet(path: Path, rows: Iterable[Row]) -> None:
    with pq.ParquetWriter(path, SCORED) as writer:
        for group in _groups(rows):
            writer.write_table(pa.Table.from_pylist(group, SCORED))


def _groups(rows: Iterable[Row]) -> Iterator[list[Row]]:
    group: list[Row] = []
    for row in rows:
        group.append(row)
        if len(group) == ROWS:
            yield group
            group = []
    yield group


def _csv(path: Path, rows: Iterable[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, SCORED.names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _jsonl(path: Path, rows: Iterable[Row]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{_text(row)}\n" for row in rows)


def _json(path: Path, rows: Iterable[Row]) -> None:
    with path.open("w", encoding="utf-8") as file:
        between = "[\n"
        for row in rows:
            file.write(between + _text(row))
            between = ",\n"
        file.write("\n]\n" if between == ",\n" else "[]\n")


def _text(row: Row) -> str:
    return json.dumps(row, ensure_ascii=False, allow_nan=False)
