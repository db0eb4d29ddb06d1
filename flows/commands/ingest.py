"""soli ingest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.commands.common import DryRun, Json, settings_of

if TYPE_CHECKING:
    from flows.ingest import Ingested
    from flows.labelling import Labelling
    from flows.settings import Settings


Export = Annotated[
    Path | None, typer.Option(help="A Label Studio JSON export, instead of a server.")
]
Comparisons = Annotated[
    Path | None, typer.Option(help="Pairwise judgements: CSV, JSONL or Parquet.")
]
Project = Annotated[
    int | None, typer.Option(help="Project id on the server (default: every Soli project).")
]
Source = Annotated[str | None, typer.Option(help="UUID of the project that an export is of.")]
Dimensions = Annotated[
    list[str] | None,
    typer.Option(help="Dimension of an export of a project never seen; may be repeated."),
]
DesignK = Annotated[
    int | None, typer.Option(min=1, help="Design labels of an item that does not say.")
]
Full = Annotated[bool, typer.Option("--full", help="Read every task, and find deleted ones.")]


def ingest(
    context: typer.Context,
    *,
    export: Export = None,
    comparisons: Comparisons = None,
    project: Project = None,
    source: Source = None,
    dimension: Dimensions = None,
    design_k: DesignK = None,
    full: Full = False,
    json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Pull label events from Label Studio, or read them from an export file.

    With --comparisons it reads judgements on two items each instead, with the columns item_a,
    item_b, dimension, annotator, category and, where it is known, judged_at.

    \b
    Examples:
      soli ingest                              # every project that Soli made on the server
      soli ingest --project 3 --full
      soli ingest --export project-3.json
      soli ingest --export birds.json --dimension is_indigo_bunting --json
      soli ingest --comparisons judgements.csv
    """
    if export is not None and (project is not None or full):
        raise typer.BadParameter("--project and --full are of a server; an export is read whole")
    if comparisons is not None and any([export, project, source, dimension, design_k, full]):
        raise typer.BadParameter("--comparisons goes with --json and --dry-run alone")
    settings = settings_of(context)
    if comparisons is not None:
        _comparisons(settings, comparisons, json=json, dry_run=dry_run)
    elif export is not None:
        labelling = _labelling(settings, dimension)
        given = {"source": source, "design_k": design_k, "dry_run": dry_run}
        _show([_export(settings, export, labelling, **given)], json=json)
    else:
        _show(_server(settings, project=project, full=full, dry_run=dry_run), json=json)


def _export(settings: Settings, file: Path, labelling: Labelling, **given: Any) -> Ingested:
    from flows.console import progress
    from flows.exports import ingest_export

    with progress("tasks read") as advance:
        return ingest_export(settings.store, file, labelling=labelling, progress=advance, **given)


def _server(settings: Settings, **asked: Any) -> list[Ingested]:
    from flows.annotate import ingest_server
    from flows.console import progress

    with progress("tasks read") as advance:
        return ingest_server(settings, progress=advance, **asked)


def _comparisons(settings: Settings, file: Path, *, json: bool, dry_run: bool) -> None:
    from flows.commands.compare import show_ingested
    from flows.comparisons import ingest_comparisons

    show_ingested(ingest_comparisons(settings, file, dry_run=dry_run), json=json)


def _labelling(settings: Settings, dimensions: list[str] | None) -> Labelling:
    from flows.labelling import Labelling

    named = dimensions or [str(section.get("name")) for section in settings.dimensions]
    return Labelling(tuple(named), mapping=settings.mapping, reviewers=settings.reviewers)


def _show(results: list[Ingested], *, json: bool) -> None:
    from flows.console import show_json, show_rows

    if json:
        show_json(results)
        return
    rows = [
        {
            "project": result.project or result.source[:8],
            "tasks": result.tasks,
            "annotations": result.annotations,
            "new items": result.items,
            "new events": result.added,
            "which": _words(result.events),
            "quarantined": sum(result.quarantined.values()),
            "why": _words(result.quarantined),
            "gone": result.gone,
            "settled": sum(result.settled.values()),
            "stale": result.stale,
            "seconds": round(result.seconds, 1),
        }
        | ({"forgotten": result.forgotten} if result.forgotten else {})
        for result in results
    ]
    columns = dict.fromkeys(name for row in rows for name in row)
    show_rows(rows, list(columns))


def _words(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "none"
