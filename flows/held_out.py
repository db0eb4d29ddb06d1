"""What an evaluation is over: the held-out items of a pair set, its pairs, and models' rewards."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pandas as pd

from warehouse.errors import TrainingError
from warehouse.store import Store

GENERATOR, ATTRIBUTE = "generator", "attribute."

ITEMS = """
SELECT
  m.dimension, m.ordinal, m.item_id, m.prompt_id, m.split, m.label, c.generator, p.attributes
FROM pair_set_items AS m
JOIN clips AS c USING (item_id)
JOIN prompts AS p ON p.prompt_id = m.prompt_id
WHERE m.pair_set_id = $p AND m.split <> 'train'
ORDER BY m.dimension, m.ordinal
"""
# Two fails need not be equally bad, so a lose-tie is no judgement that they are equal.
PAIRS = """
SELECT dimension, split, kind, winner, other FROM pairs
WHERE pair_set_id = $p AND split <> 'train' AND kind <> 'lose_tie'
ORDER BY dimension, split, kind, winner, other
"""
LEARNED = """
SELECT DISTINCT t.prompt_id FROM pair_set_items AS t JOIN runs AS r USING (pair_set_id)
WHERE r.model_id = $m AND t.split = 'train' AND t.prompt_id IN (
  SELECT prompt_id FROM pair_set_items WHERE pair_set_id = $p AND split <> 'train'
)
"""


@dataclass(frozen=True)
class Judge:
    """A model and its rewards."""

    name: str
    rewards: pd.DataFrame
    """item_id, dimension, reward; one row each."""
    run: dict[str, Any] | None = None
    """Its row of `runs`, where it is one of ours."""


@dataclass(frozen=True)
class HeldOut:
    """Items and pairs of a set that are not in train."""

    pair_set_id: str
    items: pd.DataFrame
    """dimension, ordinal, item_id, prompt_id, split, label, group."""
    pairs: pd.DataFrame
    """dimension, split, kind, winner, other (ordinals)."""


def held_out(store: Store, pair_set_id: str, by: str | None = None) -> HeldOut:
    """Held-out items and pairs of a set.

    by: what `group` holds: `generator`, or `attribute.NAME` of the prompt; None: nothing.
    Raises: TrainingError for another word, or an attribute that no prompt has.
    """
    items = store.query(ITEMS, {"p": pair_set_id}).to_pandas()
    items["group"] = _groups(items, by)
    pairs = store.query(PAIRS, {"p": pair_set_id}).to_pandas()
    return HeldOut(pair_set_id, items.drop(columns=["attributes", "generator"]), pairs)


def _groups(items: pd.DataFrame, by: str | None) -> list[str | None]:
    if by is None:
        return [None] * len(items)
    if by == GENERATOR:
        return list(items["generator"])
    name = by.removeprefix(ATTRIBUTE)
    if name in ("", by):
        raise TrainingError(f"--by is {by!r}; it is {GENERATOR} or {ATTRIBUTE}NAME")
    read = {text: json.loads(text) for text in items["attributes"].unique()}
    if not any(name in attributes for attributes in read.values()):
        known = sorted({key for attributes in read.values() for key in attributes})
        raise TrainingError(
            f"no prompt of the set has an attribute {name!r}; there is {', '.join(known) or 'none'}"
        )
    return [_word(read[text].get(name)) for text in items["attributes"]]


def _word(value: object) -> str:
    """An attribute's value as people read it."""
    return value if isinstance(value, str) else "none" if value is None else json.dumps(value)


def own_judge(store: Store, run: dict[str, Any]) -> Judge:
    """A model of `runs` with the rewards in `scores`."""
    rewards = store.query(
        "SELECT item_id, dimension, reward FROM scores WHERE model_id = $m ORDER BY ALL",
        {"m": run["model_id"]},
    )
    return Judge(run["model_id"], rewards.to_pandas(), run)


def learned_prompts(store: Store, judge: Judge, pair_set_id: str) -> set[str]:
    """Prompts of the set's held-out items that the model was trained on."""
    found = store.query(LEARNED, {"m": judge.name, "p": pair_set_id})
    return set(found["prompt_id"].to_pylist())


def rewarded(held: HeldOut, judge: Judge) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Items with the model's rewards, and pairs with those of both items; NaN where it gave none.

    Returns: items as in `held` with reward; pairs with a column of the winner's and of the other's
        reward, item_id, prompt_id and group: winner_reward, other_reward, winner_item_id, ...
    """
    items = held.items.merge(judge.rewards, how="left", on=["item_id", "dimension"])
    pairs = held.pairs
    facts = ["reward", "item_id", "prompt_id", "group"]
    for side in ("winner", "other"):
        named = {"ordinal": side} | {fact: f"{side}_{fact}" for fact in facts}
        members = items[["dimension", "ordinal", *facts]].rename(columns=named)
        pairs = pairs.merge(members, how="left", on=["dimension", side])
    return items, pairs
