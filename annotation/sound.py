"""The short way for what is exactly as Label Studio writes it: nearly everything.

Hand checks instead of a schema, ten times as fast. Whatever is not of exactly this shape gets None
here and goes the careful way (`payload`, `judgement`), which alone decides what is wrong; for what
is of this shape both ways give the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from operator import itemgetter
from typing import Any, NamedTuple

from annotation.export import decoded
from annotation.judgement import ORDER_SLACK
from annotation.known import AnnotationKey
from annotation.moments import SECOND, Micros, exact, possible
from annotation.payload import LARGEST_ID, LONGEST_SECONDS, Task, data_digest
from annotation.versions import Choice, Reading, Readings

_ORDER_SLACK = int(ORDER_SLACK.total_seconds()) * SECOND
_ANNOTATION = itemgetter(
    "id",
    "completed_by",
    "lead_time",
    "created_at",
    "updated_at",
    "ground_truth",
    "was_cancelled",
    "result",
)

Sound = tuple[AnnotationKey, Micros, int, bool, float | None, dict[str, Choice]]
"""A sound annotation: key, last change, user, ground truth, seconds, label by dimension."""

Item = tuple[dict[str, Any], dict[str, Any]]
"""Rows of a task's item and of its prompt."""


class Later(Sequence[Any]):
    """Annotations of a task; its text is decoded where one of them is looked at."""

    def __init__(self, text: bytes, count: int) -> None:
        self._text, self._count = text, count

    @cached_property
    def task(self) -> dict[str, Any]:
        """The raw task."""
        found: dict[str, Any] = decoded(self._text)
        return found

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, place: Any) -> Any:
        return self.task["annotations"][place]


class Prepared(NamedTuple):
    """A task that was looked at before (`ahead`): the same is made of it as of the raw one."""

    task: Task
    """Its annotations are `later`; of its data, those that name item and prompt."""
    sounds: Sequence[Sound | None]
    """For each annotation, what `sound_annotation` says."""
    item: Item
    later: Later


def sound_task(raw: Any) -> Task | None:
    """A task of the usual shape."""
    if type(raw) is not dict:
        return None
    number, data, annotations = raw.get("id"), raw.get("data"), raw.get("annotations")
    created, updated = exact(raw.get("created_at")), exact(raw.get("updated_at"))
    if created is None or updated is None or type(data) is not dict:
        return None
    if type(annotations) is not list or type(number) is not int or not 0 <= number < LARGEST_ID:
        return None
    digest = data_digest(data)
    if digest is None or not digest[1]:
        return None
    return Task(number, created, updated, data, annotations, digest[0])


def sound_annotation(raw: Any, readings: Readings, now: Micros) -> Sound | None:
    """An annotation of the usual shape, every dimension answered or the clip skipped."""
    if type(raw) is not dict:
        return None
    try:
        number, user, seconds, made, changed_at, gold, cancelled, result = _ANNOTATION(raw)
    except KeyError:
        return None
    if type(number) is not int or type(user) is not int:
        return None
    if not (0 <= number < LARGEST_ID and 0 <= user < LARGEST_ID):
        return None
    if seconds is not None and not (type(seconds) is float and 0 <= seconds <= LONGEST_SECONDS):
        return None
    created, changed = exact(made), exact(changed_at)
    if created is None or changed is None or created - changed > _ORDER_SLACK:
        return None
    if not (possible(created, now) and possible(changed, now)):
        return None
    if type(gold) is not bool or type(result) is not list:
        return None
    reading = readings.always or readings.at(changed)
    labels = _labels(cancelled, result, reading)
    if labels is None:
        return None
    return (number, created), changed, user, gold, seconds, labels


def _labels(cancelled: Any, result: list[Any], reading: Reading) -> dict[str, Choice] | None:
    if cancelled is True:
        return dict.fromkeys(reading.required, Choice(None, reading.number))
    if cancelled is not False:
        return None
    labels, choices = {}, reading.choices
    try:
        for entry in result:
            name, value = entry["from_name"], entry["value"]
            (picked,) = value["choices"]
            if type(picked) is not str or type(value["choices"]) is not list or len(value) != 1:
                return None
            labels[name] = choices[name][picked]
    except (KeyError, TypeError, ValueError):  # not of this shape, or not known
        return None
    return _in_order(labels, reading) if len(labels) == len(result) else None


def _in_order(labels: dict[str, Choice], reading: Reading) -> dict[str, Choice] | None:
    """Labels in the order of the dimensions; None where a required one is missing."""
    if tuple(labels) == reading.required:
        return labels
    if not all(dimension in labels for dimension in reading.required):
        return None
    return {dimension: labels[dimension] for dimension in reading.choices if dimension in labels}
