"""An ablation: every arm trained and measured at every seed, on the same held-out pairs.

Each run is recorded in the warehouse as any other. What an ablation measured lies in
`ablations/ID/runs/KEY.json` of the home, a file a run, written when the run is measured: one that
was killed goes on from there when it is run again, and another that shares runs finds them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from flows.ablate_arms import ARMS, Arm
from flows.backbones import ready_backbone
from flows.choose import by_start
from flows.evaluate import Evaluation, evaluate
from flows.pair import build, newest_pair_set, read
from flows.score import score
from flows.settings import Settings
from flows.train import NO_CHANGES, Trained, media_of, train
from pairing.recipe import Recipe
from warehouse.digest import canonical_json, value_digest
from warehouse.errors import PlatformError
from warehouse.store import Store

RECIPE = "tiny-ablation"
NAMED = "ablation: "  # how the recipes' names of the pair sets begin that arms are trained on
SPLITS = ("test", "ood")
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


@dataclass
class Outcome:
    """How running an ablation ended."""

    failed: dict[str, str] = field(default_factory=dict)
    """Reason of each run that did not come to an end, by arm and seed."""


Say = Callable[[str], None]


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


def run(
    settings: Settings,
    ablation: Ablation,
    *,
    jobs: int = 1,
    say: Say = lambda _line: None,
) -> Outcome:
    """Run what is not done yet.

    jobs: trainings at once, each in a process of its own.
    A run that fails is told and left out; the others go on.
    """
    waiting = [job for job in ablation.jobs if not job.done]
    if not waiting:
        return Outcome()
    (ablation.folder / "runs").mkdir(parents=True, exist_ok=True)
    outcome = Outcome()
    sets = _pair_sets(settings, ablation, waiting, outcome, say)
    media = media_of(settings.store, ablation.pair_set_id)
    for seed in sorted({job.seed for job in waiting}) if ablation.base_model is None else ():
        ready_backbone(settings.store, ablation.recipe, media, seed)
    runner = _Runner(settings, ablation, sets)
    left = [job for job in waiting if job.arm.name in sets]
    began, before = time.monotonic(), len(ablation.jobs) - len(waiting)
    for done, (job, found) in enumerate(_results(runner, left, jobs), start=1):
        if isinstance(found, PlatformError):
            outcome.failed[f"{job.arm.name}, seed {job.seed}"] = str(found)
        minutes = (time.monotonic() - began) / done * (len(left) - done) / 60
        said = f"failed: {found}" if isinstance(found, PlatformError) else _words(found)
        say(
            f"{before + done} of {before + len(left)}: {job.arm.name}, seed {job.seed}: {said};"
            f" about {minutes:.0f} min left"
        )
    settings.store.tidy()
    return outcome


def _pair_sets(
    settings: Settings, ablation: Ablation, waiting: Sequence[Job], outcome: Outcome, say: Say
) -> dict[str, str]:
    """Pair set of each arm by its name; an arm whose set cannot be built fails."""
    store = settings.store
    default = read(store, ablation.pair_set_id).manifest
    sets: dict[str, str] = {}
    for arm in {job.arm.name: job.arm for job in waiting}.values():
        if not arm.pairs:
            sets[arm.name] = ablation.pair_set_id
            continue
        moment = {"as_of": default["recipe"].get("as_of") or default["as_of"]}  # the same labels
        values = arm.recipe(default["recipe"] | moment | {"name": NAMED + arm.name})
        reason = (default.get("override") or {}).get("reason")
        try:
            built, _ = build(settings, store, Recipe.from_dict(values), override=reason)
        except PlatformError as error:
            outcome.failed[arm.name] = str(error)
            say(f"{arm.name}: no pair set: {error}")
        else:
            sets[arm.name] = built.pair_set_id
    return sets


def _results(
    runner: _Runner, jobs: Sequence[Job], together: int
) -> Iterator[tuple[Job, Measured | PlatformError]]:
    """Runs as they come to an end; where we are stopped no further one begins."""
    pool = ThreadPoolExecutor(together)
    try:
        begun = {pool.submit(runner, job): job for job in jobs}
        for ended in as_completed(begun):
            yield begun[ended], ended.result()
    finally:
        pool.shutdown(cancel_futures=True)


class _Runner:
    """Trains, scores and evaluates one run at a time in each thread."""

    def __init__(self, settings: Settings, ablation: Ablation, sets: Mapping[str, str]) -> None:
        self.settings = settings
        self.ablation = ablation
        self.sets = sets
        self.alone = Lock()  # loading a model sets things of the whole process for a moment

    def __call__(self, job: Job) -> Measured | PlatformError:
        """What the run came to, or why it did not."""
        store = self.settings.store  # one a thread: a store knows whether it holds the lease
        try:
            trained = train(
                store,
                pair_set=self.sets[job.arm.name],
                recipe=self.ablation.recipe,
                base_model=self.ablation.base_model,
                seed=job.seed,
                changes=job.changes,
                frame_cache_bytes=self.settings.frame_cache_bytes,
                quiet=True,
            )
            assert isinstance(trained, Trained)
            with self.alone:
                measured = self._measure(store, job, trained)
        except PlatformError as error:
            return error
        part = job.path.with_suffix(".part")
        part.write_text(canonical_json(asdict(measured)) + "\n")
        part.replace(job.path)
        return measured

    def _measure(self, store: Store, job: Job, trained: Trained) -> Measured:
        held_out = self.ablation.pair_set_id
        score(store, model=trained.model_id, held_out_of=held_out, threads=1)
        found = evaluate(store, models=[trained.model_id], pair_set=held_out, dry_run=True)
        facts = json.loads((trained.path.parent / "metrics.json").read_text())
        return Measured(
            arm=job.arm.name,
            seed=job.seed,
            model_id=trained.model_id,
            pair_set_id=trained.pair_set_id,
            steps=trained.steps,
            seconds=trained.seconds,
            pairs=facts["coverage"]["pairs"],
            encodings=facts["coverage"]["encodings"],
            rows=_rows(found),
        )


def _rows(found: Evaluation) -> Rows:
    """Metrics of the held-out splits, marked where the scores cluster."""
    starred = {(row["dimension"], row["split"]) for row in found.scores if row["clustered"]}
    return [
        {name: row[name] for name in ("dimension", "split", "metric", "value")}
        | {"clustered": (row["dimension"], row["split"]) in starred}
        for row in found.metrics
        if row["split"] in SPLITS
    ]


def _words(found: Measured) -> str:
    """Accuracies of a run.

    >>> rows = [{"dimension": "d", "split": "test", "metric": "acc", "value": 0.5}]
    >>> _words(Measured("a", 0, "m", "p", 1, 1.0, 1, 1, rows))
    'ACC d 0.500'
    """
    said = [
        f"{row['dimension']} {row['value']:.3f}"
        for row in found.rows
        if (row["split"], row["metric"]) == ("test", "acc") and row["value"] is not None
    ]
    return f"ACC {', '.join(said)}" if said else "no ACC in the test split"
