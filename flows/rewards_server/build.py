"""The server's parts, put together from what somebody asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from flows.rewards_server.app import make_app
from flows.rewards_server.guard import Guard, Rules
from flows.rewards_server.rewards import Rewarder
from flows.rewards_server.stored import Shelf, nothing
from flows.rewards_server.worker import Worker, scoring
from flows.train import newest_model
from warehouse.errors import StoreError

if TYPE_CHECKING:
    from flows.settings import Settings
    from training.score import Scorer


@dataclass(frozen=True)
class Wanted:
    """What is to be served."""

    model: str | None = None
    """Id of a model of the warehouse, or its start, or `latest`; it scores what is not stored."""
    checkpoint: Path | None = None
    """Folder of a model instead; with neither, stored rewards of the newest model are all."""
    roots: tuple[Path, ...] = ()
    """Folders that videos must lie in."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    places: int = 256
    """Videos that may wait for the model."""
    seconds: float = 120.0
    """That a batch may wait for it."""


@dataclass(frozen=True)
class Served:
    """What a server knows when it begins."""

    app: Guard
    model_id: str
    stored: int
    """Items with stored rewards."""
    scores: bool
    """Whether a model scores the rest."""
    reference: str | None


@contextmanager
def built(settings: Settings, wanted: Wanted, rules: Rules) -> Iterator[Served]:
    """A server's app, with its worker running for the block.

    Raises: StoreError, TrainingError for a model that is not there or cannot be used.
    """
    from training.reference import read_reference

    scorer, folder, model_id = _model(settings, wanted)
    shelf = _shelf(settings, model_id)
    stored = shelf.now if shelf else nothing(model_id, ())
    if not (scorer or stored.rows):
        raise StoreError(
            f"model {model_id} has given no item a reward; run `soli score`, or start with --model"
        )
    reference = read_reference(folder, model_id)
    worker = Worker(scoring(scorer.model), places=wanted.places) if scorer else None
    rewarder = Rewarder(
        tuple(root.absolute() for root in wanted.roots),
        worker,
        scorer.model.spec.dimensions if scorer else stored.dimensions,
        reference,
        wanted.seconds,
    )
    try:
        yield Served(
            make_app(rewarder, shelf.look if shelf else lambda: stored, rules),
            model_id,
            len(stored.rows),
            scorer is not None,
            reference.of if reference else None,
        )
    finally:
        if worker:
            worker.close()


def _model(settings: Settings, wanted: Wanted) -> tuple[Scorer | None, Path, str]:
    """The model where it is to score, the folder of its reference, and its id."""
    if wanted.checkpoint is None and wanted.model is None:
        run = newest_model(settings.store)
        return None, Path(run["path"]), run["model_id"]
    from training.score import Scorer

    if wanted.checkpoint is not None:
        scorer = Scorer.load(wanted.checkpoint, device=wanted.device)
        return scorer, wanted.checkpoint, scorer.model_id
    run = newest_model(settings.store, wanted.model)
    scorer = Scorer.load(run["path"], device=wanted.device, weights_sha256=run["weights_sha256"])
    return scorer, Path(run["path"]), run["model_id"]


def _shelf(settings: Settings, model_id: str) -> Shelf | None:
    """Stored rewards, where there is a warehouse."""
    store = settings.store
    try:
        store.require()
    except StoreError:
        return None
    return Shelf(store, model_id)
