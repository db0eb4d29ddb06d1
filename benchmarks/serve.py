"""How fast does `soli serve` answer stored rewards?

    python -m benchmarks.serve [--rate 200] [--seconds 20] [--items 20000]

A warehouse of so many scored items is made in a temporary folder, `soli serve` is started on
127.0.0.1, and one other process asks it at a steady rate, each request at its own due time whether
or not the earlier ones are answered (an open loop: a slow answer delays no other request, and its
waiting counts). Two kinds of requests in turn: one item, and a batch of 32. The limit is a 95th
percentile of 50 ms at 200 requests a second. At most 20,000 requests are sent.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import psutil
import pyarrow as pa

from benchmarks.machine import report
from warehouse.face import publish
from warehouse.identity import prompt_id
from warehouse.store import Store

LIMIT_MS = 50.0
MOST_REQUESTS = 20_000
BATCH = 32
CONNECTIONS = 32
DIMENSIONS = ("physical_plausibility", "semantic_alignment", "subject_deformity")
REQUEST = "POST /rewards HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]
MODEL = "0123456789abcdef" * 4


def fill(store: Store, items: int) -> None:
    """Items, prompts, a run and its scores, as `soli train` and `soli score` leave them."""
    names = [f"clip_{number:06d}" for number in range(items)]
    texts = [f"a ball falls, take {number // 4}" for number in range(items)]
    ids = [prompt_id(text) for text in texts]
    prompts = dict(zip(ids, texts, strict=True))
    facts = ("codec", "width", "height", "fps", "frames", "duration", "media_sha256")
    rows = {
        "item_id": names,
        "prompt_id": ids,
        "uri": [f"/media/{name}.mp4" for name in names],
        "generator": ["made"] * items,
        "attributes": ["{}"] * items,
        "design_k": pa.array([3] * items, pa.int32()),
    }
    run = {
        "model_id": MODEL, "run_id": "feedfacefeedface", "pair_set_id": "none", "config": "{}",
        "weights_sha256": "ab" * 32, "metrics": "{}", "seconds": 1.0, "path": "checkpoint",
    }  # fmt: skip
    rewards = np.random.default_rng(0).normal(size=items * len(DIMENSIONS))
    scores = {
        "model_id": [MODEL] * len(rewards),
        "item_id": np.repeat(np.array(names, object), len(DIMENSIONS)),
        "dimension": list(DIMENSIONS) * items,
        "reward": rewards,
    }
    with store.batch("fill") as batch:
        batch.add(
            "prompts",
            pa.table(
                {
                    "prompt_id": list(prompts),
                    "text": list(prompts.values()),
                    "attributes": ["{}"] * len(prompts),
                }
            ),
        )
        batch.add("items", pa.table(rows | {name: pa.nulls(items) for name in facts}))
        batch.add("runs", pa.Table.from_pylist([run]))
        batch.add("scores", pa.table(scores))
    publish(store)


@contextmanager
def served(home: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Address and process of a server of its own, for the block."""
    command = [sys.executable, "-m", "flows", "--home", str(home), "serve", "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        lines = []
        for line in server.stdout:
            lines.append(line)
            if line.rstrip() == "}":
                break
        try:
            yield json.loads("".join(lines))["url"], psutil.Process(server.pid)
        finally:
            server.terminate()


async def measured(url: str, bodies: list[bytes], rate: float) -> np.ndarray:
    """Milliseconds from each request's due time to its answer: (N,)."""
    place = urlsplit(url)
    opened = [await asyncio.open_connection(place.hostname, place.port) for _ in range(CONNECTIONS)]
    idle = asyncio.Queue[Line]()  # in turn: the server closes one that asks nothing for long
    for line in opened:
        idle.put_nowait(line)
    begin = time.perf_counter() + 0.5

    async def one(number: int, body: bytes) -> float:
        due = begin + number / rate
        await asyncio.sleep(due - time.perf_counter())
        line = await idle.get()
        answer = await asked(line, body)
        took = 1000 * (time.perf_counter() - due)
        idle.put_nowait(line)
        assert b'"failed":0' in answer, answer
        return took

    found = await asyncio.gather(*(one(number, body) for number, body in enumerate(bodies)))
    for _, writer in opened:
        writer.close()
    return np.array(found)


async def asked(line: Line, body: bytes) -> bytes:
    """Body of an answer. By hand: a client library takes more CPU than the server."""
    reader, writer = line
    head = f"{REQUEST}Content-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    answer = (await reader.readuntil(b"\r\n\r\n")).lower()
    assert answer.startswith(b"http/1.1 200"), answer
    length = answer.partition(b"content-length: ")[2].partition(b"\r\n")[0]
    return await reader.readexactly(int(length))


def bodies_of(items: int, batch: int, count: int) -> list[bytes]:
    """Requests for items drawn at random."""
    drawn = np.random.default_rng(1).integers(items, size=(count, batch))
    return [
        json.dumps({"items": [{"item_id": f"clip_{each:06d}"} for each in row]}).encode()
        for row in drawn.tolist()
    ]


def main() -> int:
    """Command line. Returns 1 where the limit is not kept."""
    parser = argparse.ArgumentParser(prog="benchmarks.serve")
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--items", type=int, default=20_000)
    options = parser.parse_args()
    count = min(round(options.rate * options.seconds), MOST_REQUESTS)
    load = psutil.getloadavg()[0]
    lines = [f"load of the machine as it begins: {load:.1f} on {psutil.cpu_count()} CPUs"]
    lines += [f"{options.items} items stored, {options.rate:g} requests/s, {count} of each kind"]
    worst = 0.0
    with tempfile.TemporaryDirectory(prefix="soli-serve-") as folder:
        fill(Store(Path(folder)), options.items)
        with served(Path(folder)) as (url, process):
            asyncio.run(measured(url, bodies_of(options.items, 1, 50), 50))  # warm
            for batch in (1, BATCH):
                before = process.cpu_times()
                bodies = bodies_of(options.items, batch, count)
                took = asyncio.run(measured(url, bodies, options.rate))
                after = process.cpu_times()
                cpu = 1000 * (after.user + after.system - before.user - before.system) / count
                p50, p95, p99 = np.percentile(took, (50, 95, 99))
                worst = max(worst, float(p95))
                lines.append(
                    f"{batch:>3} items a request: p50 {p50:.1f} ms, p95 {p95:.1f}, p99 {p99:.1f},"
                    f" most {took.max():.1f}; {cpu:.2f} ms of the server's CPU each"
                )
            lines.append(f"the server's memory: {process.memory_info().rss >> 20} MiB")
    verdict = "kept" if worst <= LIMIT_MS else "NOT KEPT"
    lines.append(f"limit: p95 at most {LIMIT_MS:g} ms; {verdict}")
    report("serve", lines)
    return int(worst > LIMIT_MS)


if __name__ == "__main__":
    raise SystemExit(main())
