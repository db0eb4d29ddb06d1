"""soli train, soli score."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.commands.common import DryRun, Json, settings_of

Model = Annotated[
    str | None, typer.Option(help="Model id or the start of it (default: the newest).")
]


def train(
    context: typer.Context,
    *,
    pair_set: Annotated[
        str | None, typer.Option(help="Pair set id or the start of it (default: the newest).")
    ] = None,
    recipe: Annotated[str, typer.Option(help="A recipe of training/recipes.py.")] = "tiny",
    base_model: Annotated[
        Path | None,
        typer.Option(help="Folder of the backbone; the tiny recipes build their own."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of weights, batches and dropout.")] = 0,
    json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Train a reward model on a pair set with DeepSpeed.

    \b
    Examples:
      soli train
      soli train --pair-set 4be1 --recipe tiny --seed 1
      soli train --recipe paper-1b --base-model /models/InternVL3-1B-hf --dry-run
    """
    from flows.console import show_json, show_rows
    from flows.train import Trained
    from flows.train import train as run

    settings = settings_of(context)
    trained = run(
        settings.store,
        pair_set=pair_set,
        recipe=recipe,
        base_model=base_model,
        seed=seed,
        frame_cache_bytes=settings.frame_cache_bytes,
        dry_run=dry_run,
    )
    if json or not isinstance(trained, Trained):
        show_json(trained)
        return
    row = {
        "model_id": trained.model_id,
        "pair_set_id": trained.pair_set_id,
        "steps": trained.steps,
        "seconds": trained.seconds,
        "checkpoint": trained.path,
    }
    show_rows([row], list(row))


def score(
    context: typer.Context,
    *,
    model: Model = None,
    push: Annotated[
        bool, typer.Option("--push", help="Store the rewards in Label Studio as predictions.")
    ] = False,
    json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Give every item a reward in each dimension; with --push, tell Label Studio.

    Items that the model scored before keep their rewards. Predictions are hidden from annotators.

    \b
    Examples:
      soli score
      soli score --model 3f2a --push
    """
    from flows.console import progress, say, show_json, show_rows
    from flows.train import media_of, newest_model
    from flows.train import score as run

    settings = settings_of(context)
    if dry_run:
        chosen = newest_model(settings.store, model)
        items = media_of(settings.store, unscored_by=chosen["model_id"]).num_rows
        show_json({"model_id": chosen["model_id"], "items": items, "push": push})
        return
    with progress("scoring") as advance:
        row, scores, unreadable = run(
            settings.store,
            model=model,
            progress=advance,
            frame_cache_bytes=settings.frame_cache_bytes,
        )
    for bad in unreadable:
        say(f"not scored: {bad['item_id']}: {bad['reason']}")
    pushed = 0
    if push:
        from flows.annotate import push_scores

        pushed = push_scores(settings, row["model_id"])
    result = {
        "model_id": row["model_id"],
        "new rewards": scores.num_rows,
        "not scored": len(unreadable),
        "predictions": pushed,
    }
    if json:
        show_json(result | {"not scored": unreadable})
    else:
        show_rows([result], list(result))
