"""Imported sets: judgements that somebody else made of pairs, as a pair set.

Nobody judged their items one by one, so that they have neither label nor P(pass). All pairs are in
the split `test`, an evaluation set; or they are split by prompt and video as built sets are, to be
trained on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pairing.blocks import (
    Block,
    counts_of,
    identity_of,
    pairs_table,
    repeated,
    without_stamp,
)
from pairing.imports.foreign import KINDS, Judged, RefusedRow, shown
from pairing.pairset import FORMAT, PairSet
from pairing.parts import Split
from pairing.split import realised_splits, split_by_prompt
from pairing.stats import exposure, leakage
from pairing.targets import HARD
from pairing.words import SPLITS, Kind, SplitName
from warehouse.contracts import PAIR_SET_ITEMS
from warehouse.errors import PairingError
from warehouse.wording import counted

WHOLE: SplitName = "test"  # where all pairs are unless they are to be split
IN_DOMAIN: tuple[SplitName, ...] = ("train", "validation", "test")

Splits = Mapping[str, SplitName]


@dataclass(frozen=True, order=True)
class Verdict:
    """A judgement under item ids; of a win, `winner` is better, of a tie its id comes first."""

    dimension: str
    kind: Kind
    winner: str
    other: str


def settled(
    judged: Iterable[Judged], item_ids: Mapping[str, str]
) -> tuple[dict[Judged, Verdict], list[RefusedRow]]:
    """One judgement of each two items and dimension, and the rows that repeat or contradict it.

    item_ids: item by the key of its video. Where two judgements differ, all of those items are
        refused: which one counts is not ours to guess. Of equal ones the first stays.
    """
    by_key: dict[tuple[str, frozenset[str]], list[Judged]] = {}
    refused = []
    for each in judged:
        ends = frozenset(item_ids[video.key] for video in (each.a, each.b))
        if len(ends) == 1:
            refused.append(RefusedRow(each.row, f"both videos are item {shown(*ends)}"))
        else:
            by_key.setdefault((each.dimension, ends), []).append(each)
    kept = {}
    for first, *more in by_key.values():
        verdict = _verdict(first, item_ids)
        others = [each for each in more if _verdict(each, item_ids) != verdict]
        if not others:
            kept[first] = verdict
            refused += [
                RefusedRow(each.row, f"{each.dimension}: row {first.row} says the same already")
                for each in more
            ]
            continue
        reason = (
            f"{first.dimension}: rows {first.row} and {others[0].row} judge the same two videos"
            " differently; keep the right one"
        )
        refused += [RefusedRow(each.row, reason) for each in (first, *more)]
    return kept, refused


def _verdict(judged: Judged, item_ids: Mapping[str, str]) -> Verdict:
    a, b = (item_ids[video.key] for video in (judged.a, judged.b))
    kind = KINDS[judged.category]
    swap = judged.category == "B" or (kind != "win_lose" and b < a)
    return Verdict(judged.dimension, kind, *((b, a) if swap else (a, b)))


def imported_set(
    verdicts: Iterable[Verdict],
    items: pa.Table,
    imported: Mapping[str, str],
    *,
    split: Split | None = None,
) -> PairSet:
    """Judgements as a pair set.

    verdicts: each two items once per dimension, in any order.
    items: item_id, prompt_id, media_sha256 of at least their items.
    imported: form, name and sha256 of the file; the manifest's recipe says it.
    split: shares of the groups of prompts, split as `pairing.split` says; a pair whose items come
        to different splits is left out, and a warning counts them. None: all pairs are in test.
    What the manifest says of as-of and code version is for the caller to add.
    Raises: PairingError where there is no judgement, or none to train on of those that are split.
    """
    ordered = sorted(verdicts)
    if not ordered:
        raise PairingError("import: no judgement is left; mend the file")
    placed = _placed(ordered, items, split)
    splits: Splits = dict(zip(*(placed[n].to_pylist() for n in ("item_id", "split")), strict=True))
    kept = [each for each in ordered if splits[each.winner] == splits[each.other]]
    warnings = [] if split is None else _checked(ordered, kept, placed, split)
    names = _items_of(kept)
    blocks = _blocks(kept, {name: ordinal for ordinal, name in enumerate(names)}, splits)
    known = placed.take(pc.index_in(pa.array(names), placed["item_id"].combine_chunks()))
    table = _items_table(blocks, known, "")
    identity = identity_of(table, blocks)
    table = _items_table(blocks, known, identity["pair_set_id"])
    dimensions = sorted({block.dimension for block in blocks})
    recipe = {"dimensions": dimensions, "imported": dict(imported)}
    manifest = {
        "format": FORMAT,
        **identity,
        "recipe": recipe | ({} if split is None else {"split": asdict(split)}),
        "seed": 0,
        "as_of": None,
        "consensus_id": None,
        "code_version": "",
        **_account(blocks, known, table, split),
        "left_out": {name: {} for name in dimensions},
        "warnings": warnings,
        "extends": None,
    }
    return PairSet(table, pairs_table(blocks, identity["pair_set_id"]), manifest)


def _items_of(verdicts: Iterable[Verdict]) -> list[str]:
    return sorted({end for each in verdicts for end in (each.winner, each.other)})


def _placed(verdicts: Iterable[Verdict], items: pa.Table, split: Split | None) -> pa.Table:
    """Rows of the judged items in the order of item_id, each with its split and split group."""
    names = _items_of(verdicts)
    rows = items.take(pc.index_in(pa.array(names), items["item_id"].combine_chunks()))
    if split is None:
        return rows.append_column("split", repeated(WHOLE, rows.num_rows, pa.string()))
    unnamed = repeated("", rows.num_rows, pa.string())
    found = split_by_prompt(rows.append_column("generator", unnamed), split)
    return rows.append_column("group", found["group"]).append_column("split", found["split"])


def _checked(
    judged: list[Verdict], kept: list[Verdict], placed: pa.Table, split: Split
) -> list[str]:
    """What a reader of a split set should know.

    Raises: PairingError where a split is impossible, or leaves nothing to train on.
    """
    asked = [name for name in IN_DOMAIN if getattr(split, name)]
    groups = pc.count_distinct(placed["group"]).as_py()
    if groups < len(asked):
        only = counted(groups, "group of prompts shares", "groups of prompts share")
        raise PairingError(
            f"import: only {only} no video, too few to split into {', '.join(asked)}; take --split"
            " train, and another file to evaluate on"
        )
    splits = dict(zip(*(placed[n].to_pylist() for n in ("item_id", "split")), strict=True))
    filled = {splits[each.winner] for each in kept}
    if "train" not in filled:
        raise PairingError(
            f"import: of {counted(groups, 'group', 'groups')} of prompts none that has a pair came"
            " to train; a hash decides, so a small file misses its shares: change them, or the salt"
        )
    warnings = [f"no pair came to {name}, by chance" for name in asked if name not in filled]
    if apart := len(judged) - len(kept):
        words = "left out: the two items are in different splits"
        warnings.append(counted(apart, f"judgement is {words}", f"judgements are {words}"))
    return warnings


def _blocks(verdicts: list[Verdict], number: Mapping[str, int], splits: Splits) -> list[Block]:
    """Pairs by dimension, split and kind, in this order."""
    by_key: dict[tuple[str, SplitName, Kind], list[tuple[int, int]]] = {}
    for each in verdicts:
        ends = number[each.winner], number[each.other]
        by_key.setdefault((each.dimension, splits[each.winner], each.kind), []).append(ends)
    blocks = []
    for dimension, split, kind in sorted(by_key, key=lambda k: (k[0], SPLITS.index(k[1]), k[2])):
        pairs = np.array(by_key[dimension, split, kind], dtype=np.int32)
        winner, other = np.ascontiguousarray(pairs.T)
        blocks.append(Block(dimension, split, kind, winner, other, HARD[kind][0], 1.0))
    return blocks


def _items_table(blocks: list[Block], known: pa.Table, pair_set_id: str) -> pa.Table:
    """Items in the order of dimension and ordinal; known: their rows in the order of ordinals."""
    schema = without_stamp(PAIR_SET_ITEMS.schema)
    parts = []
    for dimension in sorted({block.dimension for block in blocks}):
        mine = [block for block in blocks if block.dimension == dimension]
        used = np.unique(np.concatenate([end for b in mine for end in (b.winner, b.other)]))
        constant = {"pair_set_id": pair_set_id, "dimension": dimension}
        columns = {name: repeated(text, len(used), pa.string()) for name, text in constant.items()}
        for name in ("item_id", "prompt_id", "split"):
            columns[name] = known[name].take(pa.array(used))
        columns["ordinal"] = pa.array(used, pa.int32())
        for name in ("label", "p_pass"):
            columns[name] = pa.nulls(len(used), schema.field(name).type)
        parts.append(pa.table([columns[name] for name in schema.names], schema=schema))
    return pa.concat_tables(parts)


def _account(
    blocks: list[Block], known: pa.Table, table: pa.Table, split: Split | None
) -> dict[str, Any]:
    """What came in, under the names that the manifest of a built set has."""
    return {
        "counts": counts_of(blocks),
        "items": known.num_rows,
        "splits": _whole_splits(known) if split is None else realised_splits(known, split),
        "exposure": exposure(table, blocks).to_pylist(),
        "leakage": leakage(known).to_pylist(),
    }


def _whole_splits(known: pa.Table) -> dict[str, dict[str, int]]:
    """Items and prompts by split where all are in one."""
    prompts = pc.count_distinct(known["prompt_id"]).as_py()
    return {
        name: {"items": here * known.num_rows, "prompts": here * prompts}
        for name, here in ((name, int(name == WHOLE)) for name in SPLITS)
    }
