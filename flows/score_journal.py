"""Rewards as they come, in a file beside the output: what a killed run has done is not done again.

One JSON line per clip: which file it was (path, size, time of its last change), and its rewards by
prompt. The first line names the model. A torn last line is cut off.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from warehouse.errors import StoreError

Rewards = tuple[float, ...]
Key = tuple[str, str]
"""Path and prompt."""
Stamp = list[int] | None
"""Size and time of the last change of a file; None where it is not there."""


class Journal:
    """Rewards by path and prompt; a clip's line is in the file before the next is scored."""

    def __init__(self, file: IO[bytes], model_id: str) -> None:
        self._file = file
        self.rewards: dict[Key, Rewards] = {}
        lines = _whole_lines(file)
        try:
            held = json.loads(lines[0])["model_id"] if lines else model_id
            clips = [json.loads(line) for line in lines[1:]]
            for clip in clips if held == model_id else ():
                if stamp(clip["path"]) == clip["stamp"]:
                    self._keep(clip)
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{file.name} is no journal of `soli score`; remove it") from error
        if held != model_id:
            raise StoreError(
                f"{file.name} holds rewards of model {held}, not of {model_id}; remove it, or name"
                " another --out"
            )
        if not lines:
            self._append({"model_id": model_id})

    def add(self, path: str, seen: Stamp, rewards: Mapping[str, Rewards]) -> None:
        """Keep the rewards of a clip by prompt; seen: its stamp before it was read."""
        line = {"path": path, "stamp": seen, "rewards": list(rewards.items())}
        self._append(line)
        self._keep(line)

    def _keep(self, line: dict[str, Any]) -> None:
        for prompt, rewards in line["rewards"]:
            self.rewards[line["path"], prompt] = tuple(rewards)

    def _append(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line).encode() + b"\n")
        self._file.flush()


@contextmanager
def journal(path: Path, model_id: str) -> Iterator[Journal]:
    """The journal at a path, made where there is none, and held by this process alone.

    Raises: StoreError where another process writes it, it is of another model, or no journal.
    """
    with path.open("a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(
                f"{path} is being written by another `soli score`; wait for it, or name another"
                " --out"
            ) from None
        yield Journal(file, model_id)


def _whole_lines(file: IO[bytes]) -> list[bytes]:
    """Lines of a journal; what a kill tore off is cut from the file."""
    file.seek(0)
    text = file.read()
    whole = text[: text.rfind(b"\n") + 1]
    if len(whole) < len(text):
        os.ftruncate(file.fileno(), len(whole))
    return whole.splitlines()


def stamp(path: str) -> Stamp:
    """What tells a file from one that replaced it."""
    try:
        stat = Path(path).stat()
    except (OSError, ValueError):
        return None
    return [stat.st_size, stat.st_mtime_ns]
