"""Progress of a long step on stderr: a bar where a person watches, a few plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Advance = Callable[[int, int, str], None]
"""Called with (done, total, a few words about the state)."""

LINES = 10  # plain lines per step where stderr is no terminal


def silent(_done: int, _total: int, _note: str) -> None:
    """Progress that says nothing."""


@contextmanager
def shown(title: str, *, wanted: bool = True) -> Iterator[Advance]:
    """Progress under a title; nothing where it is not wanted."""
    if not wanted:
        yield silent
    elif sys.stderr.isatty():
        with _bar(title) as advance:
            yield advance
    else:
        yield _lines(title)


def tell(line: str) -> None:
    """A line on stderr."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


@contextmanager
def _bar(title: str) -> Iterator[Advance]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=None, note="")
        yield lambda done, total, note: bar.update(task, completed=done, total=total, note=note)


def _lines(title: str) -> Advance:
    """A line at every tenth of the way."""
    said = -1

    def advance(done: int, total: int, note: str) -> None:
        nonlocal said
        tenth = LINES * done // max(total, 1)
        if tenth > said:
            said = tenth
            tell(f"{title} {done}/{total} {note}".rstrip())

    return advance
