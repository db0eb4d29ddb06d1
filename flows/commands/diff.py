"""soli warehouse diff."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.common import Json, settings_of

if TYPE_CHECKING:
    import pyarrow as pa

TIME = "an ISO time (UTC unless it names a zone), a date (its 00:00) or the id of a pull"
CLOCK = "%Y-%m-%d %H:%M:%S"
SHOWN = (
    "change", "item_id", "item_was", "dimension", "annotator_id", "value_was", "value", "role_was",
    "role",
)  # fmt: skip


class By(StrEnum):
    """What changes are counted by."""

    DIMENSION = "dimension"
    ANNOTATOR = "annotator"


def diff(
    context: typer.Context,
    *,
    since: Annotated[str, typer.Option("--from", metavar="TIME", help=f"The earlier one: {TIME}.")],
    until: Annotated[
        str | None,
        typer.Option("--to", metavar="TIME", help=f"The later one: {TIME}. Default: now."),
    ] = None,
    by: Annotated[
        By, typer.Option(help="Count by dimension, or by annotator, too.")
    ] = By.DIMENSION,
    limit: Annotated[int, typer.Option(min=0, help="Rows to show after the counts.")] = 50,
    json: Json = False,
) -> None:
    """Say which labels appeared, flipped, vanished, moved or got another role between two times.

    A time means what was known then: what was committed up to it. A moved label is one whose
    annotation is about another item now. --json prints the counts and up to --limit rows.

    \b
    Examples:
      soli warehouse diff --from 2026-11-20
      soli warehouse diff --from 2026-11-20T08:00 --to 2026-11-21T08:00+01:00 --by annotator
      soli warehouse diff --from PULL_ID --json
    """
    from flows.console import show_json
    from warehouse.diff import count_changes, diff_labels
    from warehouse.moment import moment_of, newest

    store = settings_of(context).store
    start = moment_of(store, since)
    end = newest(store) if until is None else moment_of(store, until)
    changes = diff_labels(store, start, end)
    counts = count_changes(changes, by_annotator=by is By.ANNOTATOR)
    if json:
        rows = changes.slice(0, limit).to_pylist()
        show_json({"from": start, "to": end, "counts": counts.to_pylist(), "changes": rows})
    else:
        _show(counts, changes, limit, f"Labels from {start:{CLOCK}} to {end:{CLOCK}} UTC")


def _show(counts: pa.Table, changes: pa.Table, limit: int, title: str) -> None:
    """Counts, then rows; or that there are none."""
    from flows.console import say, show_rows

    if not changes.num_rows:
        typer.echo(f"{title}: no label changed")
        return
    show_rows(counts.to_pylist(), counts.column_names, title)
    if limit:
        show_rows(changes.slice(0, limit).to_pylist(), SHOWN, "Changes")
    if changes.num_rows > limit:
        say(f"{changes.num_rows - limit} more; raise --limit to see them")
