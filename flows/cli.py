"""The `soli` command: its options and nouns. Heavy modules are imported by the commands."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from flows.commands import (
    ablate,
    agreement,
    annotate,
    canaries,
    demo,
    doctor,
    evaluate,
    flows,
    forget,
    ingest,
    pairs,
    score,
    serve,
    trace,
    train,
    warehouse,
)

app = typer.Typer(
    name="soli",
    help="""From Pass/Fail labels on generated videos to a video reward model, with lineage.

    \b
    Examples:
      soli demo                                the whole story on this machine
      soli ingest --export project.json        labels from a Label Studio export
      soli agreement report                    how far annotators agree
      soli pairs build                         a pair set from the consensus
      soli train                               a reward model from the newest pair set
      soli trace latest:clip_0007              which labels a reward comes from

    Exit codes: 0 done, 1 failed, 2 usage, 3 a gate said stop.""",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _version(*, wanted: bool) -> None:
    if wanted:
        typer.echo(f"soli {version('soli')}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    *,
    home: Annotated[
        Path | None, typer.Option(help="Folder of the warehouse (default .soli, or SOLI_HOME).")
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    log_json: Annotated[
        bool,
        typer.Option(
            "--log-json",
            help="Write stderr as JSON lines without secrets, people or media (SOLI_LOG_JSON).",
        ),
    ] = False,
    show_version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Print the version.",
            callback=lambda wanted: _version(wanted=wanted),
            is_eager=True,
        ),
    ] = False,
) -> None:
    """Keep the options that every command shares."""
    del show_version
    context.obj = {"home": home, "debug": debug, "log_json": log_json or None}


app.command("demo")(demo.demo)
app.add_typer(annotate.app, name="annotate")
app.command("ingest")(ingest.ingest)
app.add_typer(agreement.app, name="agreement")
app.add_typer(agreement.consensus, name="consensus")
app.add_typer(pairs.app, name="pairs")
app.command("train")(train.train)
app.command("score")(score.score)
app.command("serve")(serve.serve)
app.command("evaluate")(evaluate.evaluate)
app.command("ablate")(ablate.ablate)
app.command("canaries")(canaries.canaries)
app.command("trace")(trace.trace)
app.command("forget")(forget.forget)
app.add_typer(warehouse.app, name="warehouse")
app.add_typer(flows.app, name="flows")
app.command("doctor")(doctor.doctor)
