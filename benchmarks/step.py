"""One training step on a language model of InternVL3-1B's shape: the reference's way and ours.

    python -m benchmarks.step [--rounds 3] [--deep 24] [--parts step deep blocks] [--dry-run]

What the two ways are stands in benchmarks/ways.py. One pair of items of 4 frames with 256 tokens
each (2,176 tokens in all), 8 layers and a vocabulary of 151,674; the same with 24 layers, once.
The vision tower is tiny: next to no work, and the same in both ways.

fp32: the CPUs of many machines multiply bf16 at a fraction of that rate (measured here: a seventh),
and then the time says what the machine lacks. bf16 halves all memory but for the ratios: logits and
states of 8 frames in bf16 are as large as those of 4 in fp32.

Each run has a process of its own, with one thread. Extra memory is the peak of resident memory over
that after loading, when every weight is in memory and not only mapped from its file; blocks from
1 MiB on go back to the system when freed. CPU seconds are the figure, as machines are shared; wall
seconds stand beside. Rewards and the gradient's norm must be equal in both ways, or the benchmark
stops. "output freed" is the reference's way with logits and hidden states gone before the backward
pass: kinder than it was measured, and once.

blocks: 2 layers, 4 pass and 4 fail items with their 16 win-lose and 6 win-tie pairs; naive is one
pair after the other by our model, 44 encodings, ours 8.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import peak, report
from benchmarks.ways import (
    Ours,
    Reference,
    Shape,
    block,
    create,
    inputs,
    learn,
    loss_of,
    one_by_one,
    together,
    write_base,
)
from training.model import RewardModel

SHAPE = Shape(layers=8, frames=4)
DEEP = 24
PASSES, FAILS, BLOCK_LAYERS = 4, 4, 2
FASTER, APART = 4.0, 1e-5  # blocks: times as many pairs, relative difference of gradients
EQUAL = 1e-4  # relative difference of rewards and norms of the two ways, fp32
PARTS = ("step", "deep", "blocks")
# Freed memory goes back at once, else the peak tells of the allocator's habits.
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": str(2**20), "MALLOC_ARENA_MAX": "1"}


@dataclass(frozen=True)
class Case:
    """A kind of step and its aims: times faster, at most such a share of the extra memory."""

    name: str
    checkpointing: bool
    backward: bool
    faster: float
    share: float


CASES = (
    Case("with checkpointing", True, True, 1.15, 0.55),
    Case("without", False, True, 1.4, 0.75),
    Case("forward only", False, False, 1.25, 0.25),
)
Run = dict[str, float]
"""CPU and wall seconds, extra MiB, first reward, norm of the gradient."""


def step(way: str, case: Case, folder: Path, shape: Shape) -> Run:
    """One pair, in this process."""
    model = loaded(folder, shape, checkpointing=case.checkpointing)
    run = Ours(model) if way == "ours" else Reference(model, keeps=way == "reference")
    given = inputs(model, shape, [0, 1])
    found: list[float] = []

    def one() -> None:
        with torch.set_grad_enabled(case.backward):
            rewards = run(*given)
            if case.backward:
                loss_of(rewards, [(0, 1, 1.0)], 1).backward()
            found.extend(rewards.tolist())

    return measured(one) | {"reward": found[0], "norm": float(gradient(model).norm())}


def blocks(way: str, folder: Path, shape: Shape) -> Run:
    """All pairs of a block in this process; the gradient is left in the folder."""
    model = loaded(folder, shape, checkpointing=False)
    batches = (together if way == "ours" else one_by_one)(model, shape, block(PASSES, FAILS))
    cost = measured(lambda: learn(Ours(model), batches))
    torch.save(gradient(model), folder / f"{way}.gradient")
    return cost


def loaded(folder: Path, shape: Shape, *, checkpointing: bool) -> RewardModel:
    """A model whose weights are in memory: the reference's way would read more of the file."""
    model = create(folder, shape, "fp32", checkpointing=checkpointing)
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.data = tensor.data.clone()
    return model


def measured(work: Any) -> Run:
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak starts again
    before, began, cpu = peak(), time.perf_counter(), time.process_time()
    work()
    used = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - began}
    return used | {"extra": peak() - before}


def gradient(model: RewardModel) -> torch.Tensor:
    """All gradients in one row; empty where there are none."""
    found = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
    return torch.cat(found) if found else torch.zeros(0)


def apart(folder: Path, shape: Shape, way: str, case: str) -> Run:
    """A run in a process of its own."""
    task = json.dumps([way, case, str(folder), shape.layers, shape.frames])
    command = [sys.executable, "-m", "benchmarks.step", "--run", task]
    environment = os.environ | ALLOCATOR
    said = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env=environment
    ).stdout
    result: Run = json.loads(said.splitlines()[-1])
    return result


def here(task: str) -> Run:
    """What `apart` asks of its process."""
    torch.set_num_threads(1)
    way, name, folder, layers, frames = json.loads(task)
    shape = replace(SHAPE, layers=layers, frames=frames)
    case = next((case for case in CASES if case.name == name), None)
    return step(way, case, Path(folder), shape) if case else blocks(way, Path(folder), shape)


def in_turn(folder: Path, shape: Shape, ways: tuple[str, ...], case: str, rounds: int) -> list[Run]:
    """Median of each figure, by way."""
    runs = [[apart(folder, shape, way, case) for way in ways] for _ in range(rounds)]
    return [
        {name: statistics.median(run[name] for run in of_way) for name in of_way[0]}
        for of_way in zip(*runs, strict=True)
    ]


def step_lines(shape: Shape, rounds: int, *, wanted: bool) -> list[str]:
    """wanted: whether the aims are for this shape; then the kinder baseline stands beside."""
    title = (
        f"{shape.layers} layers, a pair of items of {shape.frames} frames, fp32,"
        f" {rounds} rounds in turn, medians"
    )
    lines = [
        title,
        f"{'':20}{'':>14}{'CPU s':>8}{'wall s':>8}{'extra MiB':>11}{'reward':>9}{'gradient':>10}",
    ]
    with tempfile.TemporaryDirectory(prefix="soli-step-") as name:
        write_base(Path(name), shape)
        for case in CASES:
            base, own = in_turn(Path(name), shape, ("reference", "ours"), case.name, rounds)
            check(base, own)
            lines += [row(case.name, "reference", base), row(case.name, "ours", own)]
            aim = f"   (wanted {case.faster:g}x, {case.share:g}x)" if wanted else ""
            lines.append(ratio(base, own) + aim)
            if wanted and case.backward:
                freed = apart(Path(name), shape, "output freed", case.name)
                lines += [row(case.name, "output freed", freed), ratio(freed, own)]
            print(lines[-1], file=sys.stderr, flush=True)
    return [*lines, ""]


def check(base: Run, own: Run) -> None:
    """Both ways compute the same, or the comparison says nothing."""
    for figure in ("reward", "norm"):
        if not math.isclose(base[figure], own[figure], rel_tol=EQUAL):
            raise SystemExit(f"{figure} differs: {base[figure]} and {own[figure]}")


def row(case: str, way: str, run: Run) -> str:
    return (
        f"{case:20}{way:>14}{run['cpu']:8.1f}{run['wall']:8.1f}{run['extra']:11,.0f}"
        f"{run['reward']:9.4f}{run['norm']:10.4f}"
    )


def ratio(base: Run, own: Run) -> str:
    times, walls = base["cpu"] / own["cpu"], base["wall"] / own["wall"]
    return f"{'':34}{times:7.2f}x{walls:7.2f}x{own['extra'] / base['extra']:10.2f}x"


def block_lines(shape: Shape, rounds: int) -> list[str]:
    pairs = len(block(PASSES, FAILS))
    with tempfile.TemporaryDirectory(prefix="soli-step-") as name:
        folder = Path(name)
        write_base(folder, shape)
        base, own = in_turn(folder, shape, ("naive", "ours"), "blocks", rounds)
        one, two = (torch.load(folder / f"{way}.gradient").double() for way in ("naive", "ours"))
    difference = float((one - two).norm() / one.norm())
    title = (
        f"{shape.layers} layers, {PASSES} pass and {FAILS} fail items of {shape.frames} frames,"
        f" {pairs} pairs, fp32, {rounds} rounds in turn, medians"
    )
    lines = [title]
    for way, encodings, run in (("naive", 2 * pairs, base), ("ours", PASSES + FAILS, own)):
        lines.append(
            f"{way:>8}{encodings:4} encodings{run['cpu']:8.1f} CPU s{run['wall']:8.1f} s"
            f"{pairs / run['cpu']:8.3f} pairs per CPU second{run['extra']:8,.0f} MiB"
        )
    if difference > APART:
        raise SystemExit(f"gradients differ by {difference:.1e} of their norm")
    verdict = (
        f"{base['cpu'] / own['cpu']:.2f} times as many pairs per CPU second (wanted {FASTER:g});"
        f" gradients differ by {difference:.1e} of their norm (allowed {APART:g})"
    )
    return [*lines, verdict]


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.step")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--frames", type=int, default=SHAPE.frames, help="of an item")
    parser.add_argument("--deep", type=int, default=DEEP, help="layers of the deep model")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--dry-run", action="store_true", help="print, do not write")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.run:
        print(json.dumps(here(given.run)))
        return
    shape = replace(SHAPE, frames=given.frames)
    lines: list[str] = []
    if "step" in given.parts:
        lines += step_lines(shape, given.rounds, wanted=True)
    if "deep" in given.parts:
        lines += step_lines(replace(shape, layers=given.deep), 1, wanted=False)
    if "blocks" in given.parts:
        lines += block_lines(replace(shape, layers=BLOCK_LAYERS), given.rounds)
    report("step", [*lines, load()], write=not given.dry_run)


def load() -> str:
    return f"load average at the end: {os.getloadavg()[1]:.1f}"


if __name__ == "__main__":
    main()
