"""soli train."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.commands.common import DryRun, Json, settings_of

Model = Annotated[
    str | None, typer.Option(help="Model id or the start of it (default: the newest).")
]

Changes = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change an option of the recipe, PATH=VALUE; repeatable."),
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
    change: Changes = None,
    json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Train a reward model on a pair set with DeepSpeed.

    \b
    Examples:
      soli train
      soli train --pair-set 4be1 --recipe tiny --seed 1
      soli train --set head.kind=attention --set loss.margin=2
      soli train --recipe paper-1b --base-model /models/InternVL3-1B-hf --dry-run
    """
    from flows.console import show_json, show_rows
    from flows.train import Trained
    from flows.train import train as run
    from training.changes import read_change

    settings = settings_of(context)
    trained = run(
        settings.store,
        pair_set=pair_set,
        recipe=recipe,
        base_model=base_model,
        seed=seed,
        changes=dict(map(read_change, change or ())),
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
