"""soli agreement, soli consensus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from flows.commands.common import DryRun, Json, group, settings_of

if TYPE_CHECKING:
    from flows.measure import Measurement

app = group("How far annotators agree.")
consensus = group("What was decided about each item.")

TOLERANCE = 1e-9
ANNOTATOR_COLUMNS = (
    "annotator_id",
    "dimension",
    "labels",
    "pass_rate",
    "sensitivity",
    "specificity",
    "leave_one_out",
    "seconds",
)


@app.command("report")
def report(context: typer.Context, *, json: Json = False, dry_run: DryRun = False) -> None:
    """Measure agreement on the design labels, and judge the gates.

    Krippendorff's alpha, Fleiss' kappa, Gwet's AC1, raw agreement and prevalence per dimension and
    slice, each with a 95 % bootstrap interval. Exits 3 where a gate says stop.

    \b
    Examples:
      soli agreement report
      soli agreement report --json > agreement.json
    """
    from flows.measure import measure, stop_at_gate

    settings = settings_of(context)
    measurement = measure(settings, settings.store, dry_run=dry_run)
    _show(measurement, json=json)
    stop_at_gate(measurement)


def _show(measurement: Measurement, *, json: bool) -> None:
    from flows.console import show_json, show_rows

    rows = measurement.report.agreement.to_pylist()
    gates = measurement.gates.to_pylist()
    annotators = measurement.report.annotators.to_pylist()
    summary = measurement.report.summary.to_pylist()
    if json:
        show_json({"agreement": rows, "gates": gates, "annotators": annotators, "labels": summary})
        return
    columns = ("dimension", "slice", "statistic", "value", "low", "high", "word", "items", "labels")
    show_rows(rows, columns, "Agreement (design labels)")
    show_rows(
        annotators,
        ANNOTATOR_COLUMNS,
        "Annotators",
    )
    show_rows(summary, ("dimension", "role", "labels", "corrected"), "Labels by role")
    show_rows(gates, ("dimension", "statistic", "verdict", "reason"), "Gates")


@app.command("verify")
def verify(context: typer.Context, *, json: Json = False) -> None:
    """Recompute the numbers with krippendorff and statsmodels, and compare.

    Needs the extra `soli[verify]`. Exits 1 where a difference is larger than 1e-9.

    \b
    Examples:
      soli agreement verify
      soli agreement verify --json
    """
    from agreement.verify import verify as recompute
    from flows.console import show_json, show_rows
    from flows.measure import labels_of
    from warehouse.errors import AgreementError

    rows = recompute(labels_of(settings_of(context).store)).to_pylist()
    if json:
        show_json(rows)
    else:
        show_rows(rows, list(rows[0]) if rows else [], "Ours against theirs")
    apart = [row for row in rows if _apart(row)]
    if apart:
        first = apart[0]
        raise AgreementError(
            f"{first['dimension']} {first['statistic']}: ours is {first['ours']},"
            f" {first['library']} says {first['theirs']}; please report this"
        )


def _apart(row: dict[str, Any]) -> bool:
    return row["difference"] is not None and abs(row["difference"]) > TOLERANCE


@consensus.command("build")
def build(context: typer.Context, *, json: Json = False, dry_run: DryRun = False) -> None:
    """Decide each item's label: by majority, and by Dawid-Skene (which pairs use by default).

    \b
    Examples:
      soli consensus build
      soli consensus build --dry-run --json
    """
    from flows.console import show_json, show_rows
    from flows.measure import build as build_all
    from flows.measure import consensus_digest

    settings = settings_of(context)
    rows = []
    for method, table in build_all(settings, settings.store, dry_run=dry_run).items():
        for dimension in sorted(set(table["dimension"].to_pylist())):
            labels = [row["label"] for row in table.to_pylist() if row["dimension"] == dimension]
            counts = {name: labels.count(name) for name in ("pass", "fail", "undecided")}
            rows.append({"method": method, "dimension": dimension, **counts})
        rows[-1]["digest"] = consensus_digest(table)
    if json:
        show_json(rows)
    else:
        columns = ("method", "dimension", "pass", "fail", "undecided", "digest")
        show_rows(rows, columns, "Consensus")
