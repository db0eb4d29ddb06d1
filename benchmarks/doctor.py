"""How long `soli doctor` takes, from the shell's point of view: a process each, imports included.

    python -m benchmarks.doctor [--rounds 5] [--dry-run]

A home with a label, and around it: no server; servers that answer (Label Studio and Prefect, both
real); servers that take the connection and never say a word; a port where nobody listens. Wall is
what a person waits, CPU what the process and nobody else used: on a shared machine that one stays.
Ends with 1 where the slowest took longer than issue 7 allows.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from annotation.server import LabelStudio
from benchmarks.label_studio import ROOT, label_studio
from benchmarks.machine import report
from flows.exports import ingest_export
from flows.labelling import Labelling
from flows.settings import Settings

MOST_SECONDS = 3.0
PREFECT_SECONDS = 120.0  # for its server to start


def main() -> int:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dry-run", action="store_true", help="write no result")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, label_studio(Path(name)) as studio:
        folder = Path(name)
        label(folder)
        with prefect(folder) as api, silent() as nobody:
            around = surroundings(studio, api, nobody)
            seconds: dict[str, list[tuple[float, float]]] = {words: [] for words in around}
            for _ in range(asked.rounds):
                for words, environment in around.items():
                    seconds[words].append(once(folder, environment))
    slowest = max(wall for rows in seconds.values() for wall, _ in rows)
    lines = [f"{asked.rounds} rounds in turn: median and slowest"]
    lines += [_line(words, rows) for words, rows in seconds.items()]
    verdict = "kept" if slowest <= MOST_SECONDS else "NOT kept"
    lines += ["", f"at most {MOST_SECONDS:g} s: {verdict}, the slowest took {slowest:.2f} s"]
    report("doctor", lines, write=not asked.dry_run)
    return 0 if slowest <= MOST_SECONDS else 1


def label(folder: Path) -> None:
    """A home in the folder that knows one label: its tables are opened and read."""
    moment = "2026-01-02T10:00:00.000000Z"
    result = {"from_name": "quality", "type": "choices", "value": {"choices": ["Pass"]}}
    times = {"created_at": moment, "updated_at": moment}
    annotation = {"id": 1, "completed_by": 1, "was_cancelled": False, "result": [result], **times}
    data = {"item_id": "a", "prompt": "a ball", "video": "https://clips.example/a"}
    task = {"id": 1, "project": 1, "data": data, "annotations": [annotation], **times}
    export = folder / "export.json"
    export.write_text(json.dumps([task]), encoding="utf-8")
    store = Settings(home=folder / "home").store
    ingest_export(store, export, labelling=Labelling(("quality",)))


def surroundings(studio: LabelStudio, api: str, nobody: str) -> dict[str, dict[str, str]]:
    """What the environment names, by words for it."""
    key = {"LABEL_STUDIO_API_KEY": studio.token}
    return {
        "no server named": {},
        "both servers answer": {"LABEL_STUDIO_URL": studio.url, "PREFECT_API_URL": api, **key},
        "both are silent": {"LABEL_STUDIO_URL": nobody, "PREFECT_API_URL": f"{nobody}/api", **key},
        "nobody listens": {
            "LABEL_STUDIO_URL": "http://127.0.0.1:9",
            "PREFECT_API_URL": "http://127.0.0.1:9/api",
            **key,
        },
    }


def once(folder: Path, environment: Mapping[str, str]) -> tuple[float, float]:
    """Wall and CPU seconds of one call."""
    command = [sys.executable, "-m", "flows", "--home", str(folder / "home"), "doctor", "--json"]
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    began, before = time.perf_counter(), os.times()
    subprocess.run(
        command,
        cwd=folder,
        env={**kept, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.DEVNULL,
        check=False,
    )
    wall, after = time.perf_counter() - began, os.times()
    cpu = after.children_user + after.children_system
    return wall, cpu - before.children_user - before.children_system


@contextmanager
def prefect(folder: Path) -> Iterator[str]:
    """A real Prefect server; the address of its API."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    program = Path(sys.executable).parent / "prefect"
    line = [program, "server", "start", "--host", "127.0.0.1", "--port", str(port), "--no-ui"]
    quiet = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}
    environment = {**os.environ, **quiet, "PREFECT_HOME": str(folder / "prefect")}
    with subprocess.Popen(line, env=environment, stdout=subprocess.DEVNULL) as running:
        try:
            _wait(f"http://127.0.0.1:{port}/api/health")
            yield f"http://127.0.0.1:{port}/api"
        finally:
            running.terminate()


def _wait(url: str) -> None:
    due = time.monotonic() + PREFECT_SECONDS
    while time.monotonic() < due:
        try:
            if httpx.get(url, trust_env=False).is_success:
                return
        except httpx.HTTPError:
            time.sleep(0.2)
    raise SystemExit(f"no Prefect server within {PREFECT_SECONDS:g} s")


@contextmanager
def silent() -> Iterator[str]:
    """The address of a server that takes connections, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def _line(words: str, rows: list[tuple[float, float]]) -> str:
    walls, cpus = zip(*rows, strict=True)
    return (
        f"  {words:22}{statistics.median(walls):6.2f} s{max(walls):8.2f} s wall"
        f"{statistics.median(cpus):8.2f} s CPU"
    )


if __name__ == "__main__":
    sys.exit(main())
