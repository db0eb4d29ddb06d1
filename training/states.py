"""States of a run, job/states/STEP: what a run that was killed goes on from.

A state holds DeepSpeed's own files (weights, optimiser, schedule) and state.json, the rest. It is
written under another name, brought to the disk and renamed, and only then is the one before it
removed: a kill or a full disk leaves a whole one. No random state is in it, for what a micro-batch
draws depends on the seed and its number alone (`training.plan`).

DeepSpeed's files are Python pickles, which run code when they are read. They are read from the
job's own folder alone, where this very run wrote them, and removed when the run is done; a model to
share is `checkpoint/`, safetensors. Several machines need a folder that they all see.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
from argparse import Namespace
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from training.job import put_in_place, read_json, room_for, write_json
from warehouse.errors import TrainingError

STATES = "states"
SHARDS = "deepspeed"  # DeepSpeed's name for its files within a state
UNIVERSAL = "universal"  # the same for any number of processes
DIGITS = 8  # so that names sort as steps do

Said = dict[str, float | None]
"""What one micro-step says for the curve."""


@dataclass(frozen=True)
class Reached:
    """How far a run has come, beside what DeepSpeed keeps."""

    inputs: str
    """Digest of what the run depends on."""
    world: int
    """Processes."""
    step: int = 0
    """Optimiser steps done."""
    seconds: float = 0.0
    """Time spent on them."""
    best: dict[str, float] = field(default_factory=dict)
    """Step and mean validation accuracy of the best model so far; empty before the first look."""
    pending: dict[int, Said] = field(default_factory=dict)
    """Micro-batches since the last line of the curve, by number."""


def newest(job: Path, inputs: str) -> Reached | None:
    """The last whole state of a run of these inputs."""
    whole = [path for path in (job / STATES).glob("*/state.json") if path.parent.name.isdigit()]
    for path in sorted(whole, reverse=True):
        values = read_json(path)
        if values["inputs"] == inputs:
            pending = {int(number): said for number, said in values.pop("pending").items()}
            return Reached(**values, pending=pending)
    return None


def save(engine: Any, job: Path, reached: Reached) -> None:
    """Keep a state, in the place of the ones before; every process calls this.

    Raises: TrainingError where it cannot be written; the state before stands.
    """
    folder = _folder(job, reached.step)
    part = folder.with_suffix(".part")
    first = torch.distributed.get_rank() == 0
    if first:
        shutil.rmtree(part, ignore_errors=True)
    client: dict[str, Any] = {"universal_checkpoint_info": {}}  # DeepSpeed's converter asks for it
    with room_for(part, "the state before it stands"):
        engine.save_checkpoint(str(part), tag=SHARDS, client_state=client, save_latest=False)
    torch.distributed.barrier()
    if first:
        with room_for(part, "the state before it stands"):
            write_json(part / "state.json", asdict(reached))
            put_in_place(part, folder)
        for other in folder.parent.iterdir():
            if other != folder:
                shutil.rmtree(other)
    torch.distributed.barrier()


def tag_of(job: Path, reached: Reached, world: int) -> str:
    """DeepSpeed's name for the files to load; made for another number of processes if need be.

    Only process 0 converts, so there must be a barrier before the others load.
    """
    folder = _folder(job, reached.step)
    cut_up = any((folder / SHARDS).glob("*optim_states.pt"))
    if world == reached.world or not cut_up:
        return SHARDS
    if int(os.environ.get("RANK", "0")) == 0:
        _to_universal(folder)
    return UNIVERSAL


def _to_universal(folder: Path) -> None:
    """DeepSpeed's own conversion, silent and in this process."""
    from deepspeed.checkpoint import ds_to_universal

    shutil.rmtree(folder / UNIVERSAL, ignore_errors=True)
    options = Namespace(
        input_folder=str(folder / SHARDS),
        output_folder=str(folder / UNIVERSAL),
        num_extract_workers=1,
        num_merge_workers=1,
        keep_temp_folder=False,
        strict=True,
        inject_missing_state=False,
    )
    silent = io.StringIO()
    with contextlib.redirect_stdout(silent), contextlib.redirect_stderr(silent):
        ds_to_universal.main(options)


def load(engine: Any, job: Path, reached: Reached, tag: str) -> None:
    """Give the engine the weights, optimiser and schedule of a state; every process calls this.

    Raises: TrainingError where it cannot be read.
    """
    folder = _folder(job, reached.step)
    groups = engine.optimizer.param_groups
    own = [{name: group[name] for name in group if name != "params"} for group in groups]
    torch.distributed.barrier()
    try:
        engine.load_checkpoint(str(folder), tag=tag)
    except (OSError, RuntimeError, ValueError, KeyError, AssertionError) as error:
        raise TrainingError(
            f"state {folder} cannot be read ({error}); remove {folder.parent} to start over"
        ) from error
    if tag == UNIVERSAL:
        _mend(engine, own)
    engine.micro_steps = reached.step * engine.gradient_accumulation_steps()


def _mend(engine: Any, own: list[dict[str, Any]]) -> None:
    """What DeepSpeed 0.19 gets wrong of a universal state in ZeRO-3.

    It gives all groups the first one's rate and decay, and all weights one counter of steps, which
    then counts once for each of them. own: the groups' settings as the run's config has them.
    """
    rates = engine.lr_scheduler.get_last_lr()
    for group, values, lr in zip(engine.optimizer.param_groups, own, rates, strict=True):
        group.update(values | {"lr": lr})
    for state in engine.optimizer.optimizer.state.values():
        if torch.is_tensor(state.get("step")):
            state["step"] = state["step"].clone()


def _folder(job: Path, step: int) -> Path:
    return job / STATES / f"{step:0{DIGITS}}"
