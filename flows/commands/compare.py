"""soli agreement compare, and what `soli ingest --comparisons` shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.commands.common import Json, settings_of

if TYPE_CHECKING:
    from agreement import report
    from agreement.compare import Compared
    from flows.comparisons import ComparisonsIngested

COLUMNS = ("task", "alpha", "kappa", "ac1", "raw", "interpretation", "items", "annotators")
DIFFERENCE = "difference"

Row = dict[str, Any]
Unit = Annotated[
    str | None,
    typer.Option(help="What the bootstrap draws: item, or prompt (default: the settings')."),
]


def compare(
    context: typer.Context,
    *,
    dimension: Annotated[
        list[str] | None,
        typer.Option(help="Dimension to compare; may be repeated (default: all judged in both)."),
    ] = None,
    unit: Unit = None,
    json: Json = False,
) -> None:
    """Compare the agreement of Pass/Fail labels with that of pairwise comparisons.

    Krippendorff's alpha, Fleiss' kappa, Gwet's AC1 and raw agreement of both tasks, as in Table 1
    of the SoliReward paper, and their differences (single items minus comparisons), each with a
    95 % bootstrap interval. A difference whose interval leaves out 0 is more than chance.

    With --unit prompt the bootstrap draws prompts, each with its items and its pairs: take it where
    the same prompts stand behind both tasks. It needs pairs of known items of one prompt.

    \b
    Examples:
      soli ingest --comparisons comparisons.csv
      soli agreement compare
      soli agreement compare --dimension physical_plausibility --unit prompt
      soli agreement compare --json
    """
    from flows.comparisons import compare_tasks
    from flows.console import show_json

    found = compare_tasks(settings_of(context), dimension or (), unit_of(unit))
    if not json:
        _show(found)
        return
    tables = {"tasks": found.tasks, "differences": found.differences, "answers": found.answers}
    plain = {name: table.to_pylist() for name, table in tables.items()}
    show_json({**plain, "alone": found.alone})


def unit_of(name: str | None) -> report.Unit | None:
    """What a flag --unit names."""
    match name:
        case None | "item" | "prompt":
            return name
    raise typer.BadParameter(f"--unit {name!r}: take item or prompt")


def _show(found: Compared) -> None:
    from flows.console import say, show_rows, visible

    tasks, differences = found.tasks.to_pylist(), found.differences.to_pylist()
    for dimension in dict.fromkeys(row["dimension"] for row in tasks):
        rows = _wide([row for row in tasks + differences if row["dimension"] == dimension])
        show_rows(rows, COLUMNS, visible(f"Agreement of both tasks: {dimension}"))
    answers = found.answers.to_pylist()
    show_rows(answers, ("dimension", "task", "category", "labels", "share"), "Answers")
    for row in tasks + differences:
        if row["reason"] and row["statistic"] == "alpha":
            say(f"{row['dimension']}, {row.get('task', DIFFERENCE)}: {row['reason']}")
    for dimension, task in found.alone.items():
        say(f"{dimension} is left out: it was judged in the task {task} only")


def _wide(rows: list[Row]) -> list[Row]:
    """One row per task, and one of the difference, with a column for each statistic."""
    wide: dict[str, Row] = {}
    for row in rows:
        task = row.get("task", DIFFERENCE)
        one = wide.setdefault(task, {"task": task})
        one[row["statistic"]] = _with_interval(row)
        if row["statistic"] == "alpha":
            both = row.get("shared_annotators")
            people = row["annotators"] if both is None else f"{both} in both"
            one |= {"interpretation": row.get("word"), "annotators": people}
            one["items"] = row.get("items")
    return list(wide.values())


def _with_interval(row: Row) -> str | None:
    """Four digits, as in the paper, and the interval.

    >>> _with_interval({"value": 0.4939, "low": 0.35, "high": 0.62})
    '0.4939 [0.3500, 0.6200]'
    """
    if row["value"] is None:
        return None
    interval = "" if row["low"] is None else f" [{row['low']:.4f}, {row['high']:.4f}]"
    return f"{row['value']:.4f}{interval}"


def show_ingested(found: ComparisonsIngested, *, json: bool) -> None:
    """What came of a file of comparisons.

    Raises: typer.Exit with 1 where rows were refused; the others are in.
    """
    from flows.console import say, show_json, show_rows

    if json:
        show_json(found)
    else:
        for refused in found.refused:
            say(f"refused, row {refused.row}: {refused.reason}")
        counts = {
            "read": found.read,
            "new": found.new,
            "changed": found.changed,
            "known": found.known,
            "stale": found.stale,
            "refused": len(found.refused),
            "new annotators": found.annotators,
        }
        show_rows([counts], list(counts))
    if found.refused:
        raise typer.Exit(1)
