"""soli warehouse quarantine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.commands.common import DryRun, Json, group, settings_of

if TYPE_CHECKING:
    from flows.quarantine import Mended

app = group("Units that could not be stored.")

Reason = Annotated[str | None, typer.Option(help="Only units of this reason.")]
COLUMNS = ("id", "reason", "dimension", "item_id", "annotation_id", "detail")
ID_DIGITS = 12  # shown of a quarantine_id; enough to tell millions apart


@app.command("list")
def list_(
    context: typer.Context,
    *,
    all_: Annotated[
        bool, typer.Option("--all", help="Show settled units, too, and how they were settled.")
    ] = False,
    reason: Reason = None,
    limit: Annotated[int, typer.Option(min=1, help="Rows to show.")] = 50,
    json: Json = False,
) -> None:
    """List what could not be stored and is still open, with the next step, newest first.

    \b
    Examples:
      soli warehouse quarantine list
      soli warehouse quarantine list --reason unknown_choice
      soli warehouse quarantine list --all --limit 5 --json
    """
    from flows.console import show_json, show_rows
    from flows.quarantine import quarantined, reasons

    store = settings_of(context).store
    rows = quarantined(store, settled=all_, reason=reason, limit=limit)
    if json:
        show_json([{k: v for k, v in row.items() if k != "payload"} for row in rows])
        return
    show_rows(reasons(store), ("reason", "open", "settled"), "Quarantine")
    if rows:
        short = [{**row, "id": row["quarantine_id"][:ID_DIGITS]} for row in rows]
        show_rows(short, (*COLUMNS, *(["outcome"] if all_ else [])), "Newest")


@app.command()
def show(
    context: typer.Context,
    quarantine_id: Annotated[str, typer.Argument(help="Beginning of an id that `list` shows.")],
    *,
    json: Json = False,
) -> None:
    """Show everything known of one unit: what was received, and what to do.

    \b
    Examples:
      soli warehouse quarantine show 3f2a9c01d4e7
      soli warehouse quarantine show 3f2a9c01d4e7 --json
    """
    from json import loads

    from flows.console import show_json
    from flows.quarantine import unit

    row = unit(settings_of(context).store, quarantine_id)
    row["payload"] = loads(row["payload"])
    if json:
        show_json(row)
    else:
        _show_unit(row)


def _show_unit(row: dict[str, Any]) -> None:
    from json import dumps

    from flows.console import MISSING, visible

    width = max(map(len, row))
    for name, value in row.items():
        if name != "payload":
            shown = MISSING if value is None else visible(str(value))
            typer.echo(f"{name:<{width}}  {shown}")
    typer.echo("payload")
    for line in dumps(row["payload"], ensure_ascii=False, indent=2).splitlines():
        typer.echo(f"  {visible(line)}")


@app.command()
def replay(
    context: typer.Context,
    *,
    reason: Reason = None,
    json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Read open units again, under the mapping and the dimensions that soli.toml has now.

    \b
    Examples:
      soli warehouse quarantine replay --dry-run
      soli warehouse quarantine replay --reason unknown_choice
    """
    from flows.console import say, show_json, show_rows
    from flows.quarantine import replay as replayed

    results = replayed(settings_of(context), reason=reason, dry_run=dry_run)
    if json:
        show_json(results)
        return
    rows = [row for result in results for row in _rows(result)]
    if rows:
        show_rows(rows, ("source", "reason", "mended", "left", "why"))
    mended = sum(sum(result.mended.values()) for result in results)
    left = sum(row["count"] for result in results for row in result.left)
    events = sum(result.events for result in results)
    verb = "would be" if dry_run else "were"
    say(f"{mended} units {verb} mended ({events} label events), {left} are left open")


def _rows(result: Mended) -> list[dict[str, Any]]:
    """A line per reason of what was mended, and per cause of what is left."""
    source = result.source[:8]
    mended = [{"source": source, "reason": r, "mended": n} for r, n in result.mended.items()]
    left = [
        {"source": source, "reason": row["reason"], "left": row["count"], "why": row["why"]}
        for row in result.left
    ]
    return sorted(mended, key=lambda row: str(row["reason"])) + left
