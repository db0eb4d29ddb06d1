"""Planned judgements, given by the annotators themselves through the server's API."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from annotation.client import Client
from annotation.labeling import OBJECT
from annotation.paging import Json
from annotation.payload import ITEM_KEY
from warehouse.errors import AnnotationError

# Measured on an idle machine, one server process: 39 annotations a second with 1 thread, 41 with 2,
# 40 with 4; on a busy one 7, 8 and 13.
THREADS = 4
PASSES = 3  # a write that failed is looked up and, where it is missing, tried again

KINDS = ("label", "skip", "correct", "withdraw")

Place = tuple[int, str]  # (user id, item)


class Act(Protocol):
    """One thing that an annotator does to one item."""

    @property
    def kind(self) -> str:
        """label, skip, correct or withdraw."""

    @property
    def annotator(self) -> str:
        """Name of the annotator."""

    @property
    def item_id(self) -> str:
        """The clip."""

    @property
    def values(self) -> Mapping[str, str]:
        """Dimension → pass or fail; in a correction, those that change."""

    @property
    def seconds(self) -> float:
        """Time spent."""


@dataclass(frozen=True)
class _Scene:
    """Who is there, and what the server holds."""

    annotators: Mapping[str, Client]
    users: Mapping[str, int]
    tasks: Mapping[str, int]
    given: Mapping[Place, Json]

    def annotation(self, act: Act) -> Json | None:
        """Annotation of the act's annotator on its item."""
        return self.given.get((self.users[act.annotator], act.item_id))


def perform(
    acts: Sequence[Act],
    annotators: Mapping[str, Client],
    project_id: int,
    *,
    threads: int = THREADS,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> dict[str, int]:
    """Carry out what is not yet there, each act as the annotator it belongs to.

    acts: at most one per annotator and item. A plan in phases is given phase by phase: repeating a
        phase is safe until the next one has begun, also after a kill.
    progress: called with the acts done and their number.
    Returns: acts carried out now, by kind, and those that were 'there' already.
    Raises: AnnotationError for an item without a task, a correction of a label that was never
        given, or writes that keep failing.
    """
    if not acts:
        return {}
    users = {name: client.whoami().id for name, client in annotators.items()}
    done: Counter[str] = Counter()
    for attempt in range(1, PASSES + 1):
        tasks, given = _look(annotators[acts[0].annotator], project_id)
        scene = _Scene(annotators, users, tasks, given)
        missing = [act for act in acts if not _there(act, scene.annotation(act))]
        if attempt == 1:
            done["there"] = len(acts) - len(missing)
        _check(missing, scene)
        problem = _carry_out(missing, scene, threads, done, lambda n: progress(n, len(acts)))
        if problem and attempt == PASSES:
            raise problem
        if not problem:
            break
    return dict(done)


def _look(reader: Client, project_id: int) -> tuple[dict[str, int], dict[Place, Json]]:
    """Item → task, and the annotation of each user on each item."""
    tasks: dict[str, int] = {}
    given: dict[Place, Json] = {}
    for page, _ in reader.tasks(project_id):
        for task in page:
            item = str(task["data"].get(ITEM_KEY))
            tasks.setdefault(item, task["id"])
            for annotation in task["annotations"]:
                given.setdefault((annotation["completed_by"], item), annotation)
    return tasks, given


def _there(act: Act, annotation: Json | None) -> bool:
    """Whether the server already holds what this act leads to."""
    if act.kind == "withdraw":
        return annotation is None
    if annotation is None:
        return False
    if act.kind == "correct":
        held = _values(annotation)
        return all(held.get(name) == value for name, value in act.values.items())
    return True


def _values(annotation: Json) -> dict[str, str]:
    """Dimension → pass or fail of an annotation that we wrote."""
    return {
        entry["from_name"]: entry["value"]["choices"][0].lower() for entry in annotation["result"]
    }


def result(values: Mapping[str, str]) -> list[Json]:
    """Label Studio's result for these labels.

    >>> result({"motion": "pass"})[0]["value"]
    {'choices': ['Pass']}
    """
    return [
        {
            "from_name": dimension,
            "to_name": OBJECT,
            "type": "choices",
            "value": {"choices": [value.capitalize()]},
        }
        for dimension, value in values.items()
    ]


def _check(acts: Iterable[Act], scene: _Scene) -> None:
    for act in acts:
        if act.kind not in KINDS:
            raise AnnotationError(f"{act.kind!r} is no act; use one of {list(KINDS)}")
        if act.item_id not in scene.tasks:
            raise AnnotationError(
                f"item {act.item_id} has no task in the project; import the items first"
            )
        if act.kind == "correct" and scene.annotation(act) is None:
            raise AnnotationError(
                f"{act.annotator} cannot correct item {act.item_id}: no label of theirs is there;"
                " carry out the first phase of the plan first"
            )


def _carry_out(
    acts: Sequence[Act],
    scene: _Scene,
    threads: int,
    done: Counter[str],
    progress: Callable[[int], None],
) -> AnnotationError | None:
    """All acts once; the first failure is returned after the others had their turn."""
    lock = threading.Lock()
    problems: list[AnnotationError] = []

    def run(act: Act) -> None:
        try:
            _act(act, scene)
        except AnnotationError as error:
            problems.append(error)
        else:
            with lock:
                done[act.kind] += 1
                progress(done.total())

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(run, acts))
    return problems[0] if problems else None


def _act(act: Act, scene: _Scene) -> None:
    client, given = scene.annotators[act.annotator], scene.annotation(act)
    if act.kind in {"label", "skip"}:
        body = {"result": result(act.values), "lead_time": act.seconds}
        skipped = act.kind == "skip"
        client.annotate(scene.tasks[act.item_id], {**body, "was_cancelled": skipped})
        return
    assert given is not None  # else _check raised, or a withdrawal was there already
    if act.kind == "correct":
        values = {**_values(given), **act.values}
        client.correct(given["id"], {"result": result(values), "lead_time": act.seconds})
    else:
        client.withdraw(given["id"])
