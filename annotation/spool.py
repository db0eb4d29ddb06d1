"""Pages of a pull on disk: memory holds one page, and a killed pull goes on where it was.

`start.json` says what is being read, `pages.jsonl` has a line for each complete page, and the
pages lie beside it as they were received. A page counts once its line stands; a file or line that
was torn or changed is noticed by its length and SHA-256.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

from annotation.client import Project
from annotation.paging import BEFORE_ALL, Json, Page
from warehouse.errors import AnnotationError, StoreError

FORMAT = 1
_START, _PAGES = "start.json", "pages.jsonl"
_MOMENTS = ("since", "watermark", "clock")


@dataclass(frozen=True)
class Start:
    """What a pull reads, fixed before its first page."""

    source: str
    project: Project
    """As it was after `newest` was asked for, so that no page is older than its configuration."""
    since: datetime | None
    """Only tasks changed at or after this moment; None reads all."""
    watermark: datetime | None
    """Where the pull after this one begins; None where the project is empty."""
    clock: datetime | None = None
    """Server's time at which `project` had been read, a little more at most; None: not told."""

    def to_json(self) -> Json:
        """Everything, for the index."""
        moments = {name: _text(getattr(self, name)) for name in _MOMENTS}
        return {"format": FORMAT, **asdict(self), **moments}

    @classmethod
    def from_json(cls, found: Json) -> Self:
        """Read what `to_json` wrote."""
        moments = {name: _moment(found[name]) for name in _MOMENTS}
        return cls(found["source"], Project(**found["project"]), **moments)


@dataclass(frozen=True)
class Entry:
    """A complete page."""

    file: str
    ids: list[int]
    total: int
    """Tasks that the server announced, those of this page included."""
    size: int
    digest: str

    def body(self, folder: Path) -> bytes | None:
        """The page's bytes; None where they are not those that were written."""
        try:
            body = (folder / self.file).read_bytes()
        except FileNotFoundError:
            return None
        sound = len(body) == self.size and sha256(body).hexdigest() == self.digest
        return body if sound else None


class Spool:
    """Pages read so far, in a folder of their own."""

    def __init__(self, folder: Path, start: Start, entries: list[Entry]) -> None:
        """Take what is in the folder as given; see `begin` and `resume`."""
        self.folder, self.start, self._entries = folder, start, entries

    @classmethod
    def begin(cls, folder: Path, start: Start) -> Self:
        """An empty spool; what another pull left in the folder is removed."""
        clear(folder)
        with _writing(folder):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _place(folder / _START, json.dumps(start.to_json()).encode())
        return cls(folder, start, [])

    @classmethod
    def resume(cls, folder: Path, start: Start) -> Self | None:
        """What a killed pull of ALL tasks left, where this one would read the same.

        The pages keep the older start with its watermark: they were read after that. Pages from
        the first damaged one on are dropped.
        """
        began = _started(folder)
        same = began and (began.source, began.project) == (start.source, start.project)
        if began is None or not same or began.since or start.since:
            return None
        entries = list(_sound(folder))
        with _writing(folder):
            _place(folder / _PAGES, b"".join(_line(entry) for entry in entries))
        return cls(folder, began, entries) if entries else None

    @property
    def count(self) -> int:
        """Tasks read."""
        return sum(len(entry.ids) for entry in self._entries)

    @property
    def announced(self) -> int:
        """Most tasks that there were to be, by the server's count at any page."""
        most = before = 0
        for entry in self._entries:
            most = max(most, before + entry.total)
            before += len(entry.ids)
        return most

    @property
    def last(self) -> int:
        """Largest id read; reading goes on behind it."""
        return self._entries[-1].ids[-1] if self._entries else BEFORE_ALL

    def ids(self) -> set[int]:
        """Ids of the tasks read."""
        return {task for entry in self._entries for task in entry.ids}

    def add(self, page: Page) -> None:
        """Keep a page. It is there completely or not at all."""
        name = f"{len(self._entries) + 1:06d}.json"
        digest = sha256(page.body).hexdigest()
        entry = Entry(name, page.ids, page.total, len(page.body), digest)
        with _writing(self.folder):
            _place(self.folder / name, page.body)
            with (self.folder / _PAGES).open("ab") as index:
                index.write(_line(entry))
        self._entries.append(entry)

    def tasks(self) -> Iterator[Json]:
        """All tasks by rising id, one page in memory.

        Raises: AnnotationError where a page is not as it was written.
        """
        for entry in self._entries:
            body = entry.body(self.folder)
            if body is None:
                raise AnnotationError(
                    f"{self.folder / entry.file}: the page is not as it was written; run the pull"
                    " again"
                )
            yield from json.loads(body)["tasks"]


def clear(folder: Path) -> None:
    """Remove a spool; nothing happens where there is none.

    The start goes first: without it the rest is no spool.
    """
    with _writing(folder):
        for path in [folder / _START, folder / _PAGES, *folder.glob("*.json*")]:
            path.unlink(missing_ok=True)


def _started(folder: Path) -> Start | None:
    """Start of the spool in the folder; None where there is none that we can read."""
    try:
        found = json.loads((folder / _START).read_bytes())
        return Start.from_json(found) if found["format"] == FORMAT else None
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _sound(folder: Path) -> Iterator[Entry]:
    """Pages up to the first that is missing, torn or changed."""
    try:
        lines = (folder / _PAGES).read_bytes().splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        entry = _entry(line)
        if entry is None or entry.body(folder) is None:
            return
        yield entry


def _line(entry: Entry) -> bytes:
    return json.dumps(asdict(entry)).encode() + b"\n"


def _entry(line: bytes) -> Entry | None:
    """Page that a line of the index tells of; None for a torn line."""
    try:
        found: dict[str, Any] = json.loads(line)
        return Entry(**{field.name: found[field.name] for field in fields(Entry)})
    except (ValueError, KeyError, TypeError):
        return None


def _place(path: Path, content: bytes) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    partial.touch(mode=0o600, exist_ok=False)  # answers name people
    partial.write_bytes(content)
    partial.replace(path)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{folder} cannot be written ({error.strerror}); make room or mend its permissions,"
            " then run again"
        ) from error


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
