"""soli flows."""

from __future__ import annotations

import re
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.common import DryRun, Json, group, settings_of

if TYPE_CHECKING:
    from flows.settings import Settings

app = group("Prefect flows: run one here, serve them on schedules, watch over their runs.")

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Name(StrEnum):
    """Flows that can be run."""

    ingest = "ingest"
    measure = "measure"
    nightly = "nightly"
    train = "train"
    score_back = "score-back"


class Served(StrEnum):
    """Flows that can be served; keys of flows.deployments.DEPLOYMENTS."""

    ingest = "ingest"
    nightly = "nightly"
    train = "train"
    score_back = "score-back"


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
    """Run a flow once, here; its run and its artifacts are kept by Prefect.

    ingest pulls labels from Label Studio. measure measures agreement, judges the gates and decides
    a consensus; nightly goes on to pairs and their card. Both exit 3 where a gate says stop, with
    the reason and the worst slices in the artifact, and pause the labelling queue where the gate's
    rule asks for that. train takes the newest pair set, score-back the newest model. Without
    PREFECT_API_URL runs are kept in this home, in the folder prefect.

    \b
    Examples:
      soli flows run ingest
      soli flows run ingest --project 3 --full --json
      soli flows run measure
      soli flows run nightly
    """
    if name is not Name.ingest and (project is not None or full):
        raise typer.BadParameter("--project and --full are of ingest")
    _prepared(context)
    from flows.prefect_server import recorded

    with recorded():
        if name is Name.measure:
            _measure(json=json)
        elif name is Name.ingest:
            _ingest(project, full=full, json=json)
        else:
            _other(name, json=json)


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


def _other(name: Name, *, json: bool) -> None:
    from flows.console import show_json, show_rows

    if name is Name.nightly:
        from flows.nightly import run_once

        night = run_once()
        if not json:
            columns = ("dimension", "split", "kind", "pairs")
            show_rows(night["counts"], columns, f"Pair set {night['digest']}")
            return
        show_json(night)
        return
    from flows.model_flows import score_once, train_once

    found = vars(train_once()) if name is Name.train else score_once()
    if json:
        show_json(found)
    else:
        show_rows([found], list(found))


@app.command("serve")
def serve(
    context: typer.Context,
    flows: Annotated[
        list[Served] | None, typer.Argument(help="Which flows (default: all of them).")
    ] = None,
    *,
    every: Annotated[
        str | None, typer.Option(help="Time between pulls: 30s, 5m, 2h, 1d (default 5m).")
    ] = None,
    cron: Annotated[
        str | None, typer.Option(help='Cron line of the pulls instead, e.g. "0 * * * *" (UTC).')
    ] = None,
    nightly: Annotated[
        str | None, typer.Option(help='Cron line of nightly (default "0 2 * * *", UTC).')
    ] = None,
    train_on_pairs: Annotated[
        bool, typer.Option("--train-on-pairs", help="Train on each new pair set by itself.")
    ] = False,
    name: Annotated[str, typer.Option(help="Name of the deployments.")] = "soli",
) -> None:
    """Serve the flows, in the foreground, until Ctrl-C; then their schedules are paused.

    ingest pulls every few minutes; nightly measures agreement, judges the gates, decides a
    consensus, builds pairs and writes their card; train and score-back are done when somebody asks.
    A Prefect server keeps the schedules and shows the runs: PREFECT_API_URL names it. A run that is
    due while another of its flow goes on is cancelled, or waits (train, score-back). A run whose
    process was killed is found, marked as crashed, and resumed.

    \b
    Examples:
      prefect server start                     in another terminal
      export PREFECT_API_URL=http://127.0.0.1:4200/api
      soli flows serve
      soli flows serve ingest --every 30s
      soli flows serve ingest nightly --cron "0 * * * *" --nightly "30 1 * * *" --name batch-7
    """
    if every is not None and cron is not None:
        raise typer.BadParameter("--every and --cron are two schedules; give one")
    seconds = None if every is None else _seconds(every)
    settings = _prepared(context)
    from flows.serving import serve as served

    served(
        settings.home,
        name,
        [each.value for each in flows or Served],
        seconds=seconds,
        cron=cron,
        nightly=nightly,
        train_on_pairs=train_on_pairs,
    )


@app.command("watch")
def watch(context: typer.Context, *, json: Json = False, dry_run: DryRun = False) -> None:
    """Look once for runs of this home that died or hang; dead ones are marked, and resumed.

    `soli flows serve` does so by itself. Where a work pool does the runs, put this into cron, on
    the machine of the home. A run of a deployment is resumed at most twice.

    \b
    Examples:
      soli flows watch
      soli flows watch --dry-run --json
    """
    settings = _prepared(context)
    from flows.console import say, show_json, show_rows
    from flows.prefect_server import check_server
    from flows.watching import sweep

    check_server()
    found = sweep(settings.home, dry_run=dry_run)
    if json:
        show_json(found)
    elif found:
        show_rows([vars(each) for each in found], ("run", "outcome", "reason"), "Runs")
    else:
        say("no run of this home died or hangs")


@app.command("notify")
def notify(
    context: typer.Context,
    block: Annotated[
        str,
        typer.Argument(help="Prefect's notification block, TYPE/NAME, as in `prefect block ls`."),
    ],
    *,
    behind: Annotated[
        str, typer.Option(help="Without a pull completed for so long, ingestion is behind.")
    ] = "30m",
    json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Have Prefect tell somebody when a gate stops, ingestion falls behind, or a run dies or hangs.

    Makes three automations on the Prefect server, or updates those that are there. Messages hold
    dimensions, numbers and names of runs, never people, tokens or media.

    \b
    Examples:
      soli flows notify slack-webhook/team
      soli flows notify custom-webhook/pager --behind 1h
    """
    limit = timedelta(seconds=_seconds(behind))
    _prepared(context)
    from flows.automations import notify as made
    from flows.console import show_json, show_rows

    rows = made(block, limit, dry_run=dry_run)
    if json:
        show_json(rows)
    else:
        show_rows([vars(row) for row in rows], ("name", "when", "outcome"), "Automations")


def _prepared(context: typer.Context) -> Settings:
    """Put what runs need into the environment, before Prefect is imported."""
    from flows.settings import environment_for_prefect, environment_for_runs

    settings = settings_of(context)
    environment_for_prefect(settings.home, debug=context.obj["debug"])
    environment_for_runs(settings)
    return settings
