"""Pair sets whose items are split, numbered and put into decks by SQL that DuckDB and Spark share.

Items, consensus and the sorting stay in the engine. What comes here is what a set is made of: the
prompts that share videos, the frozen items, and the ordinals of each deck in their order; the pairs
follow from those as in pairing.pairset.build_pairs, and so does everything else, to the byte.
"""

from __future__ import annotations

import math
from typing import Unpack

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pairing.draw import SIDES, Decks
from pairing.freeze import Frozen, warnings_about
from pairing.pairset import Origin, PairSet, pairs_of
from pairing.recipe import Recipe
from pairing.split import DIGITS, check_generators, split_groups
from pairing.words import SPLITS
from warehouse.engines import Engine, portable
from warehouse.errors import PairingError
from warehouse.wording import counted

# What the portable queries do not know of a recipe: it has to have the default here.
HERE_ONLY = ("combined", "undecided", "ood_prompts", "quotas", "blocks")


def draw_pairs(
    engine: Engine, recipe: Recipe, consensus_id: str, **origin: Unpack[Origin]
) -> PairSet:
    """Pairs that a recipe makes of a consensus: the set that build_pairs makes of the same tables.

    engine: knows `clips` (item_id, prompt_id, generator, media_sha256; each item once) and
        `consensus`, as in the contract: its P(pass) are rounded to 1e-6.
    consensus_id: the run to take. The others: as in `build_pairs`.
    Raises: PairingError for a recipe that `check_portable` refuses, for tables that contradict
        each other or the recipe, and where fewer pairs exist than were asked for.
    """
    check_portable(recipe)
    _give(engine, recipe, consensus_id)
    _check_generators(engine, recipe)
    left_out = _left_out(engine, recipe)
    engine.give("merged", _merged(engine))
    engine.keep("frozen", portable("pairing", "frozen"))
    items, decided = _frozen_items(engine), _decided(engine)
    _check_items(items, decided)
    return pairs_of(
        Frozen(items, decided.drop_columns("place"), consensus_id, left_out, warnings_about(items)),
        recipe,
        decks=_decks(engine, recipe),
        **origin,
    )


def check_portable(recipe: Recipe) -> None:
    """Refuse what the portable queries do not know.

    Raises: PairingError naming the field.
    """
    plain = Recipe(dimensions=recipe.dimensions)
    for name in HERE_ONLY:
        value = getattr(recipe, name)
        if value != getattr(plain, name):
            raise PairingError(
                f"recipe: {name} is {value!r}, which only DuckDB's way knows; leave it out, or"
                " build the set without --engine spark"
            )


def _give(engine: Engine, recipe: Recipe, consensus_id: str) -> None:
    """Hand over the recipe as tables: values are data, so no engine's way to quote matters."""
    split, thresholds = recipe.split, recipe.thresholds
    # As in pairing.split: without a test split no rounding may leave a sliver for it.
    second = 1.0 if split.test == 0 else split.train + split.validation
    row = {
        "consensus_id": consensus_id,
        "seed": str(recipe.seed),
        "salt": split.salt,
        "train_edge": _edge(split.train),
        "validation_edge": _edge(second),
        "pass_at_least": _or(thresholds.pass_at_least, 0.0),
        "fail_at_most": _or(thresholds.fail_at_most, 1.0),
    }
    engine.give("recipe", pa.table({name: [value] for name, value in row.items()}))
    wanted = {"dimension": list(recipe.dimensions), "place": list(range(len(recipe.dimensions)))}
    engine.give("wanted", pa.table(wanted))
    generators = pa.array(recipe.ood_generators, pa.string())
    engine.give("ood_generators", pa.table({"generator": generators}))


def _edge(share: float) -> str:
    """Smallest 13 hex digits of a point in [0, 1) that is not below the share, as text.

    >>> _edge(0.5), _edge(1.0) > "fffffffffffff"
    ('8000000000000', True)
    """
    points = math.ceil(share * 16**DIGITS)  # a power of two: exact
    return f"{points:0{DIGITS}x}" if points < 16**DIGITS else "g"


def _or(value: float | None, default: float) -> float:
    return default if value is None else float(value)


def _check_generators(engine: Engine, recipe: Recipe) -> None:
    if recipe.ood_generators:
        known = engine.ask("SELECT DISTINCT generator FROM clips")["generator"]
        check_generators(recipe.ood_generators, known.to_pylist())


def _left_out(engine: Engine, recipe: Recipe) -> dict[str, dict[str, int]]:
    """How many consensus rows are not used, by dimension and reason."""
    rows = engine.ask(portable("pairing", "left_out")).to_pylist()
    found = {row.pop("dimension"): {**row, "ood_seen": 0} for row in rows}
    for name in recipe.dimensions:
        if name not in found:
            raise PairingError(
                f"recipe: it needs the dimension {name!r}, which the consensus does not have;"
                " correct the recipe or build that consensus"
            )
    return {name: found[name] for name in recipe.dimensions}


def _merged(engine: Engine) -> pa.Table:
    """Split group of every prompt that shares a video with another one."""
    links = engine.ask(portable("pairing", "links"))
    ood = links["ood"].to_numpy()
    group = split_groups(links["prompt_id"], links["media_sha256"], ood)
    schema = pa.schema(
        [("prompt_id", pa.string()), ("ood", pa.bool_()), ("split_group", pa.string())]
    )
    rows = pa.Table.from_arrays([links["prompt_id"], links["ood"], group], schema=schema)
    return rows.group_by(schema.names).aggregate([])


def _frozen_items(engine: Engine) -> pa.Table:
    """Items of pairing.freeze.Frozen, in the order of their ordinals."""
    facts = ("item_id", "prompt_id", "split_group", "split", "generator", "media_sha256")
    items = engine.ask(f"SELECT ordinal, {', '.join(facts)} FROM frozen WHERE leads")
    items = items.sort_by("ordinal").select(facts)
    items = items.rename_columns(["group" if name == "split_group" else name for name in facts])
    return items.append_column("stratum", pa.nulls(items.num_rows, pa.string()))


def _decided(engine: Engine) -> pa.Table:
    """Rows that make pairs: place (of the dimension), dimension, ordinal, label, p_pass."""
    decided = engine.ask("SELECT place, dimension, ordinal, label, p_pass FROM frozen")
    return decided.sort_by([("place", "ascending"), ("ordinal", "ascending")])


def _check_items(items: pa.Table, decided: pa.Table) -> None:
    """Refuse what the keys of the tables of record rule out, or another warehouse's items."""
    unknown = items.filter(pc.is_null(items["prompt_id"]))["item_id"]
    if len(unknown):
        raise PairingError(
            f"consensus: {counted(len(unknown), 'item is', 'items are')} not in the items table"
            f" (first: {unknown[0].as_py()!r}); import them, or pass the items of the same"
            " warehouse"
        )
    place, ordinal = (decided[name].to_numpy() for name in ("place", "ordinal"))
    again = np.flatnonzero((place[1:] == place[:-1]) & (ordinal[1:] == ordinal[:-1]))
    if len(again):
        raise PairingError(
            f"pairs: {len(again)} rows repeat an item of a dimension (the first at place"
            f" {ordinal[again[0]]} of item_id); pass each item and each decision once"
        )


def _decks(engine: Engine, recipe: Recipe) -> Decks:
    """Sides of every request of the recipe in deck order."""
    keys = [
        (dimension, split, kind, label)
        for dimension in recipe.dimensions
        for split in SPLITS
        for kind in recipe.kinds
        if not recipe.count(dimension, split, kind).none
        for label in SIDES[kind]
        if label is not None
    ]
    names = ("dimension", "split", "kind", "label")
    asked = [pa.array([key[place] for key in keys], pa.string()) for place in range(len(names))]
    number = pa.array(range(len(keys)), pa.int32())
    engine.give("asked", pa.table([number, *asked], names=["deck", *names]))
    rows = engine.ask(portable("pairing", "decks"))
    deck, ordinal = rows["deck"].to_numpy(), rows["ordinal"].to_numpy().astype(np.int64)
    return {key: ordinal[deck == place] for place, key in enumerate(keys)}
