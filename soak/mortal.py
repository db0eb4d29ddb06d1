"""One `soli` command in a process of its own, killed with SIGKILL at a chosen step.

A step is what Python is about to do to a file of the home: write or sync it, make, link, rename or
remove it. Delta Lake, DuckDB and Arrow write without Python between two steps, so a kill may also
come some time after a step began. The process is forked from one that has imported everything,
as a killed command that spends its life importing would show nothing.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from flows.__main__ import run

EVENTS = ("os.mkdir", "os.link", "os.symlink", "os.rename", "os.remove", "os.rmdir")
PATIENCE_SECONDS = 300.0  # a build takes two
FORKS = multiprocessing.get_context("forkserver")
# A fork imports the script that started it again: two seconds, where its imports are not there yet.
FORKS.set_forkserver_preload(["flows.cli", "flows.pair", "flows.exports", "soak.compare"])


class Step(NamedTuple):
    """at: seconds after the command's first step. path: of the file, within the home."""

    at: float
    path: str


class Death(NamedTuple):
    """seconds: after the step with this number, from 1, begins; 0: just before it does."""

    step: int
    seconds: float


class Reaper:
    """An audit hook that writes down steps, and kills this process."""

    def __init__(self, home: Path, log: int, death: Death | None) -> None:
        self.home, self.log, self.death = f"{home}{os.sep}", log, death
        self.count, self.begin = 0, 0.0

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not _is_step(event, arguments):
            return
        path = os.fsdecode(arguments[event == "os.link"])  # of a link, the new name
        if not path.startswith(self.home):
            return
        self.count += 1
        now = time.monotonic()
        self.begin = self.begin or now
        os.write(self.log, f"{now - self.begin:.6f}\t{path.removeprefix(self.home)}\n".encode())
        if self.death and self.count == self.death.step:
            self.doom(self.death.seconds)

    def doom(self, seconds: float) -> None:
        """Die now, or later: a command that is done first ends in peace."""
        if not seconds:
            die()
        timer = threading.Timer(seconds, die)
        timer.daemon = True
        timer.start()


def die() -> None:
    """What `kill -9` does to this process."""
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(PATIENCE_SECONDS)  # a signal need not come at once


def _is_step(event: str, arguments: tuple[Any, ...]) -> bool:
    """Whether the event changes a file or syncs it; os.open, which `sync` calls, has no mode."""
    if event != "open":
        return event in EVENTS
    path, mode, flags = arguments
    writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR)
    return isinstance(path, str | bytes) and bool(mode is None or writes)


def lived(home: Path, command: Sequence[str], death: Death | None = None) -> tuple[list[Step], int]:
    """Steps of a command that runs to its end, or to its death, and its exit code.

    Raises: RuntimeError with its last words where it failed by itself.
    """
    log, words = home.with_suffix(".log"), home.with_suffix(".err")
    log.write_bytes(b"")
    process = FORKS.Process(target=_live, args=(home, command, death, log, words))
    process.start()
    process.join(PATIENCE_SECONDS)
    code = process.exitcode
    if code not in (0, -signal.SIGKILL):
        raise RuntimeError(f"soli {' '.join(command)}: {code}, {words.read_text()[-400:]}")
    rows = (line.split("\t") for line in log.read_text().splitlines())
    return [Step(float(at), path) for at, path in rows], code


def _live(home: Path, command: Sequence[str], death: Death | None, log: Path, words: Path) -> None:
    """Run the command as a process that knows only its home."""
    for name in [name for name in os.environ if name.startswith(("SOLI_", "LABEL_STUDIO_"))]:
        del os.environ[name]
    os.chdir(home.parent)
    said = os.open(words, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(said, sys.stdout.fileno())
    os.dup2(said, sys.stderr.fileno())
    sys.addaudithook(Reaper(home, os.open(log, os.O_WRONLY), death))
    raise SystemExit(run(["--home", str(home), *command]))
