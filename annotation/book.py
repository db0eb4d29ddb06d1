"""The book that is kept while tasks are read: states so far, and the rows to append."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from annotation.judgement import Context, Rejection
from annotation.payload import ITEM_KEY, Annotation, Task, User, cleaned, raw_id
from warehouse.digest import canonical_json, value_digest

AnnotationKey = tuple[int, datetime]  # id and created_at: the server uses ids again
TaskKey = tuple[int, datetime]
TABLES = ("people", "prompts", "items", "task_events", "label_events", "quarantine")


@dataclass(frozen=True)
class LabelState:
    """Newest revision of an (annotation, dimension). `value` is None while skipped or withdrawn."""

    value: str | None
    item_id: str
    annotator_id: str
    gold: bool
    seconds: float | None
    task: TaskKey
    revision: int = 0
    event: str = ""

    @property
    def standing(self) -> str:
        """value, skipped or withdrawn."""
        if self.value is not None:
            return "value"
        return "withdrawn" if self.event == "withdrawn" else "skipped"

    @property
    def content(self) -> tuple[str | None, str, str]:
        """What makes a change: who says what about which item."""
        return self.value, self.item_id, self.annotator_id


@dataclass(frozen=True)
class TaskState:
    """Newest revision of a task."""

    item_id: str
    data_digest: str | None
    revision: int = 0
    event: str = ""


def next_event(before: LabelState | None, now: LabelState) -> str | None:
    """Name of what happened to a unit that now holds a label (or a skip: value None)."""
    standing = before.standing if before else "withdrawn"
    same = before is not None and before.content == now.content
    if now.value is None:
        return None if same and standing == "skipped" else "skipped"
    if standing != "value":
        return "unskipped" if standing == "skipped" else "seen"
    if not same:
        return "changed"
    return "gold_changed" if before and before.gold != now.gold else None


@dataclass
class Book:
    """States by key, and rows by table. Every write goes through a method here."""

    context: Context
    new_id: Callable[[], str]
    annotators: dict[int, str]
    item_prompts: dict[str, str] = field(default_factory=dict)
    """Prompt of each item, as it was first given."""
    task_times: Counter[int] = field(default_factory=Counter)
    """How often each task stood in this batch so far."""
    labels: dict[AnnotationKey, dict[str, LabelState]] = field(default_factory=dict)
    by_task: dict[int, set[AnnotationKey]] = field(default_factory=dict)
    tasks: dict[TaskKey, TaskState] = field(default_factory=dict)
    task_keys: dict[int, set[TaskKey]] = field(default_factory=dict)
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {t: [] for t in TABLES})
    counts: Counter[str] = field(default_factory=Counter)

    def remember_label(self, key: AnnotationKey, dimension: str, state: LabelState) -> None:
        """Take a state as known."""
        self.labels.setdefault(key, {})[dimension] = state
        self.by_task.setdefault(state.task[0], set()).add(key)

    def remember_task(self, key: TaskKey, state: TaskState) -> None:
        """Take a state as known."""
        self.tasks[key] = state
        self.task_keys.setdefault(key[0], set()).add(key)

    def elsewhere(self, key: AnnotationKey, task: TaskKey) -> bool:
        """Whether an annotation stands in another task: a server never moves one."""
        states = self.labels.get(key, {}).values()
        return any(state.task != task and state.standing != "withdrawn" for state in states)

    def observe_label(
        self, key: AnnotationKey, dimension: str, now: LabelState, when: datetime
    ) -> None:
        """Event of a label or skip, where it is one."""
        before = self.labels.get(key, {}).get(dimension)
        event = next_event(before, now)
        if event:
            revision = before.revision + 1 if before else 1
            self._label_event(key, dimension, replace(now, revision=revision, event=event), when)

    def withdraw(self, key: AnnotationKey, when: datetime, keep: frozenset[str]) -> None:
        """Withdraw an annotation's units, those of the dimensions in `keep` excepted."""
        for dimension in sorted(set(self.labels.get(key, {})) - keep):
            before = self.labels[key][dimension]
            if before.standing != "withdrawn":
                revision = before.revision + 1
                now = replace(before, revision=revision, event="withdrawn", value=None)
                self._label_event(key, dimension, now, when)

    def observe_task(self, key: TaskKey, now: TaskState, when: datetime) -> None:
        """Seen at first, edited when the data differ."""
        before = self.tasks.get(key)
        if before is None or before.event == "gone":
            self._task_event(key, now, "seen", when)
        elif (before.item_id, before.data_digest) != (now.item_id, now.data_digest):
            self._task_event(key, now, "edited", when)

    def task_gone(self, key: TaskKey, when: datetime) -> None:
        """Mark a task as gone, its labels as withdrawn."""
        if self.tasks[key].event == "gone":
            return
        self._task_event(key, self.tasks[key], "gone", when)
        for annotation in sorted(self.by_task.get(key[0], set())):
            if any(state.task == key for state in self.labels[annotation].values()):
                self.withdraw(annotation, when, frozenset())

    def annotator(self, user: User) -> str:
        """Random id of a user, made and noted at first sight."""
        if user.id not in self.annotators:
            self.annotators[user.id] = self.new_id()
            person = self.context.users.get(user.id, user)
            self.rows["people"].append(
                {
                    "source": self.context.source,
                    "user_id": user.id,
                    "annotator_id": self.annotators[user.id],
                    "email": person.email,
                    "name": person.name,
                }
            )
        return self.annotators[user.id]

    def reject(
        self,
        rejection: Rejection,
        task: Task | None = None,
        annotation: Annotation | None = None,
        annotation_id: int | None = None,
    ) -> None:
        """Quarantine a unit: never with a name or an e-mail, the same row for the same thing."""
        payload = cleaned(rejection.payload)
        user = annotation.user if annotation else None
        row = {
            "source": self.context.source,
            "task_id": task.id if task else raw_id(rejection.payload),
            "annotation_id": annotation.id if annotation else annotation_id,
            "annotation_created_at": annotation.created_at if annotation else None,
            "item_id": task.text(ITEM_KEY) if task else None,
            "annotator_id": self.annotator(user) if user else None,
            "dimension": rejection.dimension,
            "reason": rejection.reason,
            "detail": cleaned(rejection.detail),
            "payload": canonical_json(payload),
            "pull_id": self.context.pull_id,
        }
        unit = ("source", "task_id", "annotation_id", "annotation_created_at", "dimension")
        named = [str(row[name]) for name in unit]
        row["quarantine_id"] = value_digest([named, rejection.reason, payload])
        self.rows["quarantine"].append(row)

    def _label_event(
        self, key: AnnotationKey, dimension: str, state: LabelState, when: datetime
    ) -> None:
        self.remember_label(key, dimension, state)
        self.counts[state.event] += 1
        self.rows["label_events"].append(
            {
                "source": self.context.source,
                "annotation_id": key[0],
                "annotation_created_at": key[1],
                "dimension": dimension,
                "revision": state.revision,
                "event": state.event,
                "value": state.value,
                "item_id": state.item_id,
                "annotator_id": state.annotator_id,
                "gold": state.gold,
                "seconds": state.seconds,
                "task_id": state.task[0],
                "task_created_at": state.task[1],
                "project_version": self.context.project_version,
                "occurred_at": when,
                "pull_id": self.context.pull_id,
            }
        )

    def _task_event(self, key: TaskKey, now: TaskState, event: str, when: datetime) -> None:
        before = self.tasks.get(key)
        revision = before.revision + 1 if before else 1
        self.remember_task(key, replace(now, revision=revision, event=event))
        self.counts[f"task_{event}"] += 1
        self.rows["task_events"].append(
            {
                "source": self.context.source,
                "task_id": key[0],
                "task_created_at": key[1],
                "revision": revision,
                "event": event,
                "item_id": now.item_id,
                "data_digest": now.data_digest,
                "occurred_at": when,
                "pull_id": self.context.pull_id,
            }
        )
