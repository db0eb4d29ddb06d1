"""Label Studio's JSON export, streamed: a file of any size in the memory of a few tasks."""

from __future__ import annotations

import codecs
import json
import math
import re
import uuid
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from annotation.payload import SOURCE_KEY
from warehouse.errors import AnnotationError

EXPORT_SPACE = uuid.UUID("6f1e2ac4-8f0d-5b0a-9a54-0f5a3f1c7b10")  # names of sources of strangers
RIGHT_EXPORT = "in Label Studio choose Export, format JSON"
LARGEST_TASK = 1 << 28  # characters; a task of ours has about three thousand
_HEAD = 512
_CHUNK = 1 << 22  # bytes read at a time
_NEAR = 64  # characters: an error so close to the end may only mean that there is more to read
_SPACE = re.compile(r"[ \t\r\n]*")


def read_export(path: Path, only: str | None = None) -> Iterator[dict[str, Any]]:
    """Tasks of an export file, one after the other.

    only: the one source that they may name; None: it is not asked.
    Raises: AnnotationError for a file that is missing, empty, an HTML page, no JSON, another export
        format, or cut short. The last one shows only at the end: commit nothing before that.
    """
    for raw, _ in read_texts(path, only):
        yield raw


def read_texts(path: Path, only: str | None = None) -> Iterator[tuple[dict[str, Any], str]]:
    """Tasks as `read_export` gives them, each with the text that it was read from."""
    if not path.is_file():
        raise AnnotationError(f"export {path}: no such file; correct the path")
    with path.open("rb") as file:
        _check_head(file.read(_HEAD), path)
        file.seek(0)
        for raw, text in _tasks(file, path):
            if only is not None:
                _check_source(raw, only)
            yield raw, text


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


def _tasks(file: BinaryIO, path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    number = 0
    try:
        for number, (raw, text) in enumerate(_entries(file), start=1):
            yield _task(raw, number, path), text
    except RecursionError as error:
        raise AnnotationError(
            f"export {path}: nested too deep after task {number}; correct the file, or export it"
            " again"
        ) from error
    except ValueError as error:  # wrong JSON, wrong UTF-8, a number that is none
        raise AnnotationError(f"export {path}: {_trouble(error, number)}") from error


class _Cut(ValueError):
    """The file ends where it should go on."""


def _entries(file: BinaryIO) -> Iterator[tuple[Any, str]]:
    """Entries of the list, each with its text, read one at a time by the standard library."""
    text = _Text(file)
    text.expect("[")
    if text.peek() == "]":
        text.expect("]")
    else:
        yield text.value()
        while text.peek() == ",":
            text.expect(",")
            yield text.value()
        text.expect("]")
    if text.peek():
        raise ValueError(f"{text.peek()!r} follows the end of the list")


class _Text:
    """Decoded text of a file, read on as it is consumed."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        # A byte order mark, as Windows tools leave it, is no part of the text.
        self._bytes = codecs.getincrementaldecoder("utf-8-sig")()
        self._buffer = ""
        self._at = 0
        self._ended = False

    def peek(self) -> str:
        """Next character that is no white space; empty at the end of the file."""
        while True:
            found = _SPACE.match(self._buffer, self._at)
            assert found is not None  # white space may be empty
            self._at = found.end()
            if self._at < len(self._buffer) or not self._more():
                return self._buffer[self._at : self._at + 1]

    def expect(self, character: str) -> None:
        """Step over this character."""
        there = self.peek()
        if not there:
            raise _Cut(f"expecting {character!r}")
        if there != character:
            raise ValueError(f"{there!r} stands where {character!r} should")
        self._at += 1

    def value(self) -> tuple[Any, str]:
        """The JSON value that begins here, and its text."""
        if not self.peek():
            raise _Cut("expecting a task")
        while True:
            try:
                found, end = _JSON.raw_decode(self._buffer, self._at)
            except json.JSONDecodeError as error:
                if not self._may_go_on(error):
                    raise
                if len(self._buffer) - self._at > LARGEST_TASK:
                    raise ValueError(f"more than {LARGEST_TASK} characters in one task") from error
                if not self._more():
                    self._explain(error)
            else:
                text, self._at = self._buffer[self._at : end], end
                return found, text

    def _explain(self, error: json.JSONDecodeError) -> NoReturn:
        """At the end of the file: what is missing is cut, what is wrong is wrong."""
        if error.msg.startswith("Unterminated") or error.pos >= len(self._buffer.rstrip()):
            raise _Cut(error.msg) from error
        raise error

    def _may_go_on(self, error: json.JSONDecodeError) -> bool:
        """Whether the value may only be cut by the end of what was read so far."""
        return error.msg.startswith("Unterminated") or error.pos + _NEAR > len(self._buffer)

    def _more(self) -> bool:
        """Read on; a value that fills the buffer doubles it, so that the cost stays linear."""
        if self._ended:
            return False
        rest = self._buffer[self._at :]
        data = self._file.read(max(_CHUNK, len(rest)))
        self._ended = not data
        self._buffer = rest + self._bytes.decode(data, final=self._ended)
        self._at = 0
        return bool(data)


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        _no_number(text)
    return number


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON number; put null there")


_JSON = json.JSONDecoder(parse_float=_finite, parse_constant=_no_number)


def decoded(text: bytes) -> Any:
    """A task from its text in UTF-8, read as it was when it was found in its file.

    Raises: AnnotationError where Python's stack, higher by now, leaves no room for its nesting.
    """
    try:
        return _JSON.decode(text.decode())
    except RecursionError as error:
        raise AnnotationError(
            "export: a task is nested too deep; correct the file, or export it again"
        ) from error


def _trouble(error: ValueError, number: int) -> str:
    """What ended the reading after this many tasks, and the next step."""
    if isinstance(error, _Cut):
        return f"cut short after task {number} ({error}); nothing was taken in: export it again"
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
        words = error.msg if isinstance(error, json.JSONDecodeError) else error.reason
        return f"no JSON after task {number} ({words.lower()}); {RIGHT_EXPORT}"
    return f"unreadable after task {number}: {_line(error)}; correct the file, or export it again"


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


def carried_source(task: Mapping[str, Any]) -> str | None:
    """Source UUID that a task of Soli's carries in its data.

    Raises: AnnotationError for one that is no UUID.
    """
    data = task.get("data")
    text = data.get(SOURCE_KEY) if isinstance(data, Mapping) else None
    return checked_source(text) if isinstance(text, str) else None


def _check_source(task: Mapping[str, Any], only: str) -> None:
    carried = carried_source(task)
    if carried not in {None, only}:
        raise AnnotationError(
            f"export: its tasks name 2 sources ({only}, {carried}); name the right one with"
            " --source"
        )


def stable_fact(task: Mapping[str, Any]) -> tuple[str, int]:
    """What stays the same of a task in every export: when it was made, and in which project."""
    project = task.get("project")
    return str(task.get("created_at")), project if isinstance(project, int) else -1


def strange_source(oldest: tuple[str, int] | None) -> str:
    """UUID for a project that carries none, made of the stable facts of its oldest task."""
    return str(uuid.uuid5(EXPORT_SPACE, repr(oldest)))


@lru_cache(maxsize=16)
def checked_source(text: str) -> str:
    """A source as a UUID in its normal form.

    Raises: AnnotationError for anything else.
    """
    try:
        return str(uuid.UUID(text))
    except ValueError as error:
        raise AnnotationError(
            f"source {text!r} is no UUID; copy it from the projects table"
        ) from error
