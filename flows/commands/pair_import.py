"""soli pairs import."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.common import DryRun, Json, settings_of
from warehouse.wording import counted

if TYPE_CHECKING:
    from flows.pair_imports import Imported

MOST_SHOWN = 20  # refused rows, one a line; the JSON has all


Form = Annotated[
    str, typer.Argument(help="videoalign, videogen-rewardbench, solireward or solireward-readme.")
]
File = Annotated[Path, typer.Argument(help="CSV or JSON of that form.")]
MediaRoot = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Relative paths start here, and no video may lie elsewhere (default: the file's"
        " folder).",
    ),
]
Name = Annotated[
    str | None, typer.Option(help="Of the data set (default: the file's, without ending).")
]
SplitShares = Annotated[
    str | None,
    typer.Option(
        metavar="SHARES",
        help="Make a set to train on, split by prompt: train=0.8,validation=0.1,test=0.1, or train"
        " alone (default: all in test).",
    ),
]
Dimensions = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMN=DIMENSION",
        help="A column to read and its dimension; may be repeated. Others are left alone.",
    ),
]


def import_pairs(
    context: typer.Context,
    form: Form,
    file: File,
    *,
    media_root: MediaRoot = None,
    name: Name = None,
    dimension: Dimensions = None,
    split: SplitShares = None,
    json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Take in judgements of pairs that another project made, to evaluate or to train on.

    Adds the videos as items, the judgements as comparisons, and a pair set with all pairs in the
    split test: compare, count, export and evaluate on it (`soli evaluate --pair-set`). A video may
    be missing. With --split the set is one to train on: no prompt and no video is in two splits,
    and a row with a video that is not on this machine is refused. Exits 1 where rows were refused;
    the others are in.

    \b
    Examples:
      soli pairs import videogen-rewardbench bench/videogen-rewardbench.csv
      soli pairs import videoalign pairs.csv --dimension VQ=looks --dimension MQ=motion
      soli pairs import solireward physics.json --dimension quality=physical_plausibility
      soli pairs import videoalign pairs.csv --split train=0.8,validation=0.1,test=0.1
      soli pairs import videoalign pairs.csv --media-root /data/clips --name pilot --dry-run
    """
    from flows.console import progress, show_json
    from flows.pair_import_options import columns_read, split_read
    from flows.pair_imports import import_set

    settings = settings_of(context)
    with progress("reading videos") as advance:
        found = import_set(
            settings,
            form,
            file,
            media_root=media_root,
            name=name,
            columns=columns_read(dimension or ()),
            split=split_read(split, settings) if split is not None else None,
            dry_run=dry_run,
            progress=advance,
        )
    if json:
        show_json(found)
    else:
        _show(found, dry_run=dry_run)
    if found.refused:
        raise typer.Exit(1)


def _show(found: Imported, *, dry_run: bool) -> None:
    from flows.console import say, show_rows

    for refused in found.refused[:MOST_SHOWN]:
        say(f"refused, row {refused.row}: {refused.reason}")
    if (more := len(found.refused) - MOST_SHOWN) > 0:
        say(f"and {more} more; --json lists all")
    if found.missing:
        one = "video is not there; its item cannot be scored until it is"
        many = "videos are not there; their items cannot be scored until they are"
        say(counted(found.missing, one, many))
    if found.remote:
        one = "video is at a URL; copy it to this machine to score its item"
        many = "videos are at URLs; copy them to this machine to score their items"
        say(counted(found.remote, one, many))
    for warning in found.warnings:
        say(warning)
    names = ("rows", "judgements", "silent", "items", "known", "missing", "new", "changed")
    show_rows(
        [{n: getattr(found, n) for n in names} | {"refused": len(found.refused)}],
        (*names, "refused"),
    )
    built = found.pair_set
    show_rows(built.counts, ("dimension", "split", "kind", "pairs"), f"Pair set {built.digest}")
    typer.echo(f"files: {built.path}" if not dry_run else "nothing was written")
