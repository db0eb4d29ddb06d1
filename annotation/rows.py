"""Raw rows of a file that people write: JSONL, CSV or Parquet."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from warehouse.errors import AnnotationError

LONGEST_SHOWN = 80  # characters of a row that is none


def raw_rows(path: Path, required: Sequence[str]) -> list[Any]:
    """Rows in file order: mappings of field to value; in CSV, all text.

    A line that is no JSON stands as its first characters.
    required: columns without which a table is none of ours.
    Raises: AnnotationError where the file is no such file, or a table lacks a required column.
    """
    readers = {".jsonl": _jsonl, ".csv": _csv, ".parquet": _parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise AnnotationError(f"{path}: ending {path.suffix!r} is none of {list(readers)}")
    if not path.is_file():
        raise AnnotationError(f"{path}: no such file; correct the path")
    try:
        return list(reader(path, required))
    except (pa.ArrowException, OSError, KeyError) as error:
        words = " ".join(str(error).split())[:200]
        kind = path.suffix[1:].upper() if path.suffix != ".parquet" else "Parquet"
        raise AnnotationError(f"{path}: no readable {kind} ({words})") from error


def _jsonl(path: Path, required: Sequence[str]) -> Iterator[Any]:
    del required  # every line says for itself what it lacks
    with path.open("rb") as lines:
        for line in lines:
            if line.strip():
                yield _json(line)


def _json(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return line.strip()[:LONGEST_SHOWN].decode("utf-8", "replace")


def _csv(path: Path, required: Sequence[str]) -> Iterator[Any]:
    from pyarrow import csv  # only for this format

    parse = csv.ParseOptions(newlines_in_values=True)
    header = csv.open_csv(path, parse_options=parse).schema.names
    _check_header(path, header, required)
    text = csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string()))
    yield from csv.read_csv(path, parse_options=parse, convert_options=text).to_pylist()


def _parquet(path: Path, required: Sequence[str]) -> Iterator[Any]:
    from pyarrow import parquet  # only for this format

    with parquet.ParquetFile(path) as file:
        _check_header(path, file.schema_arrow.names, required)
        for batch in file.iter_batches():
            yield from batch.to_pylist(maps_as_pydicts="strict")


def _check_header(path: Path, header: Sequence[str], required: Sequence[str]) -> None:
    missing = [name for name in required if name not in header]
    if missing:
        raise AnnotationError(
            f"{path}: no column {', '.join(missing)}; there are: {', '.join(header)[:200]}"
        )
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise AnnotationError(f"{path}: column {twice[0]!r} stands twice; rename one")
