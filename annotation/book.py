"""The book that is kept while tasks are read: states so far, and the rows to append."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from annotation.judgement import Context, Rejection
from annotation.known import (
    AnnotationKey,
    Known,
    LabelState,
    Memory,
    TaskKey,
    TaskState,
    annotators_by_email,
    annotators_of,
    comparable,
)
from annotation.moments import Micros, micros
from annotation.payload import ITEM_KEY, Annotation, Task, User, raw_id, raw_user
from annotation.quarantine import Quarantine
from annotation.sound import Sound
from annotation.states import States
from annotation.tables import of_source
from annotation.versions import Choice

LABEL_COLUMNS = (
    "annotation_id",
    "annotation_created_at",
    "dimension",
    "revision",
    "event",
    "value",
    "item_id",
    "annotator_id",
    "gold",
    "seconds",
    "task_id",
    "task_created_at",
    "project_version",
    "occurred_at",
)
TASK_COLUMNS = (
    "task_id",
    "task_created_at",
    "revision",
    "event",
    "item_id",
    "data_digest",
    "occurred_at",
)
Row = dict[str, Any]


class Said(NamedTuple):
    """What a readable annotation says, and who says it of what."""

    key: AnnotationKey
    changed_at: Micros
    task: TaskKey
    item_id: str
    annotator_id: str
    gold: bool
    seconds: float | None
    labels: dict[str, Choice]


def next_event(before: LabelState, said: Said, value: str | None) -> str | None:
    """Name of what happened to a known unit that now holds a label (or a skip: value None)."""
    standing = before.standing
    told = (before.value, before.item_id, before.annotator_id)
    same = told == (value, said.item_id, said.annotator_id)
    if value is None:
        return None if same and standing == "skipped" else "skipped"
    if standing != "value":
        return "unskipped" if standing == "skipped" else "seen"
    if not same:
        return "changed"
    return "gold_changed" if before.gold != said.gold else None


class Book:
    """States by key, and rows by table. Every write goes through a method here."""

    def __init__(
        self,
        context: Context,
        memory: Memory,
        known: Known,
        ids: Mapping[str, set[int]] | None,
        new_id: Callable[[], str],
    ) -> None:
        """ids: tasks and annotations whose states are taken up; None takes all."""
        self.context = context
        self.memory = memory
        self.known = known
        self.new_id = new_id
        self.counts: Counter[str] = Counter()
        self.people: list[Row] = []
        self.items: list[Row] = []
        self.prompts: list[Row] = []
        self.label_events: list[tuple[Any, ...]] = []
        self.task_events: list[tuple[Any, ...]] = []
        self.quarantine = Quarantine(context, memory)
        self.quarantine.load(known.quarantine)
        self.states = States(context, known, ids)
        self._load_people(known)

    def _load_people(self, known: Known) -> None:
        mine = annotators_of(of_source(known.people, self.context.source))
        self.annotators = mine | self.memory.annotators
        self.emails = self.memory.emails | annotators_by_email(known.people)

    def observe_sound(self, found: Sound, task: TaskKey, item_id: str) -> bool:
        """Events of an annotation in which nothing is to be looked at twice.

        Returns: False, and nothing done, where something is.
        """
        key, changed, user, gold, seconds, labels = found
        annotator = self.annotators.get(user)
        known = key in self.states.labels
        if annotator is None or (known and self.states.elsewhere(key, task)):
            return False
        if not self.memory.first_time(key):
            return False
        if known:
            said = Said(key, changed, task, item_id, annotator, gold, seconds, labels)
            self.observe_labels(said)
            if self.states.labels[key].keys() != labels.keys():
                self.withdraw(key, task, changed, labels)
        else:
            number, created = key
            task_id, task_created = task
            self.label_events += [
                (
                    number, created, dimension, 1, "skipped" if value is None else "seen", value,
                    item_id, annotator, gold, seconds, task_id, task_created, version, changed,
                )
                for dimension, (value, version) in labels.items()
            ]  # fmt: skip
        return True

    def observe_labels(self, said: Said) -> None:
        """Events of an annotation's labels and skips, where they are any."""
        states = self.states.labels.setdefault(said.key, {})
        for dimension, (value, version) in said.labels.items():
            before = states.get(dimension)
            event = next_event(before, said, value) if before else _first(value)
            if event:
                revision = before.revision + 1 if before else 1
                states[dimension] = LabelState(
                    value, *said[3:7], said.task, revision=revision, event=event
                )
                self._label_event(said.key, dimension, states[dimension], version, said.changed_at)

    def withdraw(
        self, key: AnnotationKey, task: TaskKey, when: Micros, keep: Mapping[str, Any]
    ) -> None:
        """Withdraw an annotation's units in a task, those of the dimensions in `keep` excepted."""
        states = self.states.labels.get(key, {})
        version = self.context.readings.at(when).number
        for dimension in sorted(states.keys() - keep.keys()):
            before = states[dimension]
            if before.standing != "withdrawn" and before.task == task:
                states[dimension] = before._replace(
                    revision=before.revision + 1, event="withdrawn", value=None
                )
                self._label_event(key, dimension, states[dimension], version, when)

    def observe_task(self, task: Task, item_id: str, when: Micros) -> None:
        """Seen at first, edited when the data differ."""
        before = self.states.tasks.get(task.id, {}).get(task.created_at)
        if before is None or before.event == "gone":
            self._task_event(task.key, item_id, task.digest, "seen", when)
        elif (before.item_id, before.data_digest) != (item_id, task.digest):
            self._task_event(task.key, item_id, task.digest, "edited", when)

    def task_gone(self, key: TaskKey, when: Micros) -> None:
        """Mark a task as gone, its labels as withdrawn."""
        state = self.states.tasks[key[0]][key[1]]
        if state.event == "gone":
            return
        self._task_event(key, state.item_id, state.data_digest, "gone", when)
        for annotation in sorted(self.states.by_task.get(key[0], ())):
            self.withdraw(annotation, key, when, {})

    def annotator(self, user: User) -> str:
        """Random id of a user: the one of the same e-mail anywhere, else made at first sight."""
        if user.id not in self.annotators:
            person = self.context.users.get(user.id, user)
            email = comparable(person.email)
            found = self.emails.get(email) if email else None
            self._met(user.id, email, found or self.new_id())
            self.people.append(
                {
                    "source": self.context.source,
                    "user_id": user.id,
                    "annotator_id": self.annotators[user.id],
                    "email": person.email,
                    "name": person.name,
                }
            )
        return self.annotators[user.id]

    def _met(self, user_id: int, email: str, annotator: str) -> None:
        self.annotators[user_id] = self.memory.annotators[user_id] = annotator
        if email:
            self.emails[email] = self.memory.emails[email] = annotator

    def forgotten(self, raw: Any) -> bool:
        """Whether a raw annotation is of somebody who was deleted on request; counts it, if so."""
        user = raw_user(raw)
        if user is None:
            return False
        person = self.context.users.get(user.id, user)
        email = comparable(person.email or user.email)
        found = self.context.forgotten.user(self.context.source, user.id, email)
        self.counts["forgotten"] += found
        return found

    def foreign(self, user: User) -> bool:
        """Whether nobody of that id was ever a member, as far as the server's list tells."""
        return bool(self.context.users) and not (
            user.id in self.context.users or user.id in self.annotators
        )

    def reject(
        self,
        rejection: Rejection,
        task: Task | None = None,
        annotation: Annotation | None = None,
        annotation_id: int | None = None,
    ) -> None:
        """Quarantine a unit: never with a name or an e-mail, the same row for the same thing."""
        user = annotation.user if annotation else None
        changed = micros(annotation.changed_at) if annotation else None
        reading = self.context.readings.at(self.context.now_us if changed is None else changed)
        row = {
            "source": self.context.source,
            "task_id": task.id if task else raw_id(rejection.payload),
            "annotation_id": annotation.id if annotation else annotation_id,
            "annotation_created_at": annotation.key[1] if annotation else None,
            "item_id": task.text(ITEM_KEY) if task else None,
            "annotator_id": self.annotator(user) if user and not self.foreign(user) else None,
            "dimension": rejection.dimension,
            "reason": rejection.reason,
            "pull_id": self.context.pull_id,
            "task_created_at": task.created_at if task else None,
            "gold": annotation.ground_truth if annotation else None,
            "seconds": annotation.lead_time if annotation else None,
            "occurred_at": changed if annotation or task is None else task.updated_at,
            "project_version": reading.number,
        }
        self.quarantine.reject(row, rejection)

    def _label_event(
        self, key: AnnotationKey, dimension: str, state: LabelState, version: int, when: Micros
    ) -> None:
        value, item, annotator, gold, seconds, task, revision, event = state
        self.label_events.append(
            (
                *key, dimension, revision, event, value,
                item, annotator, gold, seconds, *task, version, when,
            )
        )  # fmt: skip

    def _task_event(
        self, key: TaskKey, item_id: str, digest: str | None, event: str, when: Micros
    ) -> None:
        before = self.states.tasks.setdefault(key[0], {}).get(key[1])
        state = TaskState(item_id, digest, before.revision + 1 if before else 1, event)
        self.states.tasks[key[0]][key[1]] = state
        self.task_events.append((*key, state.revision, event, item_id, digest, when))


def _first(value: str | None) -> str:
    return "skipped" if value is None else "seen"
