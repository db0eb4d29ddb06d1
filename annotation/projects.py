"""Projects as Soli makes them: recognised by their source, serving local videos, filled once."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa

from annotation.client import IMPORT_BATCH, Client, Project
from annotation.labeling import Dimension, config_source, instructions, labeling_config
from annotation.media import inside, is_remote
from annotation.paging import Json
from annotation.payload import ITEM_KEY, MEDIA_KEY, PROMPT_KEY, SOURCE_KEY
from warehouse.errors import AnnotationError

# Field of Label Studio's API -> what Soli sets, and what any other value does.
SETTINGS: dict[str, tuple[Any, str]] = {
    "show_collab_predictions": (False, "annotators see what a model thinks before they judge"),
    "show_skip_button": (True, "who cannot judge a clip has to make an answer up"),
    "enable_empty_annotation": (False, "a clip can be submitted without any answer"),
    "skip_queue": ("REQUEUE_FOR_OTHERS", "a skipped clip goes to nobody else"),
}


@dataclass(frozen=True)
class Imported:
    """How many items became tasks now, and how many were tasks already."""

    made: int
    there: int


def ensure_project(
    client: Client,
    source: str,
    title: str,
    dimensions: Sequence[Dimension],
    overlap: int = 3,
) -> Project:
    """The project that carries this source, made where there is none.

    overlap: answers that Label Studio's queue asks for on each task.
    """
    found = client.find_project(source)
    if found:
        return found
    return client.create_project(
        {
            "title": title,
            "description": f"soli-source: {source}",
            "label_config": labeling_config(dimensions, source),
            "expert_instruction": instructions(dimensions),
            "maximum_annotations": overlap,
            **{name: value for name, (value, _) in SETTINGS.items()},
        }
    )


def adopt_project(
    client: Client, project_id: int, new_source: str, *, anew: bool = False
) -> Project:
    """A project that Soli did not make, with a source stored in its description from now on.

    anew: replace a source that it carries already, as a duplicate of another project does; what
        was ingested under the old one stays there. Otherwise a project keeps its source.
    """
    project = client.project(project_id)
    if project.source and not anew:
        return project
    lines = [line for line in project.description.splitlines() if not config_source(line)]
    text = "\n".join(lines).strip()
    description = "\n".join(filter(None, [text, f"soli-source: {new_source}"]))
    return client.update_project(project_id, {"description": description})


def distinct_sources(projects: Iterable[Project]) -> list[Project]:
    """Return the projects that carry a source.

    Raises: AnnotationError where two carry the same: their labels would be taken for one project's.
    """
    holders: dict[str, Project] = {}
    for project in sorted(projects, key=lambda project: project.id):
        if project.source is None:
            continue
        first = holders.setdefault(project.source, project)
        if first is not project:
            raise AnnotationError(
                f"projects {first.id} ({first.title}) and {project.id} ({project.title}) carry the"
                f" same source {project.source}; if {project.id} is the duplicate, run"
                f" `soli annotate project update --project {project.id} --new-source`"
            )
    return list(holders.values())


def video_url(uri: str, media_root: Path) -> str:
    """Address under which the labelling page finds a video.

    media_root: the document root that the server was started with.

    >>> video_url("https://clips.example/a.mp4", Path("/media"))
    'https://clips.example/a.mp4'
    """
    if is_remote(uri):
        return uri
    path = inside(Path(uri), [media_root]).relative_to(media_root.resolve())
    return f"/data/local-files/?d={quote(path.as_posix())}"


def import_items(
    client: Client,
    project: Project,
    items: pa.Table,
    prompts: pa.Table,
    media_root: Path,
    *,
    progress: Callable[[int], None] = lambda _: None,
) -> Imported:
    """Make a task for each item that is none yet; running it again makes none.

    items, prompts: tables of the contracts; every item's prompt is in prompts.
    progress: called with the number of items that are tasks.
    """
    source = project_source(project)
    there = item_tasks(client, project.id)
    texts = {row["prompt_id"]: row for row in prompts.to_pylist()}
    new = [row for row in items.to_pylist() if row["item_id"] not in there]
    made = 0
    for batch in _batches(new, IMPORT_BATCH):
        tasks = [{"data": task_data(r, texts[r["prompt_id"]], source, media_root)} for r in batch]
        made += _all_made(client.import_tasks(project.id, tasks), tasks, "tasks")
        progress(items.num_rows - len(new) + made)
    return Imported(made, items.num_rows - len(new))


def task_data(item: Mapping[str, Any], prompt: Mapping[str, Any], source: str, root: Path) -> Json:
    """Fields of a task: enough to know the item again from an export alone."""
    return {
        ITEM_KEY: item["item_id"],
        PROMPT_KEY: prompt["text"],
        MEDIA_KEY: video_url(item["uri"], root),
        SOURCE_KEY: source,
        "media": item["uri"],
        "generator": item["generator"],
        "design_k": item["design_k"],
        "attributes": json.loads(prompt["attributes"]),
        "item_attributes": json.loads(item["attributes"]),
    }


def item_tasks(client: Client, project_id: int) -> dict[str, int]:
    """Item → id of its oldest task, over the whole project."""
    return {item: task["id"] for item, task in tasks_by_item(client, project_id).items()}


def tasks_by_item(client: Client, project_id: int) -> dict[str, Json]:
    """Item → its oldest task without annotations, over the whole project."""
    found: dict[str, Json] = {}
    for page, _ in client.tasks(project_id, fields="task_only"):
        for task in page:
            data = task.get("data")
            item = data.get(ITEM_KEY) if isinstance(data, dict) else None
            if item is not None:
                found.setdefault(str(item), task)
    return found


def push_predictions(
    client: Client,
    project: Project,
    rewards: Mapping[str, float],
    model_version: str,
    *,
    progress: Callable[[int], None] = lambda _: None,
) -> Imported:
    """Give each item's task a prediction whose score follows the reward, hidden from annotators.

    rewards: item → reward; an item without a task is left out. The score is 1 / (1 + exp(-reward)):
        it keeps the order, and Label Studio drops scores outside 0..1 without an error.
    model_version: names the model; a task that has a prediction of it is left as it is.
    """
    wild = [item for item, reward in rewards.items() if not math.isfinite(reward)]
    if wild:
        raise AnnotationError(f"reward of item {wild[0]} is {rewards[wild[0]]}; score it again")
    client.update_project(project.id, {"show_collab_predictions": False})
    held = predicted_tasks(client, project.id, model_version)
    tasks = item_tasks(client, project.id)
    new = [
        {"task": tasks[item], "score": score(reward), "model_version": model_version, "result": []}
        for item, reward in sorted(rewards.items())
        if item in tasks and tasks[item] not in held
    ]
    made = 0
    for batch in _batches(new, IMPORT_BATCH):
        made += _all_made(client.predict(project.id, batch), batch, "predictions")
        progress(len(held) + made)
    return Imported(made, len(held))


def score(reward: float) -> float:
    """Reward as a score from 0 to 1, in the same order.

    >>> score(0.0), score(-1000.0), score(1000.0)
    (0.5, 0.0, 1.0)
    """
    return 0.5 * (1.0 + math.tanh(0.5 * reward))


def _all_made(made: int, sent: Sequence[Json], what: str) -> int:
    """Number made, checked: the server drops what it does not like and still answers 201."""
    if made != len(sent):
        raise AnnotationError(
            f"Label Studio took {made} of {len(sent)} {what}; its log says why. Run again: what is"
            " there is not sent twice"
        )
    return made


def predicted_tasks(client: Client, project_id: int, model_version: str) -> set[int]:
    """Tasks that hold a prediction of this model."""
    return {
        task["id"]
        for page, _ in client.tasks(project_id)
        for task in page
        if any(p.get("model_version") == model_version for p in task.get("predictions", []))
    }


def project_source(project: Project) -> str:
    """Source of a project that must carry one.

    Raises: AnnotationError where it does not.
    """
    if project.source is None:
        raise AnnotationError(
            f"project {project.id} ({project.title}) carries no source; adopt it first with"
            f" `soli annotate project update --project {project.id}`"
        )
    return project.source


def _batches(rows: Sequence[Json], size: int) -> Iterator[list[Json]]:
    for start in range(0, len(rows), size):
        yield list(rows[start : start + size])
