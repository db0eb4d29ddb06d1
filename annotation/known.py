"""What is known of a source before a batch, and what one batch has met so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import pyarrow as pa

from annotation.moments import Micros
from annotation.tables import from_rows, values_of
from warehouse.contracts import ARROW_TYPES, TABLES

AnnotationKey = tuple[int, Micros]  # id and created_at: the server uses ids again
TaskKey = tuple[int, Micros]

_QUARANTINE = TABLES["quarantine"].schema
KNOWN_QUARANTINE = pa.schema(
    [
        *(
            _QUARANTINE.field(name)
            for name in (
                "quarantine_id",
                "source",
                "task_id",
                "task_created_at",
                "annotation_id",
                "annotation_created_at",
                "item_id",
                "dimension",
                "reason",
                "gold",
                "occurred_at",
            )
        ),
        pa.field("resolved", ARROW_TYPES["bool"], nullable=False),
    ]
)
"""Columns of `Known.quarantine`: of the table, and whether `resolutions` has a row of it."""


class LabelState(NamedTuple):
    """Newest revision of an (annotation, dimension). `value` is None while skipped or withdrawn."""

    value: str | None
    item_id: str
    annotator_id: str
    gold: bool
    seconds: float | None
    task: TaskKey
    revision: int
    event: str

    @property
    def standing(self) -> str:
        """value, skipped or withdrawn."""
        if self.value is not None:
            return "value"
        return "withdrawn" if self.event == "withdrawn" else "skipped"


class TaskState(NamedTuple):
    """Newest revision of a task."""

    item_id: str
    data_digest: str | None
    revision: int
    event: str


class OpenRow(NamedTuple):
    """A unit in quarantine that nothing has settled."""

    quarantine_id: str
    task_id: int | None
    task_created_at: Micros | None
    annotation_id: int | None
    annotation_created_at: Micros | None
    item_id: str | None
    dimension: str | None
    reason: str
    gold: bool | None
    occurred_at: Micros | None


@dataclass(frozen=True)
class Known:
    """What the warehouse knows of one source. Rows of other sources do no harm.

    labels, tasks: the newest revision of each unit, at least those of the tasks that are read and
        of annotations with the ids that are read, whatever their task (`events.ids_of` gives both);
        for `gone_tasks`, of the tasks that are gone. `newest` makes them from whole event tables.
    quarantine: rows with the columns of KNOWN_QUARANTINE, resolved ones included, at least those
        of the tasks that are read and those without a task_id; for `gone_tasks`, `replay` and
        `settle_repeated`, of the whole source.
    Extra columns are ignored.
    """

    labels: pa.Table = field(default_factory=partial(from_rows, "label_events", ()))
    tasks: pa.Table = field(default_factory=partial(from_rows, "task_events", ()))
    people: pa.Table = field(default_factory=partial(from_rows, "people", ()))
    """Of every source: one e-mail is one annotator everywhere."""
    quarantine: pa.Table = field(default_factory=KNOWN_QUARANTINE.empty_table)
    item_prompts: Mapping[str, str] = field(default_factory=dict)
    """item_id → prompt_id, of every source, at least for the items that are read."""
    prompt_ids: frozenset[str] = frozenset()
    """At least those of the prompts that are read."""


@dataclass
class Memory:
    """What one batch has met so far; made once for a batch, handed to each of its parts.

    About 100 bytes an annotation.
    """

    task_times: dict[int, int] = field(default_factory=dict)
    """How often each task stood in the batch."""
    annotations: set[int] = field(default_factory=set)
    """Keys of the annotations read, packed."""
    annotators: dict[int, str] = field(default_factory=dict)
    """user_id → annotator_id of the people met first in this batch."""
    emails: dict[str, str] = field(default_factory=dict)
    """E-mail → annotator_id of the people met first in this batch."""
    item_prompts: dict[str, str] = field(default_factory=dict)
    """item_id → prompt_id of the items added in this batch."""
    prompt_ids: set[str] = field(default_factory=set)
    """Prompts added in this batch."""
    rejected: set[str] = field(default_factory=set)
    """quarantine_id of every unit rejected in this batch, known before or not."""
    resolved: set[str] = field(default_factory=set)
    """quarantine_id of every unit settled in this batch."""

    def first_time(self, key: AnnotationKey) -> bool:
        """Whether an annotation stands in this batch for the first time; notes that it does."""
        packed = key[1] << 64 | key[0]  # one number costs half of what a pair does
        if packed in self.annotations:
            return False
        self.annotations.add(packed)
        return True


@dataclass(frozen=True)
class Events:
    """Tables to append, named as in the contracts, without `observed_at`."""

    tables: dict[str, pa.Table]
    counts: dict[str, int]
    """Tasks and annotations read, stale tasks, events by kind, quarantined rows by reason,
    resolutions by outcome."""

    @property
    def rows(self) -> int:
        """Rows over all tables; 0 when there was nothing new."""
        return sum(table.num_rows for table in self.tables.values())


def newest(events: pa.Table, table: str) -> pa.Table:
    """Newest revision of each unit in a table of label_events or task_events."""
    key = [name for name in TABLES[table].key if name != "revision"]
    numbered = events.append_column("row", pa.array(range(events.num_rows), pa.int64()))
    ordered = numbered.sort_by([("revision", "ascending"), ("row", "ascending")])
    last = ordered.group_by(key, use_threads=False).aggregate([("row", "last")])
    return events.take(last["row_last"].sort())


def annotators_of(people: pa.Table) -> dict[int, str]:
    """user_id → annotator_id of rows of `people`, all of one source."""
    ids = values_of(people, "annotator_id")
    return dict(zip(values_of(people, "user_id"), ids, strict=True))


def annotators_by_email(people: pa.Table) -> dict[str, str]:
    """E-mail, as it is compared → annotator_id; the first row of an e-mail counts."""
    found: dict[str, str] = {}
    ids = values_of(people, "annotator_id")
    for email, annotator in zip(values_of(people, "email"), ids, strict=True):
        if same := comparable(email):
            found.setdefault(same, annotator)
    return found


def comparable(email: str | None) -> str:
    """An e-mail as it is compared: without case; empty where there is none.

    >>> comparable(" Ann@X.example"), comparable(None)
    ('ann@x.example', '')
    """
    return (email or "").strip().casefold()
