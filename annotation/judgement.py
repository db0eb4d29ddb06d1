"""What one annotation says: a label, a skip or a reason for quarantine, per expected dimension."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from annotation.moments import EARLIEST, Micros, micros, moment_of, possible
from annotation.payload import Annotation, Answer, User, read_answer
from annotation.versions import Choice, Reading, Readings, Version
from warehouse.forgotten import NOBODY, Forgotten

ORDER_SLACK = timedelta(minutes=1)  # created and updated are stamped one after the other
TIME_ADVICE = "set the server's clock, or correct the file"


@dataclass(frozen=True)
class Context:
    """What a batch of tasks is read under; nothing here comes from the tasks.

    A project read in one way only: `versions=(Version(1, ("motion", "shape")),)`.
    """

    source: str
    """UUID of the labelling project."""
    pull_id: str
    """Random id of this pull or read."""
    versions: tuple[Version, ...]
    """Every version of the project's labelling, by number, the one in force now included."""
    now: datetime
    """Our clock; claims of a later time are not believed."""
    design_k: int = 3
    """Design labels of an item whose task does not say."""
    users: Mapping[int, User] = field(default_factory=dict)
    """The server's list of users: e-mail and name where annotations give ids only."""
    live: bool = True
    """True: read from a server, the newest there is. False: from a file, which may be an old one,
    so that a task known in a newer state is left alone."""
    forgotten: Forgotten = NOBODY
    """Annotators and items that were deleted on request: nothing of them is taken in."""

    @cached_property
    def readings(self) -> Readings:
        """How answers are read, by their time."""
        return Readings(self.versions)

    @cached_property
    def now_us(self) -> Micros:
        """`now` in microseconds."""
        return micros(self.now)

    def credible(self, claim: Micros) -> Micros:
        """A server's time; our own where that cannot be."""
        return claim if possible(claim, self.now_us) else self.now_us


@dataclass(frozen=True)
class Rejection:
    """Why a unit is not stored."""

    dimension: str | None
    reason: str
    detail: str
    payload: Any


@dataclass(frozen=True)
class Judgement:
    """One annotation, read: `labels` maps a dimension to what it says (None: skipped)."""

    labels: dict[str, Choice]
    rejections: list[Rejection]
    read: bool = True
    """False: nothing of the annotation was believed, so that what is known of it stays."""


def refused(*rejections: Rejection) -> Judgement:
    """Judgement of an annotation that is not believed at all."""
    return Judgement({}, list(rejections), read=False)


def judge(annotation: Annotation, context: Context) -> Judgement:
    """Read an annotation dimension by dimension; an unsound one does not harm its siblings."""
    untimely = time_problem(annotation, context.now)
    if untimely:
        return refused(Rejection(None, "impossible_time", untimely, None))
    reading = context.readings.at(micros(annotation.changed_at))
    if annotation.was_cancelled:
        return Judgement(dict.fromkeys(reading.required, Choice(None, reading.number)), [])
    return judged_answers(annotation.result, reading)


def judged_answers(result: Sequence[Any], reading: Reading) -> Judgement:
    """Labels of a result's entries, and why other units have none."""
    answers, rejections = _sorted_answers(result, reading)
    labels: dict[str, Choice] = {}
    for dimension in reading.choices:
        given = answers.get(dimension, [])
        if given or dimension in reading.required:
            read = label_of(dimension, given, reading)
            if isinstance(read, Rejection):
                rejections.append(read)
            else:
                labels[dimension] = read
    return Judgement(labels, rejections)


def time_problem(annotation: Annotation, now: datetime) -> str | None:
    """Sentence on a time that cannot be; None when all is well."""
    created, changed = annotation.created_at, annotation.changed_at
    for name, claim in (("created_at", created), ("updated_at", changed)):
        if problem := claim_problem(name, micros(claim), now):
            return problem
    if created - changed > ORDER_SLACK:
        return (
            f"updated_at {changed.isoformat()} precedes created_at {created.isoformat()};"
            f" {TIME_ADVICE}"
        )
    return None


def claim_problem(name: str, claim: Micros, now: datetime) -> str | None:
    """Sentence on one time that cannot be."""
    if possible(claim, micros(now)):
        return None
    when = moment_of(claim).isoformat()
    fault = "is before Label Studio existed" if claim < EARLIEST else "lies in the future"
    return f"{name} {when} {fault}; {TIME_ADVICE}"


def _sorted_answers(
    result: Sequence[Any], reading: Reading
) -> tuple[dict[str, list[tuple[Answer, Any]]], list[Rejection]]:
    """Answers by dimension, and a rejection for what belongs to none."""
    answers: dict[str, list[tuple[Answer, Any]]] = {}
    unknown: dict[str, list[Any]] = {}
    rejections = []
    for raw in result:
        answer = read_answer(raw)
        if isinstance(answer, str):
            detail = f"an entry of the result is unreadable ({answer}); see the payload"
            rejections.append(Rejection(None, "unreadable_result", detail, raw))
        elif answer.from_name not in reading.choices:
            unknown.setdefault(answer.from_name, []).append(raw)
        else:
            answers.setdefault(answer.from_name, []).append((answer, raw))
    rejections += [_unknown_control(name, raw, reading) for name, raw in unknown.items()]
    return answers, rejections


def _unknown_control(name: str, raw: list[Any], reading: Reading) -> Rejection:
    """One row for a control, however often it is answered."""
    detail = (
        f"control {name!r} is none of the dimensions {list(reading.choices)}; add it to the"
        " settings' dimensions or remove it from the project"
    )
    return Rejection(None, "unknown_control", detail, raw[0] if len(raw) == 1 else raw)


def label_of(
    dimension: str, answers: Sequence[tuple[Answer, Any]], reading: Reading
) -> Choice | Rejection:
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
    return _label_of_choices(dimension, choices, reading, payload)


def _label_of_choices(
    dimension: str, choices: list[str], reading: Reading, payload: Any
) -> Choice | Rejection:
    if not choices:
        detail = f"{dimension} is answered with no choice; have the annotator complete the clip"
        return Rejection(dimension, "missing_dimension", detail, payload)
    if len(choices) > 1:
        detail = f"{dimension} holds {len(choices)} choices: {choices}; keep one of them"
        return Rejection(dimension, "contradictory", detail, payload)
    found = reading.choices[dimension].get(choices[0])
    return found or _unread_choice(dimension, choices[0], reading, payload)


def _unread_choice(dimension: str, choice: str, reading: Reading, payload: Any) -> Rejection:
    if (dimension, choice) in reading.ambiguous:
        detail = (
            f"{dimension} says {choice!r}, which the project's mappings read as pass and as"
            " fail; it was given while the project was changed, so either may be meant: have it"
            " answered again, or correct the dimension's mapping and replay"
        )
        return Rejection(dimension, "ambiguous_choice", detail, payload)
    detail = (
        f"{dimension} says {choice!r}, which is neither Pass nor Fail; correct the project or name"
        " it in the dimension's mapping and replay"
    )
    return Rejection(dimension, "unknown_choice", detail, payload)
