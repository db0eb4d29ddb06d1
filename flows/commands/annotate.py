"""soli annotate."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands import gold, project_check, project_update, queue
from flows.commands.common import DryRun, Json, group, settings_of

if TYPE_CHECKING:
    from annotation.client import Client, Project
    from flows.items import ItemsAdded
    from flows.settings import Settings

app = group("The Label Studio side: server, project, items, annotators.")
project = group("Labelling projects.")
app.add_typer(project, name="project")
app.command("queue")(queue.queue)
app.command("gold")(gold.gold)
project.command("update")(project_update.update)
project.command("check")(project_check.check)
project.command("pause")(queue.pause)
project.command("resume")(queue.resume)

Clips = Annotated[Path, typer.Argument(help="JSONL, CSV or Parquet with item_id, prompt, media.")]
TaskProject = Annotated[
    int | None, typer.Option("--project", help="Make tasks in this project, too.")
]
DesignK = Annotated[
    int, typer.Option(min=1, max=100, help="Design labels of a new item that does not say.")
]


@app.command("server")
def server(
    context: typer.Context,
    *,
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Port (default: the last one, else a free one)."),
    ] = None,
    stop: Annotated[bool, typer.Option("--stop", help="End the server of this home.")] = False,
    json: Json = False,
) -> None:
    """Start this home's own Label Studio on 127.0.0.1; it goes on in the background.

    Name and password are in a file that only you can read; its path is printed, never its content.

    \b
    Examples:
      soli annotate server
      soli annotate server --port 8080
      soli annotate server --stop
    """
    from annotation.server import running as found
    from annotation.server import stop as end
    from flows.annotate import start_server
    from flows.console import show_json

    settings = settings_of(context)
    if stop:
        was = found(settings.server_home)
        end(settings.server_home)
        typer.echo("stopped" if was else "no server runs in this home")
        return
    running = start_server(settings, port)
    shown = {"url": running.url, "pid": running.pid, "credentials": str(running.credentials)}
    if json:
        show_json(shown)
        return
    typer.echo(f"Label Studio answers at {running.url} (process {running.pid})")
    typer.echo(f"name and password: {running.credentials}")
    typer.echo("end it with: soli annotate server --stop")


@project.command("create")
def create(
    context: typer.Context,
    *,
    title: Annotated[str, typer.Option(help="Title of the project.")] = "Soli",
    overlap: Annotated[int, typer.Option(min=1, help="Labels that the queue asks for.")] = 3,
    json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Make a labelling project: guidelines, hotkeys, the dimensions side by side.

    \b
    Examples:
      soli annotate project create --title "Batch 7"
      soli annotate project create --dry-run   # prints the labelling configuration
    """
    from annotation.labeling import labeling_config
    from flows.annotate import connect, create_project, template_of
    from flows.console import show_json

    settings = settings_of(context)
    if dry_run:
        typer.echo(labeling_config(template_of(settings), "00000000-0000-0000-0000-000000000000"))
        return
    with connect(settings) as client:
        made = create_project(settings, client, title, overlap=overlap)
    if json:
        show_json({"id": made.id, "title": made.title, "source": made.source})
    else:
        typer.echo(f"project {made.id} ({made.title}), source {made.source}")


@app.command("items")
def items(
    context: typer.Context,
    file: Clips,
    *,
    project_id: TaskProject = None,
    design_k: DesignK = 3,
    json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Add generated videos: each is decoded once; broken ones are refused with a reason.

    \b
    Fields of a row:
      item_id       a name of its own: text, or a whole number
      prompt        the text that the video was made from
      media         a path relative to the file, or an http(s), s3 or gs URL (taken as it is)
      generator     the model that made it
      design_k      how many design labels it is to get
      attributes    what the prompt asks for: an object, in CSV as JSON; or
      attributes.subject, attributes.camera, ...   a field for each
      anything else becomes an attribute of the item

    Running it again adds nothing twice, neither here nor in Label Studio. An item that is known
    may gain what was unknown of it (its video, generator, attributes), and its video may have
    moved; with another content it is refused. With --project, videos must lie in a folder below
    the media folder that the server serves.

    \b
    Examples:
      soli annotate items clips.jsonl
      soli annotate items clips.jsonl --project 1 --design-k 5
      soli annotate items clips.csv --dry-run
    """
    from flows.console import progress, show_json
    from flows.items import add_items

    settings = settings_of(context)
    with _served(settings, project_id) as (client, found), progress("probing videos") as advance:
        added = add_items(
            settings,
            file,
            client=client,
            project=found,
            design_k=design_k,
            dry_run=dry_run,
            progress=advance,
        )
    if json:
        show_json(added)
    else:
        _show_added(added)


@contextmanager
def _served(
    settings: Settings, project_id: int | None
) -> Iterator[tuple[Client, Project] | tuple[None, None]]:
    """The project named, with the client of its server; neither where none is named."""
    from flows.annotate import connect

    if project_id is None:
        yield None, None
        return
    with connect(settings) as client:
        yield client, client.project(project_id)


def _show_added(added: ItemsAdded) -> None:
    from flows.console import say, show_rows

    for refused in added.refused:
        say(f"refused, row {refused.row}: {refused.reason}")
    if added.kept:
        say(f"{added.kept} known prompts keep the attributes that they came with first")
    row = {
        "new items": added.items,
        "known": added.known,
        "now more known": added.media,
        "refused": len(added.refused),
        "new prompts": added.prompts,
        "new tasks": added.tasks.made if added.tasks else None,
        "known tasks": added.tasks.there if added.tasks else None,
    }
    show_rows([row], list(row))


@app.command("annotators")
def annotators(
    context: typer.Context,
    *,
    sign_up: Annotated[
        list[str] | None, typer.Option(help="E-mail to sign up on this home's server.")
    ] = None,
    json: Json = False,
) -> None:
    """List annotators by their random id, with what they did; --sign-up adds one.

    \b
    Examples:
      soli annotate annotators
      soli annotate annotators --sign-up ann@example.org --sign-up bob@example.org
    """
    from flows.annotate import connect
    from flows.console import show_json, show_rows

    settings = settings_of(context)
    if sign_up:
        from annotation.members import members_among
        from annotation.members import sign_up as enrol

        secrets, wanted = settings.server_home / "annotators.json", set(sign_up)
        with connect(settings) as client:
            before = len(members_among(client, wanted))
            for member in enrol(
                client, {email: email for email in sorted(wanted)}, secrets
            ).values():
                member.close()
        known = f", {before} were before" if before else ""
        said = f"signed up {len(wanted) - before}{known}; names and passwords: {secrets}"
        typer.echo(said, err=True)
    rows = settings.store.query(
        "SELECT annotator_id, count(*) AS labels, count(DISTINCT item_id) AS items,"
        " avg((value = 'pass')::INTEGER) AS pass_rate, median(seconds) AS seconds"
        " FROM labels GROUP BY annotator_id ORDER BY annotator_id"
    ).to_pylist()
    if json:
        show_json(rows)
    else:
        show_rows(rows, ("annotator_id", "labels", "items", "pass_rate", "seconds"))
