"""Checks of a recipe's values: each names the field, the value and the next step."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from datetime import datetime

from warehouse.errors import PairingError


def shown(value: object, most: int = 80) -> str:
    """A value as Python writes it, its start alone where that is long.

    >>> shown("ab"), shown("x" * 1000, most=5)
    ("'ab'", "'xxxx…")
    """
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}…"


def check_share(place: str, value: object) -> None:
    """Refuse anything but a number from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise PairingError(f"recipe: {place} is {value!r}; give a number from 0 to 1")


def check_whole(place: str, value: object, least: int) -> None:
    """Refuse anything but a whole number from `least` to what an int64 holds."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise PairingError(f"recipe: {place} is {value!r}; give a whole number from {least} up")
    if not least <= value < 2**63:
        raise PairingError(
            f"recipe: {place} is {value!r}; give a whole number from {least} to {2**63 - 1}"
        )


def check_flag(place: str, value: object) -> None:
    """Refuse anything but true and false."""
    if not isinstance(value, bool):
        raise PairingError(f"recipe: {place} is {value!r}; write true or false")


def check_text(place: str, value: object) -> None:
    """Refuse anything but a text with something in it."""
    if not (isinstance(value, str) and value.strip()):
        raise PairingError(f"recipe: {place} is {value!r}; give it a text")


def is_moment(value: object) -> bool:
    """Whether a value is a text that says a time with its zone, ISO 8601.

    >>> is_moment("2026-11-21T12:00:00Z"), is_moment("2026-11-21T12:00:00"), is_moment(2026)
    (True, False, False)
    """
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def check_moment(place: str, value: object) -> None:
    """Refuse anything but a time with its zone, ISO 8601."""
    if not is_moment(value):
        raise PairingError(
            f"recipe: {place} is {value!r}; give a time with its zone, without which it is another"
            " moment in another place, such as '2026-11-21T12:00:00+00:00'"
        )


def check_names(
    place: str, values: object, known: Iterable[str] | None = None, *, empty: bool = False
) -> None:
    """Refuse anything but distinct names, out of the `known` ones where those are given."""
    if not isinstance(values, tuple):
        raise PairingError(
            f"recipe: {place} is {values!r}; write a list of names (a tuple in Python)"
        )
    if not values and not empty:
        raise PairingError(f"recipe: {place} is empty; name at least one")
    for value in values:
        check_text(place, value)
        if known is not None:
            _check_known(f"recipe: {place}", value, tuple(known))
    twice = sorted({value for value in values if values.count(value) > 1})
    if twice:
        raise PairingError(f"recipe: {place} names {twice[0]!r} twice; name it once")


def check_keys(place: str, values: object, known: Iterable[str]) -> None:
    """Refuse anything but a table whose keys are all known."""
    if not isinstance(values, Mapping):
        raise PairingError(f"{place} is {values!r}; write a table of keys and values")
    for key in values:
        _check_known(place, key, tuple(known))


def check_choice(place: str, value: object, known: tuple[str, ...]) -> None:
    """Refuse anything but one of the known words."""
    if value not in known:
        raise PairingError(f"recipe: {place} is {value!r}; choose one of {', '.join(known)}")


def check_owner(place: str, value: object, owner: type) -> None:
    """Refuse anything but one of the recipe's parts, ready made."""
    if not isinstance(value, owner):
        raise PairingError(
            f"recipe: {place} is {value!r}; give a {owner.__name__}, or use Recipe.from_dict"
        )


def _check_known(place: str, value: object, known: tuple[str, ...]) -> None:
    if value in known:
        return
    near = difflib.get_close_matches(str(value), known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known) or 'none'}"
    raise PairingError(f"{place} does not know {value!r}; {hint}")
