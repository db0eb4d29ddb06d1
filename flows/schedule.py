"""The pull as a Prefect flow: retried where the network fails, counted in an artifact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State
from pydantic import Field

from annotation.client import Client, Project
from annotation.transport import Unreachable
from flows import annotate
from flows.console import progress, say
from flows.flow_run import failed, now, running, step, whole
from flows.ingest import Ingested
from flows.settings import Settings
from warehouse.errors import PlatformError

KEY = "soli-ingest"
RETRY_SECONDS = [5.0, 30.0, 120.0]  # the client has tried thrice by itself before each of them
WHAT = "Pull label events of Soli's projects from Label Studio into the warehouse."


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
        say(
            f"{now()} {whole(state.data)}; tried again, {left} times at most",
            "ingest.retry",
            left=left,
        )
    return again


def network(work: Callable[..., Any]) -> Any:
    """A step that is tried again where the network or the server failed."""
    return step(
        work,
        retries=len(RETRY_SECONDS),
        retry_delay_seconds=RETRY_SECONDS,
        retry_condition_fn=worth_again,
    )


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


@step
def commit(settings: Settings, pulled: annotate.Pulled) -> Ingested:
    """Take in what was read, as one unit."""
    return annotate.commit_pull(settings, pulled)


@flow(name=KEY, description=WHAT, log_prints=False, persist_result=False)
def soli_ingest(project: Annotated[int, Field(ge=1)] | None = None, full: bool = False) -> Any:
    """Pull label events from Label Studio.

    Args:
        project: Id of a project on the server; none: every project of Soli on it.
        full: Read every task, not only those that changed, and find deleted ones.
    """
    try:
        with running(KEY) as settings, annotate.connect(settings) as client:
            found = [_pulled(settings, client, each, full) for each in find(client, project)]
    except PlatformError as error:
        return failed(error)
    _publish([counts for counts, _ in found])
    errors = [error for _, error in found if error]
    if errors:
        return _failed(errors, len(found))
    return [counts for counts, _ in found]


def _failed(errors: list[PlatformError], projects: int) -> State[Any]:
    """State that says how many projects could not be pulled, and why the first of them."""
    first = errors[0]
    words = f"{len(errors)} of {projects} projects could not be pulled; first: {first}"
    return failed(first if projects == 1 else type(first)(words))


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
    level: Literal["error", "info"] = "error" if failure else "info"
    say(f"{now()} {_line(counts)}", "ingest.pulled", level=level, **asdict(counts))
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
