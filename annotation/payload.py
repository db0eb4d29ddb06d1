"""Shape of Label Studio's tasks and annotations; the only module that knows their JSON."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from annotation.moments import Micros, micros
from warehouse.digest import text_digest

ITEM_KEY = "item_id"
PROMPT_KEY = "prompt"
MEDIA_KEY = "video"
SOURCE_KEY = "soli_source"

LONGEST_SECONDS = 1e6  # of work on one clip; a longer claim is a broken clock's
LONGEST_PAYLOAD = 2_000  # characters of any one text kept in a quarantined payload
DEEPEST_PAYLOAD = 20  # levels kept; an annotation of ours has five
DEEPEST_DATA = 100  # levels of a task's data; nobody's clip has more
LARGEST_NUMBER = 1_000  # bits kept of a whole number in a quarantined payload
LARGEST_ID = 2**63  # what the tables' int64 holds

_PERSONAL = frozenset(
    (
        "avatar",
        "created_username",
        "email",
        "first_name",
        "initials",
        "last_name",
        "name",
        "phone",
        "username",
    )
)
_EMAIL = re.compile(r"[^\s@\"'<>]+@[^\s@\"'<>]+")


def _utc(moment: datetime) -> datetime:
    """Aware time in UTC; Label Studio writes UTC, so a time without a zone is taken as that."""
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:  # year 1 or 9999, beyond the calendar once shifted
        raise ValueError("time is out of range") from error


def _plausible(value: Any) -> Any:
    """None for a duration that nobody spent on a clip: negative, no number, or over eleven days."""
    number = isinstance(value, int | float)
    return None if number and not 0 <= value <= LONGEST_SECONDS else value


Moment = Annotated[datetime, AfterValidator(_utc)]
# Before, as pydantic refuses what is no finite number; after, as it also takes numbers in texts.
Seconds = Annotated[float | None, BeforeValidator(_plausible), AfterValidator(_plausible)]
Id = Annotated[int, Field(strict=True, ge=0, lt=LARGEST_ID)]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class User(_Shape):
    """A user as the server gives it: beside an annotation or in the list of users."""

    id: Id
    email: str | None = None
    first_name: str = ""
    last_name: str = ""

    @property
    def name(self) -> str | None:
        """First and last name; None where the server has neither."""
        return f"{self.first_name} {self.last_name}".strip() or None


class Answer(_Shape):
    """One entry of an annotation's result."""

    from_name: str
    value: dict[str, Any]

    @property
    def choices(self) -> list[str] | None:
        """Texts picked; None where the entry is no choice at all."""
        picked = self.value.get("choices")
        if isinstance(picked, list) and all(isinstance(text, str) for text in picked):
            return picked
        return None


class Annotation(_Shape):
    """One annotation. Results stay raw: each is judged alone."""

    id: Id
    created_at: Moment
    updated_at: Moment | None = None
    completed_by: Id | User | None = None
    result: list[Any]
    was_cancelled: bool = False
    ground_truth: bool = False
    lead_time: Seconds = None

    @property
    def user(self) -> User | None:
        """Who is said to have made it. Lists and exports give an id, single tasks a dict."""
        if isinstance(self.completed_by, int):
            return User(id=self.completed_by)
        return self.completed_by

    @property
    def changed_at(self) -> datetime:
        """Newest time that the server claims for it."""
        return self.updated_at or self.created_at

    @property
    def key(self) -> tuple[int, Micros]:
        """Id and creation: the server uses ids again."""
        return self.id, micros(self.created_at)


class _TaskShape(_Shape):
    id: Id
    created_at: Moment
    updated_at: Moment
    data: dict[str, Any]
    annotations: list[Any]


class Task(NamedTuple):
    """One task with its raw annotations."""

    id: int
    created_at: Micros
    updated_at: Micros
    data: dict[str, Any]
    """Text in it can be stored: lone surrogates stand as `?`, and name neither item nor prompt."""
    annotations: Sequence[Any]
    digest: str
    """SHA-256 of the data as received."""

    @property
    def key(self) -> tuple[int, Micros]:
        """Id and creation: the server uses ids again."""
        return self.id, self.created_at

    def text(self, key: str) -> str | None:
        """Text of a data field; numbers as text, None where it is absent, empty or a structure."""
        return text_in(self.data, key)


def text_in(data: Mapping[str, Any], key: str) -> str | None:
    """As `Task.text`."""
    value = data.get(key)
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value).strip() or None


def made_task(
    number: int, created: Micros, updated: Micros, data: dict[str, Any], annotations: list[Any]
) -> Task | str:
    """A task of sound parts, or the reason why its data cannot be stored."""
    found = data_digest(data)
    if found is None:
        return "its data are nested too deep"
    digest, plain = found
    return Task(number, created, updated, data if plain else storable(data), annotations, digest)


def read_task(raw: Any) -> Task | str:
    """A task, or the reason why it is none."""
    try:
        found = _TaskShape.model_validate(raw)
    except ValidationError as error:
        return _first(error)
    times = micros(found.created_at), micros(found.updated_at)
    return made_task(found.id, *times, found.data, found.annotations)


def read_annotation(raw: Any) -> Annotation | str:
    """An annotation, or the reason why it is none."""
    try:
        return Annotation.model_validate(raw)
    except ValidationError as error:
        return _first(error)


def read_answer(raw: Any) -> Answer | str:
    """An entry of a result, or the reason why it is none."""
    try:
        return Answer.model_validate(raw)
    except ValidationError as error:
        return _first(error)


def _first(error: ValidationError) -> str:
    """First complaint, without the value: that stands in the payload, cleaned."""
    complaint = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(str(part) for part in complaint["loc"]) or "the whole"
    return f"{place}: {complaint['msg'].lower()}"


def raw_id(raw: Any) -> int | None:
    """Id of something that could not be read otherwise."""
    value = raw.get("id") if isinstance(raw, dict) else None
    return value if type(value) is int and 0 <= value < LARGEST_ID else None


def raw_user(raw: Any) -> User | None:
    """Who made something that may be an annotation, as far as it says."""
    made_by = raw.get("completed_by") if isinstance(raw, dict) else None
    number = raw_id(made_by if isinstance(made_by, dict) else {"id": made_by})
    if number is None:
        return None
    email = made_by.get("email") if isinstance(made_by, dict) else None
    return User(id=number, email=email if isinstance(email, str) else None)


def raw_annotations(raw: Any) -> list[Any]:
    """Annotations of something that may be a task."""
    found = raw.get("annotations") if isinstance(raw, dict) else None
    return found if isinstance(found, list) else []


def cleaned(value: Any, depth: int = 0) -> Any:
    """JSON value without people: no names, no e-mails; NaN as text; what is long or deep is cut.

    >>> cleaned({"completed_by": {"id": 3, "email": "a@b.c"}, "result": ["ask a@b.c", 1.5]})
    {'completed_by': {'id': 3}, 'result': ['ask <e-mail>', 1.5]}
    """
    if isinstance(value, Mapping | list | tuple) and depth >= DEEPEST_PAYLOAD:
        return "<deeper>"
    if isinstance(value, Mapping):
        return {
            _clean_text(str(key)): cleaned(inner, depth + 1)
            for key, inner in value.items()
            if key not in _PERSONAL
        }
    if isinstance(value, list | tuple):
        return [cleaned(inner, depth + 1) for inner in value]
    if isinstance(value, str):
        return _clean_text(value)
    if isinstance(value, int) and value.bit_length() > LARGEST_NUMBER:
        return "<larger number>"
    if value is None or isinstance(value, bool | int):
        return value
    return value if isinstance(value, float) and math.isfinite(value) else str(value)


_encode = json.JSONEncoder(sort_keys=True, default=str).encode


def data_digest(data: dict[str, Any]) -> tuple[str, bool] | None:
    """SHA-256 of a task's data, and whether all their text has UTF-8.

    None where they are nested too deep, or hold a number too long, to be anybody's clip.
    """
    try:
        text = _encode(data)
    except (RecursionError, TypeError, ValueError):
        return None
    brackets = text.count("[") + text.count("{")
    if brackets > DEEPEST_DATA and _deeper(data, DEEPEST_DATA):
        return None
    return text_digest(text), "\\ud" not in text or _has_utf8(data)


def storable(data: dict[str, Any]) -> dict[str, Any]:
    """Data whose text has UTF-8; an item or prompt that has none names nothing."""
    named = (ITEM_KEY, PROMPT_KEY)
    broken = {key for key in named if key in data and not _has_utf8(data[key])}
    text = _LONE_SURROGATE.sub("?", json.dumps(data, ensure_ascii=False, default=str))
    whole: dict[str, Any] = json.loads(text)
    return {key: value for key, value in whole.items() if key not in broken}


_LONE_SURROGATE = re.compile("[\ud800-\udfff]")  # whole pairs are one character in Python


def _has_utf8(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:
        return False
    return True


def _deeper(value: Any, levels: int) -> bool:
    """Whether a structure has more levels."""
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return not levels or any(_deeper(each, levels - 1) for each in inner)


def _clean_text(text: str) -> str:
    short = _EMAIL.sub("<e-mail>", text[:LONGEST_PAYLOAD])
    return short.encode("utf-8", "replace").decode()  # lone surrogates have no UTF-8
