"""Batches of few items in which every train pair of a set stands once, for batch.kind planned.

Pairing plans them, training serves them; they meet in a table.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pairing.plan import plan_batches
from warehouse.errors import TrainingError

SPLIT = "train"


def planned_batches(pair_set: Path, dimensions: list[str], items_per_batch: int) -> pa.Table:
    """Table with batch (int64, from 0), dimension, winner and other (ordinals) of each train pair.

    Raises: TrainingError where the set has no train pair in these dimensions.
    """
    wanted = (pc.field("split") == SPLIT) & pc.field("dimension").isin(dimensions)
    keys = ["dimension", "winner", "other"]
    pairs = pq.read_table(pair_set / "pairs.parquet", filters=wanted).select(keys)
    if not pairs.num_rows:
        raise TrainingError(f"pair set {pair_set}: no pair to train on; label more items")
    items = pq.read_table(pair_set / "items.parquet", filters=wanted)
    known = sorted(set(items["item_id"].to_pylist()))
    number = {item: index for index, item in enumerate(known)}  # one item in all its dimensions
    names = zip(items["dimension"].to_pylist(), items["ordinal"].to_pylist(), strict=True)
    place = {k: number[i] for k, i in zip(names, items["item_id"].to_pylist(), strict=True)}
    dimension = pairs["dimension"].to_pylist()
    winner, other = (
        [place[key] for key in zip(dimension, pairs[end].to_pylist(), strict=True)]
        for end in ("winner", "other")
    )
    batch = plan_batches(winner, other, items_per_batch).batch
    return pairs.add_column(0, "batch", pa.array(batch, pa.int64()))
