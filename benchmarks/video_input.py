"""Video input: live decoding against the frame cache, and whether the loader keeps a step busy.

python -m benchmarks.video_input [--rounds 5] [--steps 40] [--dry-run]

The four real clips of tests/data/videos (H.264, 60 to 152 frames, up to 1360 x 752), 8 frames of
448 px each, one thread. The ways to read them take turns; each hands over frames in memory of their
own, as a batch needs them. The loader then feeds steps of 100 ms of one core's time (matrix
products, no sleep), by two threads, or in line as the baseline.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import struct
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.machine import report
from training.items import Batch, ItemSource
from training.model import RewardModel
from training.recipes import tiny_test
from training.tiny import TinyShape, build_tiny_internvl
from training.video import FrameCache, FramePolicy, Kept, fill, read_clip

VIDEOS = Path(__file__).parents[1] / "tests" / "data" / "videos"
COPIES = 4  # of each clip, told apart by a box of padding at the end
STEP_SECONDS = 0.1
TOKENS = 2_176  # of an item in the paper's shape
RAW = FramePolicy(8, 448, 448)
JPEG = replace(RAW, store="jpeg")

Cost = tuple[float, float]
"""CPU and wall seconds."""


def measured(read: Callable[[], object]) -> Cost:
    """Of this process, its threads among it."""
    cpu, wall = time.process_time(), time.perf_counter()
    read()
    return time.process_time() - cpu, time.perf_counter() - wall


def copies(folder: Path) -> list[Path]:
    """Clips that differ in their bytes, not in their frames."""
    made = []
    for video in sorted(VIDEOS.glob("*.mp4")):
        for number in range(COPIES):
            path = Path(shutil.copy(video, folder / f"{video.stem}_{number}.mp4"))
            with path.open("ab") as file:
                file.write(struct.pack(">I4sI", 12, b"free", number))
            made.append(path)
    return made


def filled(folder: Path, policy: FramePolicy, clips: list[Path]) -> tuple[FrameCache, list[Kept]]:
    cache = FrameCache(folder, policy)
    found = fill(cache, [(str(clip), None) for clip in clips], workers=1)
    return cache, [kept for kept in found if isinstance(kept, Kept)]


def one_file(path: Path, cache: FrameCache, clips: list[Path], kept: list[Kept]) -> np.memmap:
    """All raw clips in a single file, as a shard would hold them."""
    shape = (len(clips), *kept[0].shape, 3)
    shard = np.memmap(path, np.uint8, "w+", shape=shape)
    for place, clip, known in zip(shard, clips, kept, strict=True):
        place[:] = cache.clip(clip, known.media_sha256).frames
    shard.flush()
    return np.memmap(path, np.uint8, "r", shape=shape)


def reading(folder: Path, clips: list[Path], rounds: int) -> Iterator[str]:
    raw, known = filled(folder / "raw", RAW, clips)
    jpeg, _ = filled(folder / "jpeg", JPEG, clips)
    shard = one_file(folder / "shard", raw, clips, known)
    digests = [kept.media_sha256 for kept in known]
    some = range(0, len(clips), COPIES)  # live decoding is slow: each clip once
    ways: dict[str, tuple[Callable[[int], object], range]] = {
        "live decoding": (lambda n: read_clip(clips[n], RAW).frames, some),
        "cache, raw": (
            lambda n: np.array(raw.clip(clips[n], digests[n]).frames),
            range(len(clips)),
        ),
        "cache, jpeg": (lambda n: jpeg.clip(clips[n], digests[n]).frames, range(len(clips))),
        "all raw clips in one file": (lambda n: np.array(shard[n]), range(len(clips))),
    }
    costs: dict[str, list[Cost]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, (read, numbers) in ways.items():
            costs[name] += [measured(lambda n=n, read=read: read(n)) for n in numbers]
    sizes = {"cache, raw": folder / "raw", "cache, jpeg": folder / "jpeg"}
    live = statistics.mean(cpu for cpu, _ in costs["live decoding"])
    yield f"{'per clip':<28} {'CPU ms':>8} {'wall ms':>8} {'ratio (CPU)':>12} {'MB':>6}"
    for name, seen in costs.items():
        cpu, wall = (statistics.mean(side) for side in zip(*seen, strict=True))
        size = f"{_bytes(sizes[name]) / len(clips) / 1e6:.2f}" if name in sizes else "–"
        yield f"{name:<28} {cpu * 1e3:>8.2f} {wall * 1e3:>8.2f} {live / cpu:>11.0f}x {size:>6}"


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.safetensors"))


def busy(seconds: float) -> None:
    """Matrix products for that much of this thread's CPU time."""
    left = torch.full((128, 128), 0.01)
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        left = left @ left


def in_line(source: ItemSource, model: RewardModel, plan: list[np.ndarray]) -> Generator[Batch]:
    for items in plan:
        yield source.batch(model, items)


def feeding(batches: Generator[Batch]) -> tuple[float, float, float]:
    """Share of the wall time spent waiting; wall, and CPU beside the step, in seconds a step."""
    waited, steps = 0.0, 0
    with closing(batches):
        next(batches)  # the first one has nothing to hide behind
        cpu, began = time.process_time(), time.perf_counter()
        batch: Batch | None = None
        while steps == 0 or batch is not None:
            busy(STEP_SECONDS)
            asked = time.perf_counter()
            batch = next(batches, None)
            waited += time.perf_counter() - asked
            steps += 1
        wall = time.perf_counter() - began
    total = time.process_time() - cpu
    return waited / wall, wall / steps, (total - steps * STEP_SECONDS) / steps


def loading(folder: Path, clips: list[Path], steps: int) -> Iterator[str]:
    model = _model(folder)
    yield f"{'100 ms steps':<34} {'waiting':>8} {'wall ms a step':>15} {'loader CPU ms':>14}"
    rng = np.random.default_rng(0)
    for policy, items in ((RAW, 8), (RAW, 16), (JPEG, 4), (JPEG, 8)):
        cache, kept = filled(folder / policy.store, policy, clips)
        rows = [[0] * TOKENS for _ in clips]
        names = [clip.name for clip in clips]
        source = ItemSource(names, rows, list(map(str, clips)), kept, cache)
        plan = [rng.integers(0, len(clips), items) for _ in range(steps)]
        ways = {"in line": in_line(source, model, plan), "prepared": source.batches(model, plan)}
        for way, batches in ways.items():
            waiting, wall, cpu = feeding(batches)
            name = f"{policy.store}, {items} items a step, {way}"
            yield f"{name:<34} {waiting:>8.1%} {wall * 1e3:>15.1f} {cpu * 1e3:>14.1f}"


def _model(folder: Path) -> RewardModel:
    shape = TinyShape(image=16, patch=4, vision_hidden=16, vision_layers=1, hidden=16, layers=3)
    base = build_tiny_internvl(folder / "base", 0, ["a ball falls"], shape)
    recipe = tiny_test(str(base), "none", seed=0)
    return RewardModel.create(replace(recipe, head=replace(recipe.head, layers=(1, 3), heads=4)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--dry-run", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips = copies(folder)
        lines = [*reading(folder, clips, options.rounds), ""]
        lines += loading(folder, clips, options.steps)
    notes = [
        "",
        "waiting: share of the wall time in which the step has no batch; loader CPU: of all that",
        f"is not the step. Load average before and after: {load:.1f}, {os.getloadavg()[0]:.1f}.",
        "Where it is above the cores, walls and steps are stretched; CPU times hold.",
    ]
    report("video_input", [*lines, *notes], write=not options.dry_run)


if __name__ == "__main__":
    main()
