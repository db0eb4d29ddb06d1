"""Quarantined units, read again from what was received, under a better mapping.

Pure, and by the rules that reading the annotation itself follows: a pull after a replay finds the
same labels and adds nothing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from annotation.book import Book, Said
from annotation.events import events_of, random_id
from annotation.judgement import Context, Rejection, label_of
from annotation.known import Events, Known, Memory, OpenRow
from annotation.observe import judged, store_judgement
from annotation.payload import ITEM_KEY, Annotation, Answer, Task, read_annotation, read_answer
from annotation.tables import of_source, values_of
from annotation.versions import Choice

ONE_ANSWER = frozenset({"unknown_choice", "ambiguous_choice", "missing_dimension", "contradictory"})
"""Reasons whose payload is the answers to one dimension."""
WHOLE = frozenset({"impossible_time", "foreign_annotator", "no_annotator", "unreadable_annotation"})
"""Reasons whose payload is the annotation."""

OLD = "stored by an older Soli, without what a replay needs: `soli ingest --full` reads it again"
AT_THE_SOURCE = "a replay cannot mend it: correct it in Label Studio or the file, and ingest"
STILL = "read again with the same result: see its detail for what to do"
GONE = "its task left the project"

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Replayed:
    """What came of reading units again."""

    events: Events
    mended: dict[str, int]
    """Units settled, by their reason."""
    left: dict[tuple[str, str], int]
    """Units left as they are, by reason and why."""


def replay(rows: pa.Table, known: Known, context: Context) -> Replayed:
    """Events and resolutions of open quarantine rows that can be read now.

    rows: open rows of `quarantine`, every column; those of other sources do no harm.
    known: labels, tasks and quarantine of these rows' tasks and annotations; people.
    context: with the newest version; `users` are not asked.
    """
    book = Book(context, Memory(), known, None, random_id)
    mended: Counter[str] = Counter()
    left: Counter[tuple[str, str]] = Counter()
    for row in _dicts(of_source(rows, context.source)):
        why = _reread(book, row)
        if why is None:
            mended[row["reason"]] += 1
            book.quarantine.resolve(_open_row(row), "replayed")
        else:
            left[row["reason"], why] += 1
    return Replayed(events_of(book), dict(mended), dict(left))


def _dicts(rows: pa.Table) -> list[dict[str, Any]]:
    """Rows with times in microseconds, in a fixed order."""
    names = rows.column_names
    columns = (values_of(rows, name) for name in names)
    found = [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
    return sorted(found, key=lambda row: str(row["quarantine_id"]))


def _open_row(row: Row) -> OpenRow:
    return OpenRow(**{name: row[name] for name in OpenRow._fields})


def _reread(book: Book, row: Row) -> str | None:
    """Store what a row says by now; why it says nothing, else."""
    if row["reason"] not in ONE_ANSWER | WHOLE | {"unknown_control"}:
        return AT_THE_SOURCE
    if row["annotation_id"] is None:
        return AT_THE_SOURCE
    if row["task_created_at"] is None or row["project_version"] is None:
        return OLD
    task = book.states.tasks.get(row["task_id"], {}).get(row["task_created_at"])
    if task is None or task.event == "gone":
        return GONE
    payload = json.loads(row["payload"])
    if row["reason"] in WHOLE:
        return _reread_annotation(book, row, task.item_id, payload)
    if row["annotator_id"] is None or row["annotation_created_at"] is None:
        return AT_THE_SOURCE
    return _reread_answers(book, row, task.item_id, payload)


def _reread_answers(book: Book, row: Row, item_id: str, payload: Any) -> str | None:
    """Answers to one dimension, or to a control that may be one by now."""
    answers = _answers(payload)
    if answers is None:
        return AT_THE_SOURCE
    dimension = row["dimension"] or answers[0][0].from_name
    reading = book.context.readings.at(row["occurred_at"])
    if not answers and dimension not in reading.required:
        return None  # not asked any more, so nothing is missing
    if dimension not in reading.choices:
        return STILL
    return _store_answer(book, row, item_id, dimension, label_of(dimension, answers, reading))


def _answers(payload: Any) -> list[tuple[Answer, Any]] | None:
    """Entries of a result; None where one of them cannot be read."""
    found = []
    for raw in payload if isinstance(payload, list) else [payload]:
        answer = read_answer(raw)
        if isinstance(answer, str):
            return None
        found.append((answer, raw))
    return found


def _store_answer(
    book: Book, row: Row, item_id: str, dimension: str, read: Choice | Rejection
) -> str | None:
    """The label, or the same or another reason why there is none."""
    if isinstance(read, Rejection):
        if (read.dimension, read.reason) == (row["dimension"], row["reason"]):
            return STILL
        facts = {name: value for name, value in row.items() if name != "observed_at"}
        facts |= {"dimension": read.dimension, "reason": read.reason, "item_id": item_id}
        book.quarantine.reject(facts | {"pull_id": book.context.pull_id}, read)
        return None
    book.observe_labels(
        Said(
            (row["annotation_id"], row["annotation_created_at"]),
            row["occurred_at"],
            (row["task_id"], row["task_created_at"]),
            item_id,
            row["annotator_id"],
            row["gold"],
            row["seconds"],
            {dimension: read},
        )
    )
    return None


def _reread_annotation(book: Book, row: Row, item_id: str, payload: Any) -> str | None:
    """A whole annotation, by the rules for one that is read from the server."""
    annotation = read_annotation(payload)
    if not isinstance(annotation, Annotation):
        return AT_THE_SOURCE
    stranger = annotation.user is not None and annotation.user.id not in book.annotators
    if row["reason"] == "foreign_annotator" and stranger:
        return STILL
    found = judged(book, annotation, payload)
    if any(r.dimension is None and r.reason == row["reason"] for r in found.rejections):
        return STILL
    task = Task(
        row["task_id"], row["task_created_at"], row["occurred_at"], {ITEM_KEY: item_id}, [], ""
    )
    store_judgement(book, task, item_id, annotation, found)
    return None
