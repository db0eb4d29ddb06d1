"""Evaluation sets: judgements that somebody else made of pairs, as a pair set without training.

Nobody judged their items one by one, so that they have neither label nor P(pass). All pairs are in
the split `test`: such a set can be counted, compared, exported and evaluated on, never trained on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
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
from pairing.pairset import FORMAT, PairSet, utc
from pairing.stats import exposure, leakage
from pairing.targets import HARD
from pairing.words import SPLITS, Kind, SplitName
from warehouse.contracts import PAIR_SET_ITEMS
from warehouse.errors import PairingError

SPLIT: SplitName = "test"


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


def evaluation_set(
    verdicts: Iterable[Verdict],
    items: pa.Table,
    imported: Mapping[str, str],
    *,
    as_of: datetime | None = None,
    code_version: str = "",
    warnings: Iterable[str] = (),
) -> PairSet:
    """Judgements as a pair set.

    verdicts: each two items once per dimension, in any order.
    items: item_id, prompt_id, media_sha256 of at least their items.
    imported: form, name and sha256 of the file; the manifest's recipe says it.
    as_of, code_version, warnings: kept in the manifest; they change no digest.
    Raises: PairingError where there is no judgement.
    """
    ordered = sorted(verdicts)
    if not ordered:
        raise PairingError("import: no judgement is left; mend the file")
    names = sorted({end for each in ordered for end in (each.winner, each.other)})
    number = {name: ordinal for ordinal, name in enumerate(names)}
    blocks = _blocks(ordered, number)
    known = items.take(pc.index_in(pa.array(names), items["item_id"].combine_chunks()))
    table = _items_table(blocks, known, "")
    identity = identity_of(table, blocks)
    table = _items_table(blocks, known, identity["pair_set_id"])
    dimensions = sorted({block.dimension for block in blocks})
    manifest = {
        "format": FORMAT,
        **identity,
        "recipe": {"dimensions": dimensions, "imported": dict(imported)},
        "seed": 0,
        "as_of": utc(as_of),
        "consensus_id": None,
        "code_version": code_version,
        **_account(blocks, known, table),
        "left_out": {name: {} for name in dimensions},
        "warnings": list(warnings),
        "extends": None,
    }
    return PairSet(table, pairs_table(blocks, identity["pair_set_id"]), manifest)


def _blocks(verdicts: list[Verdict], number: Mapping[str, int]) -> list[Block]:
    by_key: dict[tuple[str, Kind], list[tuple[int, int]]] = {}
    for each in verdicts:
        ends = number[each.winner], number[each.other]
        by_key.setdefault((each.dimension, each.kind), []).append(ends)
    blocks = []
    for (dimension, kind), pairs in by_key.items():
        winner, other = np.ascontiguousarray(np.array(pairs, dtype=np.int32).T)
        blocks.append(Block(dimension, SPLIT, kind, winner, other, HARD[kind][0], 1.0))
    return blocks


def _items_table(blocks: list[Block], known: pa.Table, pair_set_id: str) -> pa.Table:
    """Items in the order of dimension and ordinal; known: their rows in the order of ordinals."""
    schema = without_stamp(PAIR_SET_ITEMS.schema)
    parts = []
    for dimension in sorted({block.dimension for block in blocks}):
        mine = [block for block in blocks if block.dimension == dimension]
        used = np.unique(np.concatenate([end for b in mine for end in (b.winner, b.other)]))
        constant = {"pair_set_id": pair_set_id, "dimension": dimension, "split": SPLIT}
        columns = {name: repeated(text, len(used), pa.string()) for name, text in constant.items()}
        columns |= {name: known[name].take(pa.array(used)) for name in ("item_id", "prompt_id")}
        columns["ordinal"] = pa.array(used, pa.int32())
        for name in ("label", "p_pass"):
            columns[name] = pa.nulls(len(used), schema.field(name).type)
        parts.append(pa.table([columns[name] for name in schema.names], schema=schema))
    return pa.concat_tables(parts)


def _account(blocks: list[Block], known: pa.Table, table: pa.Table) -> dict[str, Any]:
    """What came in, under the names that the manifest of a built set has."""
    prompts = pc.count_distinct(known["prompt_id"]).as_py()
    split = repeated(SPLIT, known.num_rows, pa.string())
    return {
        "counts": counts_of(blocks),
        "items": known.num_rows,
        "splits": {
            name: {"items": here * known.num_rows, "prompts": here * prompts}
            for name, here in ((name, int(name == SPLIT)) for name in SPLITS)
        },
        "exposure": exposure(table, blocks).to_pylist(),
        "leakage": leakage(known.append_column("split", split)).to_pylist(),
    }
