"""Files of an export: their names, JSON in and out, and publishing them all at once."""

from __future__ import annotations

import filecmp
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pyarrow as pa

from pairing.exports.rows import PAIRS
from warehouse.disk import partial_folder, put
from warehouse.errors import PairingError

File = tuple[str, Iterable[bytes]]  # path inside the folder, with /; content piece by piece
Json = dict[str, Any]


def file_name(*parts: str) -> str:
    """Name of a file made of words; a dimension may hold any character.

    >>> file_name("a/b", "train", "json")
    'a%2Fb.train.json'
    """
    return ".".join(quote(part, safe="") for part in parts)


def named_files(folder: Path, suffix: str, words: int) -> list[tuple[list[str], Path]]:
    """Files of a suffix, with the words that their names are made of, in the words' order.

    Raises: PairingError where there is none, or one has another name.
    """
    found = []
    for path in folder.glob(f"*.{suffix}"):
        name = path.name.removesuffix(f".{suffix}").rsplit(".", words - 1)
        if len(name) != words:
            raise PairingError(f"{path}: the name is not made of {words} words; export again")
        found.append(([unquote(word) for word in name], path))
    if not found:
        raise PairingError(f"{folder} holds no .{suffix} file; it is no export of this form")
    return sorted(found)


def json_list(records: Iterable[Json]) -> Iterator[bytes]:
    """One JSON list, a record a line."""
    start = b"[\n"
    for record in records:
        yield start + _line(record)
        start = b",\n"
    yield b"\n]\n"


def json_lines(records: Iterable[Json]) -> Iterator[bytes]:
    """One JSON object a line."""
    return (_line(record) + b"\n" for record in records)


def read_list(path: Path) -> list[Any]:
    """Records of a file with one JSON list."""
    found: list[Any] = json.loads(path.read_bytes())
    return found


def read_lines(path: Path) -> list[Any]:
    """Records of a file with one JSON value a line."""
    with path.open(encoding="utf-8", newline="\n") as lines:
        return [json.loads(line) for line in lines]


def read_pairs(
    path: Path, load: Callable[[Path], list[Any]], pair: Callable[[Any], Json], named: Json
) -> pa.Table:
    """Pairs of one file with the columns PAIRS; `named` are those that its name says.

    Raises: PairingError naming the file, and the record that is no pair of the form.
    """
    try:
        records = load(path)
    except (OSError, ValueError) as error:
        raise PairingError(f"{path} cannot be read ({error}); export again") from error
    rows = []
    for number, record in enumerate(records, start=1):
        try:
            rows.append(named | pair(record))
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise PairingError(
                f"{path}: record {number} is no pair of this form ({error!r}); export again"
            ) from error
    return pa.Table.from_pylist(rows, schema=PAIRS)


def publish(folder: Path, files: Iterable[File]) -> list[Path]:
    """Write all files, or none; nothing is done where exactly these files already stand there.

    Returns: their paths, sorted.
    Raises: PairingError where the folder holds anything else, or cannot be written.
    """
    try:
        with partial_folder(folder) as partial:
            for name, pieces in files:
                _write(partial / name, pieces)
            _put(partial, folder)
    except OSError as error:
        raise PairingError(
            f"export: cannot write {folder} ({error.strerror or error}); "
            "free the place or choose another folder"
        ) from error
    return _files(folder)


def rehearse(folder: Path, files: Iterable[File]) -> list[Path]:
    """Make all files as `publish` does, and write none.

    Returns: the paths that it would write, sorted.
    Raises: PairingError where the folder holds anything else.
    """
    made = {folder / name: _digest(pieces) for name, pieces in files}
    empty = folder.is_dir() and not any(folder.iterdir())
    if folder.exists() and not empty:
        standing = {path: _digest([path.read_bytes()]) for path in _files(folder)}
        if standing != made:
            raise _occupied(folder)
    return sorted(made)


def _digest(pieces: Iterable[bytes]) -> str:
    sha = hashlib.sha256()
    for piece in pieces:
        sha.update(piece)
    return sha.hexdigest()


def _occupied(folder: Path) -> PairingError:
    return PairingError(f"{folder} holds something else; choose another folder")


def _line(record: Json) -> bytes:
    return json.dumps(record, ensure_ascii=False, allow_nan=False).encode()


def _write(path: Path, pieces: Iterable[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.writelines(pieces)


def _put(partial: Path, folder: Path) -> None:
    """Put a partial folder in its place, unless the same files stand there."""
    try:
        put(partial, folder)
    except OSError:
        if not folder.exists():
            raise
        if not _same(partial, folder):
            raise _occupied(folder) from None


def _same(one: Path, two: Path) -> bool:
    names = [[str(path.relative_to(folder)) for path in _files(folder)] for folder in (one, two)]
    if names[0] != names[1]:
        return False
    _, differing, failed = filecmp.cmpfiles(one, two, names[0], shallow=False)
    return not (differing or failed)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
