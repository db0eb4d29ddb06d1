"""An ablation: every arm at every seed, measured on the same held-out pairs.

Each run (`flows.ablate_run`) is recorded in the warehouse as any other. What an ablation measured
lies in `ablations/ID/runs/KEY.json` of the home, a file a run, written when the run is measured:
one that was killed goes on from there when it is run again, and another that shares runs finds
them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.ablate_arms import ARMS, Arm
from flows.ids import by_start
from flows.pair import newest_pair_set
from flows.train import NO_CHANGES, train
from warehouse.digest import value_digest
from warehouse.store import Store

RECIPE = "tiny-ablation"
NAMED = "ablation: "  # how the recipes' names of the pair sets begin that arms are trained on
DIGITS = 16
UNSEEDED = ("seed", "base_model")  # of a portable config: what a seed decides
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Job:
    """A run that an ablation asks for."""

    arm: Arm
    seed: int
    changes: Mapping[str, Any]
    path: Path
    """Where its measurement lies once it is done."""

    @property
    def done(self) -> bool:
        """Whether it was measured."""
        return self.path.exists()

    @property
    def words(self) -> str:
        """What differs from the default, on a line."""
        changes = {**self.changes, **self.arm.pairs}
        return ", ".join(f"{name}={value}" for name, value in changes.items())


@dataclass(frozen=True)
class Measured:
    """What a run came to."""

    arm: str
    seed: int
    model_id: str
    pair_set_id: str
    steps: int
    seconds: float
    pairs: int
    """Pairs in train that the loss could learn from."""
    encodings: int
    """Items encoded in training, repeats counted."""
    rows: Rows
    """dimension, split, metric, value (None: there is none), clustered."""


@dataclass(frozen=True)
class Ablation:
    """Runs that are asked for, on a pair set."""

    folder: Path
    pair_set_id: str
    """The default is trained on its train; all are measured on the pairs of its other splits."""
    recipe: str
    base_model: Path | None
    jobs: list[Job]
    """Seed by seed: a table of all arms is there early."""

    @property
    def measured(self) -> list[Measured]:
        """What is done of this default, runs asked for at other times among them."""
        paths = sorted((self.folder / "runs").glob("*.json"), key=lambda path: path.stat().st_mtime)
        found = [Measured(**json.loads(path.read_text())) for path in paths]
        known = {arm.name for arm in ARMS}
        newest = {(run.seed, run.arm): run for run in found if run.arm in known}
        return [newest[key] for key in sorted(newest)]


def plan(
    store: Store,
    arms: Sequence[Arm] = ARMS,
    *,
    seeds: int = 5,
    pair_set: str | None = None,
    recipe: str = RECIPE,
    base_model: Path | None = None,
    changes: Mapping[str, Any] = NO_CHANGES,
) -> Ablation:
    """The runs of an ablation; nothing is written.

    arms: with those that they are compared with, see `flows.ablate_arms.chosen_arms`.
    seeds: so many, from 0.
    pair_set: id of the default's pair set or the start of it; None: the newest that was built, but
        for those of earlier ablations.
    recipe, base_model: as `flows.train.train` takes them.
    changes: to the config of all arms.
    Raises: StoreError where there is no pair set; TrainingError for an arm that does not fit.
    """
    chosen = _default_set(store, pair_set)["pair_set_id"]
    job = train(
        store,
        pair_set=chosen,
        recipe=recipe,
        base_model=base_model,
        changes=changes,
        dry_run=True,
    )
    assert isinstance(job, dict)
    config = job["config"]
    plain = {name: value for name, value in config.items() if name not in UNSEEDED}
    plain |= {"base_model": base_model and base_model.name, "pair_set": chosen, "frame_cache": None}
    plain["frame_cache_bytes"] = None
    folder = store.home / "ablations" / value_digest(plain)[:DIGITS]
    jobs = [
        _job(folder, arm, seed, {**changes, **arm.changes(config)}, config)
        for seed in range(seeds)
        for arm in arms
    ]
    return Ablation(folder, chosen, recipe, base_model, jobs)


def _default_set(store: Store, start: str | None) -> dict[str, Any]:
    if start is not None:
        return newest_pair_set(store, start)
    rows = store.query(
        "FROM pair_sets WHERE consensus_id IS NOT NULL ORDER BY observed_at DESC"
    ).to_pylist()
    own = [row for row in rows if not json.loads(row["recipe"])["name"].startswith(NAMED)]
    return by_start(own, "pair_set_id", None, "pair set", "soli pairs build")


def _job(
    folder: Path, arm: Arm, seed: int, changes: dict[str, Any], config: Mapping[str, Any]
) -> Job:
    """A run; the changes are checked here, before anything starts."""
    from training.changes import changed

    changed(config, changes)
    key = value_digest({"changes": changes, "pairs": arm.pairs, "seed": seed})[:DIGITS]
    return Job(arm, seed, changes, folder / "runs" / f"{key}.json")
