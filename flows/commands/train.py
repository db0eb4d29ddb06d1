"""soli train."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.common import DryRun, Json, settings_of

if TYPE_CHECKING:
    from flows.train import Trained

Model = Annotated[
    str | None, typer.Option(help="Model id or the start of it (default: the newest).")
]
BaseModel = Annotated[
    Path | None, typer.Option(help="Folder of the backbone; the tiny recipes build their own.")
]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change an option of the recipe, PATH=VALUE; repeatable."),
]
Processes = Annotated[
    int, typer.Option(min=1, help="Processes on this machine, by torchrun; one for each GPU.")
]
Hostfile = Annotated[
    Path | None,
    typer.Option(
        help="Several machines, by DeepSpeed's launcher: a file with lines `HOST slots=N`."
    ),
]


def train(
    context: typer.Context,
    *,
    pair_set: Annotated[
        str | None, typer.Option(help="Pair set id or the start of it (default: the newest).")
    ] = None,
    recipe: Annotated[str, typer.Option(help="A recipe of training/recipes.py.")] = "tiny",
    base_model: BaseModel = None,
    seed: Annotated[int, typer.Option(min=0, help="Of weights, batches and dropout.")] = 0,
    change: Changes = None,
    processes: Processes = 1,
    hostfile: Hostfile = None,
    json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Train a reward model on a pair set with DeepSpeed.

    A run that was killed goes on when the same command is run again, with any number of processes.
    --dry-run prints the configuration, and the command that would run it.

    \b
    Examples:
      soli train
      soli train --pair-set 4be1 --recipe tiny --seed 1
      soli train --set head.kind=attention --set loss.margin=2
      soli train --recipe paper-1b --base-model /models/InternVL3-1B-hf --dry-run
      soli train --recipe paper-1b --base-model /models/InternVL3-1B-hf --processes 8
      soli train --recipe paper-8b --base-model /models/InternVL3-8B-hf --hostfile hosts
    """
    from flows.console import show_json
    from flows.train import Trained
    from flows.train import train as run
    from training.changes import read_change

    if hostfile is not None and processes > 1:
        raise typer.BadParameter("--hostfile says how many processes there are; leave --processes")
    settings = settings_of(context)
    trained = run(
        settings.store,
        pair_set=pair_set,
        recipe=recipe,
        base_model=base_model,
        seed=seed,
        changes=dict(map(read_change, change or ())),
        frame_cache_bytes=settings.frame_cache_bytes,
        processes=processes,
        hostfile=hostfile,
        dry_run=dry_run,
    )
    if json or not isinstance(trained, Trained):
        show_json(trained)
    else:
        _show(trained)


def _show(trained: Trained) -> None:
    from flows.console import show_rows

    here, folder = Path.cwd(), trained.path  # a long path would be cut off at the table's edge
    row = {
        "model_id": trained.model_id,
        "pair_set_id": trained.pair_set_id,
        "steps": trained.steps,
        "seconds": trained.seconds,
        "checkpoint": folder.relative_to(here) if folder.is_relative_to(here) else folder,
    }
    show_rows([row], list(row))
