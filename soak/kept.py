"""Where the output of a soak is kept."""

from __future__ import annotations

from pathlib import Path

from benchmarks.machine import report

RESULTS = Path(__file__).parent / "results"


def keep(name: str, lines: list[str], *, write: bool = True) -> None:
    """Print a result under date and machine, and keep it as soak/results/NAME.txt."""
    report(name, lines, RESULTS, write=write)
