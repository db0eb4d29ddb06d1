"""The training loop: blocks of items in, optimiser steps and a curve out.

Shapes: N items of a split, Q dimensions.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from training.block_loss import block_loss
from training.config import TrainConfig
from training.data import Block, PairSplit
from training.items import Batch, ItemSource, SplitData, augmented
from training.metrics import Metrics, pair_metrics
from training.progress import Advance
from warehouse.errors import TrainingError

Line = dict[str, float | int]
"""One line of the curve."""

EVALUATION_ITEMS = 32  # items encoded at once where no gradient is needed


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


def fit(
    engine: Any,
    data: SplitData,
    blocks: list[Block],
    config: TrainConfig,
    *,
    log: Callable[[Line], None],
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
    share = config.batch.accumulation
    steps = len(blocks) // share
    with closing(data.source.batches(engine.module, [block.items for block in blocks])) as batches:
        for step in range(1, steps + 1):
            for block in blocks[(step - 1) * share : step * share]:
                ids, mask, clips = next(batches)
                seen = ids, mask, augmented(clips, config.frames, rng)
                curve.add(_micro_step(engine, data, block, seen, config))
            looked = step % config.evaluate_every == 0 or step == steps
            if looked or step % config.log_every == 0:
                line: Line = {"step": step, **curve.drain()}
                line |= {"lr": engine.get_lr()[0], "seconds": time.perf_counter() - began}
                log(line | (evaluate() if looked else {}))
                advance(step, steps, f"loss {line['loss']:.3f}")
    return steps


def _micro_step(
    engine: Any, data: SplitData, block: Block, batch: Batch, config: TrainConfig
) -> dict[str, float | None]:
    """Forward, backward and, at the end of the accumulation, an optimiser step."""
    rewards = engine(*batch)
    parts, said = block_loss(rewards, data.split, block, config.loss)
    if not math.isfinite(said["loss"] or 0.0):
        names = ", ".join(data.source.item_ids[item] for item in block.items)
        raise TrainingError(f"the loss is {said['loss']} on items {names}; lower the learning rate")
    engine.backward(parts.total)
    engine.step()
    return said


@torch.no_grad()
def rewards_of(engine: Any, source: ItemSource) -> Tensor:
    """Rewards (N, Q) of all items, without dropout; leaves the engine in training mode."""
    engine.eval()
    numbers = np.arange(len(source.rows))
    plan = [numbers[at : at + EVALUATION_ITEMS] for at in range(0, len(numbers), EVALUATION_ITEMS)]
    with closing(source.batches(engine.module, plan)) as batches:
        parts = [engine(*batch).float().cpu() for batch in batches]
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
