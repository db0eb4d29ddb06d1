"""soli annotate project check."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.common import Json, settings_of

if TYPE_CHECKING:
    from flows.drift import Checked


def check(
    context: typer.Context,
    project_id: Annotated[int, typer.Option("--project", help="Project id on the server.")],
    *,
    overlap: Annotated[
        int | None,
        typer.Option(
            min=1, help="Labels that the queue is to ask for (default: most items' design labels)."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Say what somebody changed in a project by hand, and what that does to its labels.

    A project that Soli made is held to soli.toml, an adopted one to what the last pull read: the
    labelling configuration, whether annotators see predictions or can skip, how many labels the
    queue asks for. Changes nothing; exits 1 where something is not as it should be.

    \b
    Examples:
      soli annotate project check --project 1
      soli annotate project check --project 1 --overlap 2   # made with --overlap 2
      soli annotate project check --project 1 --json
    """
    from flows.annotate import connect
    from flows.console import show_json
    from flows.drift import check_project

    settings = settings_of(context)
    with connect(settings) as client:
        found = check_project(settings, client, project_id, overlap=overlap)
    if json:
        show_json(found)
    else:
        _show(found)
    raise typer.Exit(1 if found.differences else 0)


def _show(found: Checked) -> None:
    from flows.console import say, show_rows, visible

    named = f"project {found.project} ({found.title})"
    if not found.differences:
        typer.echo(visible(f"{named}: as it should be"))
        return
    columns = ("what", "is_now", "should_be", "effect")
    show_rows([asdict(row) for row in found.differences], columns, f"Changed in {named}")
    for line in found.labelling:
        typer.echo(visible(line))
    for line in _steps(found):
        say(line)


def _steps(found: Checked) -> list[str]:
    """What to do about what was found, a sentence for each kind."""
    update = f"soli annotate project update --project {found.project}"
    wanted = {row.what: row.should_be for row in found.differences}
    overlap = wanted.pop("maximum_annotations", None)
    steps = []
    if wanted:
        steps.append(
            f"put it back: {update} (an adopted project: in Label Studio); or change soli.toml, if"
            " that is old"
        )
    if overlap:
        steps.append(
            f"labels a task: {update} --overlap {overlap}; or, if another number is meant,"
            " name it to the check with --overlap"
        )
    return steps
