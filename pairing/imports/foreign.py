"""What a foreign pair file says: judgements of two videos each, and rows that say none."""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

from pairing.imports.signatures import unsigned
from pairing.words import SPLITS, Kind
from warehouse.errors import PairingError
from warehouse.identity import normal_prompt

Category = Literal["A", "B", "same", "both_good", "both_bad"]
Record = Any  # of a CSV a mapping of text, of JSON whatever stands there

KINDS: Mapping[Category, Kind] = {
    "A": "win_lose",
    "B": "win_lose",
    "same": "tie",
    "both_good": "win_tie",
    "both_bad": "lose_tie",
}
SHOWN = 80  # characters of a value in a message
SECRET = re.compile(r"(?<=://)[^/?#\s]*@")  # name and password of a URL


@dataclass(frozen=True)
class Video:
    """One side of a pair, as the file has it."""

    path: str
    """A path, relative to the file's folder unless it is absolute, or a URL."""
    prompt: str
    generator: str = ""
    """Empty where the file does not say."""
    item_id: str = ""
    """Of a file that Soli exported; else empty."""

    @cached_property
    def key(self) -> str:
        """What tells it from the file's other videos; a URL signed anew is the same video.

        >>> Video("./videos/a.mp4", "a cat").key
        'videos/a.mp4'
        >>> Video("https://clips.example/a.mp4?Expires=60&Signature=0f", "a cat").key
        'https://clips.example/a.mp4'
        """
        if self.item_id:
            return self.item_id
        return unsigned(self.path) if "://" in self.path else posixpath.normpath(self.path)


@dataclass(frozen=True)
class Judged:
    """One judgement of two videos in one dimension."""

    row: int
    """1 for the file's first pair."""
    a: Video
    b: Video
    dimension: str
    category: Category


@dataclass(frozen=True)
class RefusedRow:
    """A row, or one judgement of it, that is not taken in."""

    row: int
    reason: str


@dataclass(frozen=True)
class Foreign:
    """What a file holds."""

    judged: list[Judged]
    refused: list[RefusedRow]
    silent: int
    """Rows that judge in none of the dimensions read."""
    rows: int
    sha256: str
    """Of the file's bytes."""

    @property
    def dimensions(self) -> list[str]:
        """Those judged, in alphabetical order."""
        return sorted({each.dimension for each in self.judged})


@dataclass(frozen=True)
class Form:
    """A foreign format.

    load: file -> records, in the file's order.
    videos: record -> its two videos, A and B.
    category: record, column -> what the column says of them; None where it says nothing.
    columns: file, records, dimension by column as the user names them or None -> those to read.
    """

    name: str
    load: Callable[[Path], list[Record]]
    videos: Callable[[Record], tuple[Video, Video]]
    category: Callable[[Record, str], Category | None]
    columns: Callable[[Path, list[Record], Mapping[str, str] | None], Mapping[str, str]]


def read_form(form: Form, path: Path, columns: Mapping[str, str] | None = None) -> Foreign:
    """Judgements of a file, and the rows that are none.

    columns: dimension by column; no other column is read. None: as the form says.
    Raises: PairingError where the file itself cannot be read; a bad ROW is refused alone, and of a
        good row a bad judgement.
    """
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        records = form.load(path)
    except (OSError, ValueError, RecursionError) as error:
        words = error.strerror if isinstance(error, OSError) else error
        raise PairingError(f"{path}: no readable {form.name} file ({words})") from error
    if not records:
        raise PairingError(f"{path} holds no pair")
    named = form.columns(path, records, columns or None)
    judged: list[Judged] = []
    refused: list[RefusedRow] = []
    silent = 0
    for number, record in enumerate(records, start=1):
        said, wrong = _row(form, number, record, named)
        judged += said
        refused += wrong
        silent += not said and not wrong
    kept, two_faced = _one_prompt(judged)
    refused = sorted(refused + two_faced, key=lambda each: each.row)
    return Foreign(kept, refused, silent, len(records), digest)


def dimension_in(path: Path) -> str | None:
    """Dimension that the name of one of Soli's own exports says.

    >>> dimension_in(Path("out/subject_deformity.test.json"))
    'subject_deformity'
    """
    words = path.name.split(".")
    named = len(words) == len(("dimension", "split", "suffix")) and words[1] in SPLITS
    return unquote(words[0]) if named else None


def text_in(record: Mapping[str, Any], name: str) -> str:
    """Text of a field.

    Raises: PairingError where there is none.
    """
    value = record.get(name)
    if not isinstance(value, str) or not value.strip():
        raise PairingError(f"{name} is {shown(value)}; give it as a text")
    try:
        value.encode()
    except UnicodeEncodeError as error:  # JSON can spell it
        raise PairingError(
            f"{name} {_hidden(ascii(value))[:SHOWN]} holds half a character"
        ) from error
    return value


def shown(value: object) -> str:
    """A value in a message, cut where it is long, and without the passwords of URLs.

    >>> shown("https://ann:secret@clips.example/a.mp4")
    "'https://…@clips.example/a.mp4'"
    """
    text = _hidden(repr(value))
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"


def _hidden(text: str) -> str:
    return SECRET.sub("…@", text)


def _row(
    form: Form, number: int, record: Record, columns: Mapping[str, str]
) -> tuple[list[Judged], list[RefusedRow]]:
    judged, refused = [], []
    try:
        a, b = _videos(form, record)
    except PairingError as error:
        return [], [RefusedRow(number, str(error))]
    for column, dimension in columns.items():
        try:
            category = form.category(record, column)
        except PairingError as error:
            refused.append(RefusedRow(number, str(error)))
            continue
        if category is not None:
            judged.append(Judged(number, a, b, dimension, category))
    return judged, refused


def _videos(form: Form, record: Record) -> tuple[Video, Video]:
    a, b = form.videos(record)
    for text in (a.path, b.path, a.item_id, b.item_id):
        if SECRET.search(text):
            raise PairingError(
                f"video {shown(text)} carries a name or password, which everybody who reads the"
                " tables would see; remove it"
            )
    if a.key == b.key:
        raise PairingError(f"both videos are {shown(a.key)}; compare two")
    return a, b


def _one_prompt(judged: list[Judged]) -> tuple[list[Judged], list[RefusedRow]]:
    """Judgements without the rows whose videos stand elsewhere with another prompt or generator."""
    told: dict[tuple[str, str], dict[str, int]] = {}  # key and field -> value -> first row
    for each in judged:
        for video in (each.a, each.b):
            for field in ("prompt", "generator"):
                if value := getattr(video, field):
                    told.setdefault((video.key, field), {}).setdefault(value, each.row)
    reasons = {
        key: _two_faced(key, field, values)
        for (key, field), values in told.items()
        if len({normal_prompt(value) for value in values}) > 1
    }
    kept, refused = [], {}
    for each in judged:
        reason = reasons.get(each.a.key) or reasons.get(each.b.key)
        if reason:
            refused[each.row] = RefusedRow(each.row, reason)
        else:
            kept.append(each)
    return kept, list(refused.values())


def _two_faced(key: str, field: str, values: Mapping[str, int]) -> str:
    first, second, *_ = sorted(values.values())
    return (
        f"video {shown(key)} has one {field} in row {first} and another in row {second}; correct"
        " the wrong one"
    )
