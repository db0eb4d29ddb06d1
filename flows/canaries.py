"""Canaries of a model on items it was not trained on: rewards before and after each change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from flows.train import media_of, newest_model
from warehouse.digest import text_digest
from warehouse.errors import StoreError
from warehouse.store import Store

if TYPE_CHECKING:
    from training.canaries import Corner
    from training.canary_verdicts import Canary

Progress = Callable[[int, int], None]

HELD_OUT = ("validation", "test", "ood")
ITEMS = 200
MOTION_DIMENSIONS = ("physical_plausibility",)
MEANING_DIMENSIONS = ("semantic_alignment",)
LABELS = """
SELECT item_id, dimension, prompt_id, label, split FROM pair_set_items
WHERE pair_set_id = $p AND split <> 'train' ORDER BY item_id, dimension
"""


@dataclass(frozen=True)
class CanaryPlan:
    """What will be asked of which model."""

    run: dict[str, Any]
    """The model's row of `runs`."""
    media: pa.Table
    """Media table of the items."""
    labels: pd.DataFrame
    """item_id, dimension, prompt_id, label: a row per item and dimension of the pair set."""


@dataclass(frozen=True)
class CanaryReport:
    """What came of it."""

    model_id: str
    unit: str
    """Whose standard deviation the effects are measured in."""
    threshold: float
    """Smallest effect that counts, in that unit."""
    rows: list[Canary]
    """By dimension, then canary."""
    unreadable: dict[str, str]
    """Reason by item."""


def plan(
    store: Store, *, model: str | None = None, split: str | None = None, items: int = ITEMS
) -> CanaryPlan:
    """Held-out items of the model's pair set: all, or as many as asked for, drawn by their ids.

    split: validation, test or ood; None: all three.
    Raises: StoreError where there is no such model or item.
    """
    run = newest_model(store, model)
    labels = store.query(LABELS, {"p": run["pair_set_id"]}).to_pandas()
    if split:
        labels = labels[labels["split"] == split]
    if labels.empty:
        where = split or ", ".join(HELD_OUT)
        raise StoreError(
            f"pair set {run['pair_set_id']} of model {run['model_id']} has no item in {where};"
            " name another --split, or train on a set with held-out prompts"
        )
    chosen = sorted(sorted(set(labels["item_id"]), key=text_digest)[:items])
    media = media_of(store, run["pair_set_id"])
    media = media.filter(pc.is_in(media["item_id"], pa.array(chosen, pa.string())))
    return CanaryPlan(run, media, labels[labels["item_id"].isin(chosen)])


def measure(
    store: Store,
    planned: CanaryPlan,
    *,
    corner: Corner = "bottom-right",
    motion: Sequence[str] | None = None,
    meaning: Sequence[str] | None = None,
    threshold: float | None = None,
    seed: int = 0,
    progress: Progress = lambda _done, _total: None,
) -> CanaryReport:
    """Score the items before and after each change, and judge what that shows.

    motion, meaning: dimensions that have to notice changes of the motion, or of the prompt; None:
        MOTION_DIMENSIONS and MEANING_DIMENSIONS.
    Raises: TrainingError for a checkpoint that cannot be used; StoreError for a dimension that the
        model does not have.
    """
    from training.canaries import canary_rewards
    from training.canary_verdicts import MEANING, MOTION, THRESHOLD, judge
    from training.reference import Reference, read_reference
    from training.score import Scorer
    from training.video import FrameCache

    run = planned.run
    scorer = Scorer.load(run["path"], weights_sha256=run["weights_sha256"])
    dimensions = scorer.model.spec.dimensions
    _check_known([*(motion or ()), *(meaning or ())], dimensions)
    found = canary_rewards(
        scorer.model,
        planned.media,
        seed=seed,
        corner=corner,
        cache=FrameCache(store.home / "frames", scorer.model.spec.frames),
        progress=lambda done, total, _note: progress(done, total),
    )
    reference = read_reference(run["path"], scorer.model_id) or Reference.build(
        scorer.model_id, "these items", dict(zip(dimensions, found.before.T, strict=True))
    )
    prompts = _prompts(planned.labels, found.item_ids)
    smallest = THRESHOLD if threshold is None else threshold
    rows = [
        judge(
            name,
            dimension,
            found.before[:, at],
            after[:, at],
            prompts=prompts,
            passed=_passed(planned.labels, dimension, found.item_ids),
            std=reference.dimensions[dimension].std,
            notices=(name in MOTION and dimension in (motion or MOTION_DIMENSIONS))
            or (name in MEANING and dimension in (meaning or MEANING_DIMENSIONS)),
            threshold=smallest,
            seed=seed,
        )
        for at, dimension in enumerate(dimensions)
        for name, after in found.after.items()
    ]
    return CanaryReport(scorer.model_id, reference.of, smallest, rows, dict(found.unreadable))


def _check_known(wanted: Sequence[str], dimensions: Sequence[str]) -> None:
    for name in wanted:
        if name not in dimensions:
            raise StoreError(f"the model has no dimension {name!r}; it has {', '.join(dimensions)}")


def _prompts(labels: pd.DataFrame, item_ids: Sequence[str]) -> list[str]:
    """Prompt id of each item."""
    prompt = labels.drop_duplicates("item_id").set_index("item_id")["prompt_id"]
    return [str(prompt[item]) for item in item_ids]


def _passed(labels: pd.DataFrame, dimension: str, item_ids: Sequence[str]) -> list[bool | None]:
    """Whether each item passes in a dimension; None: not labelled there."""
    label = labels[labels["dimension"] == dimension].set_index("item_id")["label"]
    passes = {"pass": True, "fail": False}
    return [passes.get(str(label.get(item))) for item in item_ids]


def keep(planned: CanaryPlan, report: CanaryReport) -> Path:
    """Write canaries.json beside the model's checkpoint; its path.

    Raises: StoreError where it cannot be written; an earlier one stays whole.
    """
    from training.job import write_json

    path = Path(planned.run["path"]).parent / "canaries.json"
    try:
        write_json(path, asdict(report))
    except OSError as error:
        path.with_suffix(".part").unlink(missing_ok=True)
        raise StoreError(
            f"{path} cannot be written ({error.strerror or error}); make room or mend its"
            " permissions, and run it again"
        ) from error
    return path
