"""What a crash must not undo, and folders of files that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PARTIAL = ".partial"


def sync(path: Path) -> None:
    """Bring a file or folder to the disk itself. Raises: OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def partial_folder(folder: Path) -> Iterator[Path]:
    """Empty folder beside `folder`, to be filled and `put` in its place; gone after the block.

    It is called .NAME.HOST.PID.partial. Those that killed writers of the same name left are removed
    first; one whose process is alive, or has another host, is somebody's work and stays. So does
    one whose PID a new process took over, until that ends.
    Raises: OSError.
    """
    start = f".{folder.name}.{socket.gethostname()}."
    _remove_left(folder.parent, start)
    partial = folder.parent / f"{start}{os.getpid()}{PARTIAL}"
    try:
        partial.mkdir(parents=True)
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def put(partial: Path, folder: Path) -> None:
    """Bring all files of a partial folder to the disk, and the folder to its place.

    Raises: OSError, also where something stands in that place, unless it is an empty folder.
    """
    for path in (*partial.rglob("*"), partial):
        sync(path)
    partial.rename(folder)
    sync(folder.parent)


def _remove_left(parent: Path, start: str) -> None:
    if not parent.is_dir():
        return
    for path in parent.iterdir():
        writer = path.name.removeprefix(start).removesuffix(PARTIAL)
        if path.name == f"{start}{writer}{PARTIAL}" and writer.isdecimal() and _is_gone(writer):
            shutil.rmtree(path, ignore_errors=True)


def _is_gone(writer: str) -> bool:
    """Whether no other process has this PID: our own was a dead one's before it was ours."""
    if int(writer) == os.getpid():
        return True
    try:
        os.kill(int(writer), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):  # somebody else's; no PID at all
        return False
    return False
