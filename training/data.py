"""A pair set and a media table in, batches of items with the pairs among them out.

Every item of a batch is encoded once and serves all its pairs, in all dimensions. Training reads
the splits in TRAINING_SPLITS and no other row ever enters this process through `read_split`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from training.set_tables import by_item, column, is_soft, passed, places, read_rows, ties
from warehouse.contracts.columns import KINDS
from warehouse.errors import TrainingError

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

TRAINING_SPLITS = ("train", "validation")
PAIR_ORDER = [("dimension", "ascending"), ("winner", "ascending"), ("other", "ascending")]
PLAN_COLUMNS = ("batch", "dimension", "winner", "other")


@dataclass(frozen=True)
class PairSplit:
    """Items and pairs of one split, all dimensions together.

    Items are numbered 0, 1, ... in the order of `item_ids`; P pairs are ordered by dimension,
    winner and other, whatever the order of the rows in the files.
    """

    item_ids: list[str]
    prompt_ids: list[str]
    """(N,) of each item."""
    dimension: Ints
    """(P,) index into the dimensions asked for."""
    winner: Ints
    """(P,) item numbers."""
    other: Ints
    """(P,) item numbers."""
    mu: Floats
    """(P,) probability that the winner is preferred."""
    weight: Floats
    """(P,) weight in the loss."""
    tie: NDArray[np.bool_]
    """(P,) the pair is a tie."""
    target: Floats
    """(N, Q) what an item should be in each dimension asked for: 1 pass, 0 fail, in a soft set its
    P(pass); NaN where nobody judged it."""
    p_pass: Floats
    """(N, Q) P(pass) of the consensus; NaN where nobody judged it."""

    @property
    def pairs(self) -> int:
        """P."""
        return len(self.winner)


@dataclass(frozen=True)
class Block:
    """Items that are encoded together (numbers in the split) and pairs among them (rows of it)."""

    items: Ints
    pairs: Ints
    copies: bool = False
    """The naive way: items are the pairs' winners, then their others, as often as they stand."""

    def ends(self, split: PairSplit) -> tuple[Ints, Ints]:
        """Places in `items` of each pair's winner and of its other."""
        if self.copies:
            return np.split(np.arange(len(self.items)), 2)  # type: ignore[return-value]
        place = np.zeros(len(split.item_ids), dtype=np.int64)
        place[self.items] = np.arange(len(self.items))
        return place[split.winner[self.pairs]], place[split.other[self.pairs]]


@dataclass(frozen=True)
class Coverage:
    """How much of a split a plan of blocks uses."""

    pairs: int
    """Pairs in the split."""
    used: int
    """Pairs that stand in a block at least once."""
    pair_uses: int
    """Pairs over all blocks, repeats counted."""
    encodings: int
    """Items over all blocks: the forward passes paid for them."""


def read_split(
    folder: str | Path,
    dimensions: tuple[str, ...],
    split: str,
    kinds: frozenset[str] = frozenset(KINDS),
) -> PairSplit:
    """One split of a pair set.

    folder: holds items.parquet and pairs.parquet, as the contracts pair_set_items and pairs say.
    kinds: of pairs; others are left out.
    Raises: TrainingError where a file cannot be read, a dimension has no pairs in any split, or a
        pair names an item that is not in the set.
    """
    items = read_rows(Path(folder) / "items.parquet", dimensions, split)
    pairs = read_rows(Path(folder) / "pairs.parquet", dimensions, split)
    ids = sorted(set(items["item_id"].to_pylist()))
    number = {item: index for index, item in enumerate(ids)}
    keys = zip(items["dimension"].to_pylist(), items["ordinal"].to_pylist(), strict=True)
    place = {key: number[i] for key, i in zip(keys, items["item_id"].to_pylist(), strict=True)}
    prompt = dict(zip(items["item_id"].to_pylist(), items["prompt_id"].to_pylist(), strict=True))
    soft = is_soft(pairs)
    pairs = pairs.filter(pc.is_in(pairs["kind"], pa.array(sorted(kinds)))).sort_by(PAIR_ORDER)
    names = pairs["dimension"].to_pylist()
    p_pass = by_item(items, number, dimensions, column(items, "p_pass"))
    label = by_item(items, number, dimensions, passed(items))
    return PairSplit(
        item_ids=ids,
        prompt_ids=[prompt[item] for item in ids],
        dimension=np.array([dimensions.index(name) for name in names], dtype=np.int64),
        winner=places(place, names, pairs["winner"].to_pylist(), folder),
        other=places(place, names, pairs["other"].to_pylist(), folder),
        mu=column(pairs, "mu"),
        weight=column(pairs, "weight"),
        tie=ties(pairs),
        target=p_pass if soft else label,
        p_pass=p_pass,
    )


def left_out(
    folder: str | Path, dimensions: tuple[str, ...], split: str, kinds: frozenset[str]
) -> dict[str, int]:
    """How many pairs of a split are of other kinds than these, by kind."""
    kind = read_rows(Path(folder) / "pairs.parquet", dimensions, split)["kind"]
    counts = {row["values"]: row["counts"] for row in pc.value_counts(kind).to_pylist()}
    return {name: counts[name] for name in sorted(counts) if name not in kinds}


def media_of(media: pa.Table, item_ids: list[str]) -> pa.Table:
    """Rows of a media table (item_id, path, prompt, ...) for these items, in their order.

    Raises: TrainingError naming the first item that has none.
    """
    row = {item: index for index, item in enumerate(media["item_id"].to_pylist())}
    missing = [item for item in item_ids if item not in row]
    if missing:
        raise TrainingError(
            f"media table: {len(missing)} of {len(item_ids)} items have no row (first: "
            f"{missing[0]}); add their paths and prompts"
        )
    return media.take(pa.array([row[item] for item in item_ids], pa.int64()))


def plan_blocks(split: PairSplit, *, size: int, epochs: int, seed: int) -> Iterator[Block]:
    """Blocks of items, each item once per epoch, with all pairs of the set among a block's items.

    A block grows by the item that has most pairs with those already in it; a pair counts less the
    oftener it was used, so that over epochs all pairs have their turn. Ties are broken by the seed.
    Blocks without any pair are left out. Where few items hang together, as the clips of one prompt,
    several such blocks are joined up to the size: no pair leads from one to another.
    Cost: O(size x pairs per item) per item and epoch.
    """
    rng = np.random.default_rng(seed)
    graph = _Graph(split)
    for _ in range(epochs):
        yield from _joined((block for block in graph.epoch(size, rng) if len(block.pairs)), size)


def _joined(blocks: Iterable[Block], size: int) -> Iterator[Block]:
    """Blocks of one epoch, neighbours joined as long as they have at most `size` items."""
    held: list[Block] = []
    for block in blocks:
        if held and sum(len(each.items) for each in [*held, block]) > size:
            yield _together(held)
            held = []
        held.append(block)
    if held:
        yield _together(held)


def _together(blocks: Sequence[Block]) -> Block:
    items = np.concatenate([block.items for block in blocks])
    return Block(items, np.sort(np.concatenate([block.pairs for block in blocks])))


def plan_pairs(
    split: PairSplit, *, size: int, epochs: int, seed: int, copies: bool = False
) -> Iterator[Block]:
    """`size` pairs at random and the items in them; each pair once per epoch.

    copies: the naive way, both items of each pair, as often as they stand.
    """
    rng = np.random.default_rng(seed)
    for _ in range(epochs):
        order = rng.permutation(split.pairs)
        for start in range(0, len(order), size):
            pairs = np.sort(order[start : start + size])
            ends = np.concatenate([split.winner[pairs], split.other[pairs]])
            yield Block(ends if copies else np.unique(ends), pairs, copies)


def plan_batches(split: PairSplit, batch: Ints, *, epochs: int, seed: int) -> Iterator[Block]:
    """Batches made beforehand, in a new order in each epoch: each pair once per epoch.

    batch: (P,) number of each pair's batch.
    """
    rng = np.random.default_rng(seed)
    rows = np.argsort(batch, kind="stable")
    together = np.split(rows, np.flatnonzero(np.diff(batch[rows])) + 1)
    for _ in range(epochs):
        for number in rng.permutation(len(together)):
            pairs = together[number]
            items = np.unique(np.concatenate([split.winner[pairs], split.other[pairs]]))
            yield Block(items, pairs)


def read_plan(
    path: Path,
    folder: str | Path,
    dimensions: tuple[str, ...],
    split: str,
    kinds: frozenset[str] = frozenset(KINDS),
) -> Ints:
    """(P,) batch of each pair of a split, from the plan of batches in a job.

    path: its columns are those of PLAN_COLUMNS; winner and other are ordinals, as in pairs.parquet.
    kinds: as `read_split` takes them.
    Raises: TrainingError where the plan is missing or is not one of these very pairs.
    """
    pairs = read_rows(Path(folder) / "pairs.parquet", dimensions, split).sort_by(PAIR_ORDER)
    try:
        plan = pq.read_table(path, columns=list(PLAN_COLUMNS)).sort_by(PAIR_ORDER)
    except (OSError, pa.ArrowException, KeyError) as error:
        raise TrainingError(
            f"plan of batches: {path} cannot be read ({error}); it needs the columns "
            f"{', '.join(PLAN_COLUMNS)}; `soli train` writes it, or set batch.kind to blocks"
        ) from error
    keys = [name for name, _ in PAIR_ORDER]
    if plan.select(keys).to_pydict() != pairs.select(keys).to_pydict():
        raise TrainingError(
            f"plan of batches: {path} holds {plan.num_rows} pairs, and not just the "
            f"{pairs.num_rows} of the split {split} of {folder}; write the job again"
        )
    taken = pc.is_in(pairs["kind"], pa.array(sorted(kinds)))
    batch: Ints = plan["batch"].filter(taken).to_numpy().astype(np.int64)
    return batch


def coverage(split: PairSplit, blocks: list[Block]) -> Coverage:
    """What a plan uses of its split."""
    used = np.concatenate([block.pairs for block in blocks] or [np.zeros(0, np.int64)])
    return Coverage(
        pairs=split.pairs,
        used=len(np.unique(used)),
        pair_uses=len(used),
        encodings=sum(len(block.items) for block in blocks),
    )


class _Graph:
    """Items as nodes, pairs as edges, and how often each pair was used."""

    def __init__(self, split: PairSplit) -> None:
        ends = np.concatenate([split.winner, split.other])
        order = np.argsort(ends, kind="stable")
        self.neighbour = np.concatenate([split.other, split.winner])[order]
        self.pair = np.tile(np.arange(split.pairs), 2)[order]
        self.start = np.searchsorted(ends[order], np.arange(len(split.item_ids) + 1))
        self.uses = np.zeros(split.pairs)

    def edges(self, item: int) -> tuple[Ints, Ints]:
        """Neighbours of an item and the pairs that lead there."""
        part = slice(self.start[item], self.start[item + 1])
        return self.neighbour[part], self.pair[part]

    def epoch(self, size: int, rng: np.random.Generator) -> Iterator[Block]:
        """Blocks that hold each item once."""
        count = len(self.start) - 1
        chance = rng.random(count)  # below 1: decides among equals only
        free = np.ones(count, dtype=bool)
        for seed_item in rng.permutation(count):
            if free[seed_item]:
                yield self._grow(int(seed_item), size, chance, free)

    def _grow(self, item: int, size: int, chance: Floats, free: NDArray[np.bool_]) -> Block:
        items: list[int] = []
        pairs: list[Ints] = [np.zeros(0, np.int64)]
        gain = np.zeros(len(free))
        inside = np.zeros(len(free), dtype=bool)
        near: Ints = np.zeros(0, np.int64)
        while True:
            neighbours, edges = self.edges(item)
            pairs.append(edges[inside[neighbours]])
            items.append(item)
            inside[item], free[item] = True, False
            np.add.at(gain, neighbours, 1 / (1 + self.uses[edges]))
            near = np.concatenate([near, neighbours])
            near = near[free[near]]
            if len(items) == size or not len(near):
                break
            item = int(near[np.argmax(gain[near] + chance[near])])
        used = np.sort(np.concatenate(pairs))
        self.uses[used] += 1
        return Block(np.array(items, dtype=np.int64), used)
