"""The short way for what is exactly as Label Studio writes it: nearly everything.

Hand checks instead of a schema, ten times as fast. Whatever is not of exactly this shape gets None
here and goes the careful way (`payload`, `judgement`), which alone decides what is wrong; for what
is of this shape both ways give the same.
"""

from __future__ import annotations

from typing import Any

from annotation.judgement import ORDER_SLACK
from annotation.known import AnnotationKey
from annotation.moments import SECOND, Micros, exact, possible
from annotation.payload import LARGEST_ID, LONGEST_SECONDS, Task, data_digest
from annotation.versions import Choice, Reading, Readings

_ORDER_SLACK = int(ORDER_SLACK.total_seconds()) * SECOND


Sound = tuple[AnnotationKey, Micros, int, bool, float | None, dict[str, Choice]]
"""A sound annotation: key, last change, user, ground truth, seconds, label by dimension."""


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
    get = raw.get
    number, user, seconds = get("id"), get("completed_by"), get("lead_time")
    if type(number) is not int or type(user) is not int:
        return None
    if not (0 <= number < LARGEST_ID and 0 <= user < LARGEST_ID):
        return None
    if seconds is not None and not (type(seconds) is float and 0 <= seconds <= LONGEST_SECONDS):
        return None
    created, changed = exact(get("created_at")), exact(get("updated_at"))
    if created is None or changed is None or created - changed > _ORDER_SLACK:
        return None
    if not (possible(created, now) and possible(changed, now)):
        return None
    gold, result = get("ground_truth", False), get("result")
    if type(gold) is not bool or type(result) is not list:
        return None
    reading = readings.always or readings.at(changed)
    labels = _labels(get("was_cancelled", False), result, reading)
    if labels is None:
        return None
    return (number, created), changed, user, gold, seconds, labels


def _labels(cancelled: Any, result: list[Any], reading: Reading) -> dict[str, Choice] | None:
    if cancelled is True:
        return dict.fromkeys(reading.required, Choice(None, reading.number))
    if cancelled is not False:
        return None
    labels = {}
    for entry in result:
        if type(entry) is not dict:
            return None
        name, value = entry.get("from_name"), entry.get("value")
        if type(name) is not str or type(value) is not dict or len(value) != 1:
            return None
        picked = value.get("choices")
        if type(picked) is not list or len(picked) != 1 or type(picked[0]) is not str:
            return None
        known = reading.choices.get(name)
        found = known and known.get(picked[0])
        if not found or name in labels:
            return None
        labels[name] = found
    return _in_order(labels, reading)


def _in_order(labels: dict[str, Choice], reading: Reading) -> dict[str, Choice] | None:
    """Labels in the order of the dimensions; None where a required one is missing."""
    if tuple(labels) == reading.required:
        return labels
    if not all(dimension in labels for dimension in reading.required):
        return None
    return {dimension: labels[dimension] for dimension in reading.choices if dimension in labels}
