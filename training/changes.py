"""Changes to a config by dotted path, such as `head.kind = attention`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from difflib import get_close_matches
from typing import Any

from training.config_json import from_json, to_json
from warehouse.errors import TrainingError

NEAR = 0.5  # similarity from which a name is worth a hint


def changed(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Values of a config.json with changes on top, checked as a whole.

    changes: dotted path -> value. Below an option that is not given (`tuning.lora.rank` where
        `tuning.lora` is null) a change gives it, with defaults for the rest.
    Raises: TrainingError for a path that there is not, naming near ones, or a value that does not
        fit.

    >>> changed({"base_model": "b", "pair_set": "p"}, {"seed": 3})["seed"]
    3
    """
    whole = to_json(from_json(values))
    known = list(_paths(whole))
    for path, value in changes.items():
        *parents, name = path.split(".")
        place = whole
        for at, parent in enumerate(parents):
            if place.get(parent, 0) is None:
                place[parent] = {}
            inside = place.get(parent)
            if not isinstance(inside, dict):
                raise _unknown(path, ".".join(parents[: at + 1]), known)
            place = inside
        if place and name not in place:
            raise _unknown(path, path, known)
        place[name] = deepcopy(value)
    return to_json(from_json(whole))


def read_change(text: str) -> tuple[str, Any]:
    """Path and value of `path=value`; the value is JSON, or else a word.

    Raises: TrainingError where there is no `=`.

    >>> read_change("head.kind=attention"), read_change("head.layers=[1, 4]")
    (('head.kind', 'attention'), ('head.layers', [1, 4]))
    """
    path, equals, value = text.partition("=")
    if not (equals and path.strip()):
        raise TrainingError(
            f"--set {text!r} is no change; write PATH=VALUE, as head.kind=attention"
        )
    try:
        return path.strip(), json.loads(value)
    except ValueError:
        return path.strip(), value.strip()


def _paths(values: Mapping[str, Any], before: str = "") -> Iterator[str]:
    """Dotted paths of all options."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _paths(value, f"{before}{name}.")
        else:
            yield f"{before}{name}"


def _unknown(path: str, part: str, known: list[str]) -> TrainingError:
    ends = [name for name in known if name.rpartition(".")[2] == path.rpartition(".")[2]]
    near = ends or get_close_matches(path, known, n=3, cutoff=NEAR)
    hint = f"did you mean {' or '.join(near)}?" if near else "`soli train --dry-run` lists them all"
    return TrainingError(f"training config: there is no option {part}; {hint}")
