"""What is known of the tasks that are read, unpacked: the states that events are compared with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pyarrow as pa

from annotation.judgement import Context
from annotation.known import AnnotationKey, Known, LabelState, TaskKey, TaskState
from annotation.moments import SECOND, Micros, possible
from annotation.payload import Task
from annotation.tables import of_source, values_of

TIME_SLACK = 3 * SECOND // 10  # imported annotations were seen 0.25 s newer than their task


class States:
    """Newest revision of each unit, by key, kept up to date while events are written."""

    def __init__(self, context: Context, known: Known, ids: Mapping[str, set[int]] | None) -> None:
        """ids: tasks and annotations whose states are taken up; None takes all."""
        self.context = context
        self.labels: dict[AnnotationKey, dict[str, LabelState]] = {}
        self.by_task: dict[int, set[AnnotationKey]] = {}
        """Keys of the annotations that are known in a task of that id."""
        self.tasks: dict[int, dict[Micros, TaskState]] = {}
        """State by task id, then by creation."""
        self.times: dict[TaskKey, Micros] = {}
        """Newest time of what is known of a task; of a server's, not asked."""
        self._load_labels(of_source(known.labels, context.source, ids))
        only = None if ids is None else {"task_id": ids["task_id"]}
        self._load_tasks(of_source(known.tasks, context.source, only))

    def _load_labels(self, rows: pa.Table) -> None:
        keys = _pairs(rows, "annotation_id", "annotation_created_at")
        states = _states(rows)
        times = values_of(rows, "occurred_at")
        dimensions = values_of(rows, "dimension")
        for key, dimension, state, when in zip(keys, dimensions, states, times, strict=True):
            self.labels.setdefault(key, {})[dimension] = state
            self.by_task.setdefault(state.task[0], set()).add(key)
            if not self.context.live:
                self._known_at(state.task, when)

    def _load_tasks(self, rows: pa.Table) -> None:
        keys = _pairs(rows, "task_id", "task_created_at")
        columns = [values_of(rows, name) for name in TaskState._fields]
        states = map(TaskState._make, zip(*columns, strict=True))
        for key, state, when in zip(keys, states, values_of(rows, "occurred_at"), strict=True):
            self.tasks.setdefault(key[0], {})[key[1]] = state
            self._known_at(key, when)

    def _known_at(self, key: TaskKey, when: Micros) -> None:
        self.times[key] = max(when, self.times.get(key, when))

    def stale(self, task: Task, when: Micros, rejected: Iterable[Micros | None]) -> bool:
        """Whether a task from a file is an older state than the one known.

        when: newest time that can be believed of the task. A server is always believed, even where
        it goes back: it was restored then.
        rejected: times of what is in quarantine of the task.
        """
        now = self.context.now_us
        if possible(task.created_at, now) and any(
            created > task.created_at and possible(created, now)
            for created in self.tasks.get(task.id, ())
        ):
            return True  # the id was given to a newer task meanwhile
        times = [claim for claim in rejected if claim is not None and possible(claim, now)]
        times.append(self.times.get(task.key, when))
        return when + TIME_SLACK < max(times)

    def elsewhere(self, key: AnnotationKey, task: TaskKey) -> bool:
        """Whether an annotation stands in another task: a server never moves one."""
        states = self.labels.get(key, {}).values()
        return any(state.task != task and state.standing != "withdrawn" for state in states)


def _pairs(rows: pa.Table, one: str, other: str) -> list[tuple[int, Micros]]:
    return list(zip(values_of(rows, one), values_of(rows, other), strict=True))


def _states(rows: pa.Table) -> list[LabelState]:
    """Label states of rows of label_events."""
    names = ("value", "item_id", "annotator_id", "gold", "seconds")
    columns = [values_of(rows, name) for name in names]
    tasks = _pairs(rows, "task_id", "task_created_at")
    ends = values_of(rows, "revision"), values_of(rows, "event")
    return list(map(LabelState._make, zip(*columns, tasks, *ends, strict=True)))
