"""Why an item is asked, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
OPEN = (0.2, 0.8)  # P(pass) between which people leave a dimension open
CONTRADICTS = 0.5  # difference of two P(pass) that is worth a word


def why(item: Row, labels: Sequence[Row], *, chance: bool) -> str:
    """Why a look at an item is worth it.

    item: a row of `agreement.usefulness.Usefulness.items`. labels: its rows of `.labels`, the most
    informative first. chance: it belongs to the share in random order.

    >>> item = {"beside": 0}
    >>> row = {"dimension": "shape", "p_pass": 0.65, "q_pass": 0.1, "labels": 3,
    ...        "information": 0.44, "disagreement": 0.55}
    >>> why(item, [row], chance=False)
    'people leave shape open: P(pass) 0.65 after 3 labels; the model contradicts people on shape: \
0.10 against 0.65; no other clip of its prompt and generator has labels'
    """
    parts = [_uncertain(labels), _contradicted(labels), _covered(item["beside"])]
    if chance:
        parts.append("served in random order all the same, so that agreement stays fair")
    return "; ".join(part for part in parts if part)


def _uncertain(labels: Sequence[Row]) -> str:
    first = labels[0]
    name, p, q = _words(first["dimension"]), first["p_pass"], first["q_pass"]
    if not any(row["labels"] for row in labels):
        model = "the model has no say" if q is None else f"the model gives {name} P(pass) {q:.2f}"
        return f"nobody has judged it; {model}"
    if p is not None and OPEN[0] < p < OPEN[1]:
        return f"people leave {name} open: P(pass) {p:.2f} after {_many(first['labels'], 'label')}"
    return f"one more label tells {first['information']:.2f} bits about {name}"


def _contradicted(labels: Sequence[Row]) -> str:
    worst = max(labels, key=lambda row: float(row["disagreement"]))
    if worst["disagreement"] < CONTRADICTS:
        return ""
    said = f"{worst['q_pass']:.2f} against {worst['p_pass']:.2f}"
    return f"the model contradicts people on {_words(worst['dimension'])}: {said}"


def _covered(beside: int) -> str:
    if not beside:
        return "no other clip of its prompt and generator has labels"
    verb = "has" if beside == 1 else "have"
    return f"{_many(beside, 'other clip')} of its prompt and generator {verb} labels"


def _words(dimension: str) -> str:
    return dimension.replace("_", " ")


def _many(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")
