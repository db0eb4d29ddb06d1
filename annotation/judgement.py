"""What one annotation says: a label, a skip or a reason for quarantine, per expected dimension."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from annotation.labeling import CHOICES
from annotation.payload import Annotation, Answer, User, read_answer

EARLIEST_YEAR = 2015  # before any Label Studio
CLOCK_SLACK = timedelta(days=1)  # a server's clock may be that far ahead of ours
ORDER_SLACK = timedelta(minutes=1)  # created and updated are stamped one after the other

Mapped = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Context:
    """What a batch of tasks is read under; nothing here comes from the tasks."""

    source: str
    """UUID of the labelling project."""
    pull_id: str
    """Random id of this pull or read."""
    dimensions: tuple[str, ...]
    """Dimensions that every annotation must answer."""
    now: datetime
    """Our clock; claims of a later time are not believed."""
    mapping: Mapped = field(default_factory=dict)
    """dimension → choice text → 'pass' or 'fail', beyond Pass and Fail."""
    project_version: int = 1
    """Version of the labelling configuration in force."""
    design_k: int = 3
    """Design labels of an item whose task does not say."""
    users: Mapping[int, User] = field(default_factory=dict)
    """The server's list of users: e-mail and name where annotations give ids only."""


@dataclass(frozen=True)
class Rejection:
    """Why a unit is not stored."""

    dimension: str | None
    reason: str
    detail: str
    payload: Any


@dataclass(frozen=True)
class Judgement:
    """One annotation, read: `labels` maps a dimension to pass, fail or None (skipped)."""

    labels: dict[str, str | None]
    rejections: list[Rejection]


def judge(annotation: Annotation, context: Context) -> Judgement:
    """Read an annotation dimension by dimension; an unsound one does not harm its siblings."""
    untimely = time_problem(annotation, context.now)
    if untimely:
        return Judgement({}, [Rejection(None, "impossible_time", untimely, None)])
    if annotation.was_cancelled:
        return Judgement(dict.fromkeys(context.dimensions), [])
    answers, rejections = _sorted_answers(annotation.result, context.dimensions)
    labels: dict[str, str | None] = {}
    for dimension in context.dimensions:
        read = _label(dimension, answers.get(dimension, []), context.mapping)
        if isinstance(read, Rejection):
            rejections.append(read)
        else:
            labels[dimension] = read
    return Judgement(labels, rejections)


def time_problem(annotation: Annotation, now: datetime) -> str | None:
    """Sentence on a time that cannot be; None when all is well."""
    created, changed = annotation.created_at, annotation.changed_at
    advice = "set the server's clock or correct the file"
    if created.year < EARLIEST_YEAR:
        return f"created_at {created.isoformat()} is before Label Studio existed; {advice}"
    if max(created, changed) > now + CLOCK_SLACK:
        return f"{max(created, changed).isoformat()} lies in the future; {advice}"
    if changed < created - ORDER_SLACK:
        return (
            f"updated_at {changed.isoformat()} precedes created_at {created.isoformat()}; {advice}"
        )
    return None


def _sorted_answers(
    result: Sequence[Any], dimensions: Sequence[str]
) -> tuple[dict[str, list[tuple[Answer, Any]]], list[Rejection]]:
    """Answers by dimension, and a rejection for each entry that belongs to none."""
    answers: dict[str, list[tuple[Answer, Any]]] = {}
    rejections = []
    for raw in result:
        answer = read_answer(raw)
        if isinstance(answer, str):
            detail = f"an entry of the result is unreadable ({answer}); see the payload"
            rejections.append(Rejection(None, "unreadable_result", detail, raw))
        elif answer.from_name not in dimensions:
            detail = (
                f"control {answer.from_name!r} is none of the dimensions {list(dimensions)}; add it"
                " to the settings' dimensions or remove it from the project"
            )
            rejections.append(Rejection(None, "unknown_control", detail, raw))
        else:
            answers.setdefault(answer.from_name, []).append((answer, raw))
    return answers, rejections


def _label(
    dimension: str, answers: Sequence[tuple[Answer, Any]], mapping: Mapped
) -> str | Rejection:
    """The one label of a dimension, or why there is none."""
    payload = [raw for _, raw in answers]
    if not answers:
        detail = f"{dimension} is not answered; have the annotator complete or skip the clip"
        return Rejection(dimension, "missing_dimension", detail, payload)
    if len(answers) > 1:
        picked = [answer.choices for answer, _ in answers]
        detail = f"{dimension} is answered {len(answers)} times: {picked}; keep one of them"
        return Rejection(dimension, "contradictory", detail, payload)
    choices = answers[0][0].choices
    if choices is None:
        detail = f"{dimension}: the answer is no choice; make its control <Choices>"
        return Rejection(dimension, "unreadable_result", detail, payload)
    return _label_of_choices(dimension, choices, mapping, payload)


def _label_of_choices(
    dimension: str, choices: list[str], mapping: Mapped, payload: Any
) -> str | Rejection:
    if not choices:
        detail = f"{dimension} is answered with no choice; have the annotator complete the clip"
        return Rejection(dimension, "missing_dimension", detail, payload)
    if len(choices) > 1:
        detail = f"{dimension} holds {len(choices)} choices: {choices}; keep one of them"
        return Rejection(dimension, "contradictory", detail, payload)
    label = label_of(choices[0], dimension, mapping)
    if label is None:
        detail = (
            f"{dimension} says {choices[0]!r}, which is neither Pass nor Fail; correct the project"
            " or name it in the dimension's mapping"
        )
        return Rejection(dimension, "unknown_choice", detail, payload)
    return label


def label_of(choice: str, dimension: str, mapping: Mapped) -> str | None:
    """Pass or fail; None for a choice that is neither and that the mapping does not name.

    >>> label_of("Pass", "motion", {}), label_of("OK", "motion", {"motion": {"OK": "pass"}})
    ('pass', 'pass')
    >>> label_of("pass", "motion", {}) is None
    True
    """
    if choice in CHOICES:
        return choice.lower()
    return mapping.get(dimension, {}).get(choice)
