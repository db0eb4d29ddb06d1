"""Training steps of the 1B shape on a CUDA GPU: the reference's way, ours, and ours with blocks.

    python -m benchmarks.gpu.step [--checkpointing yes no] [--repeats 10] [--dry-run]
    python -m benchmarks.gpu.step --tiny --device cpu     the same code in seconds, no measurement

What the two ways are stands in benchmarks/ways.py. InternVL3-1B's language model and vision tower
with random weights, items of 8 frames of 448 px, bf16; forward and backward pass, no optimiser (a
step of the paper's has one for 320 pairs). A block is 4 pass and 4 fail items with all 22 pairs.
Attention is PyTorch's scaled dot product: "sdpa" lets it choose the kernel, "flash" allows the
flash kernel alone, "eager" writes the scores to memory. "compiled" compiles each layer of tower and
language model by itself.

Each variant has a process of its own (none with --tiny). Steps are timed by CUDA events after a
warm-up that also compiles, on two sets of pairs in turn; medians. Peak memory is that of PyTorch's
allocator, weights and gradients among it. Share of peak: FLOPs that the step needs over time, over
the GPU's bf16 matrix rate (without sparsity); neither logits nor anything that checkpointing
computes again is needed. Needed FLOPs of an item: 3 times its forward pass (backward counts twice),
a forward pass being 2 for each weight of a matrix and token, and 4 S^2 D a layer for the attention
scores of S tokens of width D, half of that where it is causal.
Source: Chowdhery et al. (2022), PaLM, appendix B, model FLOPs utilisation.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.machine import report
from benchmarks.ways import (
    INTERN_VIT,
    Batch,
    Ours,
    Pair,
    Reference,
    Shape,
    block,
    create,
    learn,
    one_by_one,
    together,
    write_base,
)
from training.model import RewardModel

RESULTS = Path(__file__).parent / "results"
SHAPE = Shape(vision=INTERN_VIT)
TINY = Shape(
    layers=4, hidden=64, heads=4, keys=2, feed=128, vocabulary=1024, frames=2, pixels=32, patch=8
)
PASSES, FAILS = 4, 4
WARMUP = 3
WIDTHS = (28, 12, 10, 8, 11, 9, 8)
FASTER, SHARE = 4.0, 0.45  # the aims: pairs a second with blocks over the reference's, of peak
# Matrix rate in bf16 without sparsity, TFLOP/s, by a part of the device's name; first match holds.
# Source: NVIDIA's datasheets of each (H100/H200/L40S/A100 Tensor Core GPU, A10, RTX 4090: Ada
# whitepaper), half of the figure with sparsity where only that is printed.
PEAKS = {
    "H200 NVL": 836,
    "H200": 989,
    "H100 NVL": 835,
    "H100 PCIe": 756,
    "H100": 989,
    "A100": 312,
    "L40S": 362,
    "A10G": 70,
    "RTX 4090": 165,
}


@dataclass(frozen=True)
class Variant:
    """One row of the report."""

    way: str
    blocks: bool = False
    attention: str = "sdpa"
    compiled: bool = False
    checkpointing: bool = False

    @property
    def name(self) -> str:
        parts = [self.way, "blocks" if self.blocks else "pairs", self.attention]
        return " ".join([*parts, "compiled"] if self.compiled else parts)


VARIANTS = (
    Variant("reference"),
    Variant("reference", attention="eager"),
    Variant("reference", compiled=True),
    Variant("ours"),
    Variant("ours", compiled=True),
    Variant("ours", blocks=True, attention="eager"),
    Variant("ours", blocks=True),
    Variant("ours", blocks=True, attention="flash"),
    Variant("ours", blocks=True, compiled=True),
)
Run = dict[str, Any]
"""Milliseconds a step, peak MiB, pairs and encodings of a step; or an error."""


def needed_flops(shape: Shape) -> float:
    """Of one item's part of a training step; see above.

    >>> round(needed_flops(SHAPE) / 1e12, 1)  # 358e6 weights x 2,048 tokens, 302e6 x 8,192; scores
    22.3
    """
    tokens, patches = shape.frames * shape.frame_tokens, (shape.pixels // shape.patch) ** 2
    width = shape.hidden * shape.keys // shape.heads  # of keys and of values
    weights = 2 * shape.hidden * (shape.hidden + width) + 3 * shape.hidden * shape.feed
    language = shape.layers * (2 * weights * tokens + 2 * tokens**2 * shape.hidden)
    tower = shape.vision
    weights = 4 * tower.hidden**2 + 2 * tower.hidden * tower.feed
    frame = tower.layers * (2 * weights * patches + 4 * patches**2 * tower.hidden)
    return 3.0 * (language + shape.frames * frame)


def prepared(folder: Path, shape: Shape, variant: Variant, device: str) -> RewardModel:
    """The model of a variant; its layers are compiled at their first call."""
    model = create(folder, shape, "bf16", checkpointing=variant.checkpointing, device=device)
    base: Any = model.backbone.base
    base.set_attn_implementation("eager" if variant.attention == "eager" else "sdpa")
    if variant.compiled:  # forward alone: the hook that keeps a layer's input stays outside
        for layer in (*base.language_model.layers, *base.vision_tower.encoder.layer):
            layer.forward = torch.compile(layer.forward)
    return model


def measured(folder: Path, shape: Shape, variant: Variant, device: str, repeats: int) -> Run:
    """Steps of a variant in this process."""
    torch.manual_seed(0)
    model = prepared(folder, shape, variant, device)
    way = Ours(model) if variant.way == "ours" else Reference(model)
    sets = [batches(model, shape, variant, number) for number in range(2)]
    flash = sdpa_kernel(SDPBackend.FLASH_ATTENTION) if variant.attention == "flash" else None
    times: list[float] = []
    with flash or nullcontext():
        for number in range(WARMUP + repeats):
            model.zero_grad(set_to_none=True)
            if number == WARMUP:
                start_peak(device)
            times.append(timed(partial(learn, way, sets[number % len(sets)]), device))
    pairs = sum(len(found) for _, found in sets[0])
    return {
        "ms": statistics.median(times[WARMUP:]),
        "peak": torch.cuda.max_memory_allocated() / 2**20 if device == "cuda" else 0.0,
        "pairs": pairs,
        "encodings": sum(len(given[0]) for given, _ in sets[0]),
    }


def batches(model: RewardModel, shape: Shape, variant: Variant, number: int) -> list[Batch]:
    """One step: a pair, or a block, of items that no other number has."""
    first = number * (PASSES + FAILS)
    pairs: list[Pair] = block(PASSES, FAILS) if variant.blocks else [(0, 1, 1.0)]
    moved = [(first + one, first + two, mu) for one, two, mu in pairs]
    return (together if variant.blocks else one_by_one)(model, shape, moved)


def start_peak(device: str) -> None:
    gc.collect()
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()


def timed(work: Callable[[], None], device: str) -> float:
    """Milliseconds, by events on a GPU, whose work is done when they are read."""
    if device != "cuda":
        began = time.perf_counter()
        work()
        return 1000 * (time.perf_counter() - began)
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    work()
    end.record()
    torch.cuda.synchronize()
    return float(start.elapsed_time(end))


def here(task: dict[str, Any]) -> Run:
    """A variant in this process; a GPU that is full is a result, too."""
    shape, variant = TINY if task["tiny"] else SHAPE, Variant(**task["variant"])
    try:
        return measured(Path(task["folder"]), shape, variant, task["device"], task["repeats"])
    except torch.OutOfMemoryError:
        return {"error": "out of memory"}


def apart(task: dict[str, Any]) -> Run:
    """A variant in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.gpu.step", "--run", json.dumps(task)]
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if said.returncode:
        return {"error": f"exit code {said.returncode}"}
    result: Run = json.loads(said.stdout.splitlines()[-1])
    return result


def row(variant: Variant, run: Run, shape: Shape, peak: float | None, base: float | None) -> str:
    if "error" in run:
        return f"{variant.name:28}{run['error']:>12}"
    seconds = run["ms"] / 1000
    rate = run["encodings"] * needed_flops(shape) / seconds / 1e12
    pairs = run["pairs"] / seconds
    share = "–" if peak is None else f"{rate / peak:.1%}"
    times = "–" if base is None else f"{pairs / base:.2f}x"
    return (
        f"{variant.name:28}{run['ms']:12.1f}{pairs:10.2f}{times:>8}{run['peak']:11,.0f}"
        f"{rate:9.1f}{share:>8}"
    )


def lines_of(
    tasks: dict[str, Any], variants: list[Variant], shape: Shape, peak: float | None
) -> list[str]:
    """Rows with and without checkpointing; times: pairs a second over the first row's."""
    columns = zip(
        ("", "ms a step", "pairs/s", "times", "peak MiB", "TFLOP/s", "share"), WIDTHS, strict=True
    )
    heads = "".join(f"{name:>{width}}" for name, width in columns)
    lines = []
    for checkpointing in sorted({variant.checkpointing for variant in variants}):
        lines += [f"{'with' if checkpointing else 'without'} checkpointing", heads]
        base: float | None = None
        for variant in (found for found in variants if found.checkpointing is checkpointing):
            task = {**tasks, "variant": vars(variant)}
            run = here(task) if tasks["tiny"] else apart(task)
            lines.append(row(variant, run, shape, peak, base))
            print(lines[-1], file=sys.stderr, flush=True)
            if base is None and "error" not in run:
                base = 1000 * run["pairs"] / run["ms"]
    return lines


def device_line(device: str, peak: float | None) -> str:
    if device != "cuda":
        return "on a CPU: no measurement"
    known = f"{peak:g} TFLOP/s in bf16" if peak else "bf16 peak not known"
    return f"{torch.cuda.get_device_name()}, {known}, torch {torch.__version__}"


def peak_of(device: str) -> float | None:
    """TFLOP/s of the GPU, where it is known."""
    name = torch.cuda.get_device_name() if device == "cuda" else ""
    return next((float(peak) for part, peak in PEAKS.items() if part in name), None)


def main(arguments: list[str] | None = None) -> int:
    """Command line. Returns the exit code: 1 without a GPU."""
    parser = argparse.ArgumentParser(prog="benchmarks.gpu.step")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="a shape of no meaning, for a try")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--checkpointing", nargs="+", choices=("yes", "no"), default=["no", "yes"])
    parser.add_argument("--dry-run", action="store_true", help="print, do not write")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.run:
        print(json.dumps(here(json.loads(given.run))))
        return 0
    if given.device == "cuda" and not torch.cuda.is_available():
        print("no CUDA GPU is at hand: nothing measured (--tiny --device cpu tries the code)")
        return 1
    shape, peak = TINY if given.tiny else SHAPE, peak_of(given.device)
    modes = [mode == "yes" for mode in given.checkpointing]
    variants = [replace(variant, checkpointing=mode) for mode in modes for variant in VARIANTS]
    with tempfile.TemporaryDirectory(prefix="soli-gpu-") as folder:
        write_base(Path(folder), shape)
        task = {"folder": folder, "tiny": given.tiny, "device": given.device}
        lines = lines_of({**task, "repeats": given.repeats}, variants, shape, peak)
    aims = f"aims: {FASTER:g}x with blocks, {SHARE:.0%} of peak"
    write = not (given.dry_run or given.tiny)
    report("step", [device_line(given.device, peak), "", *lines, aims], RESULTS, write=write)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
