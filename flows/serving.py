"""Serving: the deployments' schedules kept by a Prefect server, their runs done here."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path

import httpx
from prefect import serve as serve_deployments
from prefect.client.orchestration import get_client
from prefect.client.schemas.schedules import construct_schedule
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import PrefectException
from prefect.types.entrypoint import EntrypointType

from flows.beats import home_tag
from flows.console import say
from flows.deployments import DEPLOYMENTS, TAGS, Deployed, on_new_pairs
from flows.prefect_server import check_server
from flows.watching import watch
from warehouse.errors import SettingsError

PAUSE_SECONDS = (0.5, 1.0, 2.0, 4.0)  # between attempts to pause at the end


def serve(
    home: Path,
    name: str,
    chosen: Sequence[str],
    *,
    seconds: float | None = None,
    cron: str | None = None,
    nightly: str | None = None,
    train_on_pairs: bool = False,
) -> None:
    """Serve deployments, in the foreground, until interrupted; then their schedules are paused.

    chosen: keys of DEPLOYMENTS. seconds, cron: schedule of the pulls, one of them or neither.
    nightly: cron line of the night's work. train_on_pairs: each new pair set starts a training.
    Runs that died in this home are looked for meanwhile, and resumed.
    Raises: SettingsError where a schedule is none, no Prefect server is named, or none answers.
    """
    made = []
    for key in chosen:
        spec = DEPLOYMENTS[key]
        when = _schedule(key, spec, seconds, cron, nightly)
        made.append((key, *when, spec))
    check_server()
    deployments = [
        _deployment(spec, name, each, line, home_tag(home), train_on_pairs=train_on_pairs)
        for _, each, line, spec in made
    ]
    for (_, each, line, _), deployment in zip(made, deployments, strict=True):
        full = f"{deployment.flow_name}/{name}"
        say(f"serving {full}, {_words(each, line)}", "serve.begun", deployment=full)
    say("Ctrl-C ends it and pauses the schedules")
    ended = threading.Event()
    watcher = threading.Thread(target=watch, args=(home, ended), daemon=True)
    watcher.start()
    serve_deployments(*deployments, print_starting_message=False)
    ended.set()
    for deployment in deployments:
        _pause(f"{deployment.flow_name}/{name}")
    say("stopped; the schedules are paused", "serve.ended")


def _schedule(
    key: str, spec: Deployed, seconds: float | None, cron: str | None, nightly: str | None
) -> tuple[float | None, str | None]:
    """Seconds between runs, or a cron line, or neither; checked."""
    if key == "ingest":
        each, line = (None, cron) if cron else (seconds or spec.interval, None)
    elif key == "nightly":
        each, line = None, nightly or spec.cron
    else:
        return None, None
    try:
        construct_schedule(interval=each, cron=line)
    except (OverflowError, ValueError) as error:
        raise SettingsError(
            f"{_words(each, line)!r} is no schedule; give a cron line of five fields (minute, hour,"
            ' day, month, weekday), e.g. "0 6 * * *", or a longer time'
        ) from error
    return each, line


def _words(seconds: float | None, cron: str | None) -> str:
    return cron or ("when asked for" if seconds is None else f"every {seconds:g} s")


def _deployment(
    spec: Deployed,
    name: str,
    seconds: float | None,
    cron: str | None,
    tag: str,
    *,
    train_on_pairs: bool,
) -> RunnerDeployment:
    made = spec.flow.to_deployment(
        name,
        interval=seconds,
        cron=cron,
        description=spec.flow.description,
        concurrency_limit=spec.limit,
        tags=[*TAGS, tag],
        triggers=[on_new_pairs(enabled=train_on_pairs)] if spec.on_pairs else None,
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    assert isinstance(made, RunnerDeployment)  # and no coroutine: we are in no event loop
    return made


def _pause(deployment: str) -> None:
    """Pause a deployment that is not: Prefect tries once while it ends, and a busy server refuses.

    Raises: SettingsError where that cannot be done.
    """
    refused: Exception | None = None
    for seconds in PAUSE_SECONDS:
        try:
            with get_client(sync_client=True) as client:
                found = client.read_deployment_by_name(deployment)
                if not found.paused:
                    client.pause_deployment(found.id)
                return
        except (httpx.HTTPError, PrefectException) as error:
            refused = error
            time.sleep(seconds)
    raise SettingsError(
        f"stopped, but {deployment} could not be paused ({type(refused).__name__}); pause it with"
        " `prefect deployment schedule pause`"
    )
