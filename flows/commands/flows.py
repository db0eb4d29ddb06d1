"""soli flows."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated

import typer

from flows.commands.common import Json, group, settings_of

app = group("Prefect flows: run one here, or serve it on a schedule.")

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Name(StrEnum):
    """Flows that can be run."""

    ingest = "ingest"
    measure = "measure"


def _seconds(text: str) -> float:
    """Seconds of 30s, 5m, 2h, 1d."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text.strip())
    if match is None or not float(match[1]):
        raise typer.BadParameter(f"{text!r} is no time like 30s, 5m, 2h or 1d")
    return float(match[1]) * UNITS[match[2]]


@app.command("run")
def run(
    context: typer.Context,
    name: Annotated[Name, typer.Argument(help="Which flow.")],
    *,
    project: Annotated[
        int | None, typer.Option(help="Project id on the server (default: every Soli project).")
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Read every task, and find deleted ones.")
    ] = False,
    json: Json = False,
) -> None:
    """Run a flow once, here; its run and its artifact are kept by Prefect.

    ingest pulls labels from Label Studio. measure measures agreement, judges the gates and decides
    a consensus; it exits 3 where a gate says stop, with the reason and the worst slices in the
    artifact, and pauses the labelling queue where the gate's rule asks for that. Without
    PREFECT_API_URL runs are kept in this home, in the folder prefect.

    \b
    Examples:
      soli flows run ingest
      soli flows run ingest --project 3 --full --json
      soli flows run measure
    """
    if name is Name.measure and (project is not None or full):
        raise typer.BadParameter("--project and --full are of ingest")
    _prepared(context)
    if name is Name.measure:
        _measure(json=json)
    else:
        _ingest(project, full=full, json=json)


def _ingest(project: int | None, *, full: bool, json: bool) -> None:
    from flows.console import show_json, show_rows
    from flows.schedule import run_once

    rows = run_once(project, full=full)
    if json:
        show_json(rows)
        return
    shown = [{k: v for k, v in vars(row).items() if k != "error"} for row in rows]
    show_rows([row | {"source": row["source"][:8]} for row in shown], list(shown[0]))


def _measure(*, json: bool) -> None:
    from flows.console import show_json, show_rows
    from flows.measuring import run_once

    gates = run_once().gates.to_pylist()
    if json:
        show_json(gates)
    else:
        show_rows(gates, ("dimension", "statistic", "verdict", "reason"), "Gates")


@app.command("serve")
def serve(
    context: typer.Context,
    *,
    every: Annotated[
        str | None, typer.Option(help="Time between pulls: 30s, 5m, 2h, 1d (default 5m).")
    ] = None,
    cron: Annotated[
        str | None, typer.Option(help='Cron line instead, e.g. "0 * * * *" (UTC).')
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the deployment.")] = "soli",
) -> None:
    """Pull on a schedule, in the foreground, until Ctrl-C; then the schedule is paused.

    A Prefect server keeps the schedule and shows the runs: PREFECT_API_URL names it. A run that is
    due while another goes on is cancelled; the one that goes on, or the next, reads what changed.

    \b
    Examples:
      prefect server start                     in another terminal
      export PREFECT_API_URL=http://127.0.0.1:4200/api
      soli flows serve --every 5m
      soli flows serve --cron "0 6 * * *" --name nightly
    """
    if every is not None and cron is not None:
        raise typer.BadParameter("--every and --cron are two schedules; give one")
    seconds = None if cron is not None else _seconds(every or "5m")
    _prepared(context)
    from flows.schedule import serve as served

    served(name, seconds=seconds, cron=cron)


def _prepared(context: typer.Context) -> None:
    """Put what runs need into the environment, before Prefect is imported."""
    from flows.settings import environment_for_prefect, environment_for_runs

    settings = settings_of(context)
    environment_for_prefect(settings.home, debug=context.obj["debug"])
    environment_for_runs(settings.home)
