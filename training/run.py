"""One training job in a folder: `python -m training.run JOB_DIR`, also under torchrun.

In: config.json, media.parquet (item_id, path, prompt, media_sha256), plan.parquet where batch.kind
is planned, and the pair set that the config names. Out: checkpoint/, curve.jsonl, tensorboard/,
metrics.json and, last and atomically, done.json; with save_every also best/, and states/ until it
is done. A job killed at any time goes on from its newest state when it is run again, or starts over
where it has none, and ends at the same losses and weights.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import sys
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from training import engine as engines
from training import states
from training.block_loss import check_split, kinds_of
from training.callbacks import Callback, CurveFile, Line, TensorBoard
from training.config import TrainConfig
from training.config_json import from_json
from training.data import TRAINING_SPLITS, Ints, coverage, left_out, read_plan, read_split
from training.items import SplitData
from training.job import (
    ENDS,
    OUTPUTS,
    clear,
    finished,
    input_digest,
    put_in_place,
    read_json,
    read_media,
    room_for,
    write_json,
)
from training.loop import Run, fit, rewards_of, split_accuracy
from training.model import RewardModel, model_id, weights_digest
from training.plan import micro_batches
from training.progress import shown, tell
from training.reference import Reference, write_reference
from training.tuning import tune
from training.video import FrameCache
from warehouse.errors import PlatformError, TrainingError

INTERRUPTED = 130  # exit code of a process that Ctrl-C ended, as shells have it


def train(
    job_dir: str | Path, *, quiet: bool = False, callbacks: Sequence[Callback] = ()
) -> dict[str, Any]:
    """Train the job in a folder, or read its result where these inputs were trained already.

    callbacks: hear of the run beside its curve and TensorBoard, in the first process.
    Returns: what done.json holds: model_id, weights_sha256, steps, seconds, peak_rss_bytes.
    Raises: TrainingError for an input that cannot be used.
    """
    job = Path(job_dir)
    config = from_json(read_json(job / "config.json"))
    inputs = input_digest(job, config)
    earlier = finished(job, inputs)
    if earlier:
        return earlier
    with _reproducible(config), engines.local_rank():
        return _train(job, config, inputs, _Watch(quiet=quiet, callbacks=tuple(callbacks)))


@dataclass
class _Watch:
    """Who sees the run: a person on stderr, and callbacks; nobody but in the first process."""

    quiet: bool
    callbacks: tuple[Callback, ...]

    @property
    def shows(self) -> bool:
        return _rank() == 0 and not self.quiet

    def begin(self, job: Path, step: int) -> None:
        """Curve and TensorBoard join those given; step: where the run starts.

        A person who ran a killed run again is told that nothing of it was lost.
        """
        if step and self.shows:
            tell(f"goes on from step {step}")
        if _rank() == 0:
            own = CurveFile(job / "curve.jsonl", step), TensorBoard(job / "tensorboard", step)
            self.callbacks = (*own, *self.callbacks)

    def line(self, line: Line) -> None:
        for callback in self.callbacks if _rank() == 0 else ():
            callback.on_line(line)

    def end(self, result: dict[str, Any]) -> None:
        for callback in self.callbacks if _rank() == 0 else ():
            callback.on_end(result)


def _train(job: Path, config: TrainConfig, inputs: str, watch: _Watch) -> dict[str, Any]:
    began = time.perf_counter()
    rank, world = engines.open_group()
    state = states.newest(job, inputs)
    if rank == 0:
        clear(job, OUTPUTS if state is None else ENDS)
    torch.distributed.barrier()
    model = RewardModel.create(config)
    tune(model, config.tuning, config.seed)
    learn, validation = _data(job, config, model, show=watch.shows)
    blocks = micro_batches(learn.split, config, world=world, planned=_planned(job, config))
    reached = replace(state or states.Reached(inputs, world), world=world)
    engine = _engine(job, config, model, len(blocks), state)
    prepared = time.perf_counter()
    watch.begin(job, reached.step)
    judge = _Judge(job, config, engine, validation)
    with shown("train", wanted=watch.shows) as advance:
        end = fit(
            Run(engine, learn, blocks, config, reached),
            on_line=watch.line,
            evaluate=judge,
            save=lambda now: states.save(engine, job, now),
            advance=advance,
        )
    facts = {
        "left_out": left_out(
            config.pair_set, config.dimensions, TRAINING_SPLITS[0], kinds_of(config.loss)
        ),
        "coverage": asdict(coverage(learn.split, blocks)),
        "validation": judge.metrics,
        "best": end.best,
        "parameters": sum(_size(weight) for weight in model.parameters()),
        "learning": sum(_size(weight) for weight in model.parameters() if weight.requires_grad),
        "prepare_seconds": prepared - began,
        "steps_per_second": end.step / end.seconds,
    }
    of = "validation" if validation.split.item_ids else "train"
    rewards = rewards_of(engine, (validation if of == "validation" else learn).source).numpy()
    with engines.whole_weights(engine) as whole:
        result = _result(whole, inputs, end)
        if rank == 0:
            columns = dict(zip(config.dimensions, rewards.T, strict=True))
            reference = Reference.build(result["model_id"], of, columns)
            _publish(job, whole, facts, result, reference)
    watch.end(result)
    return result


def _engine(
    job: Path, config: TrainConfig, model: RewardModel, blocks: int, state: states.Reached | None
) -> Any:
    """DeepSpeed's engine, fresh or where a state left it."""
    world = torch.distributed.get_world_size()
    steps = blocks // config.batch.accumulation
    if state is None:
        return engines.start(model, config, steps)
    tag = states.tag_of(job, state, world)
    engine = engines.start(model, config, steps, universal=tag == states.UNIVERSAL)
    states.load(engine, job, state, tag)
    return engine


def _size(weight: torch.Tensor) -> int:
    """Numbers in a weight, also where ZeRO-3 has cut it up."""
    return int(getattr(weight, "ds_numel", weight.numel()))


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
    if not learn.split.pairs:
        raise TrainingError(f"pair set {config.pair_set}: no pair to train on; label more items")
    return learn, validation


def _planned(job: Path, config: TrainConfig) -> Ints | None:
    """Batch of each pair, where batches were planned beforehand."""
    if config.batch.kind != "planned":
        return None
    split, kinds = TRAINING_SPLITS[0], kinds_of(config.loss)
    return read_plan(job / "plan.parquet", config.pair_set, config.dimensions, split, kinds)


@dataclass
class _Judge:
    """Looks at validation and, where states are kept, keeps the best model so far in best/."""

    job: Path
    config: TrainConfig
    engine: Any
    data: SplitData
    metrics: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __call__(self, reached: states.Reached) -> tuple[dict[str, float], states.Reached]:
        """Values for the curve's line, and the run with its best model so far."""
        self.metrics = _validation(self.engine, self.data, self.config)
        found = _accuracies(self.metrics)
        mean = sum(found.values()) / len(found) if found else 0.0
        if found and (not reached.best or mean > reached.best["accuracy"]):
            reached = replace(reached, best={"step": reached.step, "accuracy": mean})
            if self.config.save_every is not None:
                self._keep()
        return found, reached

    def _keep(self) -> None:
        with engines.whole_weights(self.engine) as whole:
            if _rank() == 0:
                _export(whole, self.job / "best")


def _validation(engine: Any, data: SplitData, config: TrainConfig) -> dict[str, dict[str, Any]]:
    """Metrics of the validation split by dimension; empty where the split has no pair."""
    if not data.split.pairs:
        return {}
    rewards = rewards_of(engine, data.source)
    metrics = split_accuracy(rewards, data.split, config.dimensions)
    return {name: asdict(values) for name, values in metrics.items()}


def _accuracies(metrics: dict[str, dict[str, Any]]) -> dict[str, float]:
    return {f"validation_acc/{name}": m["acc"] for name, m in metrics.items() if m["pairs"]}


def _result(model: RewardModel, inputs: str, end: states.Reached) -> dict[str, Any]:
    weights = weights_digest(model)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "model_id": model_id(weights, model.spec),
        "weights_sha256": weights,
        "steps": end.step,
        "seconds": end.seconds,
        "peak_rss_bytes": peak if sys.platform == "darwin" else peak * 1024,
        "inputs": inputs,
    }


def _export(model: RewardModel, folder: Path, reference: Reference | None = None) -> None:
    """A checkpoint under its name, whole or not at all."""
    part = folder.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    with room_for(part, "the last state stands, where save_every is set"):
        model.save_pretrained(part)
        if reference is not None:
            write_reference(part, reference)
        put_in_place(part, folder)


def _publish(
    job: Path,
    model: RewardModel,
    facts: dict[str, Any],
    result: dict[str, Any],
    reference: Reference,
) -> None:
    """Checkpoint, then metrics, then done.json: each appears whole or not at all."""
    _export(model, job / "checkpoint", reference)
    write_json(job / "metrics.json", facts)
    write_json(job / "done.json", result)
    shutil.rmtree(job / states.STATES, ignore_errors=True)


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
        torch.manual_seed(config.seed)
        random.seed(config.seed)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(strict)
            random.setstate(state)


def main(arguments: list[str]) -> int:
    """Command line of one job: 0 done, 1 failed with one line on stderr, 2 wrong usage, 130 ^C."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m training.run JOB_DIR\n")
        return 2
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"torch\.distributed")
    try:
        train(arguments[0])
    except PlatformError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("error: interrupted; run the same command again\n")
        return INTERRUPTED
    except RuntimeError as error:
        if not engines.lost_a_process(error):
            return _unexpected(arguments[0], error)
        sys.stderr.write(f"error: {engines.LOST} ({str(error).splitlines()[0]})\n")
        return 1
    except Exception as error:  # noqa: BLE001 -- our own mistake: its story is kept
        return _unexpected(arguments[0], error)
    return 0


def _unexpected(job: str, error: Exception) -> int:
    story = Path(job) / "traceback.txt"
    story.write_text("".join(traceback.format_exception(error)))
    sys.stderr.write(f"error: unexpected {type(error).__name__}; the traceback is in {story}\n")
    return 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    finally:
        engines.stop()
