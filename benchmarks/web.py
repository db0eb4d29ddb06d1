"""`soli warehouse ui` over 250,000 items: first paint in Chromium, and item search over HTTP.

python -m benchmarks.web [--rounds 5] [--items 250000] [--home HOME]

The home is simulated (soak/paper_world.py): three labels an item in two dimensions, measured and
decided, and a model's rewards of every item. No baseline: the limits are ours, first paint within
1 s and a search within 0.5 s. CPU is the server's own; walls are of a machine that may be busy.

--home: a home that holds all that, instead of a simulated one; only read.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import httpx
import numpy as np
import psutil
import pyarrow as pa
from playwright.sync_api import Browser, sync_playwright

from benchmarks.machine import report
from flows import measure
from flows.settings import Settings
from soak.paper_world import DIMENSIONS, PaperWorld, add_labels, add_videos
from warehouse.contracts import TABLES
from warehouse.face import publish
from warehouse.store import Store

ROOT = Path(__file__).parents[1]
PAINT, SEARCH = 1.0, 0.5  # s, the limits
# Its promise is kept by the page: its policy forbids playwright to evaluate a condition twice.
PAINTED = """() => new Promise((done) => new PerformanceObserver(
    (seen) => done(seen.getEntries()[0].startTime)).observe({type: "paint", buffered: true}))"""
PAGES = ("/", "/agreement", "/annotators", "/items", "/item?id=clip_123456", "/disagreements",
         "/models")  # fmt: skip
SEARCHES = ("clip_123456", "clip_", "ballet dancer", "a cat", "no such words")


def simulated(home: Path, items: int) -> None:
    """Fill a home with so many items."""
    settings = Settings(home=home)
    store, world = settings.store, PaperWorld(in_house=items, others=0)
    add_videos(store, world)
    add_labels(store, world)
    measure.measure(settings, store)
    measure.build(settings, store)
    add_rewards(store)


def add_rewards(store: Store) -> None:
    """A model that gave every item a reward."""
    names = store.query("SELECT item_id FROM items ORDER BY item_id")["item_id"].combine_chunks()
    rng = np.random.default_rng(0)
    columns = ("run_id", "pair_set_id", "config", "weights_sha256", "metrics", "path")
    run = {"model_id": "m", "seconds": 1.0, **dict.fromkeys(columns, "{}")}
    with store.batch("a model") as batch:
        batch.add("runs", pa.Table.from_pylist([run]))
        for dimension in DIMENSIONS:
            count = len(names)
            columns = [pa.repeat("m", count), names, pa.repeat(dimension, count),
                       pa.array(rng.normal(size=count))]  # fmt: skip
            schema = TABLES["scores"].schema
            batch.add("scores", pa.table(columns, names=schema.names[: len(columns)]))
    publish(store)


@contextmanager
def serving(home: Path) -> Iterator[tuple[str, psutil.Process]]:
    """URL and process of the page."""
    command = [sys.executable, "-m", "flows", "--home", str(home), "warehouse", "ui", "--json"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            text = "".join(iter(process.stdout.readline, "}\n")) + "}"
            yield json.loads(text)["url"], psutil.Process(process.pid)
        finally:
            process.terminate()


def timed(process: psutil.Process, rounds: int, wall: Callable[[], float]) -> tuple[float, float]:
    """Median wall and CPU seconds of a request."""
    walls, cpus = [], []
    for _ in range(rounds):
        before = process.cpu_times()
        walls.append(wall())
        after = process.cpu_times()
        cpus.append(after.user + after.system - before.user - before.system)
    return statistics.median(walls), statistics.median(cpus)


def first_paint(browser: Browser, url: str) -> float:
    """Seconds from navigation to the first paint, in a fresh profile."""
    with browser.new_context(viewport={"width": 1280, "height": 720}) as context:
        page = context.new_page()
        page.goto(url)
        found: float = page.evaluate(PAINTED)
        return found / 1000


def fetched(client: httpx.Client, path: str) -> float:
    """Seconds of a whole answer."""
    start = time.perf_counter()
    client.get(path).raise_for_status()
    return time.perf_counter() - start


def line(what: str, wall: float, cpu: float, limit: float) -> str:
    verdict = "met" if wall <= limit else "MISSED"
    return f"  {what:34s} {wall:6.3f} s wall {cpu:6.3f} s CPU   limit {limit} s {verdict}"


def compare(home: Path, rounds: int) -> list[str]:
    """Lines on every page and search."""
    chromium = os.environ.get("SOLI_CHROMIUM") or shutil.which("chromium")
    lines = ["first paint, Chromium, fresh profile"]
    with serving(home) as (url, process), httpx.Client(base_url=url, timeout=120) as client:
        fetched(client, "/")  # imports and templates
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            for path in PAGES:
                found = timed(
                    process, rounds, lambda path=path: first_paint(browser, url + path[1:])
                )
                lines.append(line(path, *found, PAINT))
            browser.close()
        lines.append("item search, HTTP, whole answer")
        for words in SEARCHES:
            path = f"/items?search={quote(words)}"
            found = timed(process, rounds, lambda path=path: fetched(client, path))
            lines.append(line(words, *found, SEARCH))
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--items", type=int, default=250_000)
    parser.add_argument("--home", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        home = args.home or Path(scratch, "home")
        if args.home is None:
            simulated(home, args.items)
        counted = "SELECT (SELECT count(*) FROM items), (SELECT count(*) FROM label_events),"
        row = Store(home).query(f"{counted} (SELECT count(*) FROM scores)").to_pylist()[0]
        items, events, scores = row.values()
        size = f"{items:,} items, {events:,} label events, {scores:,} rewards"
        load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
        lines = [f"median of {args.rounds} rounds; {size}; {load}", *compare(home, args.rounds)]
    report("web", lines)


if __name__ == "__main__":
    main()
