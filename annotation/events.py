"""From observed tasks to events: what is new against what is known, and what cannot be stored.

Pure: tables and payloads in, tables out. Reading the same thing twice gives no row. Label Studio
uses ids again, so an annotation is known by (source, id, created_at), and a task likewise.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from annotation.book import AnnotationKey, Book, LabelState, TaskState
from annotation.items import item_rows
from annotation.judgement import Context, Judgement, Rejection, judge
from annotation.payload import (
    ITEM_KEY,
    PROMPT_KEY,
    Annotation,
    Task,
    data_digest,
    raw_id,
    read_annotation,
    read_task,
)
from annotation.tables import from_rows
from warehouse.contracts import TABLES


def random_id() -> str:
    """Random id that says nothing about whom or what it stands for."""
    return uuid.uuid4().hex


@dataclass(frozen=True)
class Known:
    """What the warehouse knows of one source. Rows of other sources do no harm.

    labels and tasks hold the newest revision of each unit (extra columns are ignored);
    `newest` makes them from whole event tables.
    """

    labels: pa.Table = field(default_factory=partial(from_rows, "label_events", ()))
    tasks: pa.Table = field(default_factory=partial(from_rows, "task_events", ()))
    people: pa.Table = field(default_factory=partial(from_rows, "people", ()))
    quarantine_ids: frozenset[str] = frozenset()
    item_prompts: Mapping[str, str] = field(default_factory=dict)
    """item_id → prompt_id, of every source."""
    prompt_ids: frozenset[str] = frozenset()
    task_times: Mapping[int, int] = field(default_factory=dict)
    """How often each task stood in the same batch before these tasks, where it comes in parts."""


@dataclass(frozen=True)
class Events:
    """Tables to append, named as in the contracts, without `observed_at`."""

    tables: dict[str, pa.Table]
    counts: dict[str, int]
    """Tasks and annotations read, events by kind, quarantined rows by reason."""
    task_times: Mapping[int, int] = field(default_factory=dict)
    """How often each task stood in the batch up to here."""

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


def to_events(
    tasks: Iterable[Any],
    known: Known,
    context: Context,
    new_id: Callable[[], str] = random_id,
) -> Events:
    """Events of fully read tasks: everything that differs from what is known.

    tasks: raw tasks as a list call or an export gives them, each with ALL its annotations; an
        annotation known of such a task and no longer in it counts as withdrawn.
    new_id: makes an annotator's random id, called once per user not yet in `known.people`.
    Returns: tables label_events, task_events, quarantine, people, items, prompts.
    Cost: linear in the tasks; of `known`, only the rows of these tasks are unpacked.
    """
    raw_tasks = list(tasks)
    book = Book(
        context,
        new_id,
        _people(known.people, context.source),
        item_prompts=dict(known.item_prompts),
        task_times=Counter(known.task_times),
    )
    _remember(book, known, raw_tasks)
    for raw in raw_tasks:
        _observe(book, raw)
    return _events(book, known)


def gone_tasks(known: Known, task_ids: Iterable[int], context: Context) -> Events:
    """Events of tasks that left the project: gone, with their labels withdrawn.

    task_ids: ids of ALL tasks now in the project. A deleted task leaves no other trace.
    """
    book = Book(context, random_id, _people(known.people, context.source))
    there = set(task_ids)
    gone = [row for row in _rows(known.tasks, context.source) if row["task_id"] not in there]
    _remember(book, known, [{"id": row["task_id"]} for row in gone])
    for row in gone:
        book.task_gone((row["task_id"], row["task_created_at"]), context.now)
    return _events(book, known)


def _rows(
    table: pa.Table, source: str, ids: Mapping[str, set[int]] | None = None
) -> list[dict[str, Any]]:
    """Rows of one source, with one of these ids where given, as dicts."""
    keep = pc.equal(table["source"], source)
    if ids is not None:
        masks = [
            pc.is_in(table[name], value_set=pa.array(sorted(values), pa.int64()))
            for name, values in ids.items()
        ]
        either = masks[0]
        for mask in masks[1:]:
            either = pc.or_(either, mask)
        keep = pc.and_(keep, either)
    found: list[dict[str, Any]] = table.filter(keep).to_pylist()
    return found


def _people(people: pa.Table, source: str) -> dict[int, str]:
    return {row["user_id"]: row["annotator_id"] for row in _rows(people, source)}


def _remember(book: Book, known: Known, raw_tasks: Sequence[Any]) -> None:
    """Unpack what is known of these tasks and of annotations with the same ids."""
    source = book.context.source
    task_ids = {found for raw in raw_tasks if (found := raw_id(raw)) is not None}
    annotation_ids = {
        found
        for raw in raw_tasks
        for annotation in _raw_annotations(raw)
        if (found := raw_id(annotation)) is not None
    }
    ids = {"task_id": task_ids, "annotation_id": annotation_ids}
    for row in _rows(known.labels, source, ids):
        key = (row["annotation_id"], row["annotation_created_at"])
        book.remember_label(key, row["dimension"], _label_state(row))
    for row in _rows(known.tasks, source, {"task_id": task_ids}):
        names = ("item_id", "data_digest", "revision", "event")
        state = TaskState(**{name: row[name] for name in names})
        book.remember_task((row["task_id"], row["task_created_at"]), state)


def _label_state(row: Mapping[str, Any]) -> LabelState:
    names = ("value", "item_id", "annotator_id", "gold", "seconds", "revision", "event")
    task = (row["task_id"], row["task_created_at"])
    return LabelState(**{name: row[name] for name in names}, task=task)


def _raw_annotations(raw: Any) -> Sequence[Any]:
    found = raw.get("annotations") if isinstance(raw, Mapping) else None
    return found if isinstance(found, list) else []


def _observe(book: Book, raw: Any) -> None:
    """One raw task: its own event, then each annotation, then what is no longer there."""
    book.counts["tasks"] += 1
    book.counts["annotations"] += len(_raw_annotations(raw))
    task = read_task(raw)
    if isinstance(task, str):
        detail = f"task {raw_id(raw)} is unreadable ({task}); export or pull it again"
        book.reject(Rejection(None, "unreadable_task", detail, raw))
        return
    book.task_times[task.id] += 1
    if book.task_times[task.id] > 1:
        _reject_repeated(book, task, raw, book.task_times[task.id])
        return
    _replace_reused(book, task)
    seen = _observe_annotations(book, task)
    for key in sorted(book.by_task.get(task.id, set()) - seen):
        book.withdraw(key, task.updated_at, frozenset())


def _reject_repeated(book: Book, task: Task, raw: Any, times: int) -> None:
    """A task counts once: what its first occurrence says is not undone by another one."""
    detail = (
        f"task {task.id} stands in this batch for the {times}. time; the first one counts: export"
        " the project again, or keep the right one"
    )
    payload = {"occurrence": times, "task": raw}
    book.reject(Rejection(None, "repeated_task", detail, payload), task)


def _replace_reused(book: Book, task: Task) -> None:
    """SQLite gave the id of a deleted task to this one: the old one is gone."""
    for key in sorted(book.task_keys.get(task.id, set())):
        if key[1] != task.created_at:
            book.task_gone(key, task.created_at)


def _observe_annotations(book: Book, task: Task) -> set[AnnotationKey]:
    """Task, item and annotations; returns the keys of the annotations that could be read."""
    item_id = task.text(ITEM_KEY)
    if item_id is None:
        _reject_task(book, task)
        return set()
    digest = data_digest(task)
    if digest is None:
        detail = f"task {task.id}: its data are nested too deep; correct the task"
        book.reject(Rejection(None, "unreadable_task", detail, task.data), task)
        return set()
    book.observe_task((task.id, task.created_at), TaskState(item_id, digest), task.updated_at)
    _item(book, task, item_id)
    seen: set[AnnotationKey] = set()
    for raw in task.annotations:
        _observe_annotation(book, task, item_id, raw, seen)
    return seen


def _reject_task(book: Book, task: Task) -> None:
    """A task without an item: nobody knows what its annotations are about."""
    detail = (
        f"task {task.id} names no item: its data has {sorted(map(str, task.data))}; add the field"
        f" {ITEM_KEY!r} to the task"
    )
    for raw in task.annotations or [{"data": task.data}]:
        annotation = read_annotation(raw)
        readable = annotation if isinstance(annotation, Annotation) else None
        book.reject(Rejection(None, "no_item_id", detail, raw), task, readable)


def _observe_annotation(
    book: Book, task: Task, item_id: str, raw: Any, seen: set[AnnotationKey]
) -> None:
    """Store or reject each unit of an annotation, and note its key in `seen`."""
    annotation = read_annotation(raw)
    if isinstance(annotation, str):
        number = raw_id(raw)
        detail = f"annotation {number} is unreadable ({annotation}); look at the payload"
        book.reject(Rejection(None, "unreadable_annotation", detail, raw), task, None, number)
        return
    key = (annotation.id, annotation.created_at)
    if key in seen or book.elsewhere(key, (task.id, task.created_at)):
        detail = f"annotation {annotation.id} stands twice; keep it in one task, once"
        book.reject(Rejection(None, "repeated_annotation", detail, raw), task, annotation)
        return
    seen.add(key)
    judgement = _judged(annotation, raw, book.context)
    for rejection in judgement.rejections:
        book.reject(rejection, task, annotation)
    _store(book, LabelFrame(key, item_id, task), annotation, judgement)


@dataclass(frozen=True)
class LabelFrame:
    """What the labels of one annotation have in common."""

    key: AnnotationKey
    item_id: str
    task: Task


def _judged(annotation: Annotation, raw: Any, context: Context) -> Judgement:
    """Judgement in which every rejection carries a payload."""
    if annotation.user is None:
        detail = f"annotation {annotation.id} says not who made it; give completed_by a user id"
        return Judgement({}, [Rejection(None, "no_annotator", detail, raw)])
    found = judge(annotation, context)
    whole = [r if r.payload is not None else replace(r, payload=raw) for r in found.rejections]
    return Judgement(found.labels, whole)


def _store(book: Book, frame: LabelFrame, annotation: Annotation, judgement: Judgement) -> None:
    """Events of an annotation's units; a unit known and no longer sound is withdrawn."""
    for dimension, value in judgement.labels.items():
        assert annotation.user is not None  # else there are no labels: _judged
        state = LabelState(
            value=value,
            item_id=frame.item_id,
            annotator_id=book.annotator(annotation.user),
            gold=annotation.ground_truth,
            seconds=annotation.lead_time,
            task=(frame.task.id, frame.task.created_at),
        )
        book.observe_label(frame.key, dimension, state, annotation.changed_at)
    book.withdraw(frame.key, annotation.changed_at, frozenset(judgement.labels))


def _item(book: Book, task: Task, item_id: str) -> None:
    """Item and prompt of a task; the ones already known are left out at the end."""
    found = item_rows(task, item_id, book.context.design_k)
    if isinstance(found, Rejection):
        book.reject(found, task)
        return
    item, prompt = found
    first = book.item_prompts.setdefault(item_id, item["prompt_id"])
    if first == item["prompt_id"]:
        book.rows["items"].append(item)
        book.rows["prompts"].append(prompt)
        return
    detail = (
        f"item {item_id} has prompt {first}, task {task.id} gives it {item['prompt_id']}; the item"
        " stays and its labels are kept: correct the task's prompt, or name another clip otherwise"
    )
    book.reject(
        Rejection(None, "changed_prompt", detail, {PROMPT_KEY: task.text(PROMPT_KEY)}), task
    )


def _events(book: Book, known: Known) -> Events:
    """Tables without what is known, each key once."""
    rows = dict(book.rows)
    rows["quarantine"] = _unseen(rows["quarantine"], "quarantine_id", known.quarantine_ids)
    rows["items"] = _unseen(rows["items"], "item_id", known.item_prompts)
    rows["prompts"] = _unseen(rows["prompts"], "prompt_id", known.prompt_ids)
    tables = {name: from_rows(name, found) for name, found in rows.items()}
    counts = Counter(book.counts)
    counts.update(f"quarantined_{row['reason']}" for row in rows["quarantine"])
    counts["quarantined"] = len(rows["quarantine"])
    counts["events"] = len(rows["label_events"])
    return Events(tables, dict(counts), book.task_times)


def _unseen(rows: list[dict[str, Any]], key: str, known: Container[str]) -> list[dict[str, Any]]:
    """First row of each key that is not known."""
    first: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row[key] not in known:
            first.setdefault(row[key], row)
    return list(first.values())
