"""What Label Studio asks of an ML backend, answered from stored scores.

Label Studio 1.23 calls GET /health and POST /setup when the backend is added and before it asks,
then POST /predict with the tasks of a page ({"tasks": [...], "project": "1.1763...",
"label_config": "...", "params": {...}}); it tells POST /webhook what happens in the project. Its
setup carries a token of the project's creator, and tasks may carry people's names: nothing of a
request is kept or logged.
Source: label_studio/ml/api_connector.py and ml/models.py of Label Studio 1.23.2.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from annotation.payload import ITEM_KEY
from annotation.projects import score
from flows.annotate import version_of
from flows.rewards_server.stored import Stored

MOST_TASKS = 1000


class Setup(BaseModel):
    """Body of POST /setup."""

    model_config = ConfigDict(extra="ignore")

    project: str = Field("", max_length=200)


class Task(BaseModel):
    """A task, as far as it is looked at."""

    model_config = ConfigDict(extra="ignore")

    data: dict[str, Any] = Field(default_factory=dict)


class Predict(BaseModel):
    """Body of POST /predict."""

    model_config = ConfigDict(extra="ignore")

    tasks: list[Task] = Field(max_length=MOST_TASKS)


def predictions(tasks: list[Task], stored: Stored) -> list[dict[str, Any] | list[Any]]:
    """One prediction for each task, in their order; an empty list where nothing is known.

    The score is that of `soli score --push`, which follows the mean reward over dimensions. The
    result stays empty: a model's Pass or Fail on the page would be copied, and people's labels
    would no longer be their own.
    """
    return [_prediction(task.data.get(ITEM_KEY), stored) for task in tasks]


def _prediction(item: Any, stored: Stored) -> dict[str, Any] | list[Any]:
    row = stored.rows.get(item) if isinstance(item, str) else None
    if row is None:
        return []
    mean = score(float(stored.rewards[row].mean()))
    return {"result": [], "score": mean, "model_version": version_of(stored.model_id)}
