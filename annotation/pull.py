"""Reading a project: complete, or an error. What it means is `annotation.events`' business."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from annotation.client import Client, Json, Project
from annotation.payload import User
from annotation.projects import project_source
from warehouse.errors import AnnotationError

OVERLAP = timedelta(seconds=30)  # times are stamped before they are committed; 0.25 s was seen
_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"  # any other makes the server answer 500


@dataclass(frozen=True)
class Observed:
    """Tasks as the server gave them, each with all its annotations."""

    source: str
    project: Project
    tasks: list[Json]
    users: dict[int, User]
    watermark: datetime | None
    """Where the next pull begins; every change after this pull's start lies behind it."""
    full: bool
    """True: all tasks of the project, so that a task not here is gone."""
    in_project: int
    """Tasks that the project holds by the server's count."""
    seconds: float


def pull(
    client: Client,
    project: Project,
    watermark: datetime | None = None,
    *,
    overlap: timedelta = OVERLAP,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> Observed:
    """Tasks changed since the watermark, or all of them.

    watermark: of the pull before; None reads the whole project.
    progress: called with tasks read and their number.
    Raises: AnnotationError where the server fails or the count does not come out: nothing of an
        incomplete pull may be used.
    """
    begin = time.monotonic()
    source = project_source(project)
    newest = _newest(client, project.id)
    filters = [] if watermark is None else [_since(watermark - overlap)]
    tasks: list[Json] = []
    expected = 0
    for page, remaining in client.tasks(project.id, filters=filters):
        expected = max(expected, len(tasks) + remaining)
        tasks += page
        progress(len(tasks), max(expected, len(tasks)))
    if len(tasks) < expected:
        _recount(client, project.id, filters, len(tasks))
    return Observed(
        source=source,
        project=project,
        tasks=tasks,
        users=client.users(),
        watermark=newest or watermark,
        full=watermark is None,
        in_project=_count(client, project.id, []),
        seconds=time.monotonic() - begin,
    )


def task_ids(client: Client, project_id: int) -> set[int]:
    """Ids of all tasks now in the project: a deleted task shows nowhere else."""
    return {task["id"] for page, _ in client.tasks(project_id, fields="task_only") for task in page}


def _since(moment: datetime) -> Json:
    return {
        "filter": "filter:tasks:updated_at",
        "operator": "greater_or_equal",
        "type": "Datetime",
        "value": moment.astimezone(UTC).strftime(_FORMAT),
    }


def _newest(client: Client, project_id: int) -> datetime | None:
    """Newest change in the project before anything is read; None in an empty project."""
    found = client.ordered(project_id, ["-tasks:updated_at"], 1)[0]
    return datetime.fromisoformat(found[0]["updated_at"]).astimezone(UTC) if found else None


def _count(client: Client, project_id: int, filters: list[Json]) -> int:
    return client.ordered(project_id, ["tasks:id"], 1, filters)[1]


def _recount(client: Client, project_id: int, filters: list[Any], read: int) -> None:
    """Fewer tasks than announced are right only if that many are left on the server."""
    left = _count(client, project_id, filters)
    if left > read:
        raise AnnotationError(
            f"Label Studio at {client.url} gave {read} of {left} tasks of project {project_id};"
            " nothing was taken in: run the pull again"
        )
