"""What a recipe asks an engine to deal: decks, how many pairs of each, and that as a table."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa

from pairing.counts import MOST_PAIRS
from pairing.recipe import Recipe
from pairing.words import SPLITS, Kind, SplitName
from warehouse.errors import PairingError

LABELS: dict[Kind, tuple[str, str | None]] = {
    "win_lose": ("pass", "fail"),
    "win_tie": ("pass", None),
    "lose_tie": ("fail", None),
}


@dataclass(frozen=True)
class _Deck:
    """A request that an engine deals: ones and twos are the sizes of its sides, twos 0 for ties."""

    dimension: str
    split: SplitName
    kind: Kind
    ones: int
    twos: int
    pairs: int

    @property
    def deal(self) -> str:
        """Name of the query that turns cards into seats."""
        if self.kind == "win_lose":
            return "diagonal"
        return "walecki" if self.ones % 2 else "circle"


def _decks(engine: Engine, recipe: Recipe) -> Iterator[_Deck]:
    """Decks with at least one pair to deal, in the order of the files.

    Raises: PairingError where fewer pairs exist than a count asks for.
    """
    rows = engine.ask(portable("pairing", "sides")).to_pylist()
    sides = {(row["dimension"], row["split"], row["label"]): row["items"] for row in rows}
    for dimension in recipe.dimensions:
        for split in SPLITS:
            found = {label: sides.get((dimension, split, label), 0) for label in ("pass", "fail")}
            for kind in recipe.kinds:
                deck = _deck(recipe, dimension, split, kind, found)
                if deck.pairs:
                    yield deck


def _deck(
    recipe: Recipe, dimension: str, split: SplitName, kind: Kind, found: dict[str, int]
) -> _Deck:
    first, second = LABELS[kind]
    ones, twos = found[first], found[second] if second else 0
    available = ones * twos if second else ones * (ones - 1) // 2
    count = recipe.count(dimension, split, kind)
    asked = count.asked(sum(found.values()), available)
    if not count.none and (asked > available or (available == 0 and count.form != "up to")):
        raise PairingError(
            f"pairs: {dimension}, {split}, {kind}: {available:,} pairs exist ({found['pass']:,}"
            f" pass and {found['fail']:,} fail items), {asked:,} asked for; ask for fewer, or for"
            f" 'up to' a number"
        )
    return _Deck(dimension, split, kind, ones, twos, asked)


def _check_total(decks: list[_Deck]) -> None:
    total = sum(deck.pairs for deck in decks)
    if not 0 < total <= MOST_PAIRS:
        raise PairingError(
            f"pairs: the recipe makes {total:,} pairs; ask for 1 to {MOST_PAIRS:,} of those there"
            " are"
        )


def _requests(decks: list[_Deck]) -> pa.Table:
    """Table of the decks. start: cards of the requests before it that are dealt alike."""
    labels = [LABELS[deck.kind] for deck in decks]
    dealt: Counter[str] = Counter()
    start = []
    for deck in decks:
        start.append(dealt[deck.deal])
        dealt[deck.deal] += deck.pairs
    numbers = {
        "request": range(len(decks)),
        "ones": [deck.ones for deck in decks],
        "twos": [deck.twos for deck in decks],
        "lap": [math.lcm(deck.ones, deck.twos) for deck in decks],
        "start": start,
        "pairs": [deck.pairs for deck in decks],
    }
    words = {
        "dimension": [deck.dimension for deck in decks],
        "split": [deck.split for deck in decks],
        "kind": [deck.kind for deck in decks],
        "deal": [deck.deal for deck in decks],
        "first_label": [first for first, _ in labels],
        "second_label": [second for _, second in labels],
    }
    columns = {name: pa.array(values, pa.int64()) for name, values in numbers.items()}
    return pa.table(
        columns | {name: pa.array(values, pa.string()) for name, values in words.items()}
    )


