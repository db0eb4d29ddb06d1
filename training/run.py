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
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from training import engine as engines
from training.config import TrainConfig, from_json, to_json
from training.data import (
    TRAINING_SPLITS,
    Block,
    PairSplit,
    coverage,
    plan_blocks,
    plan_pairs,
    read_split,
)
from training.items import SplitData
from training.loop import Line, fit, rewards_of, split_accuracy
from training.model import RewardModel, model_id, weights_digest
from training.progress import shown
from training.video import FrameCache, file_digest
from warehouse.digest import value_digest
from warehouse.errors import PlatformError, TrainingError

OUTPUTS = ("checkpoint", "checkpoint.part", "curve.jsonl", "metrics.json", "done.json")
MEDIA_COLUMNS = ("item_id", "path", "prompt", "media_sha256")


def train(job_dir: str | Path, *, quiet: bool = False) -> dict[str, Any]:
    """Train the job in a folder, or read its result where these inputs were trained already.

    Returns: what done.json holds: model_id, weights_sha256, steps, seconds, peak_rss_bytes.
    Raises: TrainingError for an input that cannot be used.
    """
    job = Path(job_dir)
    config = from_json(_read_json(job / "config.json"))
    inputs = _input_digest(job, config)
    finished = _finished(job, inputs)
    if finished:
        return finished
    if _rank() == 0:
        _clear(job)
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
        "coverage": asdict(coverage(learn.split, blocks)),
        "validation": _validation(engine, validation, config),
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "prepare_seconds": prepared - began,
        "steps_per_second": steps / (time.perf_counter() - prepared),
    }
    with engines.whole_weights(engine) as whole:
        result = _result(whole, inputs, steps, time.perf_counter() - began)
        if _rank() == 0:
            _publish(job, whole, facts, result)
    return result


def _data(
    job: Path, config: TrainConfig, model: RewardModel, *, show: bool
) -> tuple[SplitData, SplitData]:
    """Train and validation, the only splits that training ever reads."""
    media = read_media(job / "media.parquet")
    cache = FrameCache(config.frame_cache or job / "frames", model.spec.frames)
    loaded = []
    for name in TRAINING_SPLITS:
        split = read_split(config.pair_set, config.dimensions, name)
        with shown(f"decode {name}", wanted=show) as advance:
            loaded.append(SplitData.load(model, split, media, cache, advance))
    learn, validation = loaded
    if not learn.split.pairs:
        raise TrainingError(f"pair set {config.pair_set}: no pair to train on; label more items")
    return learn, validation


def _plan(split: PairSplit, config: TrainConfig) -> list[Block]:
    """This process's blocks: every process has the same number, a multiple of the accumulation."""
    batch = config.batch
    plan = {"blocks": plan_blocks, "pairs": plan_pairs}[batch.kind]
    blocks = plan(split, size=batch.size, epochs=batch.epochs, seed=config.seed)
    world, rank = int(os.environ.get("WORLD_SIZE", "1")), _rank()
    steps = len(blocks) // (world * batch.accumulation)
    if not steps:
        raise TrainingError(
            f"{len(blocks)} blocks of {batch.size} are fewer than one step takes "
            f"({world * batch.accumulation}); lower batch.size or batch.accumulation"
        )
    steps = min(steps, batch.max_steps or steps)
    return blocks[rank::world][: steps * batch.accumulation]


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


def _publish(job: Path, model: RewardModel, facts: dict[str, Any], result: dict[str, Any]) -> None:
    """Checkpoint under its name, then metrics, then done.json: each appears whole or not at all."""
    part = job / "checkpoint.part"
    model.save_pretrained(part)
    part.replace(job / "checkpoint")
    _write_json(job / "metrics.json", facts)
    _write_json(job / "done.json", result)


def read_media(path: Path) -> pa.Table:
    """Media table with item_id, path, prompt and media_sha256 (null where unknown).

    Raises: TrainingError where the file or a column is missing.
    """
    try:
        return pq.read_table(path, columns=list(MEDIA_COLUMNS))
    except (OSError, pa.ArrowException) as error:
        raise TrainingError(
            f"{path} cannot be read ({error}); it needs columns {', '.join(MEDIA_COLUMNS)}"
        ) from error


def _input_digest(job: Path, config: TrainConfig) -> str:
    """What the result depends on: config, media table, pair set (by their files)."""
    pair_set = Path(config.pair_set)
    files = (job / "media.parquet", pair_set / "items.parquet", pair_set / "pairs.parquet")
    return value_digest([to_json(config), [_digest_of(path) for path in files]])


def _digest_of(path: Path) -> str:
    if not path.is_file():
        raise TrainingError(f"{path} is not there; build the pair set and the media table first")
    return file_digest(path)


def _finished(job: Path, inputs: str) -> dict[str, Any] | None:
    """Result of an earlier run of these very inputs."""
    path = job / "done.json"
    result: dict[str, Any] = _read_json(path) if path.exists() else {}
    return result if result.get("inputs") == inputs else None


def _clear(job: Path) -> None:
    """Remove what an earlier or a killed run left; done.json first."""
    for name in reversed(OUTPUTS):
        path = job / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise TrainingError(f"{path} cannot be read as JSON: {error}") from error


def _write_json(path: Path, value: dict[str, Any]) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(value, indent=2) + "\n")
    part.replace(path)


def _rank() -> int:
    return int(os.environ.get("RANK", "0"))


@contextmanager
def _reproducible(config: TrainConfig) -> Iterator[None]:
    """Seeds, threads and deterministic kernels for the run, and the process's own state after."""
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    state = random.getstate()
    with torch.random.fork_rng():
        torch.set_num_threads(config.engine.threads)
        torch.use_deterministic_algorithms(True)
        torch.manual_seed(config.seed)
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
    finally:
        engines.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
