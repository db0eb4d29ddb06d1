"""The order in which a run sees its pairs: micro-batches numbered 0, 1, ... for all processes.

An optimiser step takes the next `accumulation` micro-batches; process r of w computes those whose
number is r modulo w. What a micro-batch draws at random (dropout, shifts) depends on the seed and
its number alone, so a run on two processes is the run of one, but for the order in which gradients
are summed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice

from training.config import TrainConfig
from training.data import Block, Ints, PairSplit, plan_batches, plan_blocks, plan_pairs
from warehouse.errors import TrainingError
from warehouse.wording import counted


def micro_batches(
    split: PairSplit, config: TrainConfig, *, world: int, planned: Ints | None = None
) -> list[Block]:
    """All micro-batches of a run, a whole number of optimiser steps.

    world: processes. planned: (P,) batch of each pair, where batch.kind is planned.
    Raises: TrainingError where there are too few for one step, or the processes cannot share them.
    """
    batch = config.batch
    each_step = batch.accumulation
    check_shares(each_step, world)
    blocks = _blocks(split, config, planned)
    found = list(islice(blocks, batch.max_steps and batch.max_steps * each_step))
    steps = len(found) // each_step
    if not steps:
        raise TrainingError(
            f"{len(found)} blocks of {batch.size} are fewer than one step takes ({each_step}); "
            "lower batch.size or batch.accumulation"
        )
    return found[: steps * each_step]


def check_shares(accumulation: int, world: int) -> None:
    """Have the processes share the micro-batches of an optimiser step evenly.

    Raises: TrainingError where they cannot.
    """
    if accumulation % world:
        taken = counted(accumulation, "micro-batch", "micro-batches")
        enough = math.ceil(accumulation / world) * world
        raise TrainingError(
            f"an optimiser step takes {taken} (batch.accumulation), which"
            f" {world} processes cannot share out evenly; take a number that divides"
            f" {accumulation}, or --set batch.accumulation={enough}"
        )


def _blocks(split: PairSplit, config: TrainConfig, planned: Ints | None) -> Iterator[Block]:
    batch, seed = config.batch, config.seed
    if batch.kind == "planned":
        assert planned is not None
        return plan_batches(split, planned, epochs=batch.epochs, seed=seed)
    if batch.kind == "blocks":
        return plan_blocks(split, size=batch.size, epochs=batch.epochs, seed=seed)
    copies = batch.kind == "naive"
    return plan_pairs(split, size=batch.size, epochs=batch.epochs, seed=seed, copies=copies)
