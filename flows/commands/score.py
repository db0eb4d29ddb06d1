"""soli score."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from flows.commands.common import DryRun, Json, settings_of
from warehouse.wording import counted

if TYPE_CHECKING:
    from flows.score_files import FilesScored
    from flows.score_list import Entry
    from flows.settings import Settings

GO_TOGETHER = (
    "--list or --folder, one of them, goes with --out FILE, with --model or --checkpoint, and"
    " without --push"
)
FEW_ITEMS = 30  # of a reference: below, its mean and spread are little more than chance
MOST_SHOWN = 10  # bad videos named on stderr; all stand in FILE.errors

Model = Annotated[
    str | None, typer.Option(help="Model id or the start of it (default: the newest).")
]
Checkpoint = Annotated[
    Path | None,
    typer.Option(help="Folder of a model, instead of --model; needs no warehouse."),
]
Listed = Annotated[
    Path | None,
    typer.Option(
        "--list",
        help="Score the videos of a list: JSON, JSON lines, CSV or Parquet with video_path and,"
        " where there is one, prompt.",
    ),
]
Folder = Annotated[
    Path | None, typer.Option(help="Score every video below a folder, without prompts.")
]
MediaRoot = Annotated[
    Path | None,
    typer.Option(
        help="What a list's relative paths start from, and the only folder its videos may lie in"
        " (default: the list's own folder, or media_roots of the settings)."
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(help="File for the rewards: .parquet, .csv, .json or .jsonl."),
]
Device = Annotated[
    Literal["auto", "cpu", "cuda"], typer.Option(help="auto takes a GPU where there is one.")
]
Reference = Annotated[
    bool,
    typer.Option(
        "--reference",
        help="Keep mean, spread and quantiles of these rewards beside the model, as what its"
        " rewards are set against.",
    ),
]
Workers = Annotated[
    int, typer.Option(min=1, help="Threads that decode videos of a list or folder.")
]
Push = Annotated[
    bool, typer.Option("--push", help="Store the rewards in Label Studio as predictions.")
]


def score(
    context: typer.Context,
    *,
    model: Model = None,
    checkpoint: Checkpoint = None,
    listed: Listed = None,
    folder: Folder = None,
    media_root: MediaRoot = None,
    out: Out = None,
    reference: Reference = False,
    workers: Workers = 1,
    device: Device = "auto",
    push: Push = False,
    json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Give every item of the warehouse a reward in each dimension, or every video of a list.

    Of the warehouse: items that the model scored before keep their rewards; --push tells Label
    Studio, where predictions are hidden from annotators, and lets it serve the tasks that wait for
    labels by what a look at them is worth; --out writes all rewards of the model.

    Of a list or folder: nothing goes into the warehouse. FILE holds a row for each entry and
    dimension, with the raw reward, its distance from the reference's mean in standard deviations,
    and its percentile. Each video is decoded once. FILE.rewards keeps what was scored: a run that
    was killed goes on there. A bad video loses no other: FILE.errors says why, and the command
    ends with 1.

    \b
    Examples:
      soli score
      soli score --model 3f2a --push
      soli score --out rewards.parquet
      soli score --list videos.json --out rewards.csv
      soli score --checkpoint model/ --folder clips/ --out rewards.parquet --workers 4
      soli score --checkpoint model/ --list known.jsonl --out known.csv --reference
    """
    settings = settings_of(context)
    if listed is None and folder is None:
        _only_with_files(checkpoint, media_root, workers)
        _warehouse(
            settings, model, out, reference=reference, device=device, push=push, json=json,
            dry_run=dry_run,
        )  # fmt: skip
        return
    if out is None or push or (listed and folder) or (checkpoint and model):
        raise typer.BadParameter(GO_TOGETHER)
    entries = _entries(settings, listed, folder, media_root)
    name = str((listed or folder or Path()).name) if reference else None
    where, digest = _model(settings, model, checkpoint)
    if dry_run:
        _foresee(where, entries, out)
        return
    _files(where, digest, entries, out, name, device=device, workers=workers, json=json)


def _only_with_files(checkpoint: Path | None, media_root: Path | None, workers: int) -> None:
    if checkpoint or media_root or workers > 1:
        raise typer.BadParameter(
            "--checkpoint, --media-root and --workers go with --list or --folder"
        )


def _entries(
    settings: Settings, listed: Path | None, folder: Path | None, media_root: Path | None
) -> list[Entry]:
    from flows.score_list import read_folder, read_list

    if listed is None:
        return read_folder(folder or Path())
    own = (media_root or listed.parent).absolute()
    roots = (own,) if media_root else settings.media_roots or (settings.media_root, own)
    return read_list(listed, roots, own)


def _model(
    settings: Settings, model: str | None, checkpoint: Path | None
) -> tuple[Path, str | None]:
    """Folder of the model, and the digest its weights must have where the warehouse knows it."""
    from flows.train import newest_model

    if checkpoint:
        return checkpoint, None
    run = newest_model(settings.store, model)
    return Path(run["path"]), run["weights_sha256"]


def _foresee(checkpoint: Path, entries: list[Entry], out: Path) -> None:
    from flows.console import show_json
    from flows.score_files import already_scored
    from flows.score_output import writer_of

    writer_of(out)
    show_json(
        {
            "checkpoint": checkpoint,
            "entries": len(entries),
            "videos": len({each.path for each in entries if not each.problem}),
            "without prompt": sum(not each.prompt for each in entries),
            "bad": [each.problem for each in entries if each.problem],
            "out": out,
            "goes on": already_scored(out),
        }
    )


def _files(
    checkpoint: Path,
    weights_sha256: str | None,
    entries: list[Entry],
    out: Path,
    reference: str | None,
    *,
    device: Literal["auto", "cpu", "cuda"],
    workers: int,
    json: bool,
) -> None:
    from flows.console import progress, show_json
    from flows.score_files import score_files

    with progress("scoring") as advance:
        found = score_files(
            checkpoint,
            entries,
            out,
            reference=reference,
            weights_sha256=weights_sha256,
            device=device,
            workers=workers,
            progress=advance,
        )
    if json:
        show_json(found)
    else:
        _show(found)
    if found.bad:
        raise typer.Exit(1)


def _show(found: FilesScored) -> None:
    from flows.console import say, show_rows

    for bad in found.bad[:MOST_SHOWN]:
        say(f"not scored: line {bad['line']}: {bad['reason']}")
    if found.without_prompt:
        say(f"{found.without_prompt} entries have no prompt: the template holds an empty one")
    if found.reference is None:
        say("the model has no reference: run this with --reference on videos you know")
    elif found.reference_items < FEW_ITEMS:
        items = counted(found.reference_items, "item", "items")
        say(
            f"the reference {found.reference} has {items}: standardised rewards and percentiles are"
            " coarse; run this with --reference on more"
        )
    row = {
        "model_id": found.model_id,
        "entries": found.entries,
        "videos": found.videos,
        "kept": found.kept,
        "not scored": len(found.bad),
        "reference": found.reference,
        "rewards": str(found.out),
    }
    show_rows([row], list(row))
    if found.bad:
        say(f"{len(found.bad)} of {found.entries} entries have no reward: {found.out}.errors")


def _warehouse(
    settings: Settings,
    model: str | None,
    out: Path | None,
    *,
    reference: bool,
    device: Literal["auto", "cpu", "cuda"],
    push: bool,
    json: bool,
    dry_run: bool,
) -> None:
    from flows.annotate import push_scores
    from flows.console import progress, say, show_json, show_rows
    from flows.queue import serve_useful_first
    from flows.score import refer, write_scores
    from flows.score import score as run
    from flows.score_output import writer_of
    from flows.train import media_of, newest_model

    if out:
        writer_of(out)
    if dry_run:
        chosen = newest_model(settings.store, model)
        items = media_of(settings.store, unscored_by=chosen["model_id"]).num_rows
        show_json({"model_id": chosen["model_id"], "items": items, "push": push, "out": out})
        return
    with progress("scoring") as advance:
        row, new, unreadable = run(
            settings.store,
            model=model,
            device=device,
            progress=advance,
            frame_cache_bytes=settings.frame_cache_bytes,
        )
    for bad in unreadable:
        say(f"not scored: {bad['item_id']}: {bad['reason']}")
    if reference:
        refer(settings.store, row)
    if out:
        write_scores(settings.store, row, out)
    result = {
        "model_id": row["model_id"],
        "new rewards": new,
        "not scored": len(unreadable),
        "predictions": push_scores(settings, row["model_id"]) if push else 0,
    }
    waves = serve_useful_first(settings, row["model_id"]) if push else {}
    if json:
        show_json(result | {"not scored": unreadable, "queue": waves})
        return
    show_rows([result], list(result))
    for project, wave in waves.items():
        say(
            f"project {project}: {wave.tasks} of {wave.open} tasks that wait for labels are served"
            " first, the most useful before the others"
        )
