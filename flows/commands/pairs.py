"""soli pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.commands.common import DryRun, Json, group, settings_of

app = group("Pair sets: win-lose and win-tie pairs out of single-item labels.")


@app.command("build")
def build(
    context: typer.Context,
    *,
    recipe: Annotated[
        Path | None,
        typer.Option(help="Recipe, TOML (default: section [pairs] of soli.toml, or all pairs)."),
    ] = None,
    json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Build a pair set from the latest consensus.

    The same labels and recipe give the same bytes, on any machine and in any order. Exits 3 where
    a gate stopped one of the recipe's dimensions.

    \b
    Examples:
      soli pairs build
      soli pairs build --recipe recipe.toml --dry-run
    """
    from flows.console import show_json, show_rows
    from flows.pair import build as run
    from flows.pair import recipe_of

    settings = settings_of(context)
    store = settings.store
    built, pair_set = run(settings, store, recipe_of(settings, store, recipe), dry_run=dry_run)
    if json:
        show_json(pair_set.manifest)
        return
    show_rows(built.counts, ("dimension", "split", "kind", "pairs"), f"Pair set {built.digest}")
    typer.echo(f"files: {built.path}" if not dry_run else "nothing was written")


@app.command("stats")
def stats(
    context: typer.Context,
    pair_set: Annotated[
        str | None, typer.Argument(help="Pair set id or the start of it (default: the newest).")
    ] = None,
    *,
    json: Json = False,
) -> None:
    """Count a pair set: kinds, splits, exposure, generators, prompts, leaks.

    \b
    Examples:
      soli pairs stats
      soli pairs stats 4be1 --json
    """
    from flows.console import show_json, show_rows
    from flows.pair import read, statistics_of

    store = settings_of(context).store
    tables = statistics_of(store, read(store, pair_set))
    if json:
        show_json({name: table.to_pylist() for name, table in tables.items()})
        return
    for name, table in tables.items():
        show_rows(table.to_pylist(), table.column_names, name.replace("_", " ").capitalize())
