"""From observed tasks to events: what is new against what is known, and what cannot be stored.

Pure: tables and payloads in, tables out. Reading the same thing twice gives no row. Label Studio
uses ids again, so an annotation is known by (source, id, created_at), and a task likewise.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from annotation.book import LABEL_COLUMNS, TASK_COLUMNS, Book
from annotation.judgement import Context
from annotation.known import Events, Known, Memory
from annotation.observe import observe
from annotation.payload import raw_annotations, raw_id
from annotation.sound import Prepared
from annotation.tables import from_rows, from_tuples


def random_id() -> str:
    """Random id that says nothing about whom or what it stands for."""
    return uuid.uuid4().hex


def to_events(
    tasks: Iterable[Any],
    known: Known,
    context: Context,
    memory: Memory | None = None,
    new_id: Callable[[], str] = random_id,
) -> Events:
    """Events of fully read tasks: everything that differs from what is known.

    tasks: raw tasks as a list call or an export gives them, or prepared ones, each with ALL its
        annotations; an annotation known of such a task and no longer in it counts as withdrawn.
    known: as it was before the batch; see Known for what is needed of it.
    memory: one and the same for all parts of a batch; None where the tasks are the whole batch.
    new_id: makes an annotator's random id, called once per person met for the first time.
    Returns: tables label_events, task_events, quarantine, resolutions, people, items, prompts.
    Cost: linear in the tasks; of `known`, only the rows of these tasks are unpacked.
    """
    raw_tasks = list(tasks)
    anything = known.labels.num_rows or known.tasks.num_rows
    ids = ids_of(raw_tasks if anything else ())
    book = Book(context, memory or Memory(), known, ids, new_id)
    for raw in raw_tasks:
        observe(book, raw)
    return events_of(book)


def ids_of(raw_tasks: Iterable[Any]) -> dict[str, set[int]]:
    """What has to be known of tasks, raw or prepared: values of `task_id` and `annotation_id`."""
    tasks: list[int | None] = []
    annotations: list[int | None] = []
    for raw in raw_tasks:
        if isinstance(raw, Prepared):
            tasks.append(raw.task.id)
            annotations += _ids_ahead(raw)
        else:
            tasks.append(raw_id(raw))
            annotations += map(raw_id, raw_annotations(raw))
    return {
        "task_id": {number for number in tasks if number is not None},
        "annotation_id": {number for number in annotations if number is not None},
    }


def _ids_ahead(ahead: Prepared) -> Iterator[int | None]:
    for place, found in enumerate(ahead.sounds):
        yield found[0][0] if found else raw_id(ahead.later[place])


def gone_tasks(
    known: Known,
    task_ids: Iterable[int],
    context: Context,
    memory: Memory | None = None,
) -> Events:
    """Events of tasks that left the project: gone, with their labels withdrawn.

    task_ids: ids of ALL tasks now in the project. A deleted task leaves no other trace.
    memory: of the batch, where all tasks were read in it: units without a task's id that stand
        open and were not met again are gone, too.
    """
    book = Book(context, memory or Memory(), known, None, random_id)
    there = set(task_ids)
    for number in sorted(book.states.tasks.keys() - there):
        for created in sorted(book.states.tasks[number]):
            book.task_gone((number, created), context.now_us)
    for task_id, rows in book.quarantine.by_task.items():
        if task_id not in there and (task_id is not None or memory is not None):
            book.quarantine.settle_gone(rows)
    return events_of(book)


def settle_repeated(known: Known, memory: Memory, context: Context) -> Events:
    """Resolutions of tasks that stood twice, or unreadable, in an earlier batch.

    memory: of this batch, which is over: they were read in it, once.
    """
    book = Book(context, memory, known, ids_of(()), random_id)
    book.quarantine.settle_batch()
    return events_of(book)


def events_of(book: Book) -> Events:
    """The rows of a book as tables, and what they count."""
    constants = {"source": book.context.source, "pull_id": book.context.pull_id}
    tables = {
        "people": from_rows("people", book.people),
        "prompts": from_rows("prompts", book.prompts),
        "items": from_rows("items", book.items),
        "task_events": from_tuples("task_events", TASK_COLUMNS, book.task_events, constants),
        "label_events": from_tuples("label_events", LABEL_COLUMNS, book.label_events, constants),
        "quarantine": from_rows("quarantine", book.quarantine.rows),
        "resolutions": from_rows("resolutions", book.quarantine.resolutions),
    }
    counts = Counter(book.counts)
    counts.update(_times(tables["label_events"]["event"]))
    counts.update({f"task_{e}": n for e, n in _times(tables["task_events"]["event"]).items()})
    counts.update(f"quarantined_{row['reason']}" for row in book.quarantine.rows)
    counts.update(f"resolved_{row['outcome']}" for row in book.quarantine.resolutions)
    counts["quarantined"] = len(book.quarantine.rows)
    counts["resolved"] = len(book.quarantine.resolutions)
    counts["events"] = len(book.label_events)
    return Events(tables, dict(counts))


def _times(column: pa.ChunkedArray) -> dict[str, int]:
    """How often each value stands in a column."""
    return {each["values"]: each["counts"] for each in pc.value_counts(column).to_pylist()}
