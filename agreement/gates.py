"""Gates: which dimensions agree well enough to build pairs from.

A rule compares one end of a statistic's interval over all items with a threshold.

side `high`   (default) stops only where disagreement is shown: the upper end lies below
side `value`  stops where the number itself lies below
side `low`    goes only where agreement is shown: stops unless the lower end reaches the threshold

What cannot be judged follows from that. Too few items, no item with two labels, or no interval:
`high` and `value` go, because nothing is shown against the batch, and `low` stops, because nothing
is shown for it. Over enough items, a statistic that is undefined because all labels are equal goes
on every side: nobody disagreed. The reason in the row says which case it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from agreement.rows import contract_table
from agreement.statistics import ALL_EQUAL
from warehouse.contracts import STATISTICS
from warehouse.digest import canonical_json
from warehouse.errors import AgreementError

WORST = 3  # slices named where a gate says stop
Side = Literal["low", "value", "high"]
SIDES = ("low", "value", "high")
SHARES = ("raw", "prevalence")  # never below 0
NAMES = {"low": "lower end", "value": "value", "high": "upper end"}


@dataclass(frozen=True)
class GateRule:
    """One condition on a dimension's agreement."""

    statistic: str = "alpha"
    """alpha, kappa, ac1, raw or prevalence. alpha asks whether Fail labels carry information even
    where nearly everything passes; raw and ac1 are high there for annotators who always pass."""
    threshold: float = 0.2
    """Stop below; 0.2 is where Landis and Koch's `fair` begins."""
    side: Side = "high"
    """The end that is compared."""
    minimum_items: int = 30
    """With fewer items the rule does not judge."""
    pause_queue: bool = False
    """Whether a stop also pauses the labelling projects' queues, until somebody resumes them."""

    def __post_init__(self) -> None:
        """Refuse a rule that could never be read as meant."""
        if self.statistic not in STATISTICS:
            raise AgreementError(
                f"gate on unknown statistic {self.statistic!r}; known are {', '.join(STATISTICS)}"
            )
        if self.side not in SIDES:
            raise AgreementError(f"gate side {self.side!r}; take {', '.join(SIDES)}")
        lowest = 0 if self.statistic in SHARES else -1
        if not lowest <= self.threshold <= 1:
            raise AgreementError(
                f"gate threshold {self.threshold} of {self.statistic} lies outside {lowest} to 1"
            )
        if self.minimum_items < 1:
            raise AgreementError(f"gate minimum_items={self.minimum_items}: give 1 or more")


Rules = Mapping[str, Sequence[GateRule]]


def default_rules(dimensions: Iterable[str]) -> dict[str, tuple[GateRule, ...]]:
    """The default rule for each dimension.

    >>> default_rules(["shape"])["shape"][0].threshold
    0.2
    """
    return dict.fromkeys(dimensions, (GateRule(),))


def judge(agreement: pa.Table, rules: Rules) -> pa.Table:
    """Apply the rules to one measurement.

    agreement: rows of the contract `agreement`; the slice `all` is judged.
    rules: per dimension; a dimension without rules is not gated.
    Returns: rows of the contract `gates` without observed_at, by dimension, in the rules' order.
        `worst` names the slices that lie lowest, of those with enough items, worst first.
    Raises: AgreementError where the rows hold several measurements or lack a ruled dimension, or
        two rules differ in nothing that a verdict shows.

    >>> row = {"measurement_id": "m", "dimension": "shape", "slice": "all", "statistic": "alpha",
    ...     "value": 0.1, "low": 0.0, "high": 0.15, "reason": None, "items": 90}
    >>> gates = judge(pa.Table.from_pylist([row]), default_rules(["shape"]))
    >>> gates["verdict"].to_pylist(), gates["reason"].to_pylist()
    (['stop'], ['upper end 0.1500 of alpha lies below 0.2 (0.1000 over 90 items)'])
    """
    _check_distinct(rules)
    is_whole = pc.equal(agreement["slice"], "all")
    whole = agreement.filter(is_whole).to_pylist()
    parts = agreement.filter(pc.invert(is_whole)).to_pylist()
    measurements = {row["measurement_id"] for row in whole}
    if len(measurements) > 1:
        raise AgreementError(
            f"gates: {len(measurements)} measurements in one table; judge one at a time"
        )
    by_key = {(row["dimension"], row["statistic"]): row for row in whole}
    rows = []
    for dimension in sorted(rules):
        for rule in rules[dimension]:
            row = by_key.get((dimension, rule.statistic))
            if row is None:
                raise AgreementError(_unmeasured(dimension, rule, whole))
            rows.append(_verdict(row, rule) | {"worst": _worst(parts, dimension, rule)})
    return contract_table("gates", rows)


def open_dimensions(gates: pa.Table) -> list[str]:
    """Dimensions of which every rule says go, in ascending order.

    >>> rows = [("shape", "go"), ("shape", "stop"), ("motion", "go")]
    >>> open_dimensions(pa.Table.from_pylist([dict(dimension=d, verdict=v) for d, v in rows]))
    ['motion']
    """
    rows = list(zip(gates["dimension"].to_pylist(), gates["verdict"].to_pylist(), strict=True))
    stopped = {dimension for dimension, verdict in rows if verdict == "stop"}
    return sorted({dimension for dimension, _ in rows} - stopped)


def _unmeasured(dimension: str, rule: GateRule, rows: list[dict[str, Any]]) -> str:
    known = ", ".join(sorted({row["dimension"] for row in rows})) or "none"
    return (
        f"gates: no {rule.statistic} was measured for dimension {dimension!r} (measured: {known}); "
        "correct the dimension's name or measure it"
    )


def _verdict(row: dict[str, Any], rule: GateRule) -> dict[str, Any]:
    compared = row[rule.side] if row["items"] >= rule.minimum_items else None
    if compared is None:
        verdict, reason = _unjudged(row, rule)
    else:
        verdict, reason = _compared(row, rule, compared)
    return {
        "measurement_id": row["measurement_id"],
        "dimension": row["dimension"],
        "statistic": rule.statistic,
        "side": rule.side,
        "threshold": rule.threshold,
        "compared": compared,
        "verdict": verdict,
        "reason": reason,
        "minimum_items": rule.minimum_items,
    }


def _worst(parts: list[dict[str, Any]], dimension: str, rule: GateRule) -> str:
    """Slices with the lowest values, as JSON: where to look first."""
    known = [
        {name: row[name] for name in ("slice", "value", "low", "high", "items")}
        for row in parts
        if (row["dimension"], row["statistic"]) == (dimension, rule.statistic)
        and row["value"] is not None
        and row["items"] >= rule.minimum_items
    ]
    return canonical_json(sorted(known, key=lambda row: (row["value"], row["slice"]))[:WORST])


def _check_distinct(rules: Rules) -> None:
    for dimension, given in rules.items():
        keys = [(rule.statistic, rule.side, rule.threshold) for rule in given]
        for key in set(keys):
            if keys.count(key) > 1:
                raise AgreementError(
                    f"gates: two rules of {dimension} compare the {NAMES[key[1]]} of {key[0]} with"
                    f" {key[2]}; keep one of them"
                )


def _compared(row: dict[str, Any], rule: GateRule, compared: float) -> tuple[str, str]:
    below = compared < rule.threshold
    relation = "lies below" if below else "reaches"
    reason = (
        f"{NAMES[rule.side]} {compared:.4f} of {rule.statistic} {relation} {rule.threshold} "
        f"({row['value']:.4f} over {row['items']} items)"
    )
    return "stop" if below else "go", reason


def _unjudged(row: dict[str, Any], rule: GateRule) -> tuple[str, str]:
    what = row["reason"]
    if row["items"] < rule.minimum_items:
        what = f"{row['items']} items, the rule asks for {rule.minimum_items}"
    elif what == ALL_EQUAL:
        return "go", f"{rule.statistic} is undefined: {ALL_EQUAL}; nobody disagreed"
    if rule.side == "low":
        return "stop", f"not judged: {what}; a rule on the lower end needs agreement to be shown"
    return "go", f"not judged: {what}; nothing is shown against the labels"
