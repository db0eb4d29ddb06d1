"""Serving: the deployments' schedules kept by a Prefect server, their runs done here."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path

import httpx
from prefect import serve as serve_deployments
from prefect.client.orchestration import get_client
from prefect.client.schemas.schedules import construct_schedule
from prefect.deployments.runner import RunnerDeployment
from prefect.types.entrypoint import EntrypointType

from flows.beats import home_tag
from flows.console import say
from flows.deployments import DEPLOYMENTS, TAGS, Deployed, on_new_pairs
from flows.flow_run import now
from flows.prefect_server import NO_ANSWER, away, check_server
from flows.watching import watch
from warehouse.errors import SettingsError

BANNED = "/%&<>"  # in names, by Prefect
GIVEN_UP = ("exceeded error threshold", "Failed to reach API")  # its words, in a RuntimeError
AWAY_SECONDS = 2.0  # between questions to a server that is away
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
    Raises: SettingsError where the name or a schedule is none, no Prefect server is named, or none
        answers.
    """
    if not name.strip() or set(name) & set(BANNED):
        raise SettingsError(f"{name!r} is no name of deployments; it has none of {BANNED}")
    made = [
        (DEPLOYMENTS[key], *_schedule(key, DEPLOYMENTS[key], seconds, cron, nightly))
        for key in chosen
    ]
    check_server()
    deployments = [
        _deployment(spec, name, each, line, home_tag(home), train_on_pairs=train_on_pairs)
        for spec, each, line in made
    ]
    for (_, each, line), deployment in zip(made, deployments, strict=True):
        full = f"{deployment.flow_name}/{name}"
        say(f"serving {full}, {_words(each, line)}", "serve.begun", deployment=full)
    say("Ctrl-C ends it and pauses the schedules")
    _until_interrupted(home, deployments)
    for deployment in deployments:
        _pause(f"{deployment.flow_name}/{name}")
    say("stopped; the schedules are paused", "serve.ended")


def _until_interrupted(home: Path, deployments: Sequence[RunnerDeployment]) -> None:
    """Serve, and look for dead runs meanwhile; where Prefect goes away, wait for it."""
    _hush()
    ended = threading.Event()
    threading.Thread(target=watch, args=(home, ended), daemon=True).start()
    try:
        while not _served(deployments):
            _wait()
    except KeyboardInterrupt:
        say("interrupted while Prefect was away")
    finally:
        ended.set()


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


def _served(deployments: Sequence[RunnerDeployment]) -> bool:
    """Serve until interrupted, or until the Prefect server is away: whether it was the former.

    Prefect gives up after three questions without an answer, and prints their tracebacks.
    """
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        try:
            serve_deployments(*deployments, print_starting_message=False)
        except SystemExit:  # how Prefect answers SIGTERM
            return True
        except Exception as error:
            if not _is_outage(error):
                raise
            return False
    return True


def _hush() -> None:
    """What Prefect's runner leaves undone where it ends in a hurry is no news to anybody."""
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", "coroutine 'Runner", RuntimeWarning)


def _is_outage(error: BaseException) -> bool:
    """Whether all that went wrong is that the server did not answer."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(_is_outage, error.exceptions))
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.is_server_error
    gave_up = any(words in str(error) for words in GIVEN_UP)
    return gave_up or isinstance(error, httpx.TransportError)


def _wait() -> None:
    """Wait until the Prefect server answers again.

    Raises: KeyboardInterrupt for Ctrl-C and SIGTERM.
    """
    say(f"{now()} Prefect is away; serving goes on when it answers", "serve.away", level="warning")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # Prefect's needs its loop
    while away() is not None:
        time.sleep(AWAY_SECONDS)
    say(f"{now()} Prefect answers again", "serve.begun")


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
        except NO_ANSWER as error:
            refused = error
            time.sleep(seconds)
    raise SettingsError(
        f"stopped, but {deployment} could not be paused ({type(refused).__name__}); pause it with"
        " `prefect deployment schedule pause`"
    )
