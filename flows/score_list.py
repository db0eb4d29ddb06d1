"""The videos to score: those of a list, or of a folder. A bad entry is an entry with its reason."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotation.media import ADD_FOLDER, inside, is_remote
from annotation.rows import raw_rows
from warehouse.errors import AnnotationError

VIDEOS = frozenset(
    "3gp avi flv gif m4v mkv mov mp4 mpeg mpg ogv ts webm".split()  # noqa: SIM905
)
SHOWN = 80  # characters of a wrong value
PATH, PROMPT, ITEM = "video_path", "prompt", "item_id"


@dataclass(frozen=True)
class Entry:
    """One video to score, as somebody listed it."""

    line: int
    """1 for the first entry."""
    item_id: str
    """What the entry calls itself; else its path as it was written."""
    path: str
    """Where the video lies."""
    prompt: str
    """Empty where none was given: the template is then filled in with nothing."""
    problem: str | None = None
    """Why it cannot be scored."""


def read_list(path: Path, roots: Sequence[Path], folder: Path) -> list[Entry]:
    """Entries of a list: JSON, JSON lines, CSV or Parquet.

    path: rows with `video_path`, and optionally `prompt` and `item_id`; a JSON file holds an array
        of such objects, as the README of SoliReward shows for inference.
    roots: folders that videos must lie in. folder: what relative paths start from.
    Raises: AnnotationError where the file itself cannot be read; a bad entry has its `problem`.
    """
    rows = _json(path) if path.suffix.lower() == ".json" else raw_rows(path, (PATH,))
    return [_entry(line, row, roots, folder) for line, row in enumerate(rows, start=1)]


def _json(path: Path) -> list[Any]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise AnnotationError(f"{path}: no such file; correct the path") from error
    except (OSError, ValueError, RecursionError) as error:
        raise AnnotationError(f"{path}: no readable JSON ({error})") from error
    if not isinstance(rows, list):
        raise AnnotationError(f'{path}: no list of entries; write [{{"{PATH}": "a.mp4"}}, ...]')
    return rows


def _entry(line: int, row: Any, roots: Sequence[Path], folder: Path) -> Entry:
    values = row if isinstance(row, dict) else {}
    path, prompt = values.get(PATH), values.get(PROMPT) or ""
    name = values.get(ITEM) or path or f"entry {line}"
    place, problem = str(path or ""), None
    if not isinstance(path, str) or not path.strip() or "\0" in path:
        problem = f"entry {line} has no {PATH} ({str(row)[:SHOWN]!r}); name a video"
    elif not isinstance(prompt, str):
        problem = f"entry {line}: {PROMPT} is {str(prompt)[:SHOWN]!r}; it must be a text"
    elif any(not _is_unicode(str(text)) for text in (name, path, prompt)):
        problem = f"entry {line} holds half a character (a lone surrogate); write it as UTF-8"
    elif is_remote(path):
        problem = f"video {path} is no local file; copy it to this machine"
    else:
        try:
            place = str(inside(folder / path, roots))
        except AnnotationError as error:
            problem = str(error).replace(ADD_FOLDER, "name its folder with --media-root")
    return Entry(line, _shown(name), _shown(place), _shown(prompt), problem=problem)


def _is_unicode(text: str) -> bool:
    return _shown(text) == text


def _shown(value: object) -> str:
    """A text that can be written as UTF-8."""
    return str(value).encode("utf-8", "backslashreplace").decode()


def read_folder(folder: Path) -> list[Entry]:
    """Every video below a folder, by its path inside it; without prompts.

    Links are followed to files inside the folder only.
    Raises: AnnotationError where it is no folder, or holds no video.
    """
    if not folder.is_dir():
        raise AnnotationError(f"{folder} is no folder; correct --folder")
    found = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.suffix.lower().removeprefix(".") in VIDEOS and path.is_file()
    )
    if not found:
        raise AnnotationError(f"{folder} holds no video ({', '.join(sorted(VIDEOS))})")
    root = folder.absolute()
    rows = enumerate(found, start=1)
    return [_entry(line, {PATH: name}, (root,), root) for line, name in rows]
