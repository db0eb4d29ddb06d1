"""DeepSpeed: its configuration computed from ours, its process group, its quirks.

No compiler is ever needed: Adam is torch's and the shared-memory collective is switched off.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import nn
from torch._C._distributed_c10d import HashStore
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from training.config import OptimizerConfig, TrainConfig
from training.model import RewardModel
from training.tuning import merged

LOST = (
    "another process of this run has ended, see its own words; run the same command again: it goes"
    " on from the last state, or starts over where save_every is not set"
)
NEVER = 2**31 - 1  # steps between DeepSpeed's own progress lines
BUCKET = 500_000_000  # gradients in a bucket, as DeepSpeed has it


def deepspeed_config(
    config: TrainConfig,
    *,
    world: int = 1,
    learning: int = BUCKET,
    universal: bool = False,
    overlap: bool = True,
) -> dict[str, Any]:
    """DeepSpeed's configuration for a run. A micro-batch is one block of items.

    world: processes; they share the micro-batches of a step.
    learning: numbers that learn, all weights together.
    universal: the run goes on from a state of another number of processes.
    overlap: gradients are sent while others are computed; a CPU has no streams to do it in.
    """
    optimizer = config.optimizer
    values: dict[str, Any] = {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": config.batch.accumulation // world,
        "gradient_clipping": optimizer.clip,
        "zero_optimization": _zero(config.engine.zero_stage, learning, overlap=overlap),
        "bf16": {"enabled": config.engine.precision == "bf16"},
        "optimizer": {
            "type": "AdamW",
            "params": {
                "lr": optimizer.lr,
                "betas": [optimizer.beta1, optimizer.beta2],
                "eps": 1e-8,
                "weight_decay": optimizer.weight_decay,
                "torch_adam": True,
            },
        },
        "steps_per_print": NEVER,
        "wall_clock_breakdown": False,
    }
    return values | ({"checkpoint": {"load_universal": True}} if universal else {})


def _zero(stage: int, learning: int, *, overlap: bool) -> dict[str, Any]:
    """What is cut up among processes, and how it is moved; the rest is as DeepSpeed has it.

    The memory of a bucket is taken whole, and filled where torch is to be deterministic: of a small
    model it would be gigabytes for nothing.
    """
    values: dict[str, Any] = {"stage": stage}
    if stage >= 1:  # moments of the optimizer are cut up
        values |= {"reduce_bucket_size": min(BUCKET, learning)}
    if stage >= 2:  # noqa: PLR2004  # gradients are cut up
        values |= {"overlap_comm": overlap, "contiguous_gradients": True}
    if stage == 3:  # noqa: PLR2004  # weights are; norms, biases and queries stay whole
        values |= {"stage3_param_persistence_threshold": 100_000}
    return values


def schedule(
    kind: Literal["linear", "cosine", "constant"], steps: int, warmup: float
) -> Callable[[int], float]:
    """Factor on the peak learning rate at each optimiser step 0, 1, ... steps - 1.

    warmup: share of the steps; the first step already has a rate above 0.

    >>> rate = schedule("linear", 10, 0.2)
    >>> [round(rate(step), 3) for step in (0, 1, 2, 6, 10)]
    [0.5, 1.0, 1.0, 0.5, 0.0]
    """
    rising = math.ceil(steps * warmup)

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        way = min((step - rising) / max(steps - rising, 1), 1.0)
        courses = {
            "linear": 1 - way,
            "cosine": (1 + math.cos(math.pi * way)) / 2,
            "constant": 1.0,
        }
        return courses[kind]

    return factor


def parameter_groups(model: RewardModel, config: OptimizerConfig) -> list[dict[str, Any]]:
    """What learns of backbone and head at their own rates, with and without weight decay."""
    groups = []
    for part, lr in ((model.backbone, config.lr), (model.head, config.head_lr)):
        learns = [(name, p) for name, p in part.named_parameters() if p.requires_grad]
        for decays in (True, False):
            chosen = [p for name, p in learns if _decays(name, p) is decays]
            decay = config.weight_decay if decays else 0.0
            groups.append({"params": chosen, "lr": lr, "weight_decay": decay})
    return [group for group in groups if group["params"]]


def _decays(name: str, parameter: nn.Parameter) -> bool:
    return parameter.ndim > 1 and not name.endswith("query")


def start(model: RewardModel, config: TrainConfig, steps: int, *, universal: bool = False) -> Any:
    """The DeepSpeed engine for a run of so many optimiser steps; universal: see the config."""
    deepspeed = _deepspeed()
    if config.engine.checkpointing:
        model.backbone.checkpoint_activations()
    factor = schedule(config.optimizer.schedule, steps, config.optimizer.warmup)
    world = torch.distributed.get_world_size()
    groups = parameter_groups(model, config.optimizer)
    values = deepspeed_config(
        config,
        world=world,
        learning=sum(weight.numel() for group in groups for weight in group["params"]),
        universal=universal,
        overlap=torch.cuda.is_available(),
    )

    def scheduler(optimizer: Optimizer) -> LambdaLR:
        return LambdaLR(optimizer, factor)

    with local_rank():  # ZeRO-3 asks for it at every step, too
        engine, *_ = deepspeed.initialize(
            model=model,
            model_parameters=groups,
            config=values,
            lr_scheduler=scheduler,
            dist_init_required=False,
        )
    if config.engine.precision == "bf16" and config.engine.zero_stage == 0:
        _forget_first_step(engine.optimizer)
    return engine


def _forget_first_step(optimizer: Any) -> None:
    """Undo the step on gradients of 0 by which DeepSpeed 0.19 sets up bf16 without ZeRO.

    Weights have decayed in it, at the full rate, and Adam counts it: its corrections of the first
    steps are too small, and the run learns more slowly than at any other stage.
    """
    for masters, weights in zip(optimizer.fp32_groups, optimizer.fp16_groups, strict=True):
        for master, weight in zip(masters, weights, strict=True):
            master.data.copy_(weight)
    optimizer.optimizer.state.clear()


def open_group() -> tuple[int, int]:
    """Join the processes of the run; returns this one's rank and their number."""
    _deepspeed()
    return torch.distributed.get_rank(), torch.distributed.get_world_size()


def _deepspeed() -> Any:
    """DeepSpeed, quiet and without its compiled parts, with a process group."""
    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")  # else it warns that it found none
    import deepspeed  # seconds to import, and only training needs it

    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    if not _launched() and not torch.distributed.is_initialized():
        store = HashStore()  # alone: no port is opened
        torch.distributed.init_process_group(backend, store=store, rank=0, world_size=1)
    deepspeed.init_distributed(dist_backend=backend, verbose=False)
    return deepspeed


def _launched() -> bool:
    """Whether torchrun or the deepspeed launcher started this process."""
    return "RANK" in os.environ


@contextmanager
def local_rank() -> Iterator[None]:
    """LOCAL_RANK, which DeepSpeed insists on, where nobody launched us; gone again after."""
    alone = "LOCAL_RANK" not in os.environ
    if alone:
        os.environ["LOCAL_RANK"] = "0"
    try:
        yield
    finally:
        if alone:
            del os.environ["LOCAL_RANK"]


def lost_a_process(error: RuntimeError) -> bool:
    """Whether an error says that another process of the run is gone."""
    words = str(error).lower()
    signs = ("connection closed by peer", "connection reset by peer", "broken pipe", "nccl")
    return torch.distributed.is_initialized() and any(sign in words for sign in signs)


def stop() -> None:
    """Close the process group at the end of the process; DeepSpeed cannot open a second one."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


@contextmanager
def whole_weights(engine: Any) -> Iterator[RewardModel]:
    """The model as it is saved, on every process: no weight cut up by ZeRO-3, adapters merged.

    After, ZeRO-3's small weights are whole again, as the next step expects: DeepSpeed 0.19 cuts up
    all of them on the way out. Attention takes its output weights from a module that is never
    called; cut up, they would join another module's, and the step would not be as recorded.
    """
    deepspeed = _deepspeed()
    cut = engine.zero_optimization_stage() == 3  # noqa: PLR2004  # the only stage that cuts weights
    with (
        deepspeed.zero.GatheredParameters(list(engine.module.parameters()), enabled=cut),
        merged(engine.module) as model,
    ):
        yield model
    if cut:
        engine.optimizer.checkpoint_event_epilogue()
