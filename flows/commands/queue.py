"""soli annotate queue, and pausing and resuming a project."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.common import DryRun, Json, settings_of

if TYPE_CHECKING:
    from flows.queue import Queue


def queue(
    context: typer.Context,
    *,
    limit: Annotated[int, typer.Option(min=1, help="At most so many items.")] = 20,
    most_labels: Annotated[
        int | None,
        typer.Option(min=1, help="Leave out what has so many labels (default: no limit)."),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="List items that nobody has judged yet instead.")
    ] = False,
    push: Annotated[
        bool, typer.Option("--push", help="Let Label Studio serve these items next.")
    ] = False,
    project: Annotated[
        int | None, typer.Option(help="Project id on the server (default: every Soli project).")
    ] = None,
    json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """List the items that deserve one more label, and why; --push asks for it.

    Ranked by uncertainty x disagreement x coverage: the bits that one more label is expected to
    tell, more where the newest model contradicts people, less where the prompt's other clips have
    labels. With --push, each item of the list that has all its labels is served once more, to
    somebody who has not judged it, before tasks without labels. Pushed again, it is not asked
    twice. It needs `soli agreement report` and `soli consensus build`; with --fresh, items come in
    random order where these have not run. `soli score --push` puts the tasks that wait for their
    first labels in this order.

    \b
    Examples:
      soli annotate queue
      soli annotate queue --limit 50 --most-labels 6 --push
      soli annotate queue --fresh
      soli annotate queue --push --dry-run
      soli annotate queue --json
    """
    from flows.console import progress, show_json
    from flows.queue import ask_for_more

    with progress("asking for labels") as advance:
        found = ask_for_more(
            settings_of(context),
            limit=limit,
            most_labels=most_labels,
            fresh=fresh,
            push=push and not dry_run,
            project=project,
            progress=advance,
        )
    if json:
        show_json(found)
    else:
        _show(found)


def _show(found: Queue) -> None:
    from flows.console import say, show_rows, visible

    rows = [
        {
            "rank": item["rank"],
            "item_id": item["item_id"],
            "usefulness": item["usefulness"],
            "bits": item["information"],
            "model": part["q_pass"],
            **part,
        }
        for item in found.items
        for part in item["labels"]
    ]
    columns = (
        "rank", "item_id", "usefulness", "bits", "dimension", "p_pass", "model", "labels",
        "information",
    )  # fmt: skip
    if rows or not found.items:
        show_rows(rows, columns, "One more label tells most about")
    for item in found.items:
        typer.echo(visible(f"{item['rank']}. {item['item_id']}: {item['why']}"))
    for project, asked in found.asked.items():
        say(
            f"project {project}: {asked.asked} items are served again, {asked.waiting} wait for a"
            f" label anyway, {asked.missing} are no task of it"
        )


def pause(
    context: typer.Context,
    project_id: Annotated[int, typer.Option("--project", help="Project id on the server.")],
    *,
    reason: Annotated[
        str, typer.Option(help="Shown to annotators in the project's description.")
    ] = "paused by hand",
    json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Serve no more tasks to annotators; an open task can still be submitted.

    \b
    Examples:
      soli annotate project pause --project 3 --reason "new guidelines tomorrow"
      soli annotate project pause --project 3 --dry-run
    """
    from flows.console import show_json
    from flows.queue import pause as stop

    paused = {} if dry_run else stop(settings_of(context), reason, project_id)
    if json:
        show_json({"project": project_id, "paused": paused.get(project_id, False)})
        return
    now = "would be paused" if dry_run else "paused" if paused[project_id] else "was paused before"
    typer.echo(f"project {project_id}: {now}")


def resume(
    context: typer.Context,
    project_id: Annotated[int, typer.Option("--project", help="Project id on the server.")],
    *,
    json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Serve tasks again after a pause, with as many labels a task as before it.

    \b
    Examples:
      soli annotate project resume --project 3
      soli annotate project resume --project 3 --dry-run
    """
    from flows.console import show_json
    from flows.queue import resume as go_on

    overlap = go_on(settings_of(context), project_id, dry_run=dry_run)
    if json:
        show_json({"project": project_id, "overlap": overlap})
        return
    words = f"{overlap} labels a task" if overlap is not None else "it was not paused"
    typer.echo(f"project {project_id}: {words}")
