"""What each step costs: seconds, and the largest resident memory of any one process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil

SAMPLE_SECONDS = 0.2
MIB = 1024 * 1024


@dataclass
class Step:
    """One measured step."""

    name: str
    seconds: float = 0.0
    peak_mib: float = 0.0
    note: str = ""


@dataclass
class Meter:
    """Steps in the order they ran; `also` are processes that are not our children."""

    steps: list[Step] = field(default_factory=list)
    also: set[int] = field(default_factory=set)

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Measure the block; the caller may set the step's note."""
        step = Step(name)
        done = threading.Event()
        sampler = threading.Thread(target=self._sample, args=(step, done), daemon=True)
        started = time.monotonic()
        sampler.start()
        try:
            yield step
        finally:
            done.set()
            sampler.join()
            step.seconds = time.monotonic() - started
            self.steps.append(step)

    def _sample(self, step: Step, done: threading.Event) -> None:
        while True:
            step.peak_mib = max(step.peak_mib, *(rss / MIB for rss in self._resident()))
            if done.wait(SAMPLE_SECONDS):
                return

    def _resident(self) -> list[int]:
        """Resident bytes of this process, its descendants, and the processes named in `also`."""
        roots = [psutil.Process(), *filter(None, map(_process, self.also))]
        sizes = [0]
        for root in roots:
            try:
                family = [root, *root.children(recursive=True)]
            except psutil.Error:
                continue
            sizes += [_rss(process) for process in family]
        return sizes


def _process(pid: int) -> psutil.Process | None:
    try:
        return psutil.Process(pid)
    except psutil.Error:
        return None


def _rss(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0
