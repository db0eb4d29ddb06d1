"""From observed tasks to events: what is new against what is known, and what cannot be stored.

Pure: tables and payloads in, tables out. Reading the same thing twice gives no row. Label Studio
uses ids again, so an annotation is known by (source, id, created_at), and a task likewise.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from annotation.book import LABEL_COLUMNS, TASK_COLUMNS, Book, Said
from annotation.items import item_rows
from annotation.judgement import Context, Judgement, Rejection, claim_problem, judge, refused
from annotation.known import AnnotationKey, Events, Known, Memory
from annotation.moments import Micros, micros, moment_of, possible
from annotation.payload import (
    ITEM_KEY,
    PROMPT_KEY,
    Annotation,
    Task,
    cleaned,
    raw_id,
    read_annotation,
    read_task,
)
from annotation.sound import sound_annotation, sound_task
from annotation.tables import from_rows, from_tuples
from warehouse.identity import prompt_id


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

    tasks: raw tasks as a list call or an export gives them, each with ALL its annotations; an
        annotation known of such a task and no longer in it counts as withdrawn.
    known: as it was before the batch; see Known for what is needed of it.
    memory: one and the same for all parts of a batch; None where the tasks are the whole batch.
    new_id: makes an annotator's random id, called once per person met for the first time.
    Returns: tables label_events, task_events, quarantine, resolutions, people, items, prompts.
    Cost: linear in the tasks; of `known`, only the rows of these tasks are unpacked.
    """
    raw_tasks = list(tasks)
    book = Book(context, memory or Memory(), known, ids_of(raw_tasks), new_id)
    for raw in raw_tasks:
        _observe(book, raw)
    return events_of(book)


def ids_of(raw_tasks: Iterable[Any]) -> dict[str, set[int]]:
    """What has to be known of raw tasks: values of `task_id` and `annotation_id`."""
    tasks: list[int | None] = []
    annotations: list[int | None] = []
    for raw in raw_tasks:
        tasks.append(raw_id(raw))
        annotations += map(raw_id, _raw_annotations(raw))
    return {
        "task_id": {number for number in tasks if number is not None},
        "annotation_id": {number for number in annotations if number is not None},
    }


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
    for number in sorted(book.tasks.keys() - there):
        for created in sorted(book.tasks[number]):
            book.task_gone((number, created), context.now_us)
    for task_id, rows in book.quarantine.by_task.items():
        if task_id not in there and (task_id is not None or memory is not None):
            book.quarantine.settle_gone(rows)
    return events_of(book)


def settle_repeated(known: Known, memory: Memory, context: Context) -> Events:
    """Resolutions of tasks that stood twice in an earlier batch and once in this one, now over."""
    book = Book(context, memory, known, {"task_id": set(), "annotation_id": set()}, random_id)
    for number, rows in book.quarantine.by_task.items():
        if number is not None and memory.task_times.get(number) == 1:
            for row in rows:
                if row.reason == "repeated_task":
                    book.quarantine.resolve(row, "mended")
    return events_of(book)


def _raw_annotations(raw: Any) -> Sequence[Any]:
    found = raw.get("annotations") if isinstance(raw, Mapping) else None
    return found if isinstance(found, list) else []


def _observe(book: Book, raw: Any) -> None:
    """One raw task: its own event, then each annotation, then what is no longer there."""
    book.counts["tasks"] += 1
    task = sound_task(raw) or read_task(raw)
    if isinstance(task, str):
        book.counts["annotations"] += len(_raw_annotations(raw))
        detail = f"task {raw_id(raw)} is unreadable ({task}); export or pull it again"
        book.reject(Rejection(None, "unreadable_task", detail, raw))
        return
    book.counts["annotations"] += len(task.annotations)
    when = _task_time(task, book.context)
    if book.stale(task, when):
        book.counts["stale"] += 1
        return
    times = book.memory.task_times.get(task.id, 0) + 1
    book.memory.task_times[task.id] = times
    if times > 1:
        _reject_repeated(book, task, raw, times)
        return
    _observe_task(book, task, when)


def _task_time(task: Task, context: Context) -> Micros:
    """Newest time that can be believed of a task: its change, else those of its annotations.

    What is known of a task is dated by this. An impossible claim would make every later state look
    old, or this one; where nothing else is claimed, our own clock stands in.
    """
    now = context.now_us
    if possible(task.updated_at, now):
        return task.updated_at
    claims = [
        micros(claim)
        for each in map(read_annotation, task.annotations)
        if isinstance(each, Annotation)
        for claim in (each.created_at, each.changed_at)
    ]
    return max((claim for claim in claims if possible(claim, now)), default=now)


def _observe_task(book: Book, task: Task, when: Micros) -> None:
    """Everything of a task that is not old and stands in the batch for the first time."""
    rejected = len(book.quarantine.rows)
    _check_times(book, task)
    _replace_reused(book, task)
    seen = _observe_annotations(book, task, when)
    known = book.by_task.get(task.id)
    if known:
        for key in sorted(known - seen):
            book.withdraw(key, task.key, when, {})
    if task.id in book.quarantine.by_task:
        book.quarantine.settle_task(task.key, _present(task), rejected)


def _present(task: Task) -> set[int | AnnotationKey]:
    """Ids of a task's annotations, and keys of those that can be read."""
    found: set[int | AnnotationKey] = set()
    for raw in task.annotations:
        annotation = read_annotation(raw)
        if isinstance(annotation, Annotation):
            found |= {annotation.id, annotation.key}
        elif (number := raw_id(raw)) is not None:
            found.add(number)
    return found


def _reject_repeated(book: Book, task: Task, raw: Any, times: int) -> None:
    """A task counts once: what its first occurrence says is not undone by another one."""
    detail = (
        f"task {task.id} stands in this batch for the {times}. time; the first one counts: export"
        " the project again, or keep the right one"
    )
    payload = {"occurrence": times, "task": raw}
    book.reject(Rejection(None, "repeated_task", detail, payload), task)


def _check_times(book: Book, task: Task) -> None:
    """A task whose own times cannot be keeps its labels: only the claim is set aside."""
    now = book.context.now_us
    if possible(task.created_at, now) and possible(task.updated_at, now):
        return
    claims = {"created_at": task.created_at, "updated_at": task.updated_at}
    problems = {
        name: problem
        for name, claim in claims.items()
        if (problem := claim_problem(name, claim, book.context.now))
    }
    if problems:
        detail = f"task {task.id}: {'; '.join(problems.values())}; its labels are kept"
        payload = {name: moment_of(claims[name]).isoformat() for name in problems}
        book.reject(Rejection(None, "impossible_time", detail, payload), task)


def _replace_reused(book: Book, task: Task) -> None:
    """SQLite gave the id of a deleted task to this one: the old one is gone."""
    for created in sorted(book.tasks.get(task.id, ())):
        if created != task.created_at:
            book.task_gone((task.id, created), book.context.credible(task.created_at))


def _observe_annotations(book: Book, task: Task, when: Micros) -> set[AnnotationKey]:
    """Task, item and annotations; returns the keys of the annotations that could be read."""
    item_id = task.text(ITEM_KEY)
    if item_id is None:
        _reject_task(book, task)
        return set()
    book.observe_task(task, item_id, when)
    _item(book, task, item_id)
    seen: set[AnnotationKey] = set()
    readings, now = book.context.readings, book.context.now_us
    key = task.key
    for raw in task.annotations:
        found = sound_annotation(raw, readings, now)
        if found and book.observe_sound(found, key, item_id):
            seen.add(found[0])
        else:
            _observe_careful(book, task, item_id, raw, seen)
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
        number = raw_id(raw) if task.annotations else None
        book.reject(Rejection(None, "no_item_id", detail, raw), task, readable, number)


def _observe_careful(
    book: Book, task: Task, item_id: str, raw: Any, seen: set[AnnotationKey]
) -> None:
    """Store or reject each unit of an annotation, and note its key in `seen`."""
    annotation = read_annotation(raw)
    if isinstance(annotation, str):
        number = raw_id(raw)
        detail = f"annotation {number} is unreadable ({annotation}); look at the payload"
        book.reject(Rejection(None, "unreadable_annotation", detail, raw), task, None, number)
        return
    key = annotation.key
    if book.elsewhere(key, task.key) or not book.memory.first_time(key):
        detail = f"annotation {annotation.id} stands twice; keep it in one task, once"
        book.reject(Rejection(None, "repeated_annotation", detail, raw), task, annotation)
        return
    seen.add(key)
    store_judgement(book, task, item_id, annotation, judged(book, annotation, raw))


def judged(book: Book, annotation: Annotation, raw: Any) -> Judgement:
    """Judgement in which every rejection carries a payload."""
    user = annotation.user
    if user is None:
        detail = f"annotation {annotation.id} says not who made it; give completed_by a user id"
        return refused(Rejection(None, "no_annotator", detail, raw))
    if book.foreign(user):
        detail = (
            f"annotation {annotation.id} is said to be by user {user.id}, who is not and, as far as"
            " is known, never was a member; if it was one, ingest an export of the project, which"
            " is taken at its word, else delete the annotation"
        )
        return refused(Rejection(None, "foreign_annotator", detail, raw))
    found = judge(annotation, book.context)
    whole = [r if r.payload is not None else replace(r, payload=raw) for r in found.rejections]
    return Judgement(found.labels, whole)


def store_judgement(
    book: Book, task: Task, item_id: str, annotation: Annotation, judgement: Judgement
) -> None:
    """Events of an annotation's units; a unit known and no longer sound is withdrawn."""
    for rejection in judgement.rejections:
        book.reject(rejection, task, annotation)
    when = micros(annotation.changed_at)
    if judgement.labels:
        assert annotation.user is not None  # else there are no labels: judged
        book.observe_labels(
            Said(
                annotation.key,
                when,
                task.key,
                item_id,
                book.annotator(annotation.user),
                annotation.ground_truth,
                annotation.lead_time,
                judgement.labels,
            )
        )
    book.withdraw(annotation.key, task.key, book.context.credible(when), judgement.labels)


def _item(book: Book, task: Task, item_id: str) -> None:
    """Item and prompt of a task, where they are not known yet."""
    text = task.text(PROMPT_KEY)
    first = book.known.item_prompts.get(item_id) or book.memory.item_prompts.get(item_id)
    if first is not None and text is not None:
        if prompt_id(text) != first:
            _reject_prompt(book, task, item_id, first, prompt_id(text))
        return
    found = item_rows(task, item_id, book.context.design_k)
    if isinstance(found, Rejection):
        book.reject(found, task)
        return
    item, prompt = found
    book.memory.item_prompts[item_id] = name = item["prompt_id"]
    book.items.append(item)
    if name not in book.known.prompt_ids and name not in book.memory.prompt_ids:
        book.memory.prompt_ids.add(name)
        book.prompts.append(prompt)


def _reject_prompt(book: Book, task: Task, item_id: str, first: str, other: str) -> None:
    detail = (
        f"item {item_id} has prompt {first}, task {task.id} gives it {other}; the item stays and"
        " its labels are kept: correct the task's prompt, or name another clip otherwise"
    )
    payload = {PROMPT_KEY: cleaned(task.text(PROMPT_KEY))}
    book.reject(Rejection(None, "changed_prompt", detail, payload), task)


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
