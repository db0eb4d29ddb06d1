"""Questions to Label Studio's data manager, and the pages of tasks that answer them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

Json = dict[str, Any]

BEFORE_ALL = -1  # smaller than any task's id
_TIME_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"  # any other makes the server answer 500


@dataclass(frozen=True)
class Page:
    """Some tasks in the order asked for."""

    tasks: list[Json]
    total: int
    """Tasks that match, those of this page included."""
    body: bytes
    """The answer as it was received."""
    server_time: datetime | None
    """The server's clock, to the second below; None where it does not say."""

    @property
    def ids(self) -> list[int]:
        """Ids of the tasks, in order."""
        return [task["id"] for task in self.tasks]

    @property
    def is_last(self) -> bool:
        """Whether all tasks that match are here."""
        return len(self.tasks) == self.total


def page_problem(answer: Any) -> str | None:
    """What keeps an answer from being a page of tasks; None for one that is.

    >>> page_problem({"tasks": [{"id": 1}], "total": 0})
    '1 tasks of 0'
    """
    found = answer.get("tasks") if isinstance(answer, dict) else None
    total = answer.get("total") if isinstance(answer, dict) else None
    if not isinstance(found, list) or type(total) is not int:
        return "no list of tasks with a total"
    if not all(isinstance(task, dict) and type(task.get("id")) is int for task in found):
        return "a task without an id"
    return f"{len(found)} tasks of {total}" if len(found) > total else None


def question(
    project_id: int,
    ordering: Sequence[str],
    page_size: int,
    filters: Sequence[Mapping[str, Any]],
    fields: str,
) -> Json:
    """Parameters that ask for the first page of a project's tasks."""
    query = {
        "filters": {"conjunction": "and", "items": list(filters)},
        "ordering": list(ordering),
    }
    return {
        "project": project_id,
        "query": json.dumps(query),
        "fields": fields,
        "page": 1,
        "page_size": page_size,
        "resolve_uri": "false",  # else presigned URLs make every task look edited
    }


def after(task_id: int) -> Json:
    """Tasks with larger ids."""
    return _filter("id", "greater", "Number", task_id)


def between(first: int, last: int) -> Json:
    """Tasks with ids in this range, both ends included."""
    return _filter("id", "in", "Number", {"min": first, "max": last})


def since(moment: datetime) -> Json:
    """Tasks changed at this moment or later."""
    text = moment.astimezone(UTC).strftime(_TIME_FORMAT)
    return _filter("updated_at", "greater_or_equal", "Datetime", text)


def _filter(field: str, operator: str, kind: str, value: Any) -> Json:
    """A filter. An operator that Label Studio does not know counts as equality, silently."""
    return {"filter": f"filter:tasks:{field}", "operator": operator, "type": kind, "value": value}
