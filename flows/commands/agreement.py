"""soli agreement, soli consensus."""

from __future__ import annotations

from collections import Counter
from json import loads
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.commands.common import (
    AsOf,
    DryRun,
    Engine,
    Json,
    Master,
    check_page,
    group,
    master_of,
    settings_of,
)
from flows.commands.compare import Unit, compare, unit_of

if TYPE_CHECKING:
    from datetime import datetime

    import pyarrow as pa

    from flows.measure import Measurement
    from flows.settings import Settings

app = group("How far annotators agree.")
consensus = group("What was decided about each item.")

TOLERANCE = 1e-9
MANY = 20  # items on which two people seldom agree throughout
AGREEMENT_COLUMNS = (
    "dimension",
    "slice",
    "statistic",
    "value",
    "low",
    "high",
    "word",
    "items",
    "labels",
    "annotators",
)
ANNOTATOR_COLUMNS = (
    "annotator_id",
    "dimension",
    "labels",
    "pass_rate",
    "pass_bias",
    "sensitivity",
    "specificity",
    "leave_one_out",
    "gold_accuracy",
    "seconds",
)
CALIBRATION_COLUMNS = (
    "dimension",
    "gold_items",
    "slope",
    "intercept",
    "brier_before",
    "brier_after",
    "reason",
)
SUITABILITY_COLUMNS = ("dimension", "verdict", "dispersion", "low", "high", "power", "reason")


Dimensions = Annotated[
    list[str] | None, typer.Option(help="Show this dimension; may be repeated (default: all).")
]
Slices = Annotated[
    list[str] | None,
    typer.Option(
        "--slice",
        help="Measure by this, too: project, batch, week, generator, attribute.NAME, attributes,"
        " annotator, annotator_pair; may be repeated.",
    ),
]
Page = Annotated[Path | None, typer.Option(help="Write an HTML page with the figures, too.")]


@app.command("report")
def report(
    context: typer.Context,
    *,
    dimension: Dimensions = None,
    slices: Slices = None,
    unit: Unit = None,
    as_of: AsOf = None,
    page: Page = None,
    json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Measure agreement on the design labels, and judge the gates.

    Krippendorff's alpha, Fleiss' kappa, Gwet's AC1, raw agreement and prevalence per dimension and
    slice, each with a 95 % bootstrap interval; annotators with their flags; whether a shared Pass
    means the same quality. Exits 3 where a gate says stop.

    \b
    Examples:
      soli agreement report
      soli agreement report --page agreement.html
      soli agreement report --slice project --slice attribute.camera --unit prompt
      soli agreement report --as-of 2026-11-21T12:00
      soli agreement report --json > agreement.json
    """
    from flows.console import say
    from flows.measure import measure, stop_at_gate
    from warehouse.moment import moment_of

    check_page(page)
    settings = settings_of(context)
    store = settings.store
    measurement = measure(
        settings,
        store,
        moment=moment_of(store, as_of) if as_of else None,
        slices=slices or (),
        unit=unit_of(unit),
        dimensions=dimension or (),
        dry_run=dry_run,
    )
    if page is not None:
        from flows.agreement_page import page_of

        page_of(settings, measurement, page)
        say(f"page: {page}")
    _show(measurement, dimension or [], json=json)
    stop_at_gate(measurement)


def _show(measurement: Measurement, dimensions: list[str], *, json: bool) -> None:
    from flows.console import show_json, show_rows
    from flows.subjects import SHORT

    tables = {
        "agreement": measurement.report.agreement,
        "gates": measurement.gates,
        "annotators": measurement.people.rows,
        "copies": measurement.people.copies,
        "suitability": measurement.suitability,
        "labels": measurement.report.summary,
    }
    rows = {name: _of(table.to_pylist(), dimensions) for name, table in tables.items()}
    for row in rows["gates"]:
        row["worst"] = loads(row["worst"])
    for row in rows["annotators"]:
        row["flags"] = loads(row["flags"] or "[]")
    if json:
        show_json({**rows, "as_of": measurement.moment})
        return
    numbers = [row | {"word": row["word"] or row["reason"]} for row in rows["agreement"]]
    show_rows(numbers, AGREEMENT_COLUMNS, "Agreement (design labels)")
    shown = [row | {"annotator_id": row["annotator_id"][:SHORT]} for row in rows["annotators"]]
    show_rows(shown, ANNOTATOR_COLUMNS, "Annotators")
    _show_flags(rows["annotators"])
    _show_untested(rows["copies"])
    show_rows(rows["labels"], ("dimension", "role", "labels", "corrected"), "Labels by role")
    show_rows(rows["suitability"], SUITABILITY_COLUMNS, "Does a shared Pass mean the same quality?")
    show_rows(rows["gates"], ("dimension", "statistic", "verdict", "reason"), "Gates")


def _of(rows: list[dict[str, Any]], dimensions: list[str]) -> list[dict[str, Any]]:
    """Rows of these dimensions, or all; rows about no dimension stay."""
    return [row for row in rows if not dimensions or row.get("dimension") in (*dimensions, None)]


def _show_flags(rows: list[dict[str, Any]]) -> None:
    """One line for each flag, said once where it stands in several dimensions."""
    from flows.console import say

    for line in dict.fromkeys(
        f"{row['annotator_id']}: {flag['flag']}, {flag['reason']}"
        for row in rows
        for flag in row["flags"]
    ):
        say(line)


def _show_untested(rows: list[dict[str, Any]]) -> None:
    """Pairs who always say the same, where too few others are there to tell copies from luck."""
    from flows.console import say

    for row in rows:
        if row["p_value"] is None and row["agree"] == 1 and row["items"] >= MANY:
            say(
                f"{row['annotator_a']} and {row['annotator_b']} say the same on all"
                f" {row['items']} items; with so few others it cannot be told whether one copies,"
                " or both are one person under two accounts"
            )


app.command("compare")(compare)


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
    from flows.measure import measure_config, measured_labels
    from warehouse.errors import AgreementError

    settings = settings_of(context)
    config = measure_config(settings)
    rows = recompute(measured_labels(settings.store), config.slices).to_pylist()
    if json:
        show_json(rows)
    else:
        show_rows(rows, list(rows[0]) if rows else [], "Ours against theirs")
    apart = [row for row in rows if _apart(row)]
    if apart:
        first = apart[0]
        raise AgreementError(
            f"{first['dimension']} {first['slice']} {first['statistic']}: ours is {first['ours']},"
            f" {first['library']} says {first['theirs']}; please report this"
        )


def _apart(row: dict[str, Any]) -> bool:
    return row["difference"] is not None and abs(row["difference"]) > TOLERANCE


@consensus.command("build")
def build(
    context: typer.Context,
    *,
    engine: Engine = "duckdb",
    master: Master = None,
    as_of: AsOf = None,
    json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Decide each item's label: by majority, and by Dawid-Skene with one coin and with two.

    Pairs read the method that soli.toml names, two coins by default. Where enough items have a
    gold label, P(pass) is calibrated on them. With --engine spark Spark decides, by majority alone.

    \b
    Examples:
      soli consensus build
      soli consensus build --dry-run --json
      soli consensus build --as-of 2026-11-21T12:00
      soli consensus build --engine spark --master 'local[8]'
    """
    from flows.console import show_json, show_rows
    from warehouse.moment import moment_of

    settings = settings_of(context)
    moment = moment_of(settings.store, as_of) if as_of else None
    tables, calibrations = _built(settings, master_of(engine, master), moment, dry_run=dry_run)
    rows = [row for method, table in tables.items() for row in _decisions(method, table)]
    if json:
        show_json({"consensus": rows, "calibrations": calibrations})
        return
    columns = ("method", "dimension", "pass", "fail", "undecided", "digest")
    show_rows(rows, columns, "Consensus")
    if calibrations:
        show_rows(calibrations, CALIBRATION_COLUMNS, "P(pass) against gold labels (two coins)")


def _built(
    settings: Settings, spark: str | None, moment: datetime | None, *, dry_run: bool
) -> tuple[dict[str, pa.Table], list[dict[str, Any]]]:
    """Rows by method, and the calibrations; on the Spark of that master, or here."""
    from flows.choose import chosen_method
    from flows.console import say
    from flows.measure import build as build_all
    from warehouse.contracts import METHODS

    if spark is None:
        found = build_all(settings, settings.store, moment=moment, dry_run=dry_run)
        tables = {method: decided.table for method, decided in found.items()}
        return tables, found[METHODS[-1]].calibrations.to_pylist()
    from flows.spark import MAJORITY, build_majority

    rows = build_majority(settings, settings.store, spark, moment=moment, dry_run=dry_run)
    if (chosen := chosen_method(settings)) != MAJORITY:
        say(f"pairs read {chosen}; set method = 'majority' in [consensus] and they read this one")
    return {MAJORITY: rows}, []


def _decisions(method: str, table: pa.Table) -> list[dict[str, Any]]:
    """Numbers of decisions by dimension; the digest of the method's rows stands in the last."""
    from flows.measure import consensus_digest

    columns = (table[name].to_pylist() for name in ("dimension", "label"))
    counts = Counter(zip(*columns, strict=True))
    labels = ("pass", "fail", "undecided")
    rows: list[dict[str, Any]] = [
        {"method": method, "dimension": name, **{label: counts[name, label] for label in labels}}
        for name in sorted({name for name, _ in counts})
    ]
    if rows:
        rows[-1]["digest"] = consensus_digest(table)
    return rows
