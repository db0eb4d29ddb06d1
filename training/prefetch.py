"""Batches made while the step before them computes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Task = TypeVar("Task")
Made = TypeVar("Made")

WORKERS = 2  # threads: what they do (copies, JPEG) leaves the interpreter to others
AHEAD = 3  # batches made or being made while one is used


def prefetched(
    make: Callable[[Task], Made],
    tasks: Iterable[Task],
    *,
    workers: int = WORKERS,
    ahead: int = AHEAD,
) -> Generator[Made]:
    """What `make` makes of each task, in the order of the tasks, made by threads beforehand.

    Raises: what `make` raised, in the place of what it should have made.
    Closing waits for what the threads are at; use `contextlib.closing` where a loop may end early.

    >>> list(prefetched(str.upper, ["a", "b", "c"]))
    ['A', 'B', 'C']
    """
    coming = iter(tasks)
    with ThreadPoolExecutor(workers, thread_name_prefix="prefetch") as pool:
        waiting: deque[Future[Made]] = deque()
        try:
            waiting.extend(pool.submit(make, task) for task in islice(coming, ahead))
            while waiting:
                made = waiting.popleft().result()
                waiting.extend(pool.submit(make, task) for task in islice(coming, 1))
                yield made
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
