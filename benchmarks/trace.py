"""`soli trace` both ways over a million pairs: 250,000 items, 1.5 million labels, two models.

    python -m benchmarks.trace [--rounds 5] [--home DIR]

The home is that of benchmarks.pair_build (labels simulated to the paper's agreement, consensus by
three methods) with its two pair sets of 500,000 pairs each, one of them of a combined dimension; a
model is said to be trained on each, and to have scored every item. It is made in a temporary
folder; of DIR, where one is given, a copy is made by hard links and DIR stays as it is.

Printed: median and worst seconds, and median CPU seconds of all threads, of the question alone
(`resolve` and `trace`) and of the whole process of `soli trace ... --json`; and how many processes
wanted a core meanwhile, as that says what the seconds are worth. Wanted: 1 s.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa

from benchmarks.machine import report
from benchmarks.pair_build import SETS, make_home, ours
from flows.trace import resolve, trace
from warehouse.store import Store

TARGET = 1.0  # seconds
MODELS = ("a" * 64, "b" * 64)


def fill(home: Path) -> None:
    """Two pair sets, and a model with its rewards for each."""
    store = Store(home)
    for model, dimension in zip(MODELS, SETS, strict=True):
        ours(home, dimension)
        sets = store.query("FROM pair_sets ORDER BY observed_at DESC LIMIT 1").to_pylist()
        run = {
            "model_id": model,
            "run_id": model[:16],
            "pair_set_id": sets[0]["pair_set_id"],
            "config": "{}",
            "weights_sha256": model,
            "metrics": "{}",
            "seconds": 1.0,
            "path": "runs",
        }
        store.append("runs", pa.Table.from_pylist([run]))
        rewards = store.query(
            "SELECT $m AS model_id, item_id, $d AS dimension,"
            " (hash(item_id) % 1000) / 100.0 AS reward FROM items",
            {"m": model, "d": dimension},
        )
        store.append("scores", rewards)


def questions(store: Store) -> dict[str, str]:
    """What is asked, by its kind."""
    label = store.query(
        "SELECT annotator_id, item_id, annotation_id, dimension FROM label_events"
        " WHERE item_id IN (SELECT item_id FROM pair_set_items WHERE split = 'train')"
        " ORDER BY hash(annotation_id) LIMIT 1"
    ).to_pylist()[0]
    return {
        "model": MODELS[0],
        "reward": f"{MODELS[0]}:{label['item_id']}",
        "annotator": label["annotator_id"],
        "item": label["item_id"],
        "label": f"label:{label['annotation_id']}/{label['dimension']}",
    }


def asked(home: Path, text: str) -> tuple[float, float]:
    """Seconds, and CPU seconds, of the question to a home that was not opened before."""
    begun, before = time.perf_counter(), time.process_time()
    store = Store(home)
    trace(store, resolve(store, text))
    return time.perf_counter() - begun, time.process_time() - before


def run(home: Path, text: str) -> tuple[float, float]:
    """Seconds, and CPU seconds, of the command in a process of its own."""
    command = [sys.executable, "-m", "flows", "--home", str(home), "trace", text, "--json"]
    begun, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=Path(__file__).parents[1])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - begun, cpu


def measure(home: Path, rounds: int) -> list[str]:
    """Lines of the report."""
    store = Store(home)
    pairs, labels = (
        store.query(f"SELECT count(*) AS n FROM {name}")["n"][0].as_py()
        for name in ("pairs", "label_events")
    )
    lines = [
        f"{pairs:,} pairs in {len(SETS)} sets, {labels:,} label events, {rounds} rounds",
        "seconds: median (worst)",
        "",
        f"  {'asked':10}{'question':>16}{'CPU':>8}{'command':>16}{'CPU':>8}",
    ]
    for kind, text in questions(store).items():
        alone = [asked(home, text) for _ in range(rounds)]
        whole = [run(home, text) for _ in range(rounds)]
        lines.append(f"  {kind:10}{_figure(alone)}{_figure(whole)}")
    load = os.getloadavg()[1]
    return [*lines, "", f"wanted: {TARGET:g} s; load in the last 5 minutes: {load:.1f}"]


def _figure(measured: list[tuple[float, float]]) -> str:
    walls, cpus = zip(*measured, strict=True)
    return f"{statistics.median(walls):8.2f} ({max(walls):5.2f}){statistics.median(cpus):8.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--home", type=Path, help="a home of benchmarks.pair_build")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.home.parent if given.home else None) as folder:
        home = Path(folder) / "home"
        if given.home:
            shutil.copytree(given.home, home, symlinks=True, copy_function=os.link)
        else:
            make_home(home)
        fill(home)
        report("trace", measure(home, given.rounds))


if __name__ == "__main__":
    main()
