"""Where a benchmark ran, and where its result is written."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("duckdb", "pyarrow", "deltalake")


def machine() -> str:
    """One line on the machine and the libraries."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    names = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    libraries = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{names[0] if names else platform.machine()}, {cores} cores, {memory:.0f} GiB, Python"
        f" {platform.python_version()}, {libraries}"
    )


def report(name: str, lines: list[str]) -> None:
    """Print a result, and keep it with date and machine in benchmarks/results/NAME.txt."""
    text = "\n".join([f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", machine(), "", *lines]) + "\n"
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.txt").write_text(text, encoding="utf-8")
    print(text)
