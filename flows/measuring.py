"""Measuring as a Prefect flow: agreement, gates and consensus, with an artifact to decide from.

A gate that says stop fails the run, with the reason and the worst slices in the artifact, and
pauses the labelling queues where its rule asks for that.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pyarrow as pa
from prefect import flow
from prefect.artifacts import create_markdown_artifact

from agreement.consensus import Consensus
from flows import agreement_plots, measure
from flows.choose import chosen_method
from flows.console import say
from flows.flow_run import GATE_STOPPED, emit, failed, running, step
from flows.markdown import figure, number, table
from flows.queue import pause
from flows.settings import Settings
from warehouse.errors import PlatformError

KEY = "soli-measure"
WHAT = "Measure agreement, judge the gates, and decide a consensus."


@step
def measure_agreement(settings: Settings) -> measure.Measurement:
    """Agreement with intervals, annotators, suitability, gates."""
    return measure.measure(settings, settings.store)


@step
def decide(settings: Settings) -> dict[str, Consensus]:
    """Consensus by every method."""
    return measure.build(settings, settings.store)


@flow(name=KEY, description=WHAT, log_prints=False, persist_result=False)
def soli_measure() -> Any:
    """Measure agreement, judge the gates, and decide a consensus."""
    try:
        with running(KEY) as settings:
            measured = agree(settings)
            measure.stop_at_gate(measured)
    except PlatformError as error:
        return failed(error)
    return measured


def agree(settings: Settings) -> measure.Measurement:
    """Measure and decide, publish the artifact, and tell whoever waits for a gate's stop."""
    measured: measure.Measurement = measure_agreement(settings)
    found: dict[str, Consensus] = decide(settings)
    page = markdown(measured, found[chosen_method(settings)].table)
    create_markdown_artifact(page, key=KEY, description=WHAT)
    for row in measured.gates.to_pylist():
        if row["verdict"] == "stop":
            worst = _worst(json.loads(row["worst"]))
            about = {name: row[name] for name in ("dimension", "statistic", "reason")}
            emit(GATE_STOPPED, f"gate.{row['dimension']}", **about, worst=worst)
    pause_where_asked(settings, measured)
    return measured


def pause_where_asked(settings: Settings, measured: measure.Measurement) -> None:
    """Pause every project's queue where a gate stopped whose rule asks for that."""
    if not measured.pausing:
        return
    reason = f"the gate stopped {', '.join(measured.pausing)}"
    for project, now in pause(settings, reason).items():
        words = f"project {project}: {'paused' if now else 'was paused before'}; {reason}"
        say(words, "queue.paused", project=project)


def markdown(measured: measure.Measurement, consensus: pa.Table) -> str:
    """What to decide from: verdicts with reasons and worst slices, numbers, weeks, decided items.

    consensus: of the method that pairs are built from.
    """
    verdicts = measured.gates.to_pylist()
    gates = [[row["dimension"], f"**{row['verdict']}**", row["reason"]] for row in verdicts]
    lowest = [  # below the table: Prefect's page cuts a fourth column off
        [row["dimension"], _worst(json.loads(row["worst"]))]
        for row in verdicts
        if row["verdict"] == "stop"
    ]
    rows = measured.report.agreement.to_pylist()
    numbers = [
        [row["dimension"], row["statistic"], *map(number, (row["value"], row["low"], row["high"]))]
        for row in rows
        if row["slice"] == "all"
    ]
    weeks = [
        row for row in rows if row["slice"].startswith("week=") and row["statistic"] == "alpha"
    ]
    return "\n".join(
        [
            "# Agreement",
            "",
            *table(["dimension", "verdict", "reason"], gates),
            "",
            *table(["stopped", "worst slices"], lowest),
            "",
            *table(["dimension", "statistic", "value", "low", "high"], numbers),
            "",
            *([figure("alpha by week", agreement_plots.by_week(weeks)), ""] if weeks else []),
            "# Consensus",
            "",
            *table(["dimension", "pass", "fail", "undecided"], decided(consensus)),
        ]
    )


def decided(consensus: pa.Table) -> list[list[str]]:
    """A row a dimension: items decided as pass, as fail, and undecided."""
    names = consensus["dimension"].to_pylist()
    counts = Counter(zip(names, consensus["label"].to_pylist(), strict=True))
    labels = ("pass", "fail", "undecided")
    return [
        [name, *(f"{counts[name, label]:,}" for label in labels)] for name in sorted(set(names))
    ]


def _worst(parts: list[dict[str, Any]]) -> str:
    return ", ".join(f"{part['slice']} {number(part['value'])}" for part in parts)


def run_once() -> measure.Measurement:
    """Run the flow once, here.

    Raises: GateStop where a gate says stop; PlatformError with the run's message where it failed.
    """
    measured: Any = soli_measure()
    assert isinstance(measured, measure.Measurement)  # Prefect raises what a failed run holds
    return measured
