"""Train and score: from a pair set to a model and its rewards.

Training runs in processes of its own: one (`python -m training.run`), several by torchrun, or on
several machines by DeepSpeed's launcher.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from flows.backbones import backbone_of, build_tiny
from flows.console import say
from flows.ids import by_start
from flows.pair import checked, newest_pair_set
from flows.training_job import job_folder, prepare, run
from pairing.imported import for_evaluation
from warehouse.digest import canonical_json, value_digest
from warehouse.errors import TrainingError
from warehouse.face import publish
from warehouse.lease import lease
from warehouse.store import Store

if TYPE_CHECKING:
    from training.recipes import Make

REMOTE = "://"
ORPHAN_SECONDS = 3600.0  # how long a rerun waits for the training of a killed run
NO_CHANGES: Mapping[str, Any] = MappingProxyType({})
# Options of a config that something else says.
GIVEN = {
    "base_model": "--base-model",
    "pair_set": "--pair-set",
    "seed": "--seed",
    "frame_cache": "the home",
    "frame_cache_bytes": "the setting frame_cache_gb",
}


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
    changes: Mapping[str, Any] = NO_CHANGES,
    frame_cache_bytes: int | None = None,
    quiet: bool = False,
    processes: int = 1,
    hostfile: Path | None = None,
    dry_run: bool = False,
) -> Trained | dict[str, Any]:
    """Train a reward model on a pair set and record the run.

    pair_set: its id or the start of it; default: the newest.
    recipe: one of training.recipes; base_model: folder of the backbone, which only the tiny
        recipes make themselves.
    changes: dotted path -> value, on top of the recipe; see `training.changes`.
    quiet: keep the progress to ourselves; of a failure the last line is told.
    frame_cache_bytes: size above which the home's decoded frames are thinned out.
    processes, hostfile: see `training.launch`. They are no part of the run: one that was killed
        goes on with any number of processes.
    Returns: the run; on a dry run the job's config and the command that would run it. The same
        inputs find the finished run.
    Raises: TrainingError where training cannot start or fails.
    """
    from training.config_json import to_json
    from training.launch import launch_command
    from training.plan import check_shares

    make = _recipe(recipe)
    chosen = _to_train_on(store, pair_set)
    checked(chosen)
    media = media_of(store, chosen["pair_set_id"])
    base = backbone_of(store, recipe, base_model, media, seed)
    config = to_json(make(str(base), chosen["path"], seed=seed))
    config["frame_cache"] = str(store.home / "frames")  # shared with scoring
    config["frame_cache_bytes"] = frame_cache_bytes
    config = _fitted(config, chosen, changes)
    run_id = value_digest({"pair_set": chosen["digest"], "config": _portable(config)})[:16]
    job = job_folder(store, run_id)
    command = launch_command(job, processes=processes, hostfile=hostfile)
    check_shares(config["batch"]["accumulation"], processes)
    if dry_run:
        said = {"run_id": run_id, "pair_set_id": chosen["pair_set_id"]}
        return said | {"command": shlex.join(command), "config": config}
    if base_model is None:
        build_tiny(base, media, seed)
    with lease(job / "job.lock", f"training {run_id}", ORPHAN_SECONDS, _say_waiting) as held:
        prepare(job, config, media)
        done = run(job, command, held, quiet=quiet)
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


def _recipe(name: str) -> Make:
    from training.recipes import RECIPES

    if name not in RECIPES:
        raise TrainingError(f"no recipe {name!r}; the recipes are {', '.join(sorted(RECIPES))}")
    return RECIPES[name]


def _fitted(
    config: dict[str, Any], chosen: Mapping[str, Any], changes: Mapping[str, Any]
) -> dict[str, Any]:
    """Config with the dimensions that a pair set has, and with the changes.

    Raises: TrainingError for a change that something else says, or that no run can have.
    """
    from training.changes import changed

    for path in changes:
        if path in GIVEN:
            raise TrainingError(f"--set {path}: {GIVEN[path]} says it; leave it out of the changes")
    dimensions = sorted(json.loads(chosen["recipe"])["dimensions"])
    free = [name for name in config["head"]["prompt_free"] if name in dimensions]
    head = config["head"] | {"prompt_free": free}
    return changed(config | {"dimensions": dimensions, "head": head}, changes)


def _say_waiting(holder: str) -> None:
    say(f"waiting for {holder}, which trains on the same inputs")


def _to_train_on(store: Store, start: str | None) -> dict[str, Any]:
    """Row of `pair_sets`: the newest that has a split train, or the one whose id starts so.

    Raises: TrainingError for a set that was imported for evaluation alone.
    """
    chosen = newest_pair_set(store, start, to_train_on=start is None)
    recipe = json.loads(chosen["recipe"])
    if for_evaluation(recipe):
        raise TrainingError(
            f"pair set {chosen['pair_set_id']} was imported ({recipe['imported']['name']}): all its"
            " pairs are in the split test, none to train on; import the file with --split"
            " train=0.8,validation=0.1,test=0.1, or name a set of `soli pairs build`"
        )
    return chosen


def media_of(
    store: Store,
    pair_set_id: str | None = None,
    *,
    unscored_by: str | None = None,
    held_out: bool = False,
) -> pa.Table:
    """Media table (item_id, path, prompt, media_sha256) of a pair set's items, or of all items.

    unscored_by: a model; items that it gave a reward already are left out.
    held_out: of a pair set, only the items that are not in train.
    Raises: TrainingError where a video is not a local file: remote ones have to be copied first.
    """
    media = store.query(
        "SELECT i.item_id, i.uri AS path, p.text AS prompt, i.media_sha256"
        " FROM clips i JOIN prompts p USING (prompt_id) WHERE ($p IS NULL OR item_id IN"
        " (SELECT item_id FROM pair_set_items WHERE pair_set_id = $p"
        " AND NOT ($held_out AND split = 'train'))) AND item_id NOT IN"
        " (SELECT item_id FROM scores WHERE model_id = $m) ORDER BY i.item_id",
        {"p": pair_set_id, "m": unscored_by, "held_out": held_out},
    )
    remote = [path for path in media["path"].to_pylist() if REMOTE in path or not path]
    if remote:
        raise TrainingError(
            f"{len(remote)} of {media.num_rows} videos are no local files (first: {remote[0]!r});"
            " copy them to this machine and import the items with their paths"
        )
    return media


def _portable(config: dict[str, Any]) -> dict[str, Any]:
    """Config without the folders of this machine; the backbone's name tells which it is."""
    names = {
        "base_model": Path(config["base_model"]).name,
        "pair_set": None,
        "frame_cache": None,
        "frame_cache_bytes": None,
    }
    return config | names


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
    return row | {
        "path": str(job_folder(store, row["run_id"]) / "checkpoint")
    }  # the home may have moved
