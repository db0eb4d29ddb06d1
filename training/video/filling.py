"""Many clips into the cache: here where that is quick, by several processes where it is not."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from queue import SimpleQueue

from training.progress import Advance, silent
from training.video.cache import FrameCache, Kept
from training.video.worker import Source, Worker
from warehouse.errors import TrainingError

WORTH_SECONDS = 10.0  # of decoding left: a process costs about three seconds of a core to start
TRIED = 3  # clips that tell how long the others will take

Outcome = Kept | TrainingError


def fill(
    cache: FrameCache,
    sources: Sequence[Source],
    advance: Advance = silent,
    *,
    workers: int | None = None,
    first: int = 0,
) -> list[Outcome]:
    """Have every clip in the cache; those that are there already are only looked up.

    sources: paths, with the digests of the files where they are known.
    workers: processes to decode with; None: one per core that we may use.
    first: where to begin, so that several that fill the same cache share the work.
    Returns: what is kept of each clip, or why it cannot be read, in the order of the sources. What
        is done stays done: a run that is killed goes on where it was.
    """
    outcomes: dict[int, Outcome] = {}
    for number, (_, digest) in enumerate(sources):
        if digest and (kept := cache.kept(digest)):
            outcomes[number] = kept
    advance(len(outcomes), len(sources), "")
    turned = [*range(first, len(sources)), *range(first)]
    missing = deque(number for number in turned if number not in outcomes)
    for number, outcome in _decoded(cache, sources, missing, workers or cores()):
        outcomes[number] = outcome
        advance(len(outcomes), len(sources), "")
    return [outcomes[number] for number in range(len(sources))]


def _decoded(
    cache: FrameCache, sources: Sequence[Source], missing: deque[int], workers: int
) -> Iterator[tuple[int, Outcome]]:
    """Outcomes of the missing clips; by processes from where that is seen to be worth it."""
    began, done = time.perf_counter(), 0
    while missing:
        number = missing.popleft()
        yield number, _keep(cache, sources[number])
        done += 1
        left = (time.perf_counter() - began) / done * len(missing)
        if workers > 1 and done >= TRIED and left > WORTH_SECONDS:
            yield from _side_by_side(cache, sources, list(missing), workers)
            return


def _side_by_side(
    cache: FrameCache, sources: Sequence[Source], numbers: list[int], workers: int
) -> Iterator[tuple[int, Outcome]]:
    """Outcomes in the order of the numbers, each by whichever process is free."""
    idle: SimpleQueue[Worker] = SimpleQueue()

    def keep(number: int) -> Outcome:
        worker = idle.get()
        try:
            return worker.keep(sources[number])
        finally:
            idle.put(worker)

    with ThreadPoolExecutor(workers) as pool, ExitStack() as stack:
        for _ in range(min(workers, len(numbers))):
            idle.put(stack.enter_context(Worker(cache)))
        try:
            yield from zip(numbers, pool.map(keep, numbers), strict=True)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _keep(cache: FrameCache, source: Source) -> Outcome:
    try:
        return cache.keep(*source)
    except TrainingError as error:
        return error


def cores() -> int:
    """Cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
    return len(affinity(0)) if affinity else os.cpu_count() or 1
