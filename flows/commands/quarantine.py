"""soli warehouse quarantine."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.commands.common import Json, group, settings_of

app = group("Units that could not be stored.")


@app.command("list")
def list_(
    context: typer.Context,
    *,
    limit: Annotated[int, typer.Option(min=1, help="Rows to show.")] = 50,
    json: Json = False,
) -> None:
    """List what could not be stored, with the reason and the next step, newest first.

    \b
    Examples:
      soli warehouse quarantine list
      soli warehouse quarantine list --limit 5 --json
    """
    from flows.console import show_json, show_rows

    rows = settings_of(context).store.query(
        "SELECT reason, dimension, item_id, annotation_id, detail, observed_at, quarantine_id"
        " FROM quarantine ORDER BY observed_at DESC, quarantine_id LIMIT $n",
        {"n": limit},
    )
    if json:
        show_json(rows.to_pylist())
    else:
        columns = ("reason", "dimension", "item_id", "annotation_id", "detail")
        show_rows(rows.to_pylist(), columns, "Quarantine")
