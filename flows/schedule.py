"""The pull as a Prefect flow: retried where the network fails, scheduled, counted in an artifact.

The flow has no parameter that is secret or of this machine: address, token and home come from the
environment of the process that runs it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy, State
from prefect.client.schemas.schedules import construct_schedule
from prefect.exceptions import PrefectException
from prefect.settings import PREFECT_API_URL
from prefect.states import Failed
from prefect.types.entrypoint import EntrypointType

from annotation.client import Client, Project
from annotation.transport import Unreachable
from flows import annotate
from flows.console import progress, say
from flows.ingest import Ingested
from flows.settings import Settings, load
from warehouse.errors import PlatformError, SettingsError

KEY = "soli-ingest"
PAUSE_SECONDS = (0.5, 1.0, 2.0, 4.0)  # between attempts to pause at the end
RETRY_SECONDS = [5.0, 30.0, 120.0]  # the client has tried thrice by itself before each of them
WHAT = "Pull label events of Soli's projects from Label Studio into the warehouse."
# A run that is due while one goes on is cancelled: the one that goes on reads whatever changed, and
# the next follows soon. Queued runs would pile up behind the first pull of a large project.
ONE_AT_A_TIME = ConcurrencyLimitConfig(
    limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW
)


@dataclass(frozen=True)
class Counts:
    """What one run of the flow found in one project."""

    project: int
    source: str
    seen: int = 0
    """Annotations read."""
    new: int = 0
    """Labels never seen before, or back after a withdrawal; an annotation has one a dimension."""
    changed: int = 0
    """Labels corrected, skipped, taken up again, or made gold."""
    withdrawn: int = 0
    quarantined: int = 0
    stale: int = 0
    """Tasks known in a newer state; they are left alone."""
    forgotten: int = 0
    """Annotations of people and items that were deleted on request; they are left out."""
    seconds: float = 0.0
    error: str | None = None
    """Why the project could not be pulled."""


def worth_again(_task: object, run: Any, state: Any) -> bool:
    """Whether a failed step may succeed later: only where the network or the server failed."""
    again = isinstance(state.data, Unreachable)
    left = len(RETRY_SECONDS) - max(run.run_count - 1, 0)
    if again and left > 0:
        say(f"{_now()} {state.data}; tried again, {left} times at most")
    return again


network: Callable[..., Any] = task(
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=len(RETRY_SECONDS),
    retry_delay_seconds=RETRY_SECONDS,
    retry_condition_fn=worth_again,
)
once: Callable[..., Any] = task(cache_policy=NO_CACHE, persist_result=False)


@network
def find(client: Client, project: int | None) -> list[Project]:
    """Projects to pull."""
    return annotate.projects_of(client, project)


@network
def read(
    settings: Settings, client: Client, project: Project, spool: Path, full: bool
) -> annotate.Pulled:
    """Read what changed in a project, to disk; a retry goes on behind the pages that are there."""
    with progress(f"reading project {project.id}") as advance:
        return annotate.read_project(settings, client, project, spool, full=full, progress=advance)


@once
def commit(settings: Settings, pulled: annotate.Pulled) -> Ingested:
    """Take in what was read, as one unit."""
    return annotate.commit_pull(settings, pulled)


@flow(name=KEY, description=WHAT, log_prints=False, persist_result=False)
def soli_ingest(project: int | None = None, full: bool = False) -> Any:
    """Pull label events from Label Studio.

    Args:
        project: Id of a project on the server; none: every project of Soli on it.
        full: Read every task, not only those that changed, and find deleted ones.
    """
    try:
        settings = load()
        with annotate.connect(settings) as client:
            found = [_pulled(settings, client, each, full) for each in find(client, project)]
    except PlatformError as error:
        return _failed([error], 1)
    _publish([counts for counts, _ in found])
    errors = [error for _, error in found if error]
    if errors:
        return _failed(errors, len(found))
    return [counts for counts, _ in found]


def _failed(errors: list[PlatformError], projects: int) -> State[Any]:
    """State that says what went wrong; whoever called the flow gets the error of that class."""
    first = errors[0]
    say(f"{_now()} failed: {first}")
    words = f"{len(errors)} of {projects} projects could not be pulled; first: {first}"
    error = first if projects == 1 else type(first)(words)
    return Failed(message=str(error), data=error)


def _pulled(
    settings: Settings, client: Client, project: Project, full: bool
) -> tuple[Counts, PlatformError | None]:
    """Counts of one project; one that fails is no reason to leave out the others."""
    failure = None
    try:
        counts = _counts(project, _pull(settings, client, project, full))
    except PlatformError as error:
        failure = error
        counts = Counts(project.id, str(project.source), error=str(error))
    say(f"{_now()} {_line(counts)}")
    return counts, failure


def _pull(settings: Settings, client: Client, project: Project, full: bool) -> Ingested:
    """As `annotate.ingest_project`, in tasks."""
    with annotate.reading(settings, project) as spool:
        pulled = read(settings, client, project, spool, full)
        result: Ingested = commit(settings, pulled)
        if pulled.observed.resumed:  # by a retry, or after a kill: what changed in between?
            result += commit(settings, read(settings, client, project, spool, False))
    return result


def _counts(project: Project, result: Ingested) -> Counts:
    events = dict(result.events)
    new, withdrawn = events.pop("seen", 0), events.pop("withdrawn", 0)
    return Counts(
        project=project.id,
        source=result.source,
        seen=result.annotations,
        new=new,
        changed=sum(events.values()),
        withdrawn=withdrawn,
        quarantined=sum(result.quarantined.values()),
        stale=result.stale,
        forgotten=result.forgotten,
        seconds=round(result.seconds, 3),
    )


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"


def _line(counts: Counts) -> str:
    if counts.error:
        return f"project {counts.project}: {counts.error}"
    return (
        f"project {counts.project}: {counts.seen} annotations read, {counts.new} labels new,"
        f" {counts.changed} changed, {counts.withdrawn} withdrawn, {counts.quarantined} quarantined"
        f" ({counts.seconds:.1f} s)"
    )


def _publish(rows: list[Counts]) -> None:
    """One artifact for the run: a table, with the same in words above it."""
    words = "\n".join(f"- {_line(row)}" for row in rows)
    create_table_artifact([asdict(row) for row in rows], key=KEY, description=f"{WHAT}\n\n{words}")


def run_once(project: int | None = None, *, full: bool = False) -> list[Counts]:
    """Run the flow once, here.

    Raises: PlatformError with the run's message where it failed.
    """
    rows: Any = soli_ingest(project=project, full=full)
    return list(rows)


def serve(name: str, *, seconds: float | None = None, cron: str | None = None) -> None:
    """Serve a deployment of the flow, in the foreground, until interrupted; then it is paused.

    seconds, cron: its schedule; one of them.
    Raises: SettingsError where the schedule is none, no Prefect server is named, or none answers.
    """
    when = cron if cron is not None else f"every {seconds:g} s"
    _check_schedule(when, seconds, cron)
    _check_server()
    say(f"serving {KEY}/{name}, {when}; Ctrl-C ends it and pauses the schedule")
    soli_ingest.serve(
        name=name,
        interval=seconds,
        cron=cron,
        description=WHAT,
        global_limit=ONE_AT_A_TIME,
        entrypoint_type=EntrypointType.MODULE_PATH,
        print_starting_message=False,
    )
    _pause(f"{KEY}/{name}")
    say("stopped; the schedule is paused")


def _check_schedule(when: str, seconds: float | None, cron: str | None) -> None:
    try:
        construct_schedule(interval=seconds, cron=cron)
    except (OverflowError, ValueError) as error:
        raise SettingsError(
            f"{when!r} is no schedule; give a cron line of five fields (minute, hour, day, month,"
            ' weekday), e.g. "0 6 * * *", or a longer time'
        ) from error


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


def _check_server() -> None:
    """Only a server of its own keeps schedules; the temporary one that Prefect starts does not."""
    url = PREFECT_API_URL.value()
    if not url:
        raise SettingsError(
            "no Prefect server, which keeps the schedule; start one with `prefect server start` in"
            " another terminal, and set PREFECT_API_URL=http://127.0.0.1:4200/api"
        )
    with get_client(sync_client=True) as client:
        error = client.api_healthcheck()
    if error is not None:
        raise SettingsError(
            f"no Prefect server answers at PREFECT_API_URL ({type(error).__name__}); start it with"
            " `prefect server start`, or correct the address"
        )
