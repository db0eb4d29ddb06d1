"""The runs of an ablation: each trained, scored and evaluated, in as many threads as asked for."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from threading import Lock

from flows.ablate import NAMED, Ablation, Job, Measured, Rows
from flows.backbones import ready_backbone
from flows.evaluate import Evaluation, evaluate
from flows.pair import build, read
from flows.score import score
from flows.settings import Settings
from flows.train import Trained, media_of, train
from pairing.recipe import Recipe
from warehouse.digest import canonical_json
from warehouse.errors import PlatformError
from warehouse.store import Store

SPLITS = ("test", "ood")


@dataclass
class Outcome:
    """How running an ablation ended."""

    failed: dict[str, str] = field(default_factory=dict)
    """Reason of each run that did not come to an end, by arm and seed."""


Say = Callable[[str], None]


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
