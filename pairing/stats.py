"""What a pair set holds, as Arrow tables for people and reports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pairing.blocks import Block, blocks_of
from pairing.codes import codes_of, equal
from pairing.words import SPLITS, Ints, Ordinals
from warehouse.errors import PairingError
from warehouse.wording import counted

HISTOGRAMS = ("exposure_histogram", "probabilities")  # for figures, too long to read
BINS = 20  # of P(pass)
_TINY = 1e-9  # so that 0.15 * 20 counts as 3; P(pass) is rounded to 1e-6
Side = tuple[str, str, str, str]


def pair_set_stats(items: pa.Table, pairs: pa.Table, sources: pa.Table) -> dict[str, pa.Table]:
    """All statistics of a pair set by name.

    items, pairs: as in the contracts pair_set_items and pairs.
    sources: item_id, generator, media_sha256 of the warehouse's items.
    Raises: PairingError where an item of the set is not among the sources.
    """
    blocks = list(blocks_of(pairs))
    known = _with_sources(items, sources)
    return {
        "counts": counts(blocks),
        "exposure": exposure(items, blocks),
        "exposure_histogram": exposure_histogram(items, blocks),
        "prompts": prompt_coverage(items, blocks),
        "generators": generator_matrix(known, blocks),
        "probabilities": probabilities(items, blocks),
        "leakage": leakage(known),
    }


def counts(blocks: Iterable[Block]) -> pa.Table:
    """Pairs by dimension, split and kind."""
    return _table(
        ("dimension", "split", "kind", "pairs"),
        [(*_key(block), len(block)) for block in blocks],
    )


def exposure(items: pa.Table, blocks: Iterable[Block]) -> pa.Table:
    """How often items stand in pairs, by dimension, split, kind and side.

    items: as in the contract pair_set_items.
    Returns: items that could stand there, how many never do, least, most and mean number of pairs
        per item, and spread, most - least: at most 1 where nothing constrains the deck.
    """
    rows = []
    for key, times in _exposures(items, blocks):
        least, most = int(times.min(initial=int(times.sum()))), int(times.max(initial=0))
        mean = round(float(times.mean()), 6) if len(times) else 0.0
        unused = int((times == 0).sum())
        rows.append((*key, len(times), unused, least, most, mean, most - least))
    names = ("dimension", "split", "kind", "side", "items", "unused")
    return _table((*names, "least", "most", "mean", "spread"), rows)


def exposure_histogram(items: pa.Table, blocks: Iterable[Block]) -> pa.Table:
    """How many items stand in how many pairs, by dimension, split, kind and side."""
    rows = []
    for key, times in _exposures(items, blocks):
        number, found = np.unique(times, return_counts=True)
        rows += [(*key, *pair) for pair in zip(number.tolist(), found.tolist(), strict=True)]
    return _table(("dimension", "split", "kind", "side", "pairs", "items"), rows)


def probabilities(items: pa.Table, blocks: Iterable[Block]) -> pa.Table:
    """P(pass) of the items in pairs, each as often as it stands there, in bins of 1/20.

    items: as in the contract pair_set_items; items without P(pass) are in no bin.
    Returns: by dimension, split, kind and side, p_from, the lower end of a bin (the last one holds
        1, too), and pairs, how many have an item of that side in it; bins without any are left out.
    """
    rows = []
    for block in blocks:
        here = items.filter(pc.equal(items["dimension"], block.dimension))
        p = np.zeros(int(here["ordinal"].to_numpy().max(initial=-1)) + 1)
        p[here["ordinal"].to_numpy()] = here["p_pass"].to_numpy()
        for side, _, used in _sides(block):
            known = p[used][~np.isnan(p[used])]
            place = np.minimum((known * BINS + _TINY).astype(np.int64), BINS - 1)
            found = np.bincount(place, minlength=BINS).tolist()
            rows += [(*_key(block), side, n / BINS, found[n]) for n in range(BINS) if found[n]]
    return _table(("dimension", "split", "kind", "side", "p_from", "pairs"), rows)


def prompt_coverage(items: pa.Table, blocks: Iterable[Block]) -> pa.Table:
    """How many of a split's prompts stand in pairs, by dimension, split and kind."""
    rows = []
    for block in blocks:
        here = _rows(items, block)
        codes = here["prompt_id"].combine_chunks().dictionary_encode().indices.to_numpy()
        used = np.isin(here["ordinal"].to_numpy(), np.concatenate([block.winner, block.other]))
        prompts, met = len(np.unique(codes)), len(np.unique(codes[used]))
        rows.append((*_key(block), prompts, met, round(met / max(1, prompts), 6)))
    return _table(("dimension", "split", "kind", "prompts", "in_pairs", "share"), rows)


def generator_matrix(items: pa.Table, blocks: Iterable[Block]) -> pa.Table:
    """Pairs by generator of the winner and of the other; ties in alphabetical order.

    items: pair_set_items with a column generator.
    """
    rows = []
    for block in blocks:
        here = _rows(items, block)
        encoded = here["generator"].combine_chunks().dictionary_encode()
        names = encoded.dictionary.to_pylist()
        codes = np.zeros(int(here["ordinal"].to_numpy().max(initial=-1)) + 1, dtype=np.int64)
        codes[here["ordinal"].to_numpy()] = encoded.indices.to_numpy()
        flat = np.bincount(codes[block.winner] * len(names) + codes[block.other])
        met = _by_names(flat, names, ordered=block.kind == "win_lose")
        rows += [(*_key(block), *pair, found) for pair, found in sorted(met.items())]
    names = ("dimension", "split", "kind", "winner_generator", "other_generator", "pairs")
    return _table(names, rows)


def leakage(items: pa.Table) -> pa.Table:
    """Prompts and videos that stand in two splits; 0 among train, validation and test.

    items: item_id, prompt_id, media_sha256, split. Sharing with `ood` is reported and allowed.
    """
    rows = []
    for what, column in (("prompt", "prompt_id"), ("video", "media_sha256")):
        codes = codes_of(items[column])
        known = codes.max(initial=-1) + 1
        held = {
            split: np.bincount(codes[(codes >= 0) & equal(items["split"], split)], minlength=known)
            for split in SPLITS
        }
        for first, second in combinations(held, 2):
            shared = int(((held[first] > 0) & (held[second] > 0)).sum())
            rows.append((what, first, second, shared))
    return _table(("what", "split", "other_split", "shared"), rows)


def _with_sources(items: pa.Table, sources: pa.Table) -> pa.Table:
    place = pc.index_in(items["item_id"], sources["item_id"].combine_chunks())
    if place.null_count:
        first = items["item_id"].filter(pc.is_null(place))[0].as_py()
        raise PairingError(
            f"pair set: {counted(place.null_count, 'item is', 'items are')} not in the items table"
            f" (first: {first!r}); pass the items of the warehouse that the set was built from"
        )
    for column in ("generator", "media_sha256"):
        items = items.append_column(column, sources[column].take(place))
    return items


def _by_names(flat: Ints, names: list[str], *, ordered: bool) -> dict[tuple[str, str], int]:
    met: dict[tuple[str, str], int] = {}
    for code in np.flatnonzero(flat).tolist():
        pair = (names[code // len(names)], names[code % len(names)])
        key = pair if ordered else (min(pair), max(pair))
        met[key] = met.get(key, 0) + int(flat[code])
    return met


def _sides(block: Block) -> list[tuple[str, str | None, Ordinals]]:
    """Name, label and ordinals of each side; both items of a tie are on one side."""
    if block.kind == "win_lose":
        return [("winner", "pass", block.winner), ("other", "fail", block.other)]
    label = {"win_tie": "pass", "lose_tie": "fail"}.get(block.kind)
    return [("either", label, np.concatenate([block.winner, block.other]))]


def _exposures(items: pa.Table, blocks: Iterable[Block]) -> Iterator[tuple[Side, Ints]]:
    """Dimension, split, kind and side, with the number of pairs of each item that could be there.

    An item could stand on a side whose label it has; one without a label, on any.
    """
    for block in blocks:
        for side, label, used in _sides(block):
            could = _ordinals(items, block, label)
            times = np.bincount(used, minlength=int(could.max(initial=-1)) + 1)[could]
            yield (*_key(block), side), times


def _rows(items: pa.Table, block: Block) -> pa.Table:
    same = pc.equal(items["dimension"], block.dimension)
    return items.filter(pc.and_(same, pc.equal(items["split"], block.split)))


def _ordinals(items: pa.Table, block: Block, label: str | None) -> Ordinals:
    here = equal(items["dimension"], block.dimension) & equal(items["split"], block.split)
    if label is not None:
        unknown = pc.is_null(items["label"]).to_numpy()
        here &= equal(items["label"], label) | unknown
    return np.asarray(items["ordinal"].to_numpy()[here])


def _key(block: Block) -> tuple[str, str, str]:
    return block.dimension, block.split, block.kind


def _table(names: tuple[str, ...], rows: list[tuple[Any, ...]]) -> pa.Table:
    return pa.table({name: [row[i] for row in rows] for i, name in enumerate(names)})
