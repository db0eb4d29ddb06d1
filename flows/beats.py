"""Heartbeats of flow runs: Prefect calls a run "Running" long after kill -9 ended its process.

A run holds the lock of HOME/beats/RUN.lock, which the kernel lets go when the process dies however
it dies, and touches that file at each sign of progress. So a file without its lock is a run that
died, and a locked file that was not touched for long is a run that hangs.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from flows.console import heeded
from warehouse.lease import lease

FOLDER = "beats"
SUFFIX, TOLD, AGAIN = ".lock", ".told", ".again"
EVERY_SECONDS = 1.0  # a file is not touched more often
WAIT_SECONDS = 10.0  # for whoever looks whether we live, which takes a lock for a moment
# A run that gives no sign of progress for longer hangs. Pulls tell of each page; measuring and
# pairing tell little, and a training is watched by the files that it writes.
PATIENCE = {
    "soli-ingest": timedelta(minutes=15),
    "soli-measure": timedelta(hours=1),
    "soli-nightly": timedelta(hours=2),
    "soli-train": timedelta(hours=2),
    "soli-score-back": timedelta(hours=1),
}
LONGEST = timedelta(hours=2)


@dataclass(frozen=True)
class Beat:
    """What a run left of itself in the home."""

    run_id: str
    flow: str
    pid: int
    alive: bool
    silent: timedelta
    """Time since its last sign of progress."""

    @property
    def hangs(self) -> bool:
        """Whether it lives, but gives no sign."""
        return self.alive and self.silent > PATIENCE.get(self.flow, LONGEST)


@contextmanager
def beating(home: Path, flow: str, run_id: str) -> Iterator[None]:
    """Be known as alive within the block.

    Raises: StoreError where the same run goes on in another process, or the home is not writable.
    """
    home = home.absolute()
    path = home / FOLDER / f"{run_id}{SUFFIX}"
    with lease(path, flow, WAIT_SECONDS), heeded(_Touch(path)):
        try:
            yield
        finally:
            forget(home, run_id)


class _Touch:
    """A sign of progress: the file gets the time of now, once a second at most."""

    def __init__(self, path: Path) -> None:
        self._path, self._last = path, 0.0

    def __call__(self) -> None:
        now = time.monotonic()
        if now - self._last >= EVERY_SECONDS:
            self._last = now
            with suppress(OSError):  # a full disk is told by whoever has something to write
                os.utime(self._path)


def beats(home: Path) -> list[Beat]:
    """Runs that go on in this home, and those that died in it and were not looked after."""
    found = [_beat(home, path) for path in sorted((home / FOLDER).glob(f"*{SUFFIX}"))]
    return [beat for beat in found if beat]


def forget(home: Path, run_id: str) -> None:
    """Remove what a run left."""
    for suffix in (SUFFIX, TOLD, AGAIN):
        (home / FOLDER / f"{run_id}{suffix}").unlink(missing_ok=True)


def tell_once(home: Path, beat: Beat) -> bool:
    """Whether nobody was told of this silence yet; from now on somebody was."""
    mark = home / FOLDER / f"{beat.run_id}{TOLD}"
    began = time.time() - beat.silent.total_seconds()
    if mark.exists() and mark.stat().st_mtime > began:
        return False
    mark.touch()
    return True


def await_again(home: Path, run_id: str) -> None:
    """Note that a run was resumed, and has yet to begin."""
    (home / FOLDER / f"{run_id}{AGAIN}").touch()


def begun_again(home: Path, run_id: str) -> None:
    """A resumed run is awaited no more."""
    (home / FOLDER / f"{run_id}{AGAIN}").unlink(missing_ok=True)


def awaited(home: Path) -> list[str]:
    """Runs that were resumed, and have not begun as far as is known."""
    return sorted(path.name.removesuffix(AGAIN) for path in (home / FOLDER).glob(f"*{AGAIN}"))


def home_tag(home: Path) -> str:
    """What Prefect's runs carry that belong to this home: random, and the same for ever."""
    path = home / FOLDER / "home"
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError), path.open("x", encoding="ascii") as file:
        file.write(f"soli-home-{uuid.uuid4().hex[:12]}")
    return path.read_text(encoding="ascii")


def _beat(home: Path, path: Path) -> Beat | None:
    """None where the run ended while we look, or has only begun."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        alive = not _free(descriptor)
        said = json.loads(os.read(descriptor, 4096) or b"{}")
        touched = os.fstat(descriptor).st_mtime
        gone = not path.exists()
    except ValueError:  # being written
        return None
    finally:
        os.close(descriptor)
    if gone or "for" not in said:
        return None
    newest = max(touched, _trained(home)) if said["for"] == "soli-train" else touched
    silent = timedelta(seconds=max(0.0, time.time() - newest))
    return Beat(path.name.removesuffix(SUFFIX), said["for"], int(said["pid"]), alive, silent)


def _free(descriptor: int) -> bool:
    """Whether nobody holds the lock; it is let go when the descriptor is closed."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _trained(home: Path) -> float:
    """When a training job of this home last wrote a file, in seconds since 1970."""
    return max((path.stat().st_mtime for path in (home / "runs").glob("*/*")), default=0.0)
