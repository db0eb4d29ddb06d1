"""What people see: results on stdout (tables, or JSON), progress on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from datetime import datetime
from typing import Any, Literal

import typer

from flows.logs import machine

MISSING = "–"
UNKNOWN_TOTAL = 50_000  # a line for that many, where nobody knows how many there will be


Level = Literal["info", "warning", "error"]
_heeding: list[Callable[[], None]] = []


def say(message: str, event: str = "note", *, level: Level = "info", **fields: object) -> None:
    """One line on stderr: the message, or an object of the log that holds all of this.

    event: what happened, in dotted words for machines; fields: its numbers and names.
    """
    _heed()
    if log := machine():
        log.record(level, event, message, fields)
    else:
        typer.echo(visible(message), err=True)


@contextmanager
def heeded(by: Callable[[], None]) -> Iterator[None]:
    """Call `by` at each sign of progress that is given within the block."""
    _heeding.append(by)
    try:
        yield
    finally:
        _heeding.remove(by)


def _heed() -> None:
    for each in _heeding:
        each()


def show_json(value: object) -> None:
    """A value as JSON on stdout; numbers that JSON does not know (NaN, infinity) are null."""
    plain = json.loads(json.dumps(value, default=_plain), parse_constant=lambda _: None)
    typer.echo(json.dumps(plain, ensure_ascii=False, indent=2))


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return str(value)


def show_rows(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
    title: str = "",
    *,
    as_named: bool = False,
) -> None:
    """Rows as a table on stdout; as_named: under the columns' names, not these in words."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE, pad_edge=False)
    for column in columns:
        numeric = any(isinstance(row.get(column), int | float) for row in rows)
        header = Text(column, overflow="fold") if as_named else column.replace("_", " ")
        table.add_column(header, justify="right" if numeric else "left")
    for row in rows:
        table.add_row(*(_cell(row.get(column)) for column in columns))
    console = Console(file=sys.stdout, highlight=False, markup=False)
    if not console.is_terminal:
        console.width = 160
    if title:
        console.print(title, soft_wrap=True)  # whole on one line, wider than its table or not
    console.print(table)


def _cell(value: object) -> str:
    if value is None:
        return MISSING
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"  # noqa: PLR2004
    return visible(str(value))


def visible(text: str) -> str:
    """Text without control characters, which could move the cursor or hide what follows.

    >>> visible("red\\x1b[2K ball")
    'red\\\\x1b[2K ball'
    """
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


Advance = Callable[[int, int], None]


@contextmanager
def progress(title: str) -> Iterator[Advance]:
    """Progress of `done` out of `total`: a bar on a terminal, a line now and then elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    console = Console(stderr=True)
    if machine() or not console.is_terminal:
        yield _lines(title)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Remaining())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(title, total=None)

        def advance(done: int, total: int) -> None:
            _heed()
            bar.update(task, completed=done, total=total or None)

        yield advance


def _lines(title: str) -> Advance:
    """Print a line at each quarter; where the total is not known (0), now and then."""
    shown = 0

    def advance(done: int, total: int) -> None:
        nonlocal shown
        _heed()
        step = 4 * done // total if total else done // UNKNOWN_TOTAL
        if step > shown:
            shown = step
            words = f"  {title}: {done}" + (f" of {total}" if total else "")
            say(words, "progress", title=title, done=done, total=total or None)

    return advance
