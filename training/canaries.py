"""Canaries for reward hacking: changes of a clip or of its prompt, and the rewards after them.

A change is a pure function; what it leaves to chance depends on the seed and the item's id alone.
What the rewards say is in `training.canary_verdicts`. Shapes: N items, Q dimensions, T frames.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from training.model import RewardModel
from training.progress import Advance, silent
from training.score import Rewards, Video, clips_ahead, item_rewards
from training.video import FrameCache, Frames
from warehouse.digest import value_digest
from warehouse.errors import TrainingError

Corner = Literal["top-left", "top-right", "bottom-left", "bottom-right"]
Change = Callable[[Frames, np.random.Generator], Frames]

SWAPPED = "swapped"
CORNERS: tuple[Corner, ...] = get_args(Corner)
LEVELS = 32  # of 255: how much brighter
MARK_SHARE = 5  # the mark's side is the frame's shorter side divided by this
EDGE_SHARE = 6  # its black edge is the side divided by this
BLUR_SHARE = 32  # the blur's standard deviation is the shorter side divided by this
BLUR_REACH = 3  # standard deviations that the kernel reaches


def frozen(frames: Frames) -> Frames:
    """The first frame, for the whole clip."""
    return np.repeat(frames[:1], len(frames), axis=0)


def backwards(frames: Frames) -> Frames:
    """The last frame first."""
    return frames[::-1].copy()


def shuffled(frames: Frames, rng: np.random.Generator) -> Frames:
    """Frames in another order than they had; a single one stays."""
    there = list(range(len(frames)))
    order = there
    while order == there and len(frames) > 1:
        order = rng.permutation(len(frames)).tolist()
    result: Frames = frames[order]
    return result


def blurred(frames: Frames) -> Frames:
    """Gaussian blur, its standard deviation a 32nd of the shorter side; edges are repeated.

    >>> blurred(np.full((1, 8, 8, 3), 7, np.uint8)).max()
    np.uint8(7)
    """
    sigma = min(frames.shape[1:3]) / BLUR_SHARE
    reach = max(1, round(BLUR_REACH * sigma))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2).astype(np.float32)
    values = frames.astype(np.float32)
    for axis in (1, 2):
        values = _filtered(values, kernel / kernel.sum(), axis)
    result: Frames = values.round().astype(np.uint8)
    return result


def _filtered(
    values: NDArray[np.float32], kernel: NDArray[np.float32], axis: int
) -> NDArray[np.float32]:
    """Weighted mean of neighbours along an axis."""
    reach, length = len(kernel) // 2, values.shape[axis]
    result = np.zeros_like(values)
    for weight, offset in zip(kernel, range(-reach, reach + 1), strict=True):
        result += weight * values.take(np.arange(length) + offset, axis=axis, mode="clip")
    return result


def brightened(frames: Frames) -> Frames:
    """Every level raised by 32 of 255.

    >>> brightened(np.array([[[[0, 100, 250]]]], np.uint8)).ravel().tolist()
    [32, 132, 255]
    """
    raised: Frames = np.minimum(frames, 255 - LEVELS) + np.uint8(LEVELS)
    return raised


def watermarked(frames: Frames, corner: Corner = "bottom-right") -> Frames:
    """A white square with a black edge in a corner of every frame, a fifth of the shorter side."""
    height, width = frames.shape[1:3]
    side = max(2, min(height, width) // MARK_SHARE)
    edge = side // EDGE_SHARE
    top = 0 if corner.startswith("top") else height - side
    left = 0 if corner.endswith("left") else width - side
    marked = frames.copy()
    marked[:, top : top + side, left : left + side] = 0
    marked[:, top + edge : top + side - edge, left + edge : left + side - edge] = 255
    return marked


def swapped_prompts(prompts: Sequence[str], seed: int) -> dict[str, str]:
    """Another prompt for each distinct one: the next in an order that the seed draws.

    Empty where there is only one, with nothing to swap it for.

    >>> sorted(swapped_prompts(["a", "b", "a"], 0).items())
    [('a', 'b'), ('b', 'a')]
    """
    distinct = sorted(set(prompts))
    if len(distinct) == 1:
        return {}
    order = [distinct[at] for at in np.random.default_rng(seed).permutation(len(distinct))]
    return dict(zip(order, [*order[1:], *order[:1]], strict=True))


def changes(corner: Corner = "bottom-right") -> dict[str, Change]:
    """Every change of frames by its name; the prompt's change is SWAPPED."""
    return {
        "frozen": lambda frames, _: frozen(frames),
        "shuffled": shuffled,
        "reversed": lambda frames, _: backwards(frames),
        "blurred": lambda frames, _: blurred(frames),
        "brightened": lambda frames, _: brightened(frames),
        "watermarked": lambda frames, _: watermarked(frames, corner),
    }


@dataclass(frozen=True)
class CanaryRewards:
    """Rewards of items as they are, and after each change."""

    item_ids: list[str]
    before: Rewards
    """(N, Q)."""
    after: Mapping[str, Rewards]
    """Name of the change -> (N, Q); without SWAPPED where all items have one prompt."""
    unreadable: Mapping[str, str]
    """Reason by item, of those that are left out."""


def canary_rewards(
    model: RewardModel,
    media: pa.Table,
    *,
    seed: int = 0,
    corner: Corner = "bottom-right",
    cache: FrameCache | None = None,
    progress: Advance = silent,
) -> CanaryRewards:
    """Rewards of items before and after each change; a clip is decoded once.

    media: columns item_id, path, prompt and media_sha256; the result is in the order of item_id.
    Cost: eight encodings an item.
    """
    rows = sorted(media.to_pylist(), key=lambda row: str(row["item_id"]))
    swap = swapped_prompts([row["prompt"] for row in rows], seed)
    videos = [Video(row["path"], (row["prompt"],), row.get("media_sha256")) for row in rows]

    found: dict[str, dict[str, Rewards]] = {}
    unreadable: dict[str, str] = {}
    ahead = clips_ahead(model, videos, cache, workers=1)
    for number, (row, (_, read)) in enumerate(zip(rows, ahead, strict=True), start=1):
        rng = partial(_rng, seed, row["item_id"])
        try:
            if isinstance(read, TrainingError):
                raise read
            frames = np.array(read.frames)
            others = {SWAPPED: swap[row["prompt"]]} if swap else {}
            found[row["item_id"]] = {
                name: item_rewards(model, prompt, read)
                for name, prompt in ({"": row["prompt"]} | others).items()
            } | {
                name: item_rewards(
                    model, row["prompt"], replace(read, frames=change(frames, rng()))
                )
                for name, change in changes(corner).items()
            }
        except TrainingError as error:
            unreadable[row["item_id"]] = str(error)
        progress(number, len(rows), "")
    return _gathered(found, unreadable)


def _gathered(
    found: Mapping[str, Mapping[str, Rewards]], unreadable: Mapping[str, str]
) -> CanaryRewards:
    if not found:
        reason = next(iter(unreadable.values()), "there is no item")
        raise TrainingError(f"canaries: none of {len(unreadable)} items can be read; {reason}")
    names = next(iter(found.values()))
    table = {name: np.stack([each[name] for each in found.values()]) for name in names}
    before = table.pop("")
    return CanaryRewards(list(found), before, table, unreadable)


def _rng(seed: int, item_id: str) -> np.random.Generator:
    """Chance of one item, whatever other items there are."""
    return np.random.default_rng(int(value_digest([seed, item_id])[:16], 16))
