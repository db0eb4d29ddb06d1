"""One raw task after the other, each against what is known of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from annotation.book import Book, Said
from annotation.items import item_rows
from annotation.judgement import Context, Judgement, Rejection, claim_problem, judge, refused
from annotation.known import AnnotationKey
from annotation.moments import Micros, micros, moment_of, possible
from annotation.payload import (
    ITEM_KEY,
    PROMPT_KEY,
    Annotation,
    Task,
    cleaned,
    raw_annotations,
    raw_id,
    read_annotation,
    read_task,
    text_in,
)
from annotation.sound import Item, Prepared, Sound, sound_annotation, sound_task
from warehouse.identity import prompt_id


def observe(book: Book, raw: Any) -> None:
    """One task, raw or prepared: its own event, each annotation, what is no longer there."""
    book.counts["tasks"] += 1
    ahead = raw if isinstance(raw, Prepared) else None
    task = ahead.task if ahead else sound_task(raw) or read_task(raw)
    if book.context.forgotten.digests and _of_forgotten_item(book, task, raw):
        return
    if isinstance(task, str):
        book.counts["annotations"] += len(raw_annotations(raw))
        detail = f"task {raw_id(raw)} is unreadable ({task}); export or pull it again"
        book.reject(Rejection(None, "unreadable_task", detail, raw))
        return
    book.counts["annotations"] += len(task.annotations)
    when = _task_time(task, book.context)
    if not book.context.live and book.states.stale(task, when, book.quarantine.times(task.id)):
        book.counts["stale"] += 1
        return
    times = book.memory.task_times.get(task.id, 0) + 1
    book.memory.task_times[task.id] = times
    if times > 1:
        _reject_repeated(book, task, ahead.later.task if ahead else raw, times)
        return
    _observe_task(book, task, when, ahead)


def _of_forgotten_item(book: Book, task: Task | str, raw: Any) -> bool:
    """Whether a task, readable or not, names an item that was deleted on request; counts it."""
    annotations = raw_annotations(raw) if isinstance(task, str) else task.annotations
    data = raw.get("data") if isinstance(task, str) and isinstance(raw, dict) else None
    try:
        item = text_in(data or {}, ITEM_KEY) if isinstance(task, str) else task.text(ITEM_KEY)
    except (AttributeError, ValueError):  # the data are no object, or the id a number of a book
        return False
    found = book.context.forgotten.item(item)
    book.counts["forgotten"] += len(annotations) if found else 0
    return found


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


def _observe_task(book: Book, task: Task, when: Micros, ahead: Prepared | None) -> None:
    """Everything of a task that is not old and stands in the batch for the first time."""
    rejected = len(book.quarantine.rows)
    _check_times(book, task)
    _replace_reused(book, task)
    seen = _observe_annotations(book, task, when, ahead)
    known = book.states.by_task.get(task.id)
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
    detail = f"task {task.id}: {'; '.join(problems.values())}; its labels are kept"
    payload = {name: moment_of(claims[name]).isoformat() for name in problems}
    book.reject(Rejection(None, "impossible_time", detail, payload), task)


def _replace_reused(book: Book, task: Task) -> None:
    """SQLite gave the id of a deleted task to this one: the old one is gone."""
    for created in sorted(book.states.tasks.get(task.id, ())):
        if created != task.created_at:
            book.task_gone((task.id, created), book.context.credible(task.created_at))


def _observe_annotations(
    book: Book, task: Task, when: Micros, ahead: Prepared | None
) -> set[AnnotationKey]:
    """Task, item and annotations; returns the keys of the annotations that could be read."""
    item_id = task.text(ITEM_KEY)
    if item_id is None:
        _reject_task(book, task)
        return set()
    book.observe_task(task, item_id, when)
    _item(book, task, item_id, ahead.item if ahead else None)
    seen: set[AnnotationKey] = set()
    key = task.key
    for place, found in enumerate(ahead.sounds if ahead else _sounds(book.context, task)):
        if found and book.observe_sound(found, key, item_id):
            seen.add(found[0])
        else:
            _observe_careful(book, task, item_id, task.annotations[place], seen)
    return seen


def _sounds(context: Context, task: Task) -> Iterator[Sound | None]:
    readings, now = context.readings, context.now_us
    return (sound_annotation(raw, readings, now) for raw in task.annotations)


def _reject_task(book: Book, task: Task) -> None:
    """A task without an item: nobody knows what its annotations are about."""
    detail = (
        f"task {task.id} names no item: its data has {sorted(map(str, task.data))}; add the field"
        f" {ITEM_KEY!r} to the task"
    )
    for raw in task.annotations or [{"data": task.data}]:
        if book.forgotten(raw):
            continue
        annotation = read_annotation(raw)
        readable = annotation if isinstance(annotation, Annotation) else None
        number = raw_id(raw) if task.annotations else None
        book.reject(Rejection(None, "no_item_id", detail, raw), task, readable, number)


def _observe_careful(
    book: Book, task: Task, item_id: str, raw: Any, seen: set[AnnotationKey]
) -> None:
    """Store or reject each unit of an annotation, and note its key in `seen`."""
    if book.forgotten(raw):
        return
    annotation = read_annotation(raw)
    if isinstance(annotation, str):
        number = raw_id(raw)
        detail = f"annotation {number} is unreadable ({annotation}); look at the payload"
        book.reject(Rejection(None, "unreadable_annotation", detail, raw), task, None, number)
        # It may be any that seems to be missing: what cannot be read withdraws nothing.
        known = book.states.by_task.get(task.id, ())
        seen.update(key for key in known if number is None or key[0] == number)
        return
    key = annotation.key
    if book.states.elsewhere(key, task.key) or not book.memory.first_time(key):
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
    return replace(found, rejections=whole)


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
    if judgement.read:
        book.withdraw(annotation.key, task.key, when, judgement.labels)


def _item(book: Book, task: Task, item_id: str, ahead: Item | None) -> None:
    """Item and prompt of a task, where they are not known yet."""
    first = book.known.item_prompts.get(item_id) or book.memory.item_prompts.get(item_id)
    if first is not None and (text := task.text(PROMPT_KEY)) is not None:
        if (other := prompt_id(text)) != first:
            _reject_prompt(book, task, item_id, first, other)
        return
    found = ahead or item_rows(task, item_id, book.context.design_k)
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
