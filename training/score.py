"""Rewards of clips: a checkpoint and clips in, rewards out, each item by itself.

An item is encoded alone and without padding: its reward depends on the model, its frames and its
prompt, to the last bit, and on no other item, on no order, and not on where a killed run began
again. Shapes: Q dimensions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from training.model import RewardModel, model_id, weights_digest
from training.prefetch import prefetched
from training.progress import Advance, silent
from training.video import Clip, FrameCache, read_clip
from warehouse.errors import TrainingError

Rewards = NDArray[np.float64]
Device = Literal["auto", "cpu", "cuda"]

AHEAD = 2  # clips that a thread may be ahead of the model

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


@dataclass(frozen=True)
class Video:
    """A clip, and the prompts under which it is scored."""

    path: str
    prompts: tuple[str, ...]
    media_sha256: str | None = None
    """Digest that the file must have, where a frame cache is used; None: as it is now."""


@dataclass(frozen=True)
class Scored:
    """What the model made of a clip."""

    video: Video
    rewards: Rewards | None
    """(prompts, Q)."""
    reason: str | None
    """Why there is none: the clip cannot be read, or a reward is no number."""


@dataclass(frozen=True)
class Scorer:
    """A model that is ready to score, and its id."""

    model: RewardModel
    model_id: str

    @classmethod
    def load(
        cls,
        checkpoint: str | Path,
        *,
        device: Device = "auto",
        weights_sha256: str | None = None,
        threads: int | None = None,
    ) -> Scorer:
        """Load a checkpoint.

        device: auto takes a GPU where torch finds one.
        weights_sha256: digest that the weights must have, as training recorded it.
        threads: of torch from now on, in the whole process; None: as they are.
        Raises: TrainingError where it is no checkpoint, its weights are others, or there is no GPU.
        """
        if threads is not None:
            torch.set_num_threads(threads)
        model = RewardModel.from_pretrained(checkpoint)
        weights = weights_digest(model)
        if weights_sha256 not in (None, weights):
            raise TrainingError(
                f"{checkpoint}: the weights are not those that training wrote (expected digest"
                f" {str(weights_sha256)[:16]}); restore the checkpoint, or train again"
            )
        gpu = torch.cuda.is_available()
        if device == "cuda" and not gpu:
            raise TrainingError("device cuda: torch finds no GPU here; take cpu")
        chosen = "cuda" if gpu and device != "cpu" else "cpu"
        return cls(model.to(chosen), model_id(weights, model.spec))


def stream(
    model: RewardModel,
    videos: Iterable[Video],
    *,
    cache: FrameCache | None = None,
    workers: int = 1,
) -> Iterator[Scored]:
    """Rewards of clips, in their order; each is decoded once, and a bad one loses no other.

    cache: decoded frames, as training uses them; None decodes without keeping.
    workers: threads that decode ahead of the model.
    Memory: the frames of a few clips, whatever the number of clips.
    """
    for video, clip in clips_ahead(model, videos, cache, workers):
        try:
            if isinstance(clip, TrainingError):
                raise clip
            rewards = np.stack([item_rewards(model, each, clip) for each in video.prompts])
        except TrainingError as error:
            yield Scored(video, None, str(error))
        else:
            yield Scored(video, rewards, None)


def clips_ahead(
    model: RewardModel, videos: Iterable[Video], cache: FrameCache | None, workers: int
) -> Iterator[tuple[Video, Clip | TrainingError]]:
    """Videos with their frames, or why there are none, in order; a few are read ahead."""

    def read(video: Video) -> tuple[Video, Clip | TrainingError]:
        try:
            if cache:
                return video, cache.clip(video.path, video.media_sha256)
            return video, read_clip(video.path, model.spec.frames)
        except TrainingError as error:
            return video, error

    with closing(prefetched(read, videos, workers=workers, ahead=workers * AHEAD)) as ahead:
        yield from ahead


def item_rewards(model: RewardModel, prompt: str, clip: Clip) -> Rewards:
    """Rewards (Q,) of one item, encoded alone.

    Raises: TrainingError for a reward that is no finite number.
    """
    frames = torch.from_numpy(np.array(clip.frames))
    rewards: Rewards = model.rewards([prompt], [frames], [clip.spacing])[0].double().numpy()
    bad = np.flatnonzero(~np.isfinite(rewards))
    if len(bad):
        name = model.spec.dimensions[bad[0]]
        raise TrainingError(f"the reward in {name} is {rewards[bad[0]]}; the model is broken")
    return rewards


def score(
    checkpoint: str | Path,
    media: pa.Table,
    progress: Advance = silent,
    *,
    frame_cache: str | Path | None = None,
    weights_sha256: str | None = None,
) -> pa.Table:
    """Rewards of every item in every dimension of a checkpoint, as one table.

    media: columns item_id, path and prompt; media_sha256 is used where it is there.
    frame_cache: folder of decoded frames, as training uses it; None decodes without keeping.
    weights_sha256: digest that the checkpoint's weights must have, as training recorded it.
    Returns: (item_id, dimension, reward), by item and then in the checkpoint's order of dimensions;
        the same whatever the order of the rows.
    Raises: TrainingError naming the first clip that cannot be read, or where item_ids stand twice.
    """
    scorer = Scorer.load(checkpoint, weights_sha256=weights_sha256)
    cache = FrameCache(frame_cache, scorer.model.spec.frames) if frame_cache else None
    rewards, unreadable = score_items(scorer.model, media, progress, cache=cache)
    if unreadable.num_rows:
        raise TrainingError(unreadable["reason"][0].as_py())
    return rewards


def score_items(
    model: RewardModel,
    media: pa.Table,
    progress: Advance = silent,
    *,
    cache: FrameCache | None = None,
) -> tuple[pa.Table, pa.Table]:
    """Rewards of the items that can be read, as `score`, and a table (item_id, reason) of others.

    Raises: TrainingError where item_ids stand twice.
    """
    items = _items(media)
    rewards: list[Rewards] = []
    scored: list[str] = []
    bad: list[dict[str, str]] = []
    found = stream(model, items.values(), cache=cache)
    for number, (item, each) in enumerate(zip(items, found, strict=True)):
        if each.rewards is not None:
            scored.append(item)
            rewards.append(each.rewards)
        else:
            bad.append({"item_id": item, "reason": str(each.reason)})
        progress(number + 1, len(items), "")
    table = _table(scored, model.spec.dimensions, rewards)
    return table, pa.Table.from_pylist(bad, UNREADABLE)


def _items(media: pa.Table) -> dict[str, Video]:
    """The clips of a media table in the order of item_id."""
    rows = sorted(media.to_pylist(), key=lambda row: str(row["item_id"]))
    for one, two in pairwise(rows):
        if one["item_id"] == two["item_id"]:
            raise TrainingError(f"media table: item {one['item_id']} stands twice; give each once")
    return {
        row["item_id"]: Video(row["path"], (row["prompt"],), row.get("media_sha256"))
        for row in rows
    }


def _table(items: list[str], dimensions: tuple[str, ...], rewards: list[Rewards]) -> pa.Table:
    values = np.concatenate(rewards) if rewards else np.zeros((0, len(dimensions)))
    return pa.table(
        [
            pa.array(np.repeat(np.array(items, dtype=object), len(dimensions)), pa.string()),
            pa.array(list(dimensions) * len(items), pa.string()),
            pa.array(values.ravel(), pa.float64()),
        ],
        schema=REWARDS,
    )
