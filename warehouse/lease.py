"""One writer at a time: a lock the kernel releases when its holder dies, and who holds it."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from warehouse.errors import StoreError

POLL_SECONDS = 0.1


@contextmanager
def lease(
    path: Path,
    purpose: str,
    wait: float = 60.0,
    on_wait: Callable[[str], None] = lambda _holder: None,
) -> Iterator[int]:
    """Hold the writer's lease for the block.

    path: the lock file; made where it is missing.
    purpose: said to others who wait, e.g. "ingest".
    wait: seconds to wait for another holder before giving up.
    on_wait: told once, in words, who holds it, where that means waiting.
    Yields: the descriptor that holds it; a child that inherits it holds the lease as well.
    Raises: StoreError naming the holder's process and purpose, or a folder that is not writable.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StoreError(
            f"{path.parent} cannot be written ({error.strerror}); mend its permissions, or name"
            " another folder with --home"
        ) from error
    try:
        _acquire(descriptor, path, wait, on_wait)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "for": purpose}).encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)  # releases the lock


def _acquire(descriptor: int, path: Path, wait: float, on_wait: Callable[[str], None]) -> None:
    deadline = time.monotonic() + wait
    told = False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise StoreError(
                    f"the warehouse is being written by {holder(path)}; wait for it to end, or"
                    f" end that process, then try again (waited {wait:.0f} s)"
                ) from None
            if not told:
                on_wait(holder(path))
                told = True
            time.sleep(POLL_SECONDS)
        else:
            return


def holder(path: Path) -> str:
    """Words for who wrote the lock file last."""
    try:
        who = json.loads(path.read_text())
    except (OSError, ValueError):
        return "another process"
    return f"process {who.get('pid')} ({who.get('for')})"
