"""500,000 pairs out of 250,000 items of 20,000 prompts: from consensus to a published set.

    python -m benchmarks.pair_build [--rounds 5] [--home DIR]

Both begin with tables of a warehouse and end with a committed one, in turn, each in a process of
its own and in a copy of the same home. Ours is `soli pairs build`: clearance by the gates,
balanced decks of pairs across prompts, 350,000 win-lose and 150,000 win-tie, files with a digest,
rows in four tables, a new face. The baseline is what one would write in a notebook: pandas merges
consensus and items, splits by prompt, draws rows at random, drops pairs of one prompt and pairs
that came twice, writes a Parquet file and appends it to a Delta table. It has no balance, no soft
μ, no check and no digest, and another set each time.

Printed: seconds of the whole process; from the start of `main`, and without imports; CPU seconds
and peak of resident memory. The home (labels simulated to the paper's agreement, their agreement
and their consensus by three methods: about two minutes) is made in a temporary folder, or made in
or taken from DIR.
"""

from __future__ import annotations

import argparse
import importlib
import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.machine import peak, report

if TYPE_CHECKING:  # a run imports only what it uses: that is part of what is measured
    import numpy as np
    import pandas as pd

ITEMS = 250_000
COUNTS = {"win_lose": 350_000, "win_tie": 150_000}
PHYSICS, SHAPE = "physical_plausibility", "subject_deformity"
SETS = {  # dimension of the pairs -> the dimensions whose labels it is made of
    PHYSICS: (PHYSICS,),
    "phy_deform": (PHYSICS, SHAPE),
}
TARGET = 3.0  # seconds
FIGURES = ("process", "main", "build", "cpu", "peak")


def make_home(home: Path) -> None:
    """Items, labels, agreement, gates and consensus."""
    from flows import measure
    from flows.settings import Settings
    from soak.paper_world import PaperWorld, add_labels, add_videos

    settings = Settings(home=home)
    world = PaperWorld(in_house=ITEMS, others=0)
    add_videos(settings.store, world)
    add_labels(settings.store, world)
    measure.measure(settings, settings.store)
    measure.build(settings, settings.store)


def recipe(dimension: str) -> dict[str, Any]:
    parts = SETS[dimension]
    combined = {dimension: " & ".join(parts)} if len(parts) > 1 else {}
    counts = {kind: {"train": number} for kind, number in COUNTS.items()}
    return {"dimensions": [dimension], "combined": combined, "counts": counts}


def ours(home: Path, dimension: str) -> tuple[float, int]:
    """Moment at which everything was imported, and number of pairs."""
    from flows.__main__ import run

    for late in ("flows.cli", "flows.pair"):  # which the command imports when it needs them
        importlib.import_module(late)
    imported, said = time.perf_counter(), io.StringIO()
    file = home / "recipe.toml"
    file.write_text("".join(f"{key} = {_toml(each)}\n" for key, each in recipe(dimension).items()))
    with redirect_stdout(said):
        code = run(["--home", str(home), "pairs", "build", "--recipe", str(file), "--json"])
    assert code == 0, said.getvalue()
    counts = json.loads(said.getvalue())["counts"]
    return imported, sum(n for split in counts[dimension].values() for n in split.values())


def _toml(value: Any) -> str:
    """A value in one line of TOML."""
    if isinstance(value, dict):
        inside = (f"{json.dumps(key)} = {_toml(each)}" for key, each in value.items())
        return "{" + ", ".join(inside) + "}"
    return json.dumps(value)


def baseline(home: Path, dimension: str) -> tuple[float, int]:
    import deltalake
    import numpy as np
    import pandas as pd

    imported, rng = time.perf_counter(), np.random.default_rng(0)
    tables = home / "tables"
    read = ["item_id", "dimension", "label", "method"]
    consensus = deltalake.DeltaTable(str(tables / "consensus")).to_pandas(columns=read)
    prompts = deltalake.DeltaTable(str(tables / "items")).to_pandas(
        columns=["item_id", "prompt_id"]
    )
    wanted = consensus["dimension"].isin(SETS[dimension]) & (consensus["method"] == "dawid_skene")
    labels = consensus[wanted].pivot_table(
        index="item_id", columns="dimension", values="label", aggfunc="first"
    )
    decided = pd.DataFrame(
        {"pass": (labels == "pass").all(axis=1), "fail": (labels == "fail").any(axis=1)}
    )
    items = decided.reset_index().merge(prompts, on="item_id")
    known = items["prompt_id"].unique()
    train = items[items["prompt_id"].isin(known[rng.random(len(known)) < 0.8])]
    passes, fails = train[train["pass"]], train[train["fail"]]
    pairs = pd.concat(
        [
            _drawn(rng, passes, fails, COUNTS["win_lose"]).assign(kind="win_lose"),
            _drawn(rng, passes, passes, COUNTS["win_tie"]).assign(kind="win_tie"),
        ]
    )
    pairs.to_parquet(home / "naive.parquet", index=False)
    deltalake.write_deltalake(str(tables / "naive"), pairs, mode="append")
    return imported, len(pairs)


def _drawn(
    rng: np.random.Generator, winners: pd.DataFrame, others: pd.DataFrame, number: int
) -> pd.DataFrame:
    """Distinct pairs across prompts; a tenth more are drawn, as some are dropped."""
    import pandas as pd

    count = number * 11 // 10
    one = winners.iloc[rng.integers(len(winners), size=count)].reset_index(drop=True)
    two = others.iloc[rng.integers(len(others), size=count)].reset_index(drop=True)
    pairs = pd.DataFrame({"winner": one["item_id"], "other": two["item_id"]})
    pairs = pairs[one["prompt_id"] != two["prompt_id"]]
    if winners is others:  # one order for both
        swapped = pairs["winner"] > pairs["other"]
        first = pairs["winner"].mask(swapped, pairs["other"])
        pairs = pairs.assign(winner=first, other=pairs["other"].mask(swapped, pairs["winner"]))
    return pairs.drop_duplicates().head(number)


WAYS: dict[str, Callable[[Path, str], tuple[float, int]]] = {"pandas": baseline, "soli": ours}


def measured(way: str, home: Path, dimension: str) -> dict[str, float]:
    """Run in this process, from the start of `main`."""
    begun = time.perf_counter()
    imported, pairs = WAYS[way](home, dimension)
    done = time.perf_counter()
    assert pairs == sum(COUNTS.values()), pairs
    return {
        "main": done - begun,
        "build": done - imported,
        "cpu": time.process_time(),
        "peak": peak(),
    }


def apart(way: str, home: Path, dimension: str) -> dict[str, float]:
    """Run in a process and a copy of the home of its own; files of tables are never changed."""
    from warehouse.face import publish
    from warehouse.store import Store

    with tempfile.TemporaryDirectory(dir=home.parent) as folder:
        copy = Path(folder) / "home"
        shutil.copytree(home, copy, symlinks=True, copy_function=os.link)
        publish(Store(copy))  # a home that was not copied has a face over its own files
        command = [sys.executable, "-m", "benchmarks.pair_build", "--home", str(copy)]
        begun = time.perf_counter()
        done = subprocess.run(
            [*command, "--way", way, "--dimension", dimension],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[1],
        )
        return {"process": time.perf_counter() - begun, **json.loads(done.stdout)}


def compare(home: Path, dimension: str, rounds: int) -> list[str]:
    """Lines of one set: each way in turn, several rounds."""
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way, runs in found.items():
            runs.append(apart(way, home, dimension))
    middle = {
        way: {name: statistics.median(run[name] for run in runs) for name in FIGURES}
        for way, runs in found.items()
    }
    base, own = middle.values()
    ratios = {name: own[name] / base[name] for name in FIGURES}
    best = min(run["main"] for run in found["soli"])
    return [
        f"{dimension}: {' & '.join(SETS[dimension])}",
        f"  {'':8}{'process s':>11}{'main s':>9}{'no imports s':>14}{'CPU s':>8}{'peak MiB':>10}",
        *(f"  {way:8}{_line(row)}" for way, row in middle.items()),
        f"  {'ratio':8}{_line(ratios, 2)}",
        f"  soli from main's start: {own['main']:.2f} s, best {best:.2f} s (wanted {TARGET:g} s)",
    ]


def _line(row: dict[str, float], digits: int = 0) -> str:
    process, main, build, cpu, peak = (row[name] for name in FIGURES)
    return f"{process:11.2f}{main:9.2f}{build:14.2f}{cpu:8.2f}{peak:10,.{digits}f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--home", type=Path, help="the home: made there, or taken from there")
    parser.add_argument("--way", choices=WAYS, help="measure this way alone, in the home itself")
    parser.add_argument("--dimension", choices=SETS, help="pairs of this dimension alone")
    given = parser.parse_args()
    if given.way:
        print(json.dumps(measured(given.way, given.home, given.dimension or PHYSICS)))
        return
    lines = [
        f"{sum(COUNTS.values()):,} pairs from {ITEMS:,} items, median of {given.rounds} rounds"
    ]
    with tempfile.TemporaryDirectory() as folder:
        home = (given.home or Path(folder) / "home").absolute()
        if not home.exists():
            make_home(home)
        for dimension in [given.dimension] if given.dimension else SETS:
            lines += ["", *(found := compare(home, dimension, given.rounds))]
            print("\n".join(found), file=sys.stderr, flush=True)
    report("pair_build", lines)


if __name__ == "__main__":
    main()
