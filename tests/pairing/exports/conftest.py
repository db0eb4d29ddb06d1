from __future__ import annotations

from types import SimpleNamespace

import pyarrow as pa
import pytest

from pairing import Recipe, build_pairs
from pairing.exports import CardFacts, videoalign_form
from pairing.pairset import PairSet
from pairing.recipe import Split

Pair = tuple[object, ...]
KINDS = ("win_lose", "win_tie", "lose_tie")


def recipe(*dimensions: str, ood: bool = False, **changes: object) -> Recipe:
    """Pairs of all kinds, all there are; with `ood`, those of generator gen_b apart."""
    splits = ("train", "validation", "test", "ood")[: 3 + ood]
    counts = {kind: dict.fromkeys(splits, "up to 100000") for kind in KINDS}
    given = {"kinds": KINDS, "counts": counts, "ood_generators": ("gen_b",) * ood} | changes
    return Recipe(dimensions or ("looks",), **given)


def known_of(items: pa.Table) -> pa.Table:
    """What is known of a world's items."""
    ids = items["item_id"].to_pylist()
    return (
        items.select(["item_id", "prompt_id", "generator"])
        .append_column("prompt", [[f"a prompt, {each}" for each in items["prompt_id"].to_pylist()]])
        .append_column("video", [[f"/videos/{each}.mp4" for each in ids]])
        .append_column("fps", [[24.0] * len(ids)])
        .append_column("frames", [list(range(1, len(ids) + 1))])
    )


def pairs_by_hand(pair_set: PairSet, known: pa.Table) -> list[Pair]:
    """Every pair by its items' ids, videos and prompts, one loop and no joins of ours."""
    ids = {row["ordinal"]: row["item_id"] for row in pair_set.items.to_pylist()}
    facts = {row["item_id"]: row for row in known.to_pylist()}
    found = []
    for row in pair_set.pairs.to_pylist():
        winner, other = (facts[ids[row[side]]] for side in ("winner", "other"))
        found.append(
            (
                *(row[name] for name in ("dimension", "split", "kind")),
                *(
                    each[name]
                    for name in ("item_id", "video", "prompt")
                    for each in (winner, other)
                ),
                row["mu"],
                row["weight"],
            )
        )
    return sorted(found)


def pairs_read(form, folder) -> list[Pair]:
    return sorted(tuple(row.values()) for row in form.read(folder).to_pylist())


@pytest.fixture(scope="session")
def facts() -> CardFacts:
    return CardFacts("A set", "CC-BY-4.0")


@pytest.fixture(scope="session")
def made(world) -> tuple[PairSet, pa.Table]:
    """All kinds in two dimensions and all splits, with labels that are not sure."""
    consensus, items = world(items=60, dimensions=("looks", "moves"), ood=0.2)
    split = Split(0.5, 0.25, 0.25)
    made = build_pairs(consensus, items, recipe("looks", "moves", ood=True, split=split, soft=True))
    return made, known_of(items)


@pytest.fixture(scope="session")
def csv_form():
    return videoalign_form({"looks": "VQ", "moves": "MQ"})


@pytest.fixture(scope="session")
def kit() -> SimpleNamespace:
    return SimpleNamespace(recipe=recipe, known=known_of, by_hand=pairs_by_hand, read=pairs_read)
