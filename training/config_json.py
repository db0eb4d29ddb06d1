"""A config is plain JSON outside (`config.json` of a job) and typed inside."""

from __future__ import annotations

import json
import types
from dataclasses import asdict, fields, is_dataclass
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from training.config import TrainConfig
from warehouse.errors import TrainingError

T = TypeVar("T")
PLAIN = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


def to_json(config: TrainConfig) -> dict[str, Any]:
    """Config as JSON-able values; `from_json` is its inverse."""
    values: dict[str, Any] = json.loads(json.dumps(asdict(config)))
    return values


def from_json(values: object) -> TrainConfig:
    """Config from the values of a `config.json`.

    Raises: TrainingError naming the first field that is unknown, missing or of another type.

    >>> from_json({"base_model": "b", "pair_set": "p", "batch": {"sise": 4}})
    Traceback (most recent call last):
        ...
    warehouse.errors.TrainingError: training config: batch has no field sise; it has kind, size, \
chunk, accumulation, epochs, max_steps
    """
    return read_fields(TrainConfig, values, "")


def read_fields(kind: type[T], values: object, where: str) -> T:
    """One dataclass from a JSON object; where: its name in the errors.

    Raises: TrainingError as `from_json`.
    """
    name = where or "the file"
    if not isinstance(values, dict):
        raise TrainingError(f"training config: {name} is {values!r}; it must be a JSON object")
    assert is_dataclass(kind)
    hints = get_type_hints(kind)
    known = [f.name for f in fields(kind)]
    for key in values:
        if key not in known:
            raise TrainingError(
                f"training config: {name} has no field {key}; it has {', '.join(known)}"
            )
    prefix = f"{where}." if where else ""
    try:
        return kind(**{k: _value(hints[k], v, f"{prefix}{k}") for k, v in values.items()})
    except TypeError as error:  # a required field is not there
        raise TrainingError(f"training config: {name} is not complete: {error}") from error


def _value(hint: Any, value: Any, where: str) -> Any:
    """One field, checked against its annotation."""
    if is_dataclass(hint):
        assert isinstance(hint, type)
        return read_fields(hint, value, where)
    if isinstance(hint, types.UnionType):  # only ever `x | None`
        parts = [part for part in get_args(hint) if part is not types.NoneType]
        return None if value is None else _value(parts[0], value, where)
    if get_origin(hint) is tuple and isinstance(value, (list, tuple)):
        return tuple(_value(get_args(hint)[0], item, where) for item in value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not _fits(hint, value):
        raise TrainingError(f"training config: {where} is {value!r}; it must be {_words(hint)}")
    return value


def _words(hint: Any) -> str:
    """What a field takes.

    >>> _words(int), _words(Literal["linear", "cosine"])
    ('a whole number', "'linear' or 'cosine'")
    """
    if get_origin(hint) is Literal:
        return " or ".join(map(repr, get_args(hint)))
    return PLAIN.get(hint) or str(getattr(hint, "__name__", hint))


def _fits(hint: Any, value: Any) -> bool:
    """Whether a JSON value is of an annotated type: a plain one or a Literal."""
    if get_origin(hint) is Literal:
        return any(value == a and type(value) is type(a) for a in get_args(hint))
    return type(value) is hint
