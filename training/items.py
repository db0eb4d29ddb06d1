"""What the model reads of a split's items: token ids and frames, ready to be batched.

Shapes: B items of a batch, T frames, H x W pixels, S tokens.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.config import FrameConfig
from training.data import PairSplit, media_of
from training.model import RewardModel
from training.prefetch import prefetched
from training.progress import Advance
from training.video import FrameCache, Kept, cores, fill
from warehouse.errors import TrainingError

NAMED = 10  # bad clips that an error names

Numbers = NDArray[np.int64]
Batch = tuple[Tensor, Tensor, list[Tensor], list[float]]
"""Token ids and mask (B, S), B clips, uint8 (T, H, W, 3), and the seconds between their frames."""


@dataclass(frozen=True)
class ItemSource:
    """Token ids and frames of a split's items, by their numbers; frames are read when needed."""

    item_ids: list[str]
    rows: list[list[int]]
    """(N,) token ids of each."""
    paths: list[str]
    kept: list[Kept]
    """(N,) shapes and times of the clips."""
    cache: FrameCache

    @classmethod
    def build(
        cls, model: RewardModel, media: pa.Table, cache: FrameCache, advance: Advance
    ) -> ItemSource:
        """Tokenise every prompt and have every clip decoded.

        Raises: TrainingError naming the clips that cannot be read, once all others are kept.
        """
        paths = media["path"].to_pylist()
        sources = list(zip(paths, media["media_sha256"].to_pylist(), strict=True))
        place, peers = _place()
        found = fill(
            cache,
            sources,
            advance,
            workers=max(1, cores() // peers),
            first=len(sources) * place // peers,
        )
        kept = _readable(found)
        rows = [
            model.tokens(prompt, clip.shape)
            for prompt, clip in zip(media["prompt"].to_pylist(), kept, strict=True)
        ]
        return cls(media["item_id"].to_pylist(), rows, paths, kept, cache)

    def batch(self, model: RewardModel, items: Numbers) -> Batch:
        """Token ids, mask, clips and seconds of some items, on the model's device.

        Raises: TrainingError naming a clip that was removed from the cache and cannot be read now.
        """
        return _on_device(self._assembled(model, items), model)

    def batches(self, model: RewardModel, plan: Iterable[Numbers]) -> Generator[Batch]:
        """`batch` of each element of a plan, in order, prepared while the one before is used.

        Close it (`contextlib.closing`) where the loop over it may end early.
        """
        with closing(prefetched(lambda items: self._assembled(model, items), plan)) as made:
            for batch in made:
                yield _on_device(batch, model)

    def _assembled(self, model: RewardModel, items: Numbers) -> Batch:
        """A batch in the computer's memory: pinned where a GPU will fetch it."""
        ids, mask = model.backbone.collate([self.rows[item] for item in items])
        clips = [self._frames(item) for item in items]
        seconds = [self.kept[item].spacing for item in items]
        if torch.cuda.is_available():
            ids, mask, *clips = [each.pin_memory() for each in (ids, mask, *clips)]
        return ids, mask, clips, seconds

    def _frames(self, item: int) -> Tensor:
        clip = self.cache.clip(self.paths[item], self.kept[item].media_sha256)
        return torch.from_numpy(np.array(clip.frames))


def _on_device(batch: Batch, model: RewardModel) -> Batch:
    ids, mask, clips, seconds = batch
    device = next(model.parameters()).device
    there = [tensor.to(device, non_blocking=True) for tensor in (ids, mask, *clips)]
    return there[0], there[1], there[2:], seconds


def _readable(found: Sequence[Kept | TrainingError]) -> list[Kept]:
    """What is kept of each clip. Raises: TrainingError naming those that are not."""
    bad = [outcome for outcome in found if isinstance(outcome, TrainingError)]
    if bad:
        reasons = "; ".join(map(str, bad[:NAMED])) + (" …" if bad[NAMED:] else "")
        count = f"{len(bad)} of {len(found)} clips cannot be read: " if bad[1:] else ""
        raise TrainingError(count + reasons)
    return [outcome for outcome in found if isinstance(outcome, Kept)]


def _place() -> tuple[int, int]:
    """Which of the training processes of this machine we are, and how many they are."""
    return int(os.environ.get("LOCAL_RANK", "0")), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


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
