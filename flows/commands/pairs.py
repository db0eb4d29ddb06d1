"""soli pairs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.commands.common import (
    DryRun,
    Engine,
    Json,
    Master,
    check_page,
    group,
    master_of,
    settings_of,
)
from flows.commands.pair_import import import_pairs
from warehouse.wording import counted

app = group("Pair sets: win-lose and win-tie pairs out of single-item labels.")


RecipeFile = Annotated[
    Path | None,
    typer.Option(help="Recipe, TOML (default: section [pairs] of soli.toml, or all pairs)."),
]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change the recipe, in TOML; may be repeated: --set seed=7.",
    ),
]
Manifest = Annotated[
    Path | None, typer.Option(help="Build the set again that this manifest.json is of.")
]
Extend = Annotated[
    str | None,
    typer.Option(
        metavar="SET",
        help="Keep the pairs of this set whose labels stand, and add others (its own recipe).",
    ),
]
Override = Annotated[
    str | None,
    typer.Option(
        "--override-gate",
        metavar="REASON",
        help="Build although a gate or the test of win-ties says stop; kept with the reason.",
    ),
]


@app.command("build")
def build(
    context: typer.Context,
    *,
    recipe: RecipeFile = None,
    changes: Changes = None,
    extend: Extend = None,
    manifest: Manifest = None,
    override: Override = None,
    engine: Engine = "duckdb",
    master: Master = None,
    json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Build a pair set from the latest consensus.

    The same labels and recipe give the same bytes, on any machine and in any order. Exits 3 where
    a gate stopped one of the recipe's dimensions, or where its win-ties are found unsuitable.
    With --engine spark the same set comes out, and the tables are read and sorted by Spark.

    \b
    Examples:
      soli pairs build
      soli pairs build --recipe recipe.toml --dry-run
      soli pairs build --set seed=7 --set 'strategy="any-prompt"' --set counts.win_tie.train=500
      soli pairs build --set 'blocks={passes=4,fails=4}'
      soli pairs build --extend 4be1
      soli pairs build --manifest old/manifest.json
      soli pairs build --override-gate "the pilot; the guidelines are being mended"
      soli pairs build --engine spark --master spark://host:7077
    """
    from flows.console import show_json, show_rows
    from flows.pair import build as run
    from flows.pair import rebuild, recipe_of

    settings = settings_of(context)
    store, spark = settings.store, master_of(engine, master)
    if manifest is not None:
        if any([recipe, changes, extend, override, spark]):
            raise typer.BadParameter("--manifest goes with --json and --dry-run alone")
        built, pair_set = rebuild(store, manifest, dry_run=dry_run)
    else:
        chosen = recipe_of(settings, store, recipe, changes or (), extend)
        given = {"extend": extend, "override": override, "master": spark}
        built, pair_set = run(settings, store, chosen, **given, dry_run=dry_run)
    _say_unused(override, pair_set.manifest)
    if json:
        show_json(pair_set.manifest)
        return
    show_rows(built.counts, ("dimension", "split", "kind", "pairs"), f"Pair set {built.digest}")
    typer.echo(f"files: {built.path}" if not dry_run else "nothing was written")


@app.command("stream")
def stream(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Folder to write; it must not be there yet.")],
    *,
    recipe: RecipeFile = None,
    changes: Changes = None,
    override: Override = None,
    json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Write a recipe's pairs into Parquet files, in little memory, and keep no set.

    For hundreds of millions of pairs of which a trainer reads each once. The rows are those that
    `soli pairs build` makes; nothing is added to the warehouse, so no digest and no lineage either.

    \b
    Examples:
      soli pairs stream /data/pairs --recipe recipe.toml
      soli pairs stream pairs --set counts.win_lose.train=100000000 --dry-run
    """
    from flows.console import progress, show_json, show_rows
    from flows.pair import recipe_of
    from flows.pair_stream import stream as run

    settings = settings_of(context)
    store = settings.store
    chosen = recipe_of(settings, store, recipe, changes or ())
    with progress("pairs") as advance:
        note = run(settings, store, chosen, folder, advance, override=override, dry_run=dry_run)
    _say_unused(override, note)
    if json:
        show_json(note)
        return
    show_rows(note["counts"], ("dimension", "split", "kind", "pairs"), f"Pairs in {folder}")
    if dry_run:
        typer.echo("nothing was written")


def _say_unused(override: str | None, said: Mapping[str, Any]) -> None:
    """Tell who gave a reason to override that nothing took it. said: a manifest, or a note."""
    from flows.console import say

    kept = said.get("override") or {}
    if override is not None and kept.get("reason") != override:
        say("nothing had to be overridden, since nothing says stop; the reason is kept nowhere")


@app.command("stats")
def stats(
    context: typer.Context,
    pair_set: Annotated[
        str | None, typer.Argument(help="Pair set id or the start of it (default: the newest).")
    ] = None,
    *,
    page: Annotated[
        Path | None, typer.Option(help="Write an HTML page with the figures, too.")
    ] = None,
    json: Json = False,
) -> None:
    """Count a pair set: kinds, splits, exposure, generators, prompts, leaks, age of labels.

    Histograms of exposure and of P(pass) are in the page and in the JSON.

    \b
    Examples:
      soli pairs stats
      soli pairs stats --page pairs.html
      soli pairs stats 4be1 --json
    """
    from flows.console import say, show_json, show_rows
    from flows.pair import read, statistics_of
    from pairing.stats import HISTOGRAMS

    check_page(page)
    store = settings_of(context).store
    chosen = read(store, pair_set)
    tables = statistics_of(store, chosen)
    if page is not None:
        from flows.pair_page import page_of

        page_of(chosen, tables, page)
        say(f"page: {page}")
    if json:
        show_json({name: table.to_pylist() for name, table in tables.items()})
        return
    for name, table in tables.items():
        if name not in HISTOGRAMS:
            show_rows(table.to_pylist(), table.column_names, name.replace("_", " ").capitalize())


@app.command("plan")
def plan(
    context: typer.Context,
    pair_set: Annotated[
        str | None, typer.Argument(help="Pair set id or the start of it (default: the newest).")
    ] = None,
    *,
    items_per_batch: Annotated[
        int, typer.Option(help="Items that a batch holds at most; each is encoded once.")
    ] = 16,
    json: Json = False,
) -> None:
    """Count the item encodings that one pass over a pair set costs, planned and not.

    Planned, in file and shuffled are encodings per pair: 2 where every pair encodes both its items.
    Takes some ten seconds for 500,000 pairs.

    \b
    Examples:
      soli pairs plan
      soli pairs plan 4be1 --items-per-batch 64 --json
    """
    from flows.console import progress, show_json, show_rows
    from flows.pair import read
    from flows.pair_plan import COLUMNS, plan_costs

    chosen = read(settings_of(context).store, pair_set)
    with progress("pairs planned") as advance:
        rows = plan_costs(chosen, items_per_batch, advance)
    if json:
        identity = {"pair_set_id": chosen.pair_set_id, "items_per_batch": items_per_batch}
        show_json({**identity, "splits": rows})
        return
    show_rows(rows, COLUMNS, f"Pair set {chosen.pair_set_id} in batches of {items_per_batch} items")


@app.command("diff")
def diff(
    context: typer.Context,
    a: Annotated[str, typer.Argument(help="Pair set id or the start of it.")],
    b: Annotated[str | None, typer.Argument(help="Another one (default: the newest).")] = None,
    *,
    json: Json = False,
) -> None:
    """Say why two pair sets differ: pairs that one of them lacks, by cause.

    Causes are a new item, a flipped label, an item that moved to another split, the recipe, a deck
    that was dealt anew because its items changed, and another mu or weight of the same pair.

    \b
    Examples:
      soli pairs diff 4be1
      soli pairs diff 4be1 93ef --json
    """
    from flows.console import say, show_json, show_rows
    from flows.pair import read
    from pairing.diff import difference

    store = settings_of(context).store
    one, two = read(store, a), read(store, b)
    found = difference(one, two)
    causes = found.causes.to_pylist()
    if json:
        ids = {"a": one.pair_set_id, "b": two.pair_set_id}
        show_json({**ids, "causes": causes, "recipe": found.recipe, "shared": found.shared})
        return
    columns = ("dimension", "split", "kind", "cause", "only_a", "only_b", "example_a", "example_b")
    show_rows(causes, columns, f"{one.pair_set_id} (a) and {two.pair_set_id} (b)")
    for field, (before, after) in found.recipe.items():
        say(f"recipe: {field} is {before!r} in a, {after!r} in b")
    both = "in both, alike in everything"
    say(counted(found.shared, f"pair is {both}", f"pairs are {both}"))


@app.command("export")
def export(
    context: typer.Context,
    form: Annotated[
        str,
        typer.Argument(help="solireward, solireward-readme, ms-swift, videoalign or huggingface."),
    ],
    folder: Annotated[Path, typer.Argument(help="Folder to write; it must not be there yet.")],
    *,
    pair_set: Annotated[
        str | None, typer.Option(help="Pair set id or the start of it (default: the newest).")
    ] = None,
    licence: Annotated[
        str, typer.Option(help="Under which others may use the data, such as CC-BY-4.0.")
    ],
    title: Annotated[str | None, typer.Option(help="Of the card.")] = None,
    description: Annotated[str, typer.Option(help="What the card says first.")] = "",
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="DIMENSION=COLUMN", help="VideoAlign: VQ, MQ or TA; may be repeated."),
    ] = None,
    json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Write a pair set in a trainer's format, with a data-set card.

    The card holds counts, agreement, annotators without their ids, recipe and licence, and what the
    trainer does not see of the set.

    \b
    Examples:
      soli pairs export huggingface pairs-hf --licence CC-BY-4.0
      soli pairs export videoalign pairs-va --licence MIT --column physics=MQ --pair-set 4be1
      soli pairs export solireward pairs-json --licence MIT --title "Pilot, physics"
      soli pairs export ms-swift pairs-jsonl --licence MIT --dry-run
    """
    from flows.console import show_json
    from flows.pair_exports import columns_of, export_set

    found, files = export_set(
        settings_of(context).store,
        pair_set,
        form,
        folder,
        licence=licence,
        title=title,
        description=description,
        columns=columns_of(column or []),
        dry_run=dry_run,
    )
    if json:
        said = {"pair_set_id": found.pair_set_id, "pairs": found.manifest["counts"]}
        show_json({**said, "files": [str(path) for path in files]})
        return
    typer.echo(f"pair set {found.pair_set_id}, {found.pairs.num_rows:,} pairs")
    for path in files:
        typer.echo(f"  {path}")
    if dry_run:
        typer.echo("nothing was written")


app.command("import")(import_pairs)
