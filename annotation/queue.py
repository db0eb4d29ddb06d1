"""What Label Studio's queue serves next: pause it, let it go on, ask for one more label.

Label Studio Community has no pause and no order of its own for single tasks. It serves a task
until it has as many answers as its `overlap`, and where that is above 1, tasks with the most
answers come first. So an overlap of 0 serves nothing, and a task whose overlap is raised above its
answers is served before fresh ones (seen with 1.23.2).

Its uncertainty sampling takes tasks with a prediction of the project's model version before all
others, lowest score first; but only while one person works on the project. With two it draws at
random among ALL such tasks (projects/functions/next_task.py, 1.23.2). So an order becomes a wave:
only the next few hundred tasks get a prediction of the version of the day.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from math import floor

from annotation.client import IMPORT_BATCH, Client, Project
from annotation.projects import tasks_by_item
from warehouse.digest import text_digest, value_digest
from warehouse.errors import AnnotationError, SettingsError

# Annotators see the description beside the project's title; it remembers the overlap, too.
NOTE = "[paused by Soli, overlap {overlap}: {reason}]"
PAUSED = re.compile(r"\n*\[paused by Soli, overlap (\d+): [^\]]*\]")


NEXT = "soli-next-"  # begins the model version of a wave
DRAW_DIGITS = 12  # hex digits of a draw


@dataclass(frozen=True)
class QueueConfig:
    """How Label Studio's queue is ordered."""

    random_share: float = 0.1
    """Of the tasks served: items in random order, whatever is known of them. Agreement and pass
    rates measured on these alone hold for all items; the others were chosen for being hard."""
    seed: int = 0
    """Of the random order."""
    wave: int = 200
    """Tasks that are put in order at a time; what lasts the annotators until the next push."""

    def __post_init__(self) -> None:
        if not 0 <= self.random_share <= 1:
            raise SettingsError(f"queue: random_share is {self.random_share}; choose from 0 to 1")
        if self.wave < 1:
            raise SettingsError(f"queue: wave is {self.wave}; choose 1 or more")


@dataclass(frozen=True)
class Wave:
    """What the queue serves next, in tasks."""

    made: int
    """Put in order now; 0 where this very wave was there."""
    tasks: int
    """In the wave."""
    open: int
    """Of the project that wait for labels."""


@dataclass(frozen=True)
class Asked:
    """What came of asking for one more label, in tasks."""

    asked: int
    """The queue serves them again now."""
    waiting: int
    """They wait for a label anyway."""
    missing: int
    """Items that are no task of the project."""


def paused_overlap(project: Project) -> int | None:
    """Overlap from before the pause; None where Soli did not pause the project's queue."""
    found = PAUSED.search(project.description)
    return int(found[1]) if found else None


def refuse_paused(project: Project) -> None:
    """Raise AnnotationError for a paused project, with the way out of it."""
    if paused_overlap(project) is not None:
        raise AnnotationError(
            f"project {project.id} ({project.title}) is paused; let it go on first with"
            f" `soli annotate project resume --project {project.id}`"
        )


def pause(client: Client, project: Project, reason: str) -> bool:
    """Serve no task to anybody; whoever has one open can still submit it.

    reason: one sentence for annotators, shown in the project's description.
    Returns: whether it is paused now and was not before.
    """
    if paused_overlap(project) is not None:
        return False
    words = " ".join(reason.replace("[", "(").replace("]", ")").split())
    note = NOTE.format(overlap=project.overlap, reason=words)
    description = "\n".join(filter(None, [project.description, note]))
    # The note first: killed in between, it is known what the overlap was.
    client.update_project(project.id, {"description": description})
    client.update_project(project.id, {"maximum_annotations": 0})
    return True


def resume(client: Client, project: Project) -> int | None:
    """Serve tasks again, with the overlap from before the pause; None where it was not paused.

    Every task gets that overlap, so labels asked for one by one are asked for again.
    """
    overlap = paused_overlap(project)
    if overlap is None:
        return None
    client.update_project(project.id, {"maximum_annotations": overlap})
    client.update_project(project.id, {"description": PAUSED.sub("", project.description)})
    return overlap


def ask_again(
    client: Client,
    project: Project,
    items: Sequence[str],
    *,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Asked:
    """Put items back into the queue for one more label each; running it again asks nothing twice.

    Raises: AnnotationError where the queue is paused.
    """
    refuse_paused(project)
    tasks = tasks_by_item(client, project.id)
    known = [tasks[item] for item in items if item in tasks]
    done = [task for task in known if task["is_labeled"]]
    for number, task in enumerate(done, 1):
        changes = {"overlap": task["total_annotations"] + 1, "is_labeled": False}
        client.update_task(task["id"], changes)
        progress(number, len(done))
    return Asked(len(done), len(known) - len(done), len(items) - len(known))


def draw(seed: int, item: str) -> float:
    """An item's place in the random order, from 0 to 1; its own, whatever other items there are.

    >>> draw(0, "clip_0001") == draw(0, "clip_0001") != draw(1, "clip_0001")
    True
    """
    return int(text_digest(f"{seed}:{item}")[:DRAW_DIGITS], 16) / float(16**DRAW_DIGITS)


def is_random(item: str, config: QueueConfig) -> bool:
    """Whether an item belongs to the share that is kept in random order, now and at any time."""
    return draw(config.seed, item) < config.random_share


def served_order(
    useful: Sequence[str], config: QueueConfig, again: Container[str] = ()
) -> list[str]:
    """Items in the order in which they are to be served.

    useful: items that wait, most useful first. Those of the random share come by their draw, and so
    that any beginning of the order holds their share of it.
    again: items that had their usual labels and are asked once more, for being useful: they keep
    that place, or the random share would be spent on the same few items.

    >>> names = [f"v{n}" for n in range(50)]
    >>> config = QueueConfig(random_share=0.2)
    >>> order = served_order(names, config)
    >>> sorted(order) == sorted(names), [is_random(name, config) for name in order[:10]]
    (True, [False, False, False, False, True, False, False, False, False, True])
    """
    chance = sorted(
        (item for item in useful if item not in again and is_random(item, config)),
        key=lambda item: (draw(config.seed, item), item),
    )
    drawn = set(chance)
    chosen = [item for item in useful if item not in drawn]
    return list(_merged(chosen, chance, config.random_share))


def _merged(chosen: list[str], chance: list[str], share: float) -> Iterator[str]:
    first, second = iter(chosen), iter(chance)
    for place in range(len(chosen) + len(chance)):
        due = floor((place + 1) * share) > floor(place * share)
        turns = (second, first) if due else (first, second)
        yield next(item for turn in turns for item in turn)


def serve_next(
    client: Client, project: Project, useful: Sequence[str], config: QueueConfig
) -> Wave:
    """Let Label Studio serve the open tasks next, in `served_order`; the same is not sent twice.

    useful: items, most useful first; those without an open task are passed over.

    The wave's predictions are empty and hidden; their score is the place, 0 first. Those of
    earlier waves are deleted.
    """
    tasks = tasks_by_item(client, project.id)
    waiting = {item: task for item, task in tasks.items() if not task["is_labeled"]}
    again = {i for i, task in waiting.items() if task["total_annotations"] >= project.overlap}
    # The random share is one of what waits: what is done has left its places to others.
    order = served_order([item for item in useful if item in waiting], config, again)
    wave = [waiting[item]["id"] for item in order[: config.wave]]
    if not wave:
        return Wave(0, 0, len(waiting))
    version = NEXT + value_digest(wave)[:16]
    there = client.model_versions(project.id)
    made = 0
    if there.get(version) != len(wave):
        if version in there:  # a push that was killed halfway
            client.delete_predictions(project.id, version)
        rows = [
            {"task": task, "score": place / len(wave), "model_version": version, "result": []}
            for place, task in enumerate(wave)
        ]
        for start in range(0, len(rows), IMPORT_BATCH):
            made += client.predict(project.id, rows[start : start + IMPORT_BATCH])
    settings = {"sampling": "Uncertainty sampling", "model_version": version}
    client.update_project(project.id, {"show_collab_predictions": False, **settings})
    for old in there:
        if old.startswith(NEXT) and old != version:
            client.delete_predictions(project.id, old)
    return Wave(made, len(wave), len(waiting))
