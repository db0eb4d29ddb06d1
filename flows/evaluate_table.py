"""An evaluation as people read it: a row a metric and model, in domain and out of domain beside."""

from __future__ import annotations

from typing import Any

from flows.evaluate import Evaluation
from flows.evaluate_part import METRICS
from warehouse.contracts import SPLITS

COUNTS = ("pairs", "items")
MAIN = frozenset(
    {*COUNTS, "acc", "acc_ties", "equal_share", "margin", "auc", "pass_relative", "ece"}
)
MISSING = "–"
WHOLE = frozenset({"levels", *COUNTS})  # numbers without decimals
Row = dict[str, Any]


def side_by_side(found: Evaluation) -> tuple[list[Row], list[str]]:
    """Rows and columns of the table; models that are to be compared stand below one another.

    A number has its 95 % interval in brackets, and a star where the model's scores cluster.
    """
    starred = {_part(row) for row in found.scores if row["clustered"]}
    splits = [split for split in SPLITS if any(row["split"] == split for row in found.metrics)]
    table: dict[tuple[Any, ...], Row] = {}
    for row in [*_counts(found), *found.metrics]:
        star = "*" if row["metric"] == "acc" and _part(row) in starred else ""
        place = table.setdefault(_place(found, row), _head(row))
        place[row["split"]] = cell(row, star)
    rows = [table[key] for key in sorted(table)]
    wanted = {
        "dimension": True,
        "group": any(row["group"] is not None for row in found.metrics),
        "metric": True,
        "model": len(found.models) > 1,
    }
    return rows, [*(name for name, shown in wanted.items() if shown), *splits]


def cell(row: Row, star: str = "") -> str:
    """A value with its interval.

    >>> cell({"metric": "acc", "value": 0.75, "low": 0.5, "high": 1.0})
    '0.750 [0.500, 1.000]'
    >>> cell({"metric": "levels", "value": 12.0, "low": None, "high": None})
    '12'
    """
    if row["value"] is None:
        return MISSING
    if row["metric"] in WHOLE:
        return f"{row['value']:.0f}"
    value = f"{row['value']:.3f}{star}"
    return value if row["low"] is None else f"{value} [{row['low']:.3f}, {row['high']:.3f}]"


def missing_reasons(found: Evaluation) -> list[str]:
    """Why numbers are missing, each reason once with its metrics."""
    reasons: dict[str, list[str]] = {}
    for row in found.metrics:
        if row["reason"] and row["metric"] not in reasons.setdefault(row["reason"], []):
            reasons[row["reason"]].append(row["metric"])
    return [f"{MISSING} in {', '.join(names)}: {reason}" for reason, names in reasons.items()]


def _counts(found: Evaluation) -> list[Row]:
    """Pairs and items behind each accuracy, as rows of their own."""
    return [
        row | {"metric": name, "value": float(row[name]), "low": None, "high": None}
        for row in found.metrics
        if row["metric"] == "acc"
        for name in COUNTS
    ]


def _place(found: Evaluation, row: Row) -> tuple[Any, ...]:
    """Where a row stands: whole splits before groups, metrics in their order."""
    group, order = row["group"], (*COUNTS, *METRICS)
    model = found.models.index(row["model"])
    return row["dimension"], group is not None, group or "", order.index(row["metric"]), model


def _head(row: Row) -> Row:
    head = {name: row[name] for name in ("dimension", "metric", "model")}
    return head | {"group": "all" if row["group"] is None else row["group"]}


def _part(row: Row) -> tuple[str, str, str]:
    return row["model"], row["dimension"], row["split"]
