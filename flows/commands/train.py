"""soli train, soli evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.commands.common import DryRun, Json, settings_of

if TYPE_CHECKING:
    import pyarrow as pa

    from warehouse.store import Store

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

    store = settings_of(context).store
    trained = run(
        store, pair_set=pair_set, recipe=recipe, base_model=base_model, seed=seed, dry_run=dry_run
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


def evaluate(
    context: typer.Context,
    *,
    model: Model = None,
    pair_set: Annotated[
        str | None,
        typer.Option(help="Take this set's own win-lose pairs, such as an imported one's."),
    ] = None,
    json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Measure how well a model orders pass above fail, on held-out prompts and out of domain.

    ACC is the share of pass x fail pairs with the higher reward on the pass item (equal counts as
    wrong), with a 95 % interval drawn by prompt. With --pair-set it is the share of that set's own
    win-lose pairs, those in train left out.

    \b
    Examples:
      soli evaluate
      soli evaluate --model 3f2a --json
      soli evaluate --pair-set 4be1
    """
    from flows.console import show_json, show_rows

    store = settings_of(context).store
    if pair_set is None:
        from flows.train import evaluate as run

        row, table = run(store, model=model, dry_run=dry_run)
    else:
        row, table = _of_pairs(store, pair_set, model, dry_run=dry_run)
    if json:
        show_json(table.to_pylist())
        return
    columns = ("dimension", "split", "metric", "value", "low", "high", "pairs", "items", "reason")
    show_rows(table.to_pylist(), columns, f"Model {row['model_id']}")


def _of_pairs(
    store: Store, pair_set: str, model: str | None, *, dry_run: bool
) -> tuple[dict[str, Any], pa.Table]:
    from flows.console import say
    from flows.evaluate_pairs import evaluate_pairs

    found = evaluate_pairs(store, pair_set, model=model, dry_run=dry_run)
    if found.unscored:
        say(f"{found.unscored} win-lose pairs are left out: an item has no reward")
    if found.learned:
        say(f"{found.learned} pairs hold a prompt that the model was trained on")
    return found.run, found.rows
