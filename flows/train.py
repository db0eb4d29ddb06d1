"""Train and score: from a pair set to a model and its rewards.

Training runs in a process of its own (`python -m training.run`), as it does under torchrun.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from signal import Signals
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from flows.batches import planned_batches
from flows.choose import by_start
from flows.console import say
from flows.pair import checked, newest_pair_set
from warehouse.digest import canonical_json, value_digest
from warehouse.errors import TrainingError
from warehouse.face import publish
from warehouse.lease import lease
from warehouse.store import Store

REMOTE = "://"
ORPHAN_SECONDS = 3600.0  # how long a rerun waits for the training of a killed run


@dataclass(frozen=True)
class Trained:
    """A training run in the warehouse."""

    model_id: str
    run_id: str
    pair_set_id: str
    path: Path
    seconds: float
    steps: int
    peak_rss_bytes: int


def train(
    store: Store,
    *,
    pair_set: str | None = None,
    recipe: str = "tiny",
    base_model: Path | None = None,
    seed: int = 0,
    frame_cache_bytes: int | None = None,
    dry_run: bool = False,
) -> Trained | dict[str, Any]:
    """Train a reward model on a pair set and record the run.

    pair_set: its id or the start of it; default: the newest.
    recipe: one of training.recipes; base_model: folder of the backbone, which only the tiny
        recipes make themselves.
    frame_cache_bytes: size above which the home's decoded frames are thinned out.
    Returns: the run; on a dry run the job's config. The same inputs find the finished run.
    Raises: TrainingError where training cannot start or fails.
    """
    from training.config_json import to_json
    from training.recipes import RECIPES

    if recipe not in RECIPES:
        raise TrainingError(f"no recipe {recipe!r}; the recipes are {', '.join(sorted(RECIPES))}")
    chosen = _to_train_on(store, pair_set)
    checked(chosen)
    media = media_of(store, chosen["pair_set_id"])
    base = _backbone(store, recipe, base_model, media, seed)
    config = to_json(RECIPES[recipe](str(base), chosen["path"], seed=seed))
    config["frame_cache"] = str(store.home / "frames")  # shared with scoring
    config["frame_cache_bytes"] = frame_cache_bytes
    config["dimensions"] = sorted(json.loads(chosen["recipe"])["dimensions"])
    free = config["head"]["prompt_free"]  # the recipe's, as far as the set has them
    config["head"]["prompt_free"] = [name for name in free if name in config["dimensions"]]
    run_id = value_digest({"pair_set": chosen["digest"], "config": _portable(config)})[:16]
    if dry_run:
        return {"run_id": run_id, "pair_set_id": chosen["pair_set_id"], "config": config}
    if base_model is None:
        _build_tiny(base, media, seed)
    job = _job(store, run_id)
    with lease(job / "job.lock", f"training {run_id}", ORPHAN_SECONDS, _say_waiting) as held:
        _prepare(job, config, media)
        done = _run(job, held)
    trained = Trained(
        model_id=done["model_id"],
        run_id=run_id,
        pair_set_id=chosen["pair_set_id"],
        path=job / "checkpoint",
        seconds=done["seconds"],
        steps=done["steps"],
        peak_rss_bytes=done["peak_rss_bytes"],
    )
    _record(store, trained, config, done["weights_sha256"])
    return trained


def _say_waiting(holder: str) -> None:
    say(f"waiting for {holder}, which trains on the same inputs")


def _to_train_on(store: Store, start: str | None) -> dict[str, Any]:
    """Row of `pair_sets`: the newest that was built, or the one whose id starts so.

    Raises: TrainingError for an imported set, which is for evaluation alone.
    """
    chosen = newest_pair_set(store, start, built=start is None)
    if source := json.loads(chosen["recipe"]).get("imported"):
        raise TrainingError(
            f"pair set {chosen['pair_set_id']} was imported ({source['name']}): all its pairs are"
            " in the split test, none to train on; name a set of `soli pairs build`"
        )
    return chosen


def media_of(
    store: Store, pair_set_id: str | None = None, *, unscored_by: str | None = None
) -> pa.Table:
    """Media table (item_id, path, prompt, media_sha256) of a pair set's items, or of all items.

    unscored_by: a model; items that it gave a reward already are left out.
    Raises: TrainingError where a video is not a local file: remote ones have to be copied first.
    """
    media = store.query(
        "SELECT i.item_id, i.uri AS path, p.text AS prompt, i.media_sha256"
        " FROM clips i JOIN prompts p USING (prompt_id) WHERE ($p IS NULL OR item_id IN"
        " (SELECT item_id FROM pair_set_items WHERE pair_set_id = $p)) AND item_id NOT IN"
        " (SELECT item_id FROM scores WHERE model_id = $m) ORDER BY i.item_id",
        {"p": pair_set_id, "m": unscored_by},
    )
    remote = [path for path in media["path"].to_pylist() if REMOTE in path or not path]
    if remote:
        raise TrainingError(
            f"{len(remote)} of {media.num_rows} videos are no local files (first: {remote[0]!r});"
            " copy them to this machine and import the items with their paths"
        )
    return media


def _backbone(store: Store, recipe: str, given: Path | None, media: pa.Table, seed: int) -> Path:
    """Folder of the backbone: the one given, else where the tiny recipes keep theirs."""
    if given is not None:
        if not (given / "config.json").is_file():
            raise TrainingError(f"no model in {given} (no config.json); correct --base-model")
        return given.absolute()
    if not recipe.startswith("tiny"):
        raise TrainingError(
            f"recipe {recipe!r} needs a backbone; name its folder with --base-model"
        )
    return store.home / "backbones" / f"tiny-{value_digest([_prompts(media), seed])[:12]}"


def _build_tiny(folder: Path, media: pa.Table, seed: int) -> None:
    """Backbone of the tiny recipes: random weights, built on the spot and kept."""
    from training.job import room_for
    from training.tiny import build_tiny_internvl

    if not folder.exists():
        building = folder.with_suffix(".part")
        with room_for(building, "nothing was trained"):
            build_tiny_internvl(building, seed, _prompts(media))
            building.rename(folder)


def _prompts(media: pa.Table) -> list[str]:
    return sorted(set(media["prompt"].to_pylist()))


def _portable(config: dict[str, Any]) -> dict[str, Any]:
    """Config without the folders of this machine; the backbone's name tells which it is."""
    names = {
        "base_model": Path(config["base_model"]).name,
        "pair_set": None,
        "frame_cache": None,
        "frame_cache_bytes": None,
    }
    return config | names


def _job(store: Store, run_id: str) -> Path:
    return store.home / "runs" / run_id


def _prepare(job: Path, config: dict[str, Any], media: pa.Table) -> None:
    """Job folder, written whole before the job starts."""
    job.mkdir(parents=True, exist_ok=True)
    pq.write_table(media, job / "media.part")
    (job / "media.part").rename(job / "media.parquet")
    if config["batch"]["kind"] == "planned":
        size = config["batch"]["size"]
        plan = planned_batches(Path(config["pair_set"]), config["dimensions"], size)
        pq.write_table(plan, job / "plan.part")
        (job / "plan.part").rename(job / "plan.parquet")
    (job / "config.part").write_text(canonical_json(config) + "\n")
    (job / "config.part").rename(job / "config.json")


def _run(job: Path, held: int) -> dict[str, Any]:
    """Run the job in a process of its own; its progress is shown on stderr as it comes.

    held: descriptor of the job's lock. The process inherits it: where only we are killed, a rerun
        waits for the training that goes on, and finds it finished.
    """
    command = [sys.executable, "-W", "ignore", "-m", "training.run", str(job)]
    code = subprocess.run(command, check=False, pass_fds=(held,)).returncode
    if code:
        raise TrainingError(
            f"training {_ended(code)}, its files are in {job}; run the same command again after"
            " mending the cause"
        )
    done: dict[str, Any] = json.loads((job / "done.json").read_text())
    return done


def _ended(code: int) -> str:
    """How a process ended, in words; a negative code is the signal that killed it.

    >>> _ended(-9)
    'was killed by signal 9 (SIGKILL): where nobody did that, memory may have run out;'
    """
    if code >= 0:
        return f"ended with exit code {code}; its own words stand above,"
    name = Signals(-code).name
    why = ": where nobody did that, memory may have run out" if -code == Signals.SIGKILL else ""
    return f"was killed by signal {-code} ({name}){why};"


def _record(store: Store, trained: Trained, config: dict[str, Any], weights: str) -> None:
    metrics = (trained.path.parent / "metrics.json").read_text()
    row = {
        "model_id": trained.model_id,
        "run_id": trained.run_id,
        "pair_set_id": trained.pair_set_id,
        "config": canonical_json(_portable(config)),
        "weights_sha256": weights,
        "metrics": canonical_json(json.loads(metrics)),
        "seconds": trained.seconds,
        "path": str(trained.path),
    }
    with store.writing("record the training run"):
        store.append("runs", pa.table({name: [value] for name, value in row.items()}))
        publish(store)


def newest_model(store: Store, model: str | None = None) -> dict[str, Any]:
    """Row of `runs`: the newest, or the one whose model id starts so; its path is in this home.

    Raises: StoreError where there is none, or more than one.
    """
    rows = store.query("FROM runs ORDER BY observed_at DESC").to_pylist()
    row = by_start(rows, "model_id", model, "model", "soli train")
    return row | {"path": str(_job(store, row["run_id"]) / "checkpoint")}  # the home may have moved
