"""What could not be stored, and what became of it: open until a resolution settles it.

A row's id is the digest of unit, reason and payload, so that the same thing seen again is the same
row. Seen again after it was settled, it is a row of its own: n, the number of earlier rows with
that content, joins the digest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from annotation.judgement import Context, Rejection
from annotation.known import AnnotationKey, Memory, OpenRow, TaskKey
from annotation.moments import Micros, moment_of
from annotation.payload import cleaned
from annotation.tables import of_source, values_of
from warehouse.digest import canonical_json, value_digest

Row = dict[str, Any]

BATCH_REASONS = frozenset({"repeated_task", "unreadable_task"})
"""Faults that another task of the same id may have: reading it once settles them at the end."""
TASK_REASONS = frozenset({"no_item_id", "unreadable_task"})
"""Tasks of which nothing could be stored."""


@dataclass
class Quarantine:
    """Open rows of a batch's tasks, rows to add, and rows to settle."""

    context: Context
    memory: Memory
    open: dict[str, OpenRow] = field(default_factory=dict)
    resolved: set[str] = field(default_factory=set)
    settled_at: dict[str, Micros] = field(default_factory=dict)
    """Server's time of the settled rows, where it is known."""
    by_task: dict[int | None, list[OpenRow]] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    resolutions: list[Row] = field(default_factory=list)

    def load(self, known: pa.Table) -> None:
        """Take these rows of `Known.quarantine` as known."""
        mine = of_source(known, self.context.source)
        columns = [values_of(mine, name) for name in OpenRow._fields]
        for row, resolved in zip(
            map(OpenRow._make, zip(*columns, strict=True)),
            values_of(mine, "resolved"),
            strict=True,
        ):
            if resolved or row.quarantine_id in self.memory.resolved:
                self.resolved.add(row.quarantine_id)
                if row.occurred_at is not None:
                    self.settled_at[row.quarantine_id] = row.occurred_at
            else:
                self.open[row.quarantine_id] = row
                self.by_task.setdefault(row.task_id, []).append(row)

    def times(self, task_id: int) -> list[Micros | None]:
        """When the open units of a task were last changed."""
        return [row.occurred_at for row in self.by_task.get(task_id, ())]

    def reject(self, row: Row, rejection: Rejection) -> None:
        """Add a row, unless it stands open with the same facts beside it.

        row: every other column of the contract's.
        """
        payload = cleaned(rejection.payload)
        row |= {"payload": canonical_json(payload), "detail": cleaned(rejection.detail)}
        number = 0
        while (name := _name(row, payload, number)) in self.resolved or self._outdated(name, row):
            if self._old(name, row):
                return
            number += 1
        if name not in self.memory.rejected and name not in self.open:
            self.rows.append({**row, "quarantine_id": name})
        self.memory.rejected.add(name)

    def _old(self, name: str, row: Row) -> bool:
        """Whether a file tells again of a task that was settled since: it is the older one.

        Such tasks leave no other trace; of the others `States.stale` knows.
        """
        if self.context.live or row["reason"] not in TASK_REASONS:
            return False
        settled, told = self.settled_at.get(name), row["occurred_at"]
        return settled is not None and told is not None and bool(told <= settled)

    def _outdated(self, name: str, row: Row) -> bool:
        """Whether an open row lacks what is known of its unit now; settles it then."""
        found = self.open.get(name)
        if found is None or _facts(found._asdict()) == _facts(row):
            return False
        self.resolve(found, "changed")
        return True

    def resolve(self, row: OpenRow, outcome: str) -> None:
        """Settle an open row."""
        if row.quarantine_id in self.resolved:
            return
        self.resolved.add(row.quarantine_id)
        self.memory.resolved.add(row.quarantine_id)
        self.open.pop(row.quarantine_id, None)
        self.resolutions.append(
            {
                "quarantine_id": row.quarantine_id,
                "source": self.context.source,
                "outcome": outcome,
                "pull_id": self.context.pull_id,
            }
        )

    def settle_task(self, task: TaskKey, present: set[int | AnnotationKey], first_row: int) -> None:
        """Settle the open rows of a task that was just read, as far as they were not given again.

        present: id, and key where it could be read, of each of the task's annotations.
        first_row: length of `rows` before the task was read.
        """
        news = self.rows[first_row:]
        for row in self.by_task.get(task[0], ()):
            if row.quarantine_id not in self.memory.rejected and row.reason not in BATCH_REASONS:
                self.resolve(row, _outcome(row, task, present, news))

    def settle_batch(self) -> None:
        """Settle what was wrong with tasks in an earlier batch and is not in this one, now over."""
        for task_id, rows in self.by_task.items():
            times = 0 if task_id is None else self.memory.task_times.get(task_id, 0)
            for row in rows if times else ():
                again = row.quarantine_id in self.memory.rejected
                if row.reason in BATCH_REASONS and not again:
                    self.resolve(row, "mended" if times == 1 else "changed")

    def settle_gone(self, rows: Iterable[OpenRow]) -> None:
        """Settle rows whose task left the project."""
        for row in list(rows):
            if row.quarantine_id not in self.memory.rejected:
                self.resolve(row, "gone")


def _outcome(
    row: OpenRow, task: TaskKey, present: set[int | AnnotationKey], news: list[Row]
) -> str:
    """What became of a unit that was not rejected again for the same reason and payload."""
    if row.task_created_at not in {None, task[1]}:
        return "gone"  # its task's id was given to another task
    if row.annotation_id is None and row.reason == "unreadable_annotation":
        return "gone"  # it had no id, so nothing else can be it
    if row.annotation_id is not None:
        created = row.annotation_created_at
        key = row.annotation_id if created is None else (row.annotation_id, created)
        if key not in present:
            return "gone"
    return "changed" if any(_covers(new, row) for new in news) else "mended"


def _covers(new: Row, row: OpenRow) -> bool:
    """Whether a row just added tells of the same unit."""
    same = new["annotation_id"] == row.annotation_id
    return same and (None in {new["dimension"], row.dimension} or new["dimension"] == row.dimension)


def _facts(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a replay needs beside the payload. A task's own time moves with every answer to it."""
    changed = row["occurred_at"] if row["annotation_id"] is not None else None
    return row["task_created_at"], row["item_id"], row["gold"], changed


def _name(row: Row, payload: Any, number: int) -> str:
    created = row["annotation_created_at"]
    when = None if created is None else moment_of(created)
    unit = (row["source"], row["task_id"], row["annotation_id"], when, row["dimension"])
    named = list(map(str, unit))
    return value_digest([named, row["reason"], payload, *([number] if number else [])])
