"""The training loop: blocks of items in, optimiser steps and a curve out.

Shapes: B items of a block, Q dimensions, P pairs of a block.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from training.block_loss import block_loss
from training.callbacks import Line
from training.config import TrainConfig
from training.data import Block, PairSplit
from training.items import Batch, ItemSource, SplitData, augmented
from training.metrics import Metrics, pair_metrics
from training.progress import Advance
from training.states import Reached, Said
from warehouse.errors import TrainingError

EVALUATION_ITEMS = 32  # items encoded at once where no gradient is needed


@dataclass
class Run:
    """What the loop works with; `blocks` are the micro-batches of all processes."""

    engine: Any
    data: SplitData
    blocks: list[Block]
    config: TrainConfig
    reached: Reached

    @property
    def steps(self) -> int:
        """Optimiser steps of the whole run."""
        return len(self.blocks) // self.config.batch.accumulation

    def share(self, step: int) -> range:
        """This process's micro-batches of optimiser step 1, 2, ...; the last takes the step."""
        rank, world = torch.distributed.get_rank(), torch.distributed.get_world_size()
        each_step = self.config.batch.accumulation
        return range((step - 1) * each_step + rank, step * each_step, world)


def fit(
    run: Run,
    *,
    on_line: Callable[[Line], None],
    evaluate: Callable[[Reached], tuple[dict[str, float], Reached]],
    save: Callable[[Reached], None],
    advance: Advance,
) -> Reached:
    """Train from where the run has come to; every process calls this, with the same run.

    on_line: given one line of the curve every `log_every` steps and at the end.
    evaluate: called every `evaluate_every` steps and at the end; its values join the line.
    save: called every `save_every` steps, to keep a state.
    Returns: where the run is then.
    Raises: TrainingError naming the items of a block whose loss is not finite.
    """
    config, reached, steps = run.config, run.reached, run.steps
    began = time.perf_counter() - reached.seconds
    coming = [number for step in range(reached.step + 1, steps + 1) for number in run.share(step)]
    plan = [run.blocks[number].items for number in coming]
    with closing(run.data.source.batches(run.engine.module, plan)) as batches:
        for step in range(reached.step + 1, steps + 1):
            said = {number: _micro_step(run, number, next(batches)) for number in run.share(step)}
            reached = replace(reached, step=step, pending=reached.pending | said)
            looks = step % config.evaluate_every == 0 or step == steps
            saves = config.save_every is not None and step % config.save_every == 0
            logs = looks or step % config.log_every == 0
            if logs or saves:
                seconds = time.perf_counter() - began
                reached = replace(reached, seconds=seconds, pending=_of_all(reached.pending))
            if logs:
                line: Line = {"step": step, **means(reached.pending)}
                line |= {"lr": run.engine.get_lr()[0], "seconds": reached.seconds}
                looked, reached = evaluate(reached) if looks else ({}, reached)
                on_line(line | looked)
                reached = replace(reached, pending={})
                advance(step, steps, f"loss {line['loss']:.3f}")
            if saves:
                save(reached)
    return reached


def means(said: dict[int, Said]) -> dict[str, float]:
    """Mean of each value over the micro-batches that have it, in the order of their numbers.

    >>> means({1: {"loss": 3.0, "train_acc": None}, 0: {"loss": 1.0, "train_acc": 0.5}})
    {'loss': 2.0, 'train_acc': 0.5}
    """
    names = dict.fromkeys(name for values in said.values() for name in values)
    held = {
        name: [value for _, values in sorted(said.items()) if (value := values[name]) is not None]
        for name in names
    }
    return {name: sum(values) / len(values) for name, values in held.items() if values}


def _of_all(said: dict[int, Said]) -> dict[int, Said]:
    """What the micro-batches of all processes said, in the order of their numbers."""
    shares: list[dict[int, Said]] = [{} for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather_object(shares, said)
    whole = {number: values for share in shares for number, values in share.items()}
    return dict(sorted(whole.items()))


def _micro_step(run: Run, number: int, batch: Batch) -> Said:
    """Forward, backward and, at the end of the accumulation, an optimiser step.

    What is drawn at random depends on the seed and the number alone, not on what was drawn before.
    """
    config, source, block = run.config, run.data.source, run.blocks[number]
    rng = np.random.default_rng((config.seed, number))
    torch.manual_seed(int(rng.integers(2**63)))
    ids, mask, frames, seconds = batch
    clips = augmented(frames, config.frames, rng)
    rewards = run.engine(ids, mask, clips, seconds, chunk=config.batch.chunk)
    parts, said = block_loss(rewards, run.data.split, block, config.loss)
    if not math.isfinite(said["loss"] or 0.0):
        names = ", ".join(source.item_ids[item] for item in block.items)
        raise TrainingError(f"the loss is {said['loss']} on items {names}; lower the learning rate")
    run.engine.backward(parts.total)
    run.engine.step()
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
