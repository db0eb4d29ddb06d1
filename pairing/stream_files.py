"""Pairs of a recipe straight into files, in the memory of a few row groups.

A pair set is sorted, digested and kept in the warehouse; hundreds of millions of pairs, of which a
trainer reads each once, need not be. The rows are those of the set that the same recipe makes, in
the same order, without pair_set_id, which only a digest of all of them would give.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pairing.blocks import Block, pairs_table
from pairing.draw import Request, targeted
from pairing.folder import (
    ITEMS,
    ITEMS_DISTINCT,
    PAIRS_DISTINCT,
    PAIRS_FILE,
    ROW_GROUP,
    options,
)
from pairing.freeze import Frozen
from pairing.pairset import asked_for, items_table
from pairing.recipe import Recipe
from pairing.sampler import Dealt
from pairing.words import Ints, Ordinals
from warehouse.disk import partial_folder, put
from warehouse.errors import PairingError

NOTE = "stream.json"
Advance = Callable[[int, int], None]


def write_stream(
    frozen: Frozen,
    recipe: Recipe,
    folder: Path,
    said: Mapping[str, Any],
    advance: Advance,
    *,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Write items.parquet, pairs.parquet and stream.json into a folder, which appears when done.

    said: what stream.json says beside recipe, consensus and counts.
    advance: told how many pairs are written, and how many there will be.
    Returns: what stream.json says.
    Raises: PairingError where the recipe asks for more than there is, or the folder is there or
        cannot be written.
    """
    asked = [each for each in asked_for(frozen, recipe) if each.number]
    if folder.exists():
        raise PairingError(f"{folder} is there already; choose another folder")
    note = {
        "recipe": recipe.to_dict(),
        "consensus_id": frozen.consensus_id,
        "counts": [
            {"dimension": r.dimension, "split": r.split, "kind": r.kind, "pairs": r.number}
            for r in asked
        ],
        **said,
    }
    if dry_run:
        return note
    try:
        with partial_folder(folder) as partial:
            items = items_table(frozen, "").drop_columns("pair_set_id")
            pq.write_table(items, partial / ITEMS, **options(items.schema, ITEMS_DISTINCT))
            _write_pairs(asked, frozen, recipe, partial / PAIRS_FILE, advance)
            (partial / NOTE).write_text(json.dumps(note, indent=2, sort_keys=True) + "\n")
            put(partial, folder)
    except OSError as error:
        raise PairingError(
            f"{folder} cannot be written ({error.strerror or error}); make room, or choose another"
            " folder"
        ) from error
    return note


def _write_pairs(
    asked: list[Request], frozen: Frozen, recipe: Recipe, path: Path, advance: Advance
) -> None:
    """One row group after the other."""
    blocks = (block for each in asked for block in request_blocks(each, frozen, recipe))
    schema = _without_set(pairs_table([], "")).schema
    written, total = 0, sum(each.number for each in asked)
    with (
        pq.ParquetWriter(path, schema, **options(schema, PAIRS_DISTINCT)) as writer,
        ThreadPoolExecutor(1) as beside,  # writes one row group while the next one is dealt
    ):
        waiting: Future[None] | None = None
        for group in _row_groups(blocks):
            table = _without_set(pairs_table(group, ""))
            if waiting is not None:
                waiting.result()
            waiting = beside.submit(writer.write_table, table, ROW_GROUP)
            written += table.num_rows
            advance(written, total)
        if waiting is not None:
            waiting.result()


def request_blocks(request: Request, frozen: Frozen, recipe: Recipe) -> Iterator[Block]:
    """Pairs of a request with their targets, a few hundred thousand at a time."""
    for first, second in _dealt(request):
        yield targeted(request, *request.ends(first, second), frozen, recipe)


def _dealt(request: Request) -> Iterator[tuple[Ints | Ordinals, Ints | Ordinals]]:
    if isinstance(request.sampler, Dealt):
        yield from request.sampler.blocks(request.number)
    else:  # decks in turn, caps and groups know their pairs only as a whole
        yield request.sampler.take(request.number)


def _row_groups(blocks: Iterator[Block]) -> Iterator[list[Block]]:
    """Blocks gathered to about ROW_GROUP rows."""
    group: list[Block] = []
    for block in blocks:
        group.append(block)
        if sum(map(len, group)) >= ROW_GROUP:
            yield group
            group = []
    if group:
        yield group


def _without_set(pairs: pa.Table) -> pa.Table:
    return pairs.drop_columns("pair_set_id")
