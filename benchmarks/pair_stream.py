"""100 million hard pairs to Parquet: from frozen items, and as ready-made arrays, in turn.

    python -m benchmarks.pair_stream [--pairs 100000000] [--rounds 3]

Ours is what `soli pairs stream` does once it knows the consensus: freeze 250,000 items of 20,000
prompts, sort the decks, deal win-lose pairs, write items and pairs. The baseline writes the same
columns with the same options from arrays that are there already, which is the least that anybody
can take. Each run has a process of its own, so that the peak of resident memory is its own.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.machine import peak, report
from pairing.blocks import Block, pairs_table
from pairing.folder import PAIRS_DISTINCT, ROW_GROUP, options
from pairing.freeze import freeze
from pairing.recipe import Recipe
from pairing.stream_files import write_stream

ITEMS, PROMPTS, PASSES = 250_000, 20_000, 0.7
MOST_TIMES, MOST_MIB = 3.0, 1024.0  # what is wanted


def arrays(number: int, folder: Path) -> float:
    """Seconds to write arrays that are there."""
    rng = np.random.default_rng(0)
    most = int(ITEMS * PASSES)
    ends = (rng.integers(0, most, number, dtype=np.int32) for _ in range(2))
    block = Block("looks", "train", "win_lose", *ends, 1.0, 1.0)
    table = pairs_table([block], "").drop_columns("pair_set_id")
    begun = time.perf_counter()
    path = folder / "arrays.parquet"
    pq.write_table(table, path, row_group_size=ROW_GROUP, **options(table.schema, PAIRS_DISTINCT))
    return time.perf_counter() - begun


def dealt(strategy: str) -> Callable[[int, Path], float]:
    """Way to deal pairs under a strategy."""

    def seconds(number: int, folder: Path) -> float:
        tables = _tables()
        counts = {"win_lose": {"train": number}}
        recipe = Recipe.from_dict(
            {
                "dimensions": ["looks"],
                "kinds": ["win_lose"],
                "counts": counts,
                "strategy": strategy,
                "split": {"train": 1.0, "validation": 0.0, "test": 0.0},
            }
        )
        begun = time.perf_counter()
        write_stream(freeze(*tables, recipe), recipe, folder / strategy, {}, lambda *_: None)
        return time.perf_counter() - begun

    return seconds


def _tables() -> tuple[pa.Table, pa.Table]:
    """Consensus and items."""
    rng = np.random.default_rng(0)
    names = pa.array([f"v_{n:06}" for n in range(ITEMS)])
    items = pa.table(
        {
            "item_id": names,
            "prompt_id": [f"p_{n:05}" for n in rng.integers(0, PROMPTS, ITEMS)],
            "generator": pa.repeat("g", ITEMS),
            "media_sha256": pa.nulls(ITEMS, pa.string()),
        }
    )
    p = rng.random(ITEMS)
    consensus = pa.table(
        {
            "consensus_id": pa.repeat("c", ITEMS),
            "item_id": names,
            "dimension": pa.repeat("looks", ITEMS),
            "label": np.where(p < PASSES, "pass", "fail").tolist(),
            "p_pass": p,
        }
    )
    return consensus, items


WAYS: dict[str, Callable[[int, Path], float]] = {
    "arrays": arrays,
    "any-prompt": dealt("any-prompt"),
    "cross-prompt": dealt("cross-prompt"),
}


def measured(way: str, number: int) -> dict[str, float]:
    """Run in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.pair_stream", "--way", way]
    done = subprocess.run(
        [*command, "--pairs", str(number)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    return dict(json.loads(done.stdout))


def compare(number: int, rounds: int) -> list[str]:
    """Lines of the result: each way in turn, several rounds."""
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way, runs in found.items():
            runs.append(measured(way, number))
    middle = {
        way: {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        for way, runs in found.items()
    }
    lines = [f"{number:,} pairs, median of {rounds} rounds", f"{'':14}{'wall s':>8}{'CPU s':>8}"]
    lines[-1] += f"{'peak MiB':>10}{'times':>8}"
    for way, row in middle.items():
        times = row["wall"] / middle["arrays"]["wall"]
        lines.append(f"{way:14}{row['wall']:8.2f}{row['cpu']:8.2f}{row['peak']:10,.0f}{times:8.2f}")
    return [*lines, f"(wanted: at most {MOST_TIMES:g} times, {MOST_MIB:,.0f} MiB)"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=100_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--way", choices=WAYS, help="measure this way alone, once")
    given = parser.parse_args()
    if given.way:
        with tempfile.TemporaryDirectory() as folder:
            begun = time.process_time()
            wall = WAYS[given.way](given.pairs, Path(folder))
            cpu = time.process_time() - begun
        print(json.dumps({"wall": wall, "cpu": cpu, "peak": peak()}))
        return
    report("pair_stream", compare(given.pairs, given.rounds))


if __name__ == "__main__":
    main()
