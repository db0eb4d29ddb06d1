"""soli ablate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.common import DryRun, Json, settings_of
from flows.commands.train import BaseModel, Changes

if TYPE_CHECKING:
    from flows.ablate import Ablation
    from flows.settings import Settings

Factors = Annotated[
    list[str] | None,
    typer.Option("--factors", help="batches, loss, kinds, head, strategy or layers; repeatable."),
]
Arms = Annotated[
    list[str] | None, typer.Option("--arms", help="An arm, as --dry-run names them; repeatable.")
]


def ablate(
    context: typer.Context,
    *,
    factor: Factors = None,
    arm: Arms = None,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each arm, one a seed.")] = 5,
    pair_set: Annotated[
        str | None, typer.Option(help="Pair set of the default (default: the newest).")
    ] = None,
    recipe: Annotated[
        str, typer.Option(help="The default: a recipe of training/recipes.py.")
    ] = "tiny-ablation",
    base_model: BaseModel = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Optimiser steps of a run.")] = None,
    change: Changes = None,
    jobs: Annotated[int, typer.Option(min=1, help="Trainings at once.")] = 1,
    json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Change one factor of training at a time, over seeds, and compare what comes out.

    Every arm differs from the default in one factor: head, loss, kinds of pairs, pairing strategy,
    layers, batches. All are measured on the same held-out pairs. A row is the mean over seeds with
    its 95 % interval, and the difference (Δ) from the default at the same seeds; ! marks one whose
    interval leaves out 0, * scores that cluster. Killed, it goes on when it is run again.

    \b
    Examples:
      soli ablate --dry-run
      soli ablate --jobs 2
      soli ablate --factors batches --seeds 10
      soli ablate --arms attention --arms bt --seeds 3 --steps 100
      soli ablate --recipe paper-1b --base-model /models/InternVL3-1B-hf --factors head
    """
    from flows.ablate import plan
    from flows.ablate_arms import chosen_arms
    from training.changes import read_change

    settings = settings_of(context)
    changes = dict(map(read_change, change or ()))
    if steps is not None:
        changes["batch.max_steps"] = steps
    ablation = plan(
        settings.store,
        chosen_arms(factor or (), arm or ()),
        seeds=seeds,
        pair_set=pair_set,
        recipe=recipe,
        base_model=base_model,
        changes=changes,
    )
    if dry_run:
        _foresee(ablation, json=json)
    else:
        _run(settings, ablation, jobs, json=json)


def _foresee(ablation: Ablation, *, json: bool) -> None:
    from flows.console import show_json, show_rows

    rows = [
        {
            "arm": job.arm.name,
            "factor": job.arm.factor,
            "seed": job.seed,
            "done": "yes" if job.done else "no",
            "changes": job.words,
        }
        for job in ablation.jobs
    ]
    if json:
        show_json(rows)
    else:
        show_rows(rows, list(rows[0]), f"Pair set {ablation.pair_set_id}")


def _run(settings: Settings, ablation: Ablation, jobs: int, *, json: bool) -> None:
    from flows.ablate_report import show, write
    from flows.ablate_run import run
    from flows.console import say, show_json

    outcome = run(settings, ablation, jobs=jobs, say=say)
    rows = write(ablation)
    if json:
        show_json({"rows": rows, "failed": outcome.failed})
    elif rows:
        show(ablation, rows)
    for name, reason in outcome.failed.items():
        say(f"{name} failed: {reason}")
    if outcome.failed:
        raise typer.Exit(1)
