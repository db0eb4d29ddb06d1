"""A first pull, one after 50 changes and one after none, against the real Label Studio.

The baseline reads the same pages with httpx and throws them away, unparsed; it and ours run in
turn, in one run, against one server. Ours is the whole flow: pages to disk, events, checks, commit
and face. Walls on a shared machine wander: read the
ratios, and our CPU beside the load.

    python -m benchmarks.pull [--tasks 10000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from annotation.client import IMPORT_BATCH, PAGE, Client, Project
from annotation.labeling import DEFAULT_DIMENSIONS, OBJECT
from annotation.members import sign_up
from annotation.paging import BEFORE_ALL, after, question
from annotation.projects import ensure_project
from annotation.pull import OVERLAP, gone_ids, task_ids
from annotation.server import LabelStudio
from benchmarks.label_studio import label_studio
from benchmarks.machine import report
from flows.annotate import ingest_project
from flows.settings import Settings

ANNOTATORS = ("Ana", "Ben", "Cyd")
CHANGED = 50
SKIPPED = 50  # one task of so many has an annotator who skipped
FIRST_TIMES, CHANGED_SHARE, IDLE_SECONDS = 1.2, 0.03, 1.0  # what issue 3 allows


def answers(number: int, annotator: int) -> list[dict[str, Any]]:
    """Deterministic, unlike among annotators and dimensions."""
    return [
        {
            "from_name": dimension.name,
            "to_name": OBJECT,
            "type": "choices",
            "value": {"choices": ["Fail" if (number + annotator * place) % 3 == 0 else "Pass"]},
        }
        for place, dimension in enumerate(DEFAULT_DIMENSIONS, start=1)
    ]


def labelled_task(number: int, source: str, users: Sequence[int]) -> dict[str, Any]:
    data = {
        "item_id": f"item_{number:07d}",
        "prompt": f"a ball rolls down slope {number} and comes to rest in the grass",
        "video": f"https://clips.example/{number:07d}.mp4",
        "media": f"https://clips.example/{number:07d}.mp4",
        "generator": ("solid", "liquid")[number % 2],
        "design_k": len(users),
        "attributes": {"subject": "ball", "camera": "still"},
        "item_attributes": {},
        "soli_source": source,
    }
    annotations = [
        {
            "completed_by": user,
            "result": [] if skipped else answers(number, place),
            "was_cancelled": skipped,
            "ground_truth": False,
            "lead_time": 5.5,
        }
        for place, user in enumerate(users)
        for skipped in [place == 0 and number % SKIPPED == 0]
    ]
    return {"data": data, "annotations": annotations}


def filled_project(running: LabelStudio, client: Client, tasks: int) -> Project:
    emails = {name: f"{name.lower()}@annotators.example" for name in ANNOTATORS}
    people = sign_up(client, emails, running.home / "annotators.json")
    users = [person.whoami().id for person in people.values()]
    project = ensure_project(client, str(uuid.uuid4()), "Benchmark", DEFAULT_DIMENSIONS)
    source = project.source or ""
    for start in range(0, tasks, IMPORT_BATCH):
        numbers = range(start, min(start + IMPORT_BATCH, tasks))
        client.import_tasks(project.id, [labelled_task(n, source, users) for n in numbers])
    return project


def bare(running: LabelStudio, project: Project, ids: Sequence[int]) -> float:
    """Seconds of a client that reads the pages of these tasks and forgets them."""
    headers = {"Authorization": f"Token {running.token}"}
    begun = time.perf_counter()
    with httpx.Client(headers=headers, timeout=120, trust_env=False) as client:
        for last in (BEFORE_ALL, *ids[PAGE - 1 : -1 : PAGE]):
            params = question(project.id, ["tasks:id"], PAGE, [after(last)], "all")
            client.get(f"{running.url}/api/tasks", params=params).raise_for_status()
    return time.perf_counter() - begun


def ours(client: Client, project: Project, home: Path) -> tuple[float, int]:
    """Seconds of the whole flow, and label events that it added."""
    begun = time.perf_counter()
    found = ingest_project(Settings(home=home), client, project)
    return time.perf_counter() - begun, found.added


def change(client: Client, project: Project) -> None:
    """One answer of each of 50 tasks is corrected."""
    tasks, _ = next(client.tasks(project.id, page_size=CHANGED))
    for task in tasks:
        annotation = task["annotations"][1]
        result = annotation["result"]
        choices = result[0]["value"]["choices"]
        result[0]["value"]["choices"] = ["Fail" if choices == ["Pass"] else "Pass"]
        client.correct(annotation["id"], {"result": result})


def verdict(value: float, allowed: float) -> str:
    return "kept" if value <= allowed else "MISSED"


def measure(running: LabelStudio, tasks: int, rounds: int, folder: Path) -> list[str]:
    client = Client(running.url, running.token, timeout=120)
    begun = time.perf_counter()
    project = filled_project(running, client, tasks)
    lines = [f"{tasks:,} tasks x {len(ANNOTATORS)} annotations, pages of {PAGE}"]
    lines.append(f"import in batches of {IMPORT_BATCH}: {time.perf_counter() - begun:.1f} s")
    begun = time.perf_counter()
    ids = sorted(task_ids(client, project.id))
    lines.append(f"sweep of all ids: {time.perf_counter() - begun:.1f} s")
    time.sleep(
        OVERLAP.total_seconds()
    )  # a change may turn up so late: a fresh import is read twice
    ratios, firsts = [], []
    for number in range(1, rounds + 1):
        baseline, cpu = bare(running, project, ids), time.process_time()
        first, added = ours(client, project, folder / f"home{number}")
        cpu = time.process_time() - cpu
        ratios.append(first / baseline)
        firsts.append(first)
        lines.append(
            f"round {number}: bare {baseline:.1f} s, first pull {first:.1f} s ({cpu:.1f} s our"
            f" CPU, {added:,} events), ratio {ratios[-1]:.2f}, load {os.getloadavg()[0]:.1f}"
        )
    ratio, first = statistics.median(ratios), statistics.median(firsts)
    lines.append(f"median ratio {ratio:.2f}, allowed {FIRST_TIMES}: {verdict(ratio, FIRST_TIMES)}")
    home = folder / f"home{rounds}"
    change(client, project)
    seconds, added = ours(client, project, home)
    share = seconds / first
    lines.append(
        f"{CHANGED} tasks changed: {seconds:.2f} s ({added} events), {100 * share:.1f} % of the"
        f" first pull, allowed {100 * CHANGED_SHARE:.0f} %: {verdict(share, CHANGED_SHARE)}"
    )
    for _ in range(2):
        seconds, added = ours(client, project, home)
        lines.append(
            f"nothing changed: {seconds:.2f} s ({added} events), allowed {IDLE_SECONDS:.0f} s:"
            f" {verdict(seconds, IDLE_SECONDS)}"
        )
    client.call("DELETE", f"api/tasks/{ids[len(ids) // 3]}")
    begun = time.perf_counter()
    gone = gone_ids(client, project.id, ids)
    lines.append(f"{len(gone)} deleted task found by counting: {time.perf_counter() - begun:.2f} s")
    client.close()
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, label_studio(Path(folder)) as running:
        report("pull", measure(running, given.tasks, given.rounds, Path(folder)))


if __name__ == "__main__":
    main()
