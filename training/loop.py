"""The training loop: blocks of items in, optimiser steps and a curve out.

Shapes: B items of a block, Q dimensions, P pairs of a block.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor
from torch.nn.functional import pad

from training.config import LossConfig, TrainConfig
from training.data import Block, PairSplit
from training.losses import LossParts, bt_wt
from training.metrics import Metrics, pair_metrics
from training.model import RewardModel
from training.progress import Advance
from training.video import FrameCache, Frames
from warehouse.errors import TrainingError

EVALUATION_ITEMS = 32  # items encoded at once where no gradient is needed


@dataclass
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
        rows = [model.tokens(prompt) for prompt in media["prompt"].to_pylist()]
        return cls(media["item_id"].to_pylist(), rows, frames)

    def batch(self, model: RewardModel, items: np.ndarray[Any, Any]) -> tuple[Tensor, ...]:
        """ids and mask (B, S) and frames (B, T, H, W, 3) on the model's device."""
        ids, mask = model.backbone.collate([self.rows[item] for item in items])
        frames = torch.from_numpy(np.stack([self.frames[item] for item in items]))
        device = next(model.parameters()).device
        return ids.to(device), mask.to(device), frames.to(device)


@dataclass
class Curve:
    """What happened since the last line of the curve, averaged over micro-steps."""

    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, values: dict[str, float | None]) -> None:
        """Take in one micro-step; None is no value."""
        for name, value in values.items():
            if value is not None:
                self.sums[name] = self.sums.get(name, 0.0) + value
                self.counts[name] = self.counts.get(name, 0) + 1

    def drain(self) -> dict[str, float]:
        """Means, and start again."""
        means = {name: total / self.counts[name] for name, total in self.sums.items()}
        self.sums, self.counts = {}, {}
        return means


def block_loss(
    rewards: Tensor, split: PairSplit, block: Block, config: LossConfig
) -> tuple[LossParts, dict[str, float | None]]:
    """Loss of one block: rewards (B, Q) gathered per pair, the mean over its dimensions.

    Returns: the loss, and what the curve says of it. A dimension without pairs counts nowhere.
    """
    place = {item: row for row, item in enumerate(block.items.tolist())}
    winner = torch.tensor([place[i] for i in split.winner[block.pairs].tolist()])
    other = torch.tensor([place[i] for i in split.other[block.pairs].tolist()])
    dimension = torch.from_numpy(split.dimension[block.pairs])
    gap = (rewards[winner, dimension] - rewards[other, dimension]).float()
    mu, weight = (
        torch.from_numpy(values[block.pairs]).to(gap) for values in (split.mu, split.weight)
    )
    tie = torch.from_numpy(split.tie[block.pairs]).to(gap.device)
    parts = [
        bt_wt(
            gap[here],
            mu=mu[here],
            weight=weight[here],
            tie=tie[here],
            margin=config.margin,
            tie_coefficient=config.tie_coefficient,
        )
        for here in (dimension.to(gap.device) == d for d in dimension.unique())
    ]
    mean = LossParts(
        *(torch.stack([getattr(part, name) for part in parts]).mean() for name in _PARTS)
    )
    return mean, _said(mean, gap.detach(), tie)


_PARTS = ("total", "win_lose", "win_tie")


def _said(parts: LossParts, gap: Tensor, tie: Tensor) -> dict[str, float | None]:
    one_sided = gap[~tie]
    return {
        "loss": float(parts.total.detach()),
        "win_lose_loss": float(parts.win_lose.detach()) if len(one_sided) else None,
        "win_tie_loss": float(parts.win_tie.detach()) if bool(tie.any()) else None,
        "train_acc": float((one_sided > 0).float().mean()) if len(one_sided) else None,
    }


def fit(
    engine: Any,
    source: ItemSource,
    split: PairSplit,
    blocks: list[Block],
    config: TrainConfig,
    *,
    log: Callable[[dict[str, float | int]], None],
    evaluate: Callable[[], dict[str, float]],
    advance: Advance,
) -> int:
    """Train on a plan of blocks, this process's share of it.

    log: given one line of the curve every `log_every` steps and at the end.
    evaluate: called every `evaluate_every` steps and at the end; its values join the line.
    Returns: optimiser steps done.
    Raises: TrainingError naming the items of a block whose loss is not finite.
    """
    curve, began = Curve(), time.perf_counter()
    rng = np.random.default_rng((config.seed, torch.distributed.get_rank()))
    steps = len(blocks) // config.batch.accumulation
    for step in range(1, steps + 1):
        for micro in range(config.batch.accumulation):
            block = blocks[(step - 1) * config.batch.accumulation + micro]
            curve.add(_micro_step(engine, source, split, block, config, rng))
        looked = step % config.evaluate_every == 0 or step == steps
        if looked or step % config.log_every == 0:
            line: dict[str, float | int] = {"step": step, **curve.drain()}
            line |= {"lr": engine.get_lr()[0], "seconds": time.perf_counter() - began}
            log(line | (evaluate() if looked else {}))
            advance(step, steps, f"loss {line['loss']:.3f}")
    return steps


def _micro_step(
    engine: Any,
    source: ItemSource,
    split: PairSplit,
    block: Block,
    config: TrainConfig,
    rng: np.random.Generator,
) -> dict[str, float | None]:
    ids, mask, frames = source.batch(engine.module, block.items)
    rewards = engine(ids, mask, shifted(frames, config.frames.shift, rng))
    parts, said = block_loss(rewards, split, block, config.loss)
    if not math.isfinite(said["loss"] or 0.0):
        names = ", ".join(source.item_ids[item] for item in block.items)
        raise TrainingError(f"the loss is {said['loss']} on items {names}; lower the learning rate")
    engine.backward(parts.total)
    engine.step()
    return said


def shifted(frames: Tensor, most: int, rng: np.random.Generator) -> Tensor:
    """Each clip of (B, T, H, W, 3) moved by up to `most` pixels each way, edges repeated."""
    if not most:
        return frames
    height, width = frames.shape[2:4]
    moves = rng.integers(0, 2 * most + 1, (len(frames), 2))
    images = frames.movedim(-1, 2).flatten(1, 2).float()  # replicate padding is for floats only
    wide = pad(images, (most,) * 4, mode="replicate").to(frames.dtype)
    cut = [w[:, y : y + height, x : x + width] for w, (y, x) in zip(wide, moves, strict=True)]
    return torch.stack(cut).unflatten(1, (-1, 3)).movedim(2, -1)


@torch.no_grad()
def rewards_of(engine: Any, source: ItemSource) -> Tensor:
    """Rewards (N, Q) of all items, without dropout; leaves the engine in training mode."""
    engine.eval()
    parts = []
    for start in range(0, len(source.rows), EVALUATION_ITEMS):
        items = np.arange(start, min(start + EVALUATION_ITEMS, len(source.rows)))
        parts.append(engine(*source.batch(engine.module, items)).float().cpu())
    engine.train()
    return torch.cat(parts)


def split_accuracy(
    rewards: Tensor, split: PairSplit, dimensions: tuple[str, ...]
) -> dict[str, Metrics]:
    """Metrics of a split's explicit win-lose pairs, by dimension; rewards: (N, Q)."""
    table = rewards.numpy()
    result = {}
    for number, name in enumerate(dimensions):
        chosen = (split.dimension == number) & ~split.tie
        winner, other = split.winner[chosen], split.other[chosen]
        items = len(np.unique(np.concatenate([winner, other])))
        result[name] = pair_metrics(table[winner, number], table[other, number], items)
    return result


