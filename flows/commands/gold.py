"""soli annotate gold."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.commands.common import DryRun, Json, settings_of


def gold(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(help="JSONL, CSV or Parquet with item_id and every dimension.")
    ],
    project_id: Annotated[int, typer.Option("--project", help="Project id on the server.")],
    *,
    json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Store answers that you know to be right as gold labels: Label Studio's ground truth.

    The file has a column item_id, and one of each dimension that the project asks about, which says
    Pass or Fail, in capitals or not. A row with another column, an unanswered dimension, or an item
    that is no task of the project is refused with the reason; so are all rows of an item that is
    answered in two ways. The rest goes on.

    The answers become those of the token's owner, who thereby has judged the item: made where they
    had none, changed where theirs says something else or is no ground truth, else left alone. A
    task has one ground truth in Label Studio: somebody else's gives up its mark. Running it again
    stores nothing twice. The next `soli ingest` takes them in.

    \b
    Examples:
      soli annotate gold truth.csv --project 1
      soli annotate gold truth.csv --project 1 --dry-run
      soli annotate gold truth.jsonl --project 1 --json
    """
    from flows.console import progress, say, show_json, show_rows
    from flows.gold import add_gold

    with progress("gold labels") as advance:
        found = add_gold(settings_of(context), file, project_id, dry_run=dry_run, progress=advance)
    if json:
        show_json(found)
        return
    for refused in found.refused:
        named = f" ({refused.item_id})" if refused.item_id else ""
        say(f"refused, row {refused.row}{named}: {refused.reason}")
    row = {
        "new gold": found.made,
        "changed": found.changed,
        "known": found.there,
        "refused": len(found.refused),
    }
    show_rows([row], list(row))
