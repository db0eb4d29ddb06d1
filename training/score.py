"""Rewards of clips: a checkpoint and a media table in, a table of rewards out."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Literal, overload

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from training.model import RewardModel, weights_digest
from training.progress import Advance, silent
from training.video import Clip, FrameCache, read_clip
from warehouse.errors import TrainingError

BATCH_ITEMS = 16

Row = dict[str, str]
Rewards = NDArray[np.float64]  # (B, Q)

REWARDS = pa.schema(
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("dimension", pa.string(), nullable=False),
        pa.field("reward", pa.float64(), nullable=False),
    ]
)
UNREADABLE = pa.schema(
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
    ]
)


@overload
def score(
    checkpoint: str | Path,
    media: pa.Table,
    progress: Advance = ...,
    *,
    on_error: Literal["raise"] = ...,
    frame_cache: str | Path | None = ...,
    frame_cache_bytes: int | None = ...,
    weights_sha256: str | None = ...,
) -> pa.Table: ...
@overload
def score(
    checkpoint: str | Path,
    media: pa.Table,
    progress: Advance = ...,
    *,
    on_error: Literal["report"],
    frame_cache: str | Path | None = ...,
    frame_cache_bytes: int | None = ...,
    weights_sha256: str | None = ...,
) -> tuple[pa.Table, pa.Table]: ...
def score(
    checkpoint: str | Path,
    media: pa.Table,
    progress: Advance = silent,
    *,
    on_error: Literal["raise", "report"] = "raise",
    frame_cache: str | Path | None = None,
    frame_cache_bytes: int | None = None,
    weights_sha256: str | None = None,
) -> pa.Table | tuple[pa.Table, pa.Table]:
    """Rewards of every item in every dimension of a checkpoint.

    media: columns item_id, path and prompt; media_sha256 is used where it is there.
    on_error: `raise` ends at the first clip that cannot be read; `report` leaves such clips out and
        returns a second table (item_id, reason) that names them.
    frame_cache: folder of decoded frames, as training uses it; None decodes without keeping.
    frame_cache_bytes: size of that folder above which clips not used for longest are removed.
    weights_sha256: digest that the checkpoint's weights must have, as training recorded it.
    Returns: (item_id, dimension, reward), by item and then in the checkpoint's order of dimensions;
        the same whatever the order of the rows.
    Raises: TrainingError naming the clip, or where item_ids stand twice.
    """
    model = RewardModel.from_pretrained(checkpoint)
    if weights_sha256 is not None and weights_digest(model) != weights_sha256:
        raise TrainingError(
            f"{checkpoint}: the weights are not those that training wrote (expected digest"
            f" {weights_sha256[:16]}); restore the checkpoint, or train again"
        )
    rows = _rows(media)
    cache = None
    if frame_cache:
        cache = FrameCache(frame_cache, model.spec.frames, most_bytes=frame_cache_bytes)
    rewards: list[Rewards] = []
    scored: list[str] = []
    bad: list[dict[str, str]] = []
    for start in range(0, len(rows), BATCH_ITEMS):
        batch = []
        for row in rows[start : start + BATCH_ITEMS]:
            try:
                batch.append((row, _clip(model, row, cache)))
            except TrainingError as error:
                if on_error == "raise":
                    raise
                bad.append({"item_id": row["item_id"], "reason": str(error)})
        if batch:
            scored += [row["item_id"] for row, _ in batch]
            rewards.append(_rewards(model, batch))
        progress(min(start + BATCH_ITEMS, len(rows)), len(rows), "")
    table = _table(scored, model.spec.dimensions, rewards)
    return (table, pa.Table.from_pylist(bad, UNREADABLE)) if on_error == "report" else table


def _rows(media: pa.Table) -> list[Row]:
    """Rows of the media table in the order of item_id."""
    rows: list[Row] = sorted(media.to_pylist(), key=lambda row: str(row["item_id"]))
    for one, two in pairwise(rows):
        if one["item_id"] == two["item_id"]:
            raise TrainingError(f"media table: item {one['item_id']} stands twice; give each once")
    return rows


def _clip(model: RewardModel, row: Row, cache: FrameCache | None) -> Clip:
    if cache:
        return cache.clip(row["path"], row.get("media_sha256"))
    return read_clip(row["path"], model.spec.frames)


def _rewards(model: RewardModel, batch: list[tuple[Row, Clip]]) -> Rewards:
    """Rewards (B, Q) of items that were read."""
    clips = [torch.from_numpy(np.array(clip.frames)) for _, clip in batch]
    rewards = model.rewards([row["prompt"] for row, _ in batch], clips)
    result: Rewards = rewards.double().numpy()
    return result


def _table(
    items: list[str],
    dimensions: tuple[str, ...],
    rewards: list[Rewards],
) -> pa.Table:
    values = np.concatenate(rewards) if rewards else np.zeros((0, len(dimensions)))
    return pa.table(
        [
            pa.array(np.repeat(np.array(items, dtype=object), len(dimensions)), pa.string()),
            pa.array(list(dimensions) * len(items), pa.string()),
            pa.array(values.ravel(), pa.float64()),
        ],
        schema=REWARDS,
    )
