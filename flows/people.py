"""The demo's annotators: who looks at which item, and what they say and do.

Pure functions, no network. Every decision is a keyed digest of (seed, annotator, item, dimension),
so it is the same whoever comes first, in how many threads, and after any restart.

Kept apart on purpose: skips come from annotators who were not assigned to the item, so they cost
no label; a withdrawn label is one of the six of a calibration item. A withdrawn label frees no
slot, so such an item ends with five design labels: no item falls below three, and which labels
remain does not depend on the order in which they arrived.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from warehouse.digest import canonical_json
from warehouse.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pyarrow as pa

    Items = Sequence[tuple[str, int]]  # (item_id, design_k)
    Truth = Mapping[str, Mapping[str, str]]  # item_id -> dimension -> pass or fail

Kind = Literal["label", "skip", "correct", "withdraw"]

SKIPPED_SHARE: Final = 0.02  # of the items that somebody is not assigned to
CORRECTED_SHARE: Final = 0.02  # of all labelled items of all annotators
WITHDRAWN_SHARE: Final = 0.02  # of the labelled items of the calibration subset
OPPOSITE: Final = {"pass": "fail", "fail": "pass"}


@dataclass(frozen=True)
class Annotator:
    """A simulated person."""

    name: str
    email: str
    accuracy: Mapping[str, float]
    """Dimension -> probability that an answer is the truth."""
    seconds: float
    """Typical time for one item."""


def _annotator(name: str, physics: float, shape: float, prompt: float, seconds: float) -> Annotator:
    accuracy = {
        "physical_plausibility": physics,
        "subject_deformity": shape,
        "semantic_alignment": prompt,
    }
    return Annotator(name, f"{name.lower()}@annotators.example", accuracy, seconds)


TEAM: Final = (
    _annotator("Ana", 0.80, 0.82, 0.81, 6.0),
    _annotator("Ben", 0.85, 0.83, 0.86, 8.0),
    _annotator("Chen", 0.87, 0.89, 0.88, 9.5),
    _annotator("Dina", 0.92, 0.90, 0.91, 11.0),
    _annotator("Emil", 0.94, 0.95, 0.95, 13.0),
)
LEAD: Final = _annotator("Lea", 0.95, 0.95, 0.95, 15.0)


@dataclass(frozen=True)
class Action:
    """One thing an annotator does to one item."""

    kind: Kind
    annotator: str
    item_id: str
    values: dict[str, str]
    """Dimension -> pass or fail, all dimensions; empty for a skip and a withdrawal."""
    seconds: float


@dataclass(frozen=True)
class Work:
    """What one annotator does, in two phases."""

    first: list[Action] = field(default_factory=list)
    """Labels and skips."""
    second: list[Action] = field(default_factory=list)
    """Corrections and withdrawals, after everybody's first phase was pulled."""


def _draw(*key: str | int) -> float:
    """A number in [0, 1) that belongs to the key."""
    digest = hashlib.sha256(canonical_json(list(key)).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def truth_by_item(truth: pa.Table) -> dict[str, dict[str, str]]:
    """Labels of a world's truth.parquet: item_id -> dimension -> pass or fail."""
    by_item: dict[str, dict[str, str]] = {}
    for row in truth.select(["item_id", "dimension", "label"]).to_pylist():
        by_item.setdefault(row["item_id"], {})[row["dimension"]] = row["label"]
    return by_item


def answer(
    seed: int, annotator: str, item_id: str, dimension: str, *, truth: str, accuracy: float
) -> str:
    """What an annotator finally says: the truth with probability `accuracy`, else the opposite.

    >>> answer(7, "Ana", "clip_0001", "subject_deformity", truth="pass", accuracy=1.0)
    'pass'
    >>> answer(7, "Ana", "clip_0001", "subject_deformity", truth="pass", accuracy=0.0)
    'fail'
    """
    right = _draw("answer", seed, annotator, item_id, dimension) < accuracy
    return truth if right else OPPOSITE[truth]


def assignments(
    seed: int, items: Items, team: Sequence[Annotator] = TEAM, lead: Annotator = LEAD
) -> dict[str, tuple[str, ...]]:
    """Who labels each item: item_id -> names, as many as its design_k.

    The `design_k` annotators of the team whose digests with the item are smallest; the lead joins
    where that takes more than the team. Depends on nothing but the seed and the item itself, so
    the loads are equal only up to chance: about 4 % apart for 400 items.
    Raises: SettingsError for a design_k that the team with its lead cannot give.
    """
    return {item_id: _assigned(seed, item_id, k, team, lead) for item_id, k in items}


def _assigned(
    seed: int, item_id: str, k: int, team: Sequence[Annotator], lead: Annotator
) -> tuple[str, ...]:
    if not 1 <= k <= len(team) + 1:
        raise SettingsError(
            f"item {item_id}: design_k is {k}; choose from 1 to {len(team) + 1} annotators"
        )
    names = sorted((a.name for a in team), key=lambda name: _draw("assign", seed, name, item_id))
    return (*names, lead.name)[:k] if k > len(team) else tuple(names[:k])


@dataclass(frozen=True)
class _Plan:
    """(annotator, item) of everything that is done.

    `skipped` and `labelled` are disjoint; `corrected` and `withdrawn` are disjoint parts of
    `labelled`.
    """

    labelled: frozenset[tuple[str, str]]
    skipped: frozenset[tuple[str, str]]
    corrected: frozenset[tuple[str, str]]
    withdrawn: frozenset[tuple[str, str]]


def actions(
    seed: int,
    items: Items,
    truth: Truth,
    team: Sequence[Annotator] = TEAM,
    lead: Annotator = LEAD,
) -> dict[str, Work]:
    """Everything that the annotators do: name -> work, each list in that annotator's own order.

    Raises: SettingsError for an item without truth, or with a design_k that is out of reach.
    """
    for item_id, _ in items:
        if item_id not in truth:
            raise SettingsError(f"item {item_id} has no truth; take items and truth of one world")
    plan = _plan(seed, items, team, lead)
    return {person.name: _work(seed, person, plan, truth) for person in (*team, lead)}


def _plan(seed: int, items: Items, team: Sequence[Annotator], lead: Annotator) -> _Plan:
    assigned = assignments(seed, items, team, lead)
    labelled = {(name, item_id) for item_id, names in assigned.items() for name in names}
    calibration = {item_id for item_id, k in items if k > len(team)}
    others = {(person.name, item_id) for person in team for item_id in assigned} - labelled
    skipped = _few(seed, "skip", others, SKIPPED_SHARE)
    withdrawn = _one_each(
        _few(
            seed, "withdraw", {pair for pair in labelled if pair[1] in calibration}, WITHDRAWN_SHARE
        )
    )
    corrected = _few(seed, "correct", labelled - withdrawn, CORRECTED_SHARE)
    return _Plan(frozenset(labelled), skipped, corrected, withdrawn)


def _few(
    seed: int, purpose: str, pairs: set[tuple[str, str]], share: float
) -> frozenset[tuple[str, str]]:
    """The pairs with the smallest digests: this share of all, at least one where there is any."""
    ranked = sorted(pairs, key=lambda pair: _draw(purpose, seed, *pair))
    return frozenset(ranked[: max(1, round(share * len(ranked)))])


def _one_each(pairs: Iterable[tuple[str, str]]) -> frozenset[tuple[str, str]]:
    """At most one pair of each item."""
    return frozenset({item_id: (name, item_id) for name, item_id in sorted(pairs)}.values())


def _work(seed: int, person: Annotator, plan: _Plan, truth: Truth) -> Work:
    mine = [item for name, item in plan.labelled | plan.skipped if name == person.name]
    work = Work()
    for item_id in sorted(mine, key=lambda item: _draw("order", seed, person.name, item)):
        pair = (person.name, item_id)
        if pair in plan.skipped:
            work.first.append(_action(seed, "skip", person, item_id, {}))
            continue
        final = _final(seed, person, item_id, truth[item_id])
        said = _slip(seed, person, item_id, final) if pair in plan.corrected else final
        work.first.append(_action(seed, "label", person, item_id, said))
        if pair in plan.corrected:
            work.second.append(_action(seed, "correct", person, item_id, final))
        if pair in plan.withdrawn:
            work.second.append(_action(seed, "withdraw", person, item_id, {}))
    return work


def _final(seed: int, person: Annotator, item_id: str, truth: Mapping[str, str]) -> dict[str, str]:
    return {
        dimension: answer(
            seed,
            person.name,
            item_id,
            dimension,
            truth=label,
            accuracy=person.accuracy[dimension],
        )
        for dimension, label in sorted(truth.items())
    }


def _slip(seed: int, person: Annotator, item_id: str, final: dict[str, str]) -> dict[str, str]:
    """The final answers with one dimension the wrong way round: what is corrected later."""
    at = int(_draw("slip", seed, person.name, item_id) * len(final))
    dimension = sorted(final)[at]
    return final | {dimension: OPPOSITE[final[dimension]]}


def _action(
    seed: int, kind: Kind, person: Annotator, item_id: str, values: dict[str, str]
) -> Action:
    """An action that takes 0.6 to 1.6 times the annotator's typical time."""
    pace = 0.6 + _draw("pace", kind, seed, person.name, item_id)
    return Action(kind, person.name, item_id, values, round(person.seconds * pace, 2))
