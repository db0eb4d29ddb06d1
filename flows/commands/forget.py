"""soli forget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.common import DryRun, Json, settings_of

if TYPE_CHECKING:
    from flows.forget import Outcome


def forget(
    context: typer.Context,
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="ANNOTATOR|ITEM",
            help="An annotator's id, e-mail or name, or an item's id; annotator:ID or item:ID"
            " where a text is both.",
        ),
    ] = None,
    *,
    finish: Annotated[
        bool, typer.Option("--finish", help="Finish a request that was cut short.")
    ] = False,
    wait: Annotated[
        float,
        typer.Option(min=0, help="Seconds that open sessions get to end before their files go."),
    ] = 10.0,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Carry out a deletion request: every trace of an annotator, or of an item, leaves the home.

    There is no way back. Cut short, run it again: it finishes. The audit keeps that there was a
    request, not about whom; a later ingest leaves their labels out and says how many.

    \b
    Examples:
      soli forget clip_0007 --dry-run
      soli forget ann@studio.example           # the annotator of this e-mail
      soli forget --finish                     # after a crash
    """
    from flows.console import say, show_json
    from flows.forget import forget as carry_out

    if (what is None) != finish:
        raise typer.BadParameter("name an annotator or an item, or give --finish alone")
    store = settings_of(context).store
    outcome = carry_out(store, what, dry_run=dry_run, patience=wait, say=say)
    if json:
        show_json(outcome)
    else:
        _show(outcome)


def _show(outcome: Outcome) -> None:
    from flows.console import show_rows, visible

    plan = outcome.plan
    if plan is None:
        typer.echo("was deleted on request already; nothing is left")
        return
    rows = [{"table": name, "rows": count} for name, count in plan.rows.items()]
    done = "deleted" if outcome.written else "would be deleted"
    title = f"{plan.kind} {plan.subject}: rows {done} or changed"
    show_rows(rows, ("table", "rows"), visible(title))
    verb = "are" if outcome.written else "would be"
    typer.echo(f"pair sets that {verb} not rebuildable: {_ids(plan.pair_sets, 'pair_set_id')}")
    typer.echo(f"models that {verb} not rebuildable: {_ids(plan.models, 'model_id')}")
    if outcome.sessions:
        typer.echo(f"{outcome.sessions} open sessions lost their files; open them again")
    typer.echo("what remains to be done by people:")
    for words in outcome.remains:
        typer.echo(visible(f"  {words}"))


def _ids(rows: list[dict[str, str]], key: str) -> str:
    return ", ".join(row[key][:16] for row in rows) or "none"
