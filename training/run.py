"""One training job in a folder: `python -m training.run JOB_DIR`, also under torchrun.

In: config.json, media.parquet (item_id, path, prompt, media_sha256) and the pair set that the
config names. Out: checkpoint/, curve.jsonl, metrics.json and, last and atomically, done.json.
A job killed at any time starts over when it is run again and ends at the same weights.
"""

from __future__ import annotations

import json
import os
import random
import resource
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from training import engine as engines
from training.block_loss import check_split, kinds_of
from training.config import TrainConfig
from training.config_json import from_json
from training.data import (
    TRAINING_SPLITS,
    Block,
    PairSplit,
    coverage,
    left_out,
    plan_blocks,
    plan_pairs,
    read_split,
)
from training.items import SplitData
from training.job import clear, finished, input_digest, read_json, read_media, write_json
from training.loop import Line, fit, rewards_of, split_accuracy
from training.model import RewardModel, model_id, weights_digest
from training.progress import shown
from training.reference import Reference, write_reference
from training.video import FrameCache
from warehouse.errors import PlatformError, TrainingError


def train(job_dir: str | Path, *, quiet: bool = False) -> dict[str, Any]:
    """Train the job in a folder, or read its result where these inputs were trained already.

    Returns: what done.json holds: model_id, weights_sha256, steps, seconds, peak_rss_bytes.
    Raises: TrainingError for an input that cannot be used.
    """
    job = Path(job_dir)
    config = from_json(read_json(job / "config.json"))
    inputs = input_digest(job, config)
    earlier = finished(job, inputs)
    if earlier:
        return earlier
    if _rank() == 0:
        clear(job)
    with _reproducible(config):
        return _train(job, config, inputs, show=_rank() == 0 and not quiet)


def _train(job: Path, config: TrainConfig, inputs: str, *, show: bool) -> dict[str, Any]:
    began = time.perf_counter()
    model = RewardModel.create(config)
    learn, validation = _data(job, config, model, show=show)
    blocks = _plan(learn.split, config)
    engine = engines.start(model, config, len(blocks) // config.batch.accumulation)
    prepared = time.perf_counter()
    with shown("train", wanted=show) as advance:
        steps = fit(
            engine,
            learn,
            blocks,
            config,
            log=_curve_writer(job / "curve.jsonl"),
            evaluate=lambda: _accuracies(_validation(engine, validation, config)),
            advance=advance,
        )
    facts = {
        "left_out": left_out(
            config.pair_set, config.dimensions, TRAINING_SPLITS[0], kinds_of(config.loss)
        ),
        "coverage": asdict(coverage(learn.split, blocks)),
        "validation": _validation(engine, validation, config),
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "prepare_seconds": prepared - began,
        "steps_per_second": steps / (time.perf_counter() - prepared),
    }
    of = "validation" if validation.split.item_ids else "train"
    rewards = rewards_of(engine, (validation if of == "validation" else learn).source).numpy()
    with engines.whole_weights(engine) as whole:
        result = _result(whole, inputs, steps, time.perf_counter() - began)
        if _rank() == 0:
            columns = dict(zip(config.dimensions, rewards.T, strict=True))
            reference = Reference.build(result["model_id"], of, columns)
            _publish(job, whole, facts, result, reference)
    return result


def _data(
    job: Path, config: TrainConfig, model: RewardModel, *, show: bool
) -> tuple[SplitData, SplitData]:
    """Train and validation, the only splits that training ever reads."""
    media = read_media(job / "media.parquet")
    folder = config.frame_cache or job / "frames"
    cache = FrameCache(folder, model.spec.frames, most_bytes=config.frame_cache_bytes)
    kinds = kinds_of(config.loss)
    splits = {
        name: read_split(config.pair_set, config.dimensions, name, kinds)
        for name in TRAINING_SPLITS
    }
    check_split(splits[TRAINING_SPLITS[0]], config)
    loaded = []
    for name, split in splits.items():
        with shown(f"decode {name}", wanted=show) as advance:
            loaded.append(SplitData.load(model, split, media, cache, advance))
    learn, validation = loaded
    return learn, validation


def _plan(split: PairSplit, config: TrainConfig) -> list[Block]:
    """This process's blocks: every process has the same number, a multiple of the accumulation."""
    batch = config.batch
    plan = {"blocks": plan_blocks, "pairs": plan_pairs}[batch.kind]
    blocks = plan(split, size=batch.size, epochs=batch.epochs, seed=config.seed)
    each_step = int(os.environ.get("WORLD_SIZE", "1")) * batch.accumulation
    planned = list(islice(blocks, batch.max_steps and batch.max_steps * each_step))
    steps = len(planned) // each_step
    if not steps:
        raise TrainingError(
            f"{len(planned)} blocks of {batch.size} are fewer than one step takes ({each_step}); "
            "lower batch.size or batch.accumulation"
        )
    world = each_step // batch.accumulation
    return planned[_rank() : steps * each_step : world]


def _validation(engine: Any, data: SplitData, config: TrainConfig) -> dict[str, dict[str, Any]]:
    """Metrics of the validation split by dimension; empty where the split has no pair."""
    if not data.split.pairs:
        return {}
    rewards = rewards_of(engine, data.source)
    metrics = split_accuracy(rewards, data.split, config.dimensions)
    return {name: asdict(values) for name, values in metrics.items()}


def _accuracies(metrics: dict[str, dict[str, Any]]) -> dict[str, float]:
    return {f"validation_acc/{name}": m["acc"] for name, m in metrics.items() if m["pairs"]}


def _curve_writer(path: Path) -> Callable[[Line], None]:
    def write(line: Line) -> None:
        if _rank() == 0:
            with path.open("a") as file:
                file.write(json.dumps(line) + "\n")

    return write


def _result(model: RewardModel, inputs: str, steps: int, seconds: float) -> dict[str, Any]:
    weights = weights_digest(model)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "model_id": model_id(weights, model.spec),
        "weights_sha256": weights,
        "steps": steps,
        "seconds": seconds,
        "peak_rss_bytes": peak if sys.platform == "darwin" else peak * 1024,
        "inputs": inputs,
    }


def _publish(
    job: Path,
    model: RewardModel,
    facts: dict[str, Any],
    result: dict[str, Any],
    reference: Reference,
) -> None:
    """Checkpoint under its name, then metrics, then done.json: each appears whole or not at all."""
    part = job / "checkpoint.part"
    model.save_pretrained(part)
    write_reference(part, reference)
    part.replace(job / "checkpoint")
    write_json(job / "metrics.json", facts)
    write_json(job / "done.json", result)


def _rank() -> int:
    return int(os.environ.get("RANK", "0"))


@contextmanager
def _reproducible(config: TrainConfig) -> Iterator[None]:
    """Seeds, threads and deterministic kernels for the run, and the process's own state after."""
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    state = random.getstate()
    with torch.random.fork_rng():
        torch.set_num_threads(config.engine.threads)
        # Some CUDA kernels have no deterministic twin: they warn there, and never run on CPU.
        torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())
        torch.manual_seed(config.seed + _rank())
        random.seed(config.seed)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(strict)
            random.setstate(state)


def main(arguments: list[str]) -> int:
    """Command line of one job: 0 done, 1 failed with one line on stderr, 2 wrong usage."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m training.run JOB_DIR\n")
        return 2
    try:
        train(arguments[0])
    except PlatformError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    except Exception as error:  # noqa: BLE001 -- our own mistake: its story goes to a file
        story = Path(arguments[0]) / "traceback.txt"
        story.write_text(traceback.format_exc())
        sys.stderr.write(f"error: unexpected {type(error).__name__}; the traceback is in {story}\n")
        return 1
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    finally:
        engines.stop()
