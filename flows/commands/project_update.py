"""soli annotate project update."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.common import DryRun, Json, settings_of

if TYPE_CHECKING:
    from flows.project_update import Updated


def update(
    context: typer.Context,
    project_id: Annotated[int, typer.Option("--project", help="Project id on the server.")],
    *,
    new_source: Annotated[
        bool,
        typer.Option("--new-source", help="Give it a source of its own: it is a duplicate."),
    ] = False,
    overlap: Annotated[
        int | None,
        typer.Option(min=1, help="Labels that the queue asks for (default: left as it is)."),
    ] = None,
    json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Bring a project to what soli.toml asks, or adopt one that Soli did not make.

    A project that Soli made gets the questions, guidelines, keys and settings of soli.toml. Labels
    already given stay as they are: they are pulled first and keep the version of the labelling
    that they were given in; a dimension that people have answered cannot be taken away.
    A project that Soli did not make gets a source, and nothing else of it is changed. How many
    labels the queue asks for stays as it is, unless --overlap says another number.

    \b
    Examples:
      soli annotate project update --project 1
      soli annotate project update --project 1 --dry-run   # what it would change
      soli annotate project update --project 1 --overlap 2
      soli annotate project update --project 3
      soli annotate project update --project 5 --new-source   # 5 was duplicated in Label Studio
    """
    from flows.annotate import connect
    from flows.console import progress, show_json
    from flows.project_update import update_project

    settings = settings_of(context)
    with connect(settings) as client, progress("tasks read") as advance:
        found = update_project(
            settings,
            client,
            project_id,
            anew=new_source,
            overlap=overlap,
            dry_run=dry_run,
            progress=advance,
        )
    if json:
        show_json(found)
    else:
        _show(found, dry_run=dry_run)


def _show(found: Updated, *, dry_run: bool) -> None:
    from flows.console import show_rows, visible

    would = "; it would get a new one" if found.new_source and dry_run else ""
    named = f"project {found.id} ({found.title})"
    typer.echo(visible(f"{named}, source {found.source or 'none'}{would}"))
    if found.changes:
        columns = ("what", "is_now", "should_be", "effect")
        title = "It would change" if dry_run else "Changed"
        show_rows([asdict(row) for row in found.changes], columns, title)
    for line in found.labelling:
        typer.echo(visible(line))
    if found.labelling and not dry_run:
        typer.echo(f"labelling version {found.version}; labels given before keep theirs")
