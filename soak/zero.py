"""Do ZeRO 0, 1, 2 and 3 on one and on two processes draw the same loss curve?

    python -m soak.zero [--steps 12] [--kills 30] [--precision fp32 bf16]
        [--backbones internvl3 qwen2-vl] [--seed N] [--write]

Each of the four backbones trains a tiny model: 2 micro-batches a step, by one process or by two.
In fp32 the losses of each run must equal those of stage 0 on one process to 1e-5, in bf16 to 2 %.
A run of two processes is killed half way and goes on as one, with the same micro-batches a step.
Then as many kills -9 as asked for, anywhere in the life of a run, must change no loss or weight.
Ends with exit code 1 where anything differs.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from flows.encoding import write_clip
from soak.kept import keep
from training import engine as engines
from training.config import TrainConfig
from training.config_json import to_json
from training.recipes import tiny_test
from training.run import main as train
from training.tiny import BUILDERS, TinyShape
from warehouse.contracts import PAIR_SET_ITEMS, PAIRS

STAGES = (0, 1, 2, 3)
TOLERANCE = {"fp32": 1e-5, "bf16": 0.02}
PROMPTS = ("a red ball falls", "a blue square slides", "a star rises")
ITEMS = 20
HELD_OUT = 4  # the last of them, for validation
SHAPE = TinyShape(image=16, patch=4, vision_hidden=16, vision_layers=1, hidden=32, layers=3)

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["training.run", "deepspeed", "torch.utils.tensorboard"])


def member(job: str, rank: int, world: int, port: int) -> None:
    """One process of a run, as torchrun would start it; for a process of its own."""
    here = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in here.items()})
    os.environ["MASTER_ADDR"] = "127.0.0.1"
    sys.stderr = (Path(job) / f"stderr.{rank}").open("w")  # for good
    code = train([job])
    engines.stop()
    sys.exit(code)


def begun(job: Path, world: int) -> list[BaseProcess]:
    """So many processes at work on a job; each costs a fork, not a start of Python."""
    os.environ.setdefault("DS_ACCELERATOR", "cpu")  # else DeepSpeed looks for others, and says so
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = [
        FORKS.Process(target=member, args=(str(job), rank, world, port)) for rank in range(world)
    ]
    for process in processes:
        process.start()
    return list(processes)


def together(job: Path, world: int) -> dict[str, Any]:
    """Run a job on so many processes; returns its result, raises where one of them failed."""
    processes = begun(job, world)
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        said = "".join(path.read_text() for path in sorted(job.glob("stderr.*")))
        raise RuntimeError(f"{job.name} on {world}: {said}")
    result: dict[str, Any] = json.loads((job / "done.json").read_text())
    return result


def killed_at(job: Path, world: int, reached: Callable[[], bool]) -> bool:
    """Run a job and kill all its processes with 9 at a moment; whether they were alive then."""
    processes = begun(job, world)
    while any(process.is_alive() for process in processes) and not reached():
        time.sleep(0.002)
    for process in processes:
        process.kill()
        process.join()
    return all(process.exitcode for process in processes)  # one may have missed the other first


def curve(job: Path) -> list[dict[str, float]]:
    """Lines of a job's curve without the clock."""
    path = job / "curve.jsonl"
    found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [{name: v for name, v in line.items() if name != "seconds"} for line in found]


def has_steps(job: Path, number: int) -> bool:
    """Whether a job's curve is so long by now."""
    return len(curve(job)) >= number


def is_past(moment: float) -> bool:
    """Whether a moment of the monotonic clock is over."""
    return time.monotonic() > moment


def difference(one: list[dict[str, float]], two: list[dict[str, float]]) -> float:
    """Largest difference of two curves' losses, relative to the loss."""
    assert [line["step"] for line in one] == [line["step"] for line in two], (one, two)
    pairs = zip(one, two, strict=True)
    return max(abs(a["loss"] - b["loss"]) / max(abs(a["loss"]), 1e-9) for a, b in pairs)


def inputs(folder: Path) -> None:
    """Clips, media table and pair set: passes are red, fails are blue."""
    rng = np.random.default_rng(0)
    ids = [f"item_{number:02}" for number in range(ITEMS)]
    for number, name in enumerate(ids):
        frames = rng.integers(0, 60, (8, 32, 32, 3), dtype=np.uint8)
        frames[:, 8:24, 8:24, 2 * (number % 2)] = 200
        write_clip(folder / f"{name}.mp4", frames, 8)
    prompts = [PROMPTS[number % len(PROMPTS)] for number in range(ITEMS)]
    paths = [str(folder / f"{name}.mp4") for name in ids]
    columns = ["item_id", "path", "prompt", "media_sha256"]
    pq.write_table(
        pa.table([ids, paths, prompts, pa.nulls(ITEMS, pa.string())], columns),
        folder / "media.parquet",
    )
    splits = ["train"] * (ITEMS - HELD_OUT) + ["validation"] * HELD_OUT
    common = {"pair_set_id": "0" * 16, "dimension": "physics"}
    items = [
        {**common, "ordinal": n, "item_id": ids[n], "prompt_id": prompts[n], "split": splits[n],
         "label": ("pass", "fail")[n % 2], "p_pass": 1.0}
        for n in range(ITEMS)
    ]  # fmt: skip
    pairs = [
        {**common, "split": splits[one], "winner": one, "other": two, "weight": 1.0,
         "kind": ("win_tie", "win_lose")[two % 2], "mu": (0.5, 1.0)[two % 2]}
        for one in range(0, ITEMS, 2)
        for two in range(ITEMS)
        if splits[one] == splits[two] and (two % 2 or one < two)
    ]  # fmt: skip
    for name, table, rows in (("items", PAIR_SET_ITEMS, items), ("pairs", PAIRS, pairs)):
        fields = [field for field in table.schema if field.name != "observed_at"]
        pq.write_table(pa.Table.from_pylist(rows, pa.schema(fields)), folder / f"{name}.parquet")


def run_of(folder: Path, backbone: str, steps: int) -> TrainConfig:
    """A run with all that is drawn at random: dropout, shifts, mirrored clips."""
    base = BUILDERS[backbone](folder / f"base_{backbone}", 0, PROMPTS, SHAPE)
    recipe = tiny_test(str(base), str(folder), seed=3)
    return replace(
        recipe,
        dimensions=("physics",),
        frame_cache=str(folder / "frames"),
        frames=replace(recipe.frames, count=3),
        head=replace(recipe.head, layers=(1, 3)),
        batch=replace(recipe.batch, size=6, accumulation=2, max_steps=steps),
        log_every=1,
        evaluate_every=5,
        save_every=2,
    )


def job_of(folder: Path, name: str, run: TrainConfig) -> Path:
    """A job's folder."""
    job = folder / name
    job.mkdir()
    (job / "config.json").write_text(json.dumps(to_json(run)))
    shutil.copyfile(folder / "media.parquet", job / "media.parquet")
    return job


def at(run: TrainConfig, stage: Any, precision: Any) -> TrainConfig:
    """The run at a ZeRO stage, in a precision."""
    return replace(run, engine=replace(run.engine, zero_stage=stage, precision=precision))


def matrix(folder: Path, name: str, run: TrainConfig, precisions: list[str]) -> list[str]:
    """All stages and numbers of processes of one backbone; lines of the report."""
    lines = []
    for precision in precisions:
        allowed = TOLERANCE[precision]
        known: list[dict[str, float]] = []
        for stage in STAGES:
            for world in (1, 2):
                told = f"{name} {precision} stage {stage} x {world}"
                job = job_of(folder, told.replace(" ", "_"), at(run, stage, precision))
                together(job, world)
                known = known or curve(job)
                lines.append(compared(told, known, job, allowed))
            told = f"{name} {precision} stage {stage} x 2 -> 1"
            job = job_of(folder, told.replace(" ", "_"), at(run, stage, precision))
            if not killed_at(job, 2, partial(has_steps, job, 3)):
                raise RuntimeError(f"{told}: it was done before it was killed")
            together(job, 1)
            lines.append(compared(told, known, job, allowed))
            print(lines[-1], file=sys.stderr)
    return lines


def compared(told: str, known: list[dict[str, float]], job: Path, allowed: float) -> str:
    """A line of the report; raises where the curve is not the known one."""
    far = difference(known, curve(job))
    if far > allowed:
        raise RuntimeError(f"{told}: its losses differ by {far:.1e}, allowed is {allowed}")
    return f"{told:40} largest relative difference of a loss {far:.1e}"


def kills(folder: Path, run: TrainConfig, number: int, dice: random.Random) -> list[str]:
    """Kills anywhere in the life of a run; all its losses and its weights must stay."""
    calm = job_of(folder, "calm", run)
    begin = time.monotonic()
    peace = together(calm, 1)
    life, done, jobs = time.monotonic() - begin, 0, 0
    while done < number:
        jobs += 1
        job = job_of(folder, f"killed_{jobs}", run)
        alive = True
        while alive and done < number:
            alive = killed_at(job, 1, partial(is_past, time.monotonic() + dice.uniform(0, life)))
            done += alive
        result = together(job, 1)
        if result["weights_sha256"] != peace["weights_sha256"] or curve(job) != curve(calm):
            raise RuntimeError(f"{job.name}: not the losses and weights of the run in peace")
        shutil.rmtree(job)
    return [f"{done} kills -9 of {jobs} runs of {life:.1f} s: losses and weights as without"]


def play(options: argparse.Namespace, folder: Path) -> list[str]:
    """Everything, and the lines of the report."""
    inputs(folder)
    lines = [f"{options.steps} steps; seed {options.seed}"]
    runs = {name: run_of(folder, name, options.steps) for name in options.backbones}
    for name, run in runs.items():
        lines += matrix(folder, name, run, options.precision)
    first = next(iter(runs.values()))
    return [*lines, *kills(folder, first, options.kills, random.Random(options.seed))]


def main() -> int:
    """Command line. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="soak.zero")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--precision", nargs="+", choices=list(TOLERANCE), default=list(TOLERANCE))
    parser.add_argument("--backbones", nargs="+", choices=list(BUILDERS), default=list(BUILDERS))
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--write", action="store_true", help="keep the report in soak/results")
    options = parser.parse_args()
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="soli-zero-") as name:
        try:
            lines = play(options, Path(name))
        except RuntimeError as wrong:
            print(f"seed {options.seed}: {wrong}", file=sys.stderr)
            return 1
    keep("zero", [*lines, f"{time.monotonic() - begin:.0f} seconds"], write=options.write)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
