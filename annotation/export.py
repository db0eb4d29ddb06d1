"""Label Studio's JSON export, streamed: a file of any size in the memory of one task."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from annotation.payload import SOURCE_KEY, read_annotation
from warehouse.errors import AnnotationError

EXPORT_SPACE = uuid.UUID("6f1e2ac4-8f0d-5b0a-9a54-0f5a3f1c7b10")  # names of sources of strangers
RIGHT_EXPORT = "in Label Studio choose Export, format JSON"
DEEPEST = 100  # levels of nesting; an annotation of Label Studio's has about ten
_HEAD = 512
# The parser's complaint quotes the place: an invalid character where NaN or Infinity begins.
_NO_NUMBER = re.compile(r"(?:invalid char|malformed number)[^\n]*\n.*?(-?\b(?:NaN|Infinity)\b)")


def read_export(path: Path) -> Iterator[dict[str, Any]]:
    """Tasks of an export file, one after the other.

    Raises: AnnotationError for a file that is missing, empty, an HTML page, no JSON, another export
        format, or cut short. The last one shows only at the end: commit nothing before that.
    """
    if not path.is_file():
        raise AnnotationError(f"export {path}: no such file; correct the path")
    with path.open("rb") as file:
        _check_head(file.read(_HEAD), path)
        file.seek(0)
        yield from _tasks(file, path)


def _check_head(head: bytes, path: Path) -> None:
    text = head.decode("utf-8-sig", "replace").lstrip()
    if not text:
        raise AnnotationError(f"export {path}: the file is empty; {RIGHT_EXPORT}")
    if text.startswith("<"):
        raise AnnotationError(
            f"export {path}: this is a web page (a log-in or an error?), no export; {RIGHT_EXPORT}"
        )
    if text.startswith("{"):
        raise AnnotationError(
            f"export {path}: one JSON object, not a list of tasks; {RIGHT_EXPORT}"
        )
    if not text.startswith("["):
        raise AnnotationError(
            f"export {path}: no JSON (it begins {text[:20]!r}; CSV and TSV lack the skips and the"
            f" ground truth); {RIGHT_EXPORT}"
        )


def _tasks(file: BinaryIO, path: Path) -> Iterator[dict[str, Any]]:
    import ijson  # only for export files

    number = 0
    try:
        for number, raw in enumerate(_entries(file), start=1):
            yield _task(raw, number, path)
    except (ijson.JSONError, UnicodeDecodeError, ValueError) as error:
        raise AnnotationError(f"export {path}: {_trouble(error, number)}") from error


def _entries(file: BinaryIO) -> Iterator[Any]:
    """Entries of the list, by the fast parser as long as all numbers have 64 bits.

    From the first larger one on by the slow parser: the fast one either refuses such numbers or,
    told to take them, crashes at those of some thousand digits.
    """
    import ijson  # only for export files

    done = 0
    try:
        for entry in _parsed(file, ijson):
            yield entry
            done += 1
    except ijson.JSONError as error:
        if "overflow" not in str(error):
            raise
        yield from islice(_parsed(file, ijson.get_backend("python")), done, None)


def _parsed(file: BinaryIO, parser: Any) -> Iterator[Any]:
    file.seek(0)
    if file.read(3) != b"\xef\xbb\xbf":  # a byte order mark, as Windows tools leave
        file.seek(0)
    events = _shallow(parser.basic_parse(file, use_float=True))
    return iter(parser.items(parser.parse(events), "item"))


def _shallow(events: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Events of the parser, stopped before nesting without end fills the memory."""
    depth = 0
    for event, value in events:
        depth += event.startswith("start_") - event.startswith("end_")
        if depth > DEEPEST:
            raise ValueError(f"nested more than {DEEPEST} levels deep")
        yield event, value


def _trouble(error: Exception, number: int) -> str:
    """What ended the reading after this many tasks, and the next step."""
    place = f"after task {number}"
    odd = _NO_NUMBER.search(str(error))
    if odd:
        return f"{odd[1]} {place} is no JSON number; put null there, or export it again"
    if "EOF" in str(error) or "ncomplete" in str(error):
        return f"cut short {place} ({_line(error)}); nothing was taken in: export it again"
    if isinstance(error, ValueError) and not isinstance(error, UnicodeError):
        return f"unreadable {place}: {_line(error)}; correct the file, or export it again"
    return f"no JSON {place} ({_line(error)}); {RIGHT_EXPORT}"


def _task(raw: Any, number: int, path: Path) -> dict[str, Any]:
    """The entry, where it looks like a task at all."""
    if isinstance(raw, dict) and "data" in raw and "annotations" in raw:
        return raw
    kind = "JSON_MIN" if isinstance(raw, dict) and "annotation_id" in raw else "something else"
    raise AnnotationError(
        f"export {path}: entry {number} is no task with data and annotations ({kind});"
        f" {RIGHT_EXPORT}"
    )


def _line(error: Exception) -> str:
    """First line: the further ones quote the file, and people may stand there."""
    return str(error).partition("\n")[0][:80]


def export_source(
    tasks: Iterable[Mapping[str, Any]],
    known: Mapping[tuple[int, datetime], str],
    given: str | None = None,
) -> str:
    """UUID of the project that an export is of.

    In order: the one given; the `soli_source` that Soli's tasks carry; the source whose annotations
    these are (`known`: (annotation id, created_at) → source); else a name
    made of the project's own stable facts, the same for every export of it from now on.
    Raises: AnnotationError for a given source that is no UUID, or where several sources fit.
    """
    if given is not None:
        return _uuid(given)
    carried: set[str] = set()
    matched: set[str] = set()
    facts: list[tuple[str, int]] = []
    for task in tasks:
        data = task.get("data")
        if isinstance(data, Mapping) and isinstance(data.get(SOURCE_KEY), str):
            carried.add(_uuid(data[SOURCE_KEY]))
        facts.append((str(task.get("created_at")), _number(task.get("project"))))
        matched.update(_matches(task, known))
    for found, how in ((carried, "name"), (matched, "match")):
        if len(found) > 1:
            raise AnnotationError(
                f"export: its tasks {how} {len(found)} sources ({', '.join(sorted(found))});"
                " name the right one with --source"
            )
        if found:
            return found.pop()
    return str(uuid.uuid5(EXPORT_SPACE, repr(min(facts, default=None))))


def _matches(task: Mapping[str, Any], known: Mapping[tuple[int, datetime], str]) -> Iterator[str]:
    annotations = task.get("annotations") if known else None
    for raw in annotations if isinstance(annotations, list) else []:
        annotation = read_annotation(raw)
        if not isinstance(annotation, str) and (annotation.id, annotation.created_at) in known:
            yield known[annotation.id, annotation.created_at]


def _number(value: Any) -> int:
    return value if isinstance(value, int) else -1


def _uuid(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError as error:
        raise AnnotationError(
            f"source {text!r} is no UUID; copy it from the projects table"
        ) from error
