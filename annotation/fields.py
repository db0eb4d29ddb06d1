"""Single fields of an items file: what each may hold, and what is said where it does not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from annotation.media import is_remote
from annotation.rows import LONGEST_SHOWN
from warehouse.errors import AnnotationError

REQUIRED = ("item_id", "prompt", "media")
FIELDS = (*REQUIRED, "generator", "attributes", "design_k")
FLAT = "attributes."  # field `attributes.subject` is the prompt's attribute `subject`
LARGEST_K = 100


_encode = json.JSONEncoder(default=str).encode
_decode = json.JSONDecoder(parse_constant=str.lower).decode


def cleaned_json(value: Mapping[str, Any]) -> Any:
    """Object as plain JSON; what JSON does not know (dates, decimals, NaN) as text.

    >>> cleaned_json({"speed": float("nan"), "fast": True})
    {'speed': 'nan', 'fast': True}
    """
    return _decode(_encode(value)) if value else {}


def text_of(value: Any, field: str) -> str | None:
    """Text of a field, a whole number as its digits, None where there is nothing.

    Raises: AnnotationError for anything else: whether true or 1.0 are names is not ours to guess.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise AnnotationError(f"{field} {shown(value)} is no text; write it in quotes")
    return _sound(str(value), field)


def _sound(text: str, field: str) -> str:
    """Text that has UTF-8: JSON can spell half a character."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise AnnotationError(
            f"{field} {ascii(text)[:LONGEST_SHOWN]} holds half a character; mend the text"
        ) from error
    return text


def prompt_text(value: Any) -> str:
    """Text that an item was made from."""
    if not isinstance(value, str) or not value.strip():
        raise AnnotationError(f"prompt {shown(value)} is no text; give the one it was made from")
    return _sound(value, "prompt")


def prompt_attributes(raw: Mapping[str, Any]) -> dict[str, Any]:
    """What the prompt asks for: the object `attributes`, and fields named `attributes.NAME`."""
    found = object_of(raw.get("attributes"))
    for field, value in raw.items():
        name = str(field).removeprefix(FLAT)
        if name == field or value in (None, ""):
            continue
        if found.setdefault(name, value) != value:
            raise AnnotationError(
                f"attributes say {shown(found[name])} and {field} {shown(value)}; keep one"
            )
    _sound(json.dumps(found, default=str, ensure_ascii=False), "attributes")
    return found


def object_of(value: Any) -> dict[str, Any]:
    """Object, given as such or as JSON; its nulls are left out."""
    if isinstance(value, str) and value.strip():
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise AnnotationError(f"attributes {shown(value)} are no JSON") from error
    if value in (None, ""):
        return {}
    if not isinstance(value, dict):
        raise AnnotationError(f"attributes {shown(value)} are no object")
    return {key: inner for key, inner in value.items() if inner is not None}


def further(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Fields that we do not know; an empty cell is none."""
    extra = {str(key): value for key, value in raw.items() if key not in FIELDS}
    kept = {k: v for k, v in extra.items() if v not in (None, "") and not k.startswith(FLAT)}
    _sound(json.dumps(kept, default=str, ensure_ascii=False), "a further field")
    return kept


def count_of(value: Any) -> int | None:
    """design_k; None where the row does not say."""
    if value in (None, ""):
        return None
    try:
        number = 0 if isinstance(value, bool) else int(value)
    except (TypeError, ValueError, OverflowError):
        number = 0
    whole = number == value or isinstance(value, str)
    if not (whole and 1 <= number <= LARGEST_K):
        raise AnnotationError(f"design_k {shown(value)} is no count from 1 to {LARGEST_K}")
    return number


def media_of(value: Any) -> str:
    """Where the row says that its video is."""
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise AnnotationError(f"media {shown(value)} is no path and no URL")
    if not is_remote(value):
        return _sound(value, "media")
    try:
        address = urlsplit(value)
    except ValueError as error:  # brackets around no address, letters that look like `/` or `@`
        raise AnnotationError(
            "media is a URL whose host cannot be read; correct the part after ://"
        ) from error
    if not address.hostname:
        raise AnnotationError(f"media {shown(value)} names no host or bucket; correct the URL")
    if address.username or address.password:
        raise AnnotationError(
            f"media at {address.hostname} carries a name or password, which everybody who reads"
            " the tables would see; remove it"
        )
    return _sound(value, "media")


def shown(value: Any) -> str:
    """A value in a message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "…"
