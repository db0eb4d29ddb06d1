"""Measuring as a Prefect flow: agreement, gates and consensus, with an artifact to decide from.

A gate that says stop fails the run, with the reason and the worst slices in the artifact, and
pauses the labelling queues where its rule asks for that.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.states import Failed

from flows import measure
from flows.console import say
from flows.queue import pause
from flows.settings import Settings, load
from warehouse.errors import GateStop, PlatformError

KEY = "soli-measure"
WHAT = "Measure agreement, judge the gates, and decide a consensus."

step: Callable[..., Any] = task(cache_policy=NO_CACHE, persist_result=False)


@step
def measure_agreement(settings: Settings) -> measure.Measurement:
    """Agreement with intervals, annotators, suitability, gates."""
    return measure.measure(settings, settings.store)


@step
def decide(settings: Settings) -> int:
    """Consensus by every method; returns the number of its rows."""
    return sum(found.table.num_rows for found in measure.build(settings, settings.store).values())


@flow(name=KEY, description=WHAT, log_prints=False, persist_result=False)
def soli_measure() -> Any:
    """Measure agreement, judge the gates, and decide a consensus."""
    try:
        settings = load()
        measured = measure_agreement(settings)
        decide(settings)
        create_markdown_artifact(markdown(measured), key=KEY, description=WHAT)
        pause_where_asked(settings, measured)
        measure.stop_at_gate(measured)
    except GateStop as stop:
        return Failed(message=str(stop), data=stop)
    except PlatformError as error:
        say(f"failed: {error}")
        return Failed(message=str(error), data=error)
    return measured


def pause_where_asked(settings: Settings, measured: measure.Measurement) -> None:
    """Pause every project's queue where a gate stopped whose rule asks for that."""
    if not measured.pausing:
        return
    reason = f"the gate stopped {', '.join(measured.pausing)}"
    for project, now in pause(settings, reason).items():
        say(f"project {project}: {'paused' if now else 'was paused before'}; {reason}")


def markdown(measured: measure.Measurement) -> str:
    """The verdicts with their reasons and worst slices, and the numbers behind them."""
    gates = [
        [
            row["dimension"],
            f"**{row['verdict']}**",
            row["reason"],
            _worst(json.loads(row["worst"])) if row["verdict"] == "stop" else "",
        ]
        for row in measured.gates.to_pylist()
    ]
    numbers = [
        [row["dimension"], row["statistic"], *map(_number, (row["value"], row["low"], row["high"]))]
        for row in measured.report.agreement.to_pylist()
        if row["slice"] == "all"
    ]
    return "\n".join(
        [
            "# Agreement",
            "",
            *_table(["dimension", "verdict", "reason", "worst slices"], gates),
            "",
            *_table(["dimension", "statistic", "value", "low", "high"], numbers),
        ]
    )


def _worst(parts: list[dict[str, Any]]) -> str:
    return ", ".join(f"{part['slice']} {_number(part['value'])}" for part in parts)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    """Lines of a Markdown table; a cell's own bars are escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]


def run_once() -> measure.Measurement:
    """Run the flow once, here.

    Raises: GateStop where a gate says stop; PlatformError with the run's message where it failed.
    """
    measured: Any = soli_measure()
    assert isinstance(measured, measure.Measurement)  # Prefect raises what a failed run holds
    return measured
