"""What Label Studio's queue serves next: pause it, let it go on, ask for one more label.

Label Studio Community has no pause and no order of its own for single tasks. It serves a task
until it has as many answers as its `overlap`, and where that is above 1, tasks with the most
answers come first. So an overlap of 0 serves nothing, and a task whose overlap is raised above its
answers is served before fresh ones (seen with 1.23.2).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from annotation.client import Client, Project
from annotation.projects import tasks_by_item
from warehouse.errors import AnnotationError

# Annotators see the description beside the project's title; it remembers the overlap, too.
NOTE = "[paused by Soli, overlap {overlap}: {reason}]"
PAUSED = re.compile(r"\n*\[paused by Soli, overlap (\d+): [^\]]*\]")


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
    if paused_overlap(project) is not None:
        raise AnnotationError(
            f"project {project.id} ({project.title}) is paused; let it go on first with"
            f" `soli annotate project resume --project {project.id}`"
        )
    tasks = tasks_by_item(client, project.id)
    known = [tasks[item] for item in items if item in tasks]
    done = [task for task in known if task["is_labeled"]]
    for number, task in enumerate(done, 1):
        changes = {"overlap": task["total_annotations"] + 1, "is_labeled": False}
        client.update_task(task["id"], changes)
        progress(number, len(done))
    return Asked(len(done), len(known) - len(done), len(items) - len(known))
