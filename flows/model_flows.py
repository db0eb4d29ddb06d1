"""Training and scoring as Prefect flows, each with an artifact to decide from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from pydantic import Field

from flows import annotate, plots, score, train
from flows.console import progress, say
from flows.flow_run import failed, now, running, step
from flows.markdown import figure, number, table
from flows.report import curve_of
from flows.schedule import network
from flows.settings import Settings
from warehouse.errors import PlatformError

TRAIN, SCORE = "soli-train", "soli-score-back"
TRAINS = "Train a reward model on a pair set."
SCORES = "Give every item a reward, and tell Label Studio, where annotators do not see it."
MOST_SHOWN = 20  # items without a reward that the artifact names
# Items, mean and spread of the rewards, and how many pass-fail pairs they order rightly.
SPREAD = """
SELECT dimension, count(*) AS items, avg(reward) AS mean, stddev_samp(reward) AS sd,
  min(reward) AS lowest, max(reward) AS highest
FROM scores WHERE model_id = $m GROUP BY dimension ORDER BY dimension
"""
ACCURACY = """
SELECT dimension, split, acc, low, high, pairs FROM model_accuracy
WHERE model_id = $m ORDER BY dimension, split
"""


@step
def learn(settings: Settings, wanted: dict[str, Any]) -> train.Trained:
    """The training, in processes of its own; one that was killed goes on."""
    from training.changes import read_change

    base = wanted["base_model"]
    made = train.train(
        settings.store,
        pair_set=wanted["pair_set"],
        recipe=wanted["recipe"],
        base_model=Path(base) if base else None,
        seed=wanted["seed"],
        changes=dict(map(read_change, wanted["changes"])),
        frame_cache_bytes=settings.frame_cache_bytes,
        processes=wanted["processes"],
    )
    assert isinstance(made, train.Trained)  # a dry run gives something else
    return made


@flow(name=TRAIN, description=TRAINS, log_prints=False, persist_result=False)
def soli_train(
    *,
    pair_set: str | None = None,
    recipe: str = "tiny",
    base_model: str | None = None,
    seed: Annotated[int, Field(ge=0)] = 0,
    changes: list[str] | None = None,
    processes: Annotated[int, Field(ge=1)] = 1,
) -> Any:
    """Train a reward model on a pair set.

    Args:
        pair_set: Id of the pair set or the start of it; none: the newest.
        recipe: A training recipe, such as paper-1b.
        base_model: Folder of the backbone; the tiny recipes build their own.
        seed: Of weights, batches and dropout.
        changes: Changes of the recipe, PATH=VALUE each, such as loss.margin=2.
        processes: Processes on this machine, one for each GPU.
    """
    wanted = {
        "pair_set": pair_set, "recipe": recipe, "base_model": base_model, "seed": seed,
        "changes": changes or [], "processes": processes,
    }  # fmt: skip
    try:
        with running(TRAIN) as settings:
            trained: train.Trained = learn(settings, wanted)
    except PlatformError as error:
        return failed(error)
    create_markdown_artifact(trained_page(trained), key=TRAIN, description=TRAINS)
    words = f"{now()} model {trained.model_id[:12]}, {trained.steps} steps"
    say(words, "train.done", model_id=trained.model_id, seconds=trained.seconds)
    return trained


def trained_page(trained: train.Trained) -> str:
    """What to decide from: what was trained on what, its numbers, and the curve."""
    job = trained.path.parent
    facts = {
        "pair set": trained.pair_set_id,
        "run": trained.run_id,
        "steps": f"{trained.steps:,}",
        "minutes": f"{trained.seconds / 60:.1f}",
        "memory, GiB": f"{trained.peak_rss_bytes / 2**30:.1f}",
    }
    metrics = json.loads((job / "metrics.json").read_text(encoding="utf-8"))
    return "\n".join(
        [
            f"# Model {trained.model_id[:12]}",
            "",
            *table(["what", "value"], [[name, value] for name, value in facts.items()]),
            "",
            *table(["metric", "value"], [[name, number(x)] for name, x in numbers_of(metrics)]),
            "",
            figure("loss and accuracy by step", plots.curve(curve_of(job / "curve.jsonl"))),
        ]
    )


def numbers_of(values: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, float]]:
    """Dotted names and numbers of a nested table.

    >>> list(numbers_of({"test": {"acc": 0.9, "note": "x"}, "steps": 8}))
    [('test.acc', 0.9), ('steps', 8)]
    """
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from numbers_of(value, f"{path}{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{path}{name}", value


@step
def score_items(settings: Settings, model: str | None) -> tuple[str, int, list[dict[str, str]]]:
    """Rewards of the items that have none; the model's id, their number, and what was not read."""
    with progress("scoring") as advance:
        run, new, bad = score.score(
            settings.store,
            model=model,
            progress=advance,
            frame_cache_bytes=settings.frame_cache_bytes,
        )
    return run["model_id"], new, bad


@network
def tell_label_studio(settings: Settings, model_id: str) -> int:
    """Predictions that are new to Label Studio."""
    return annotate.push_scores(settings, model_id)


@flow(name=SCORE, description=SCORES, log_prints=False, persist_result=False)
def soli_score_back(*, model: str | None = None, push: bool = True) -> Any:
    """Give every item of the warehouse a reward, and send the rewards to Label Studio.

    Args:
        model: Id of the model or the start of it; none: the newest.
        push: Store the rewards in Label Studio as predictions, which annotators do not see.
    """
    try:
        with running(SCORE) as settings:
            model_id, new, bad = score_items(settings, model)
            predictions = tell_label_studio(settings, model_id) if push else 0
    except PlatformError as error:
        return failed(error)
    counts = {"new rewards": new, "not scored": len(bad), "predictions": predictions}
    page = scored_page(settings, model_id, counts, [row["item_id"] for row in bad])
    create_markdown_artifact(page, key=SCORE, description=SCORES)
    say(f"{now()} model {model_id[:12]}: {new} new rewards", "score.done", model_id=model_id)
    return {"model_id": model_id, **counts}


def scored_page(
    settings: Settings, model_id: str, counts: Mapping[str, int], unread: list[str]
) -> str:
    """What to decide from: counts, spread of the rewards, accuracy where labels are known."""
    spread, accuracy = (
        settings.store.query(sql, {"m": model_id}).to_pylist() for sql in (SPREAD, ACCURACY)
    )
    shares = ("mean", "sd", "lowest", "highest")
    return "\n".join(
        [
            f"# Rewards of model {model_id[:12]}",
            "",
            *table(list(counts), [[f"{value:,}" for value in counts.values()]]),
            "",
            *table(
                ["dimension", "items", *shares],
                [
                    [row["dimension"], f"{row['items']:,}", *(number(row[name]) for name in shares)]
                    for row in spread
                ],
            ),
            "",
            *table(
                ["dimension", "split", "accuracy", "low", "high", "pairs"],
                [
                    [row["dimension"], row["split"], number(row["acc"]), number(row["low"]),
                     number(row["high"]), f"{row['pairs']:,}"]
                    for row in accuracy
                ],
            ),
            "",
            *(f"- not scored: `{item}`" for item in unread[:MOST_SHOWN]),
        ]
    )  # fmt: skip


def train_once(**wanted: Any) -> train.Trained:
    """Run the training flow once, here.

    Raises: PlatformError with the run's message where it failed.
    """
    found: Any = soli_train(**wanted)
    assert isinstance(found, train.Trained)  # Prefect raises what a failed run holds
    return found


def score_once(model: str | None = None, *, push: bool = True) -> dict[str, Any]:
    """Run the scoring flow once, here.

    Raises: PlatformError with the run's message where it failed.
    """
    found: Any = soli_score_back(model=model, push=push)
    assert isinstance(found, dict)  # Prefect raises what a failed run holds
    return found
