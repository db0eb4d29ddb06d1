"""What the model reads of a split's items: token ids and frames, ready to be batched.

Shapes: B items of a batch, T frames, H x W pixels, S tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.backbones import shape_of
from training.config import FrameConfig
from training.data import PairSplit, media_of
from training.model import RewardModel
from training.progress import Advance
from training.video import FrameCache, Frames


@dataclass(frozen=True)
class ItemSource:
    """Token ids and frames of a split's items, by their numbers."""

    item_ids: list[str]
    rows: list[list[int]]
    """(N,) token ids."""
    frames: list[Frames]
    """(N,) uint8 (T, H, W, 3), memory-mapped from the cache."""

    @classmethod
    def build(
        cls, model: RewardModel, media: pa.Table, cache: FrameCache, advance: Advance
    ) -> ItemSource:
        """Tokenise every prompt and have every clip decoded; a bad clip ends it, named."""
        frames = []
        paths = media["path"].to_pylist()
        digests = media["media_sha256"].to_pylist()
        for number, (path, digest) in enumerate(zip(paths, digests, strict=True)):
            frames.append(cache.frames(path, digest))
            advance(number + 1, len(paths), "")
        rows = [
            model.tokens(prompt, shape_of(clip))
            for prompt, clip in zip(media["prompt"].to_pylist(), frames, strict=True)
        ]
        return cls(media["item_id"].to_pylist(), rows, frames)

    def batch(
        self, model: RewardModel, items: NDArray[np.int64]
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Token ids and mask (B, S) and B clips (T, H, W, 3) on the model's device."""
        ids, mask = model.backbone.collate([self.rows[item] for item in items])
        device = next(model.parameters()).device
        clips = [torch.from_numpy(np.array(self.frames[item])).to(device) for item in items]
        return ids.to(device), mask.to(device), clips


@dataclass(frozen=True)
class SplitData:
    """One split: its pairs, and what the model reads of its items."""

    split: PairSplit
    source: ItemSource

    @classmethod
    def load(
        cls,
        model: RewardModel,
        split: PairSplit,
        media: pa.Table,
        cache: FrameCache,
        advance: Advance,
    ) -> SplitData:
        """Only the items of this split are looked up, decoded and tokenised."""
        rows = media_of(media, split.item_ids)
        return cls(split, ItemSource.build(model, rows, cache, advance))


def augmented(
    clips: Sequence[Tensor], config: FrameConfig, rng: np.random.Generator
) -> list[Tensor]:
    """Clips (T, H, W, 3) as training sees them: mirrored and moved, all frames of one alike."""
    flips = rng.random(len(clips)) < config.mirror
    reach = config.shift
    moves = rng.integers(-reach, reach + 1, (len(clips), 2)).tolist()
    mirrored = [clip.flip(2) if flip else clip for clip, flip in zip(clips, flips, strict=True)]
    if not reach:
        return mirrored
    return [_moved(clip, *move) for clip, move in zip(mirrored, moves, strict=True)]


def _moved(clip: Tensor, down: int, right: int) -> Tensor:
    """(T, H, W, 3) moved by whole pixels; what comes in repeats the edge."""
    height, width = clip.shape[1:3]
    rows = (torch.arange(height, device=clip.device) - down).clamp(0, height - 1)
    columns = (torch.arange(width, device=clip.device) - right).clamp(0, width - 1)
    return clip[:, rows][:, :, columns]
