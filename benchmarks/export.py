"""An export of 300k tasks x 3 annotations (about 1 GB) into an empty warehouse, end to end.

In turn, in one run: the bare reading of the file by the standard library's decoder, whose tasks
are thrown away, and `soli ingest --export` as a process of its own. Printed: labels a second and
the peak of its resident memory, its child's added.

    python benchmarks/export.py [--tasks 300000] [--rounds 2] [--keep FILE]
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from annotation.export import read_export
from benchmarks.machine import report

DIMENSIONS = ("physical_plausibility", "subject_deformity", "semantic_alignment")
SOURCE = "6b0a3c1e-52c3-4d0e-9d58-6f1d0c9a7e11"
ANNOTATIONS = 3
START = datetime(2026, 3, 1, tzinfo=UTC)
TARGET = 100_000  # labels a second
TARGET_MIB = 1024


def moment(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def annotation(number: int, task: int, draw: random.Random) -> dict[str, Any]:
    """As Label Studio 1.23 exports it."""
    made = 3 * number + draw.random()
    result = [
        {
            "value": {"choices": ["Pass" if draw.random() < 0.7 else "Fail"]},
            "id": f"{draw.getrandbits(40):010x}",
            "from_name": dimension,
            "to_name": "video",
            "type": "choices",
            "origin": "manual",
        }
        for dimension in DIMENSIONS
    ]
    nothing = ("draft_created_at", "import_id", "last_action", "parent_prediction",
               "parent_annotation", "last_created_by")  # fmt: skip
    return {
        "id": number,
        "completed_by": draw.randrange(1, 40),
        "result": result,
        "was_cancelled": False,
        "ground_truth": False,
        "created_at": moment(made),
        "updated_at": moment(made + 1),
        "lead_time": round(draw.uniform(5, 60), 3),
        "prediction": {},
        "result_count": len(result),
        "unique_id": f"{draw.getrandbits(128):032x}",
        "bulk_created": False,
        "task": task,
        "project": 1,
        "updated_by": 3,
        **dict.fromkeys(nothing),
    }


def tasks(count: int) -> Iterator[dict[str, Any]]:
    draw = random.Random(7)
    for number in range(1, count + 1):
        ids = range(ANNOTATIONS * (number - 1) + 1, ANNOTATIONS * number + 1)
        annotations = [annotation(each, number, draw) for each in ids]
        yield {
            "id": number,
            "annotations": annotations,
            "file_upload": None,
            "drafts": [],
            "predictions": [],
            "data": {
                "item_id": f"clip_{number:07d}",
                "prompt": f"A red ball, number {number % 20_000}, rolls down a hill",
                "video": f"/data/local-files/?d=clips/{number}.mp4",
                "soli_source": SOURCE,
                "media": f"clips/{number}.mp4",
                "generator": f"generator {number % 5}",
                "design_k": ANNOTATIONS,
                "attributes": {"subject": "ball"},
                "item_attributes": {},
            },
            "meta": {},
            "created_at": moment(number / 1000),
            "updated_at": annotations[-1]["updated_at"],
            "inner_id": number,
            "total_annotations": ANNOTATIONS,
            "cancelled_annotations": 0,
            "total_predictions": 0,
            "comment_count": 0,
            "unresolved_comment_count": 0,
            "last_comment_updated_at": None,
            "project": 1,
            "updated_by": 1,
            "comment_authors": [],
        }


def write(path: Path, count: int) -> None:
    with path.open("w") as file:
        for number, task in enumerate(tasks(count)):
            file.write("," if number else "[")
            json.dump(task, file)
        file.write("]")


def bare(path: Path) -> float:
    begun = time.perf_counter()
    for _ in read_export(path):
        pass
    return time.perf_counter() - begun


def peaks(process: int) -> dict[int, float]:
    """Peak of resident memory in MiB so far, of a process and of those that it started."""
    found = {}
    try:
        status = Path(f"/proc/{process}/status").read_text()
        found[process] = int(status.partition("VmHWM:")[2].split()[0]) / 1024
        for thread in Path(f"/proc/{process}/task").iterdir():
            for child in (thread / "children").read_text().split():
                found |= peaks(int(child))
    except (OSError, IndexError):  # it ended meanwhile
        pass
    return found


def ingest(path: Path, home: Path) -> tuple[float, float, dict[str, Any]]:
    """Seconds with the start of the process, peaks of it and its child in MiB, what it says."""
    command = [sys.executable, "-m", "flows", "--home", str(home), "ingest", "--export", str(path)]
    begun = time.perf_counter()
    highest: dict[int, float] = {}
    with subprocess.Popen([*command, "--json"], stdout=subprocess.PIPE) as process:
        while process.poll() is None:
            highest |= peaks(process.pid)
            time.sleep(0.02)
        seconds = time.perf_counter() - begun
        assert process.stdout is not None
        said = process.stdout.read()
    assert process.returncode == 0, said
    return seconds, sum(highest.values()), json.loads(said)[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="the export: made there, or taken from there")
    given = parser.parse_args()
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        path = given.keep or Path(folder) / "export.json"
        if not path.exists():
            write(path, given.tasks)
        lines.append(f"{given.tasks:,} tasks x {ANNOTATIONS}, {path.stat().st_size / 1e6:,.0f} MB")
        for number in range(given.rounds):
            baseline = bare(path)
            seconds, peak, said = ingest(path, Path(folder) / f"home{number}")
            labels = sum(said["events"].values())
            assert labels == given.tasks * ANNOTATIONS * len(DIMENSIONS), said
            lines.append(
                f"round {number + 1}: bare reading {baseline:.1f} s, ingest {seconds:.1f} s"
                f" (ratio {seconds / baseline:.2f}), {labels / seconds:,.0f} labels/s"
                f" (wanted {TARGET:,}), peak {peak:,.0f} MiB (allowed {TARGET_MIB:,})"
            )
            print(lines[-1], flush=True)
    report("export", lines)


if __name__ == "__main__":
    main()
