"""The folder of a training job, and its run in a process of its own or in several."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from signal import Signals
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from flows.batches import planned_batches
from flows.console import say
from flows.logs import machine
from warehouse.digest import canonical_json
from warehouse.errors import TrainingError
from warehouse.store import Store


def job_folder(store: Store, run_id: str) -> Path:
    """Where the files of a run are."""
    return store.home / "runs" / run_id


def prepare(job: Path, config: dict[str, Any], media: pa.Table) -> None:
    """Job folder, written whole before the job starts."""
    job.mkdir(parents=True, exist_ok=True)
    pq.write_table(media, job / "media.part")
    (job / "media.part").rename(job / "media.parquet")
    if config["batch"]["kind"] == "planned":
        size = config["batch"]["size"]
        plan = planned_batches(Path(config["pair_set"]), config["dimensions"], size)
        pq.write_table(plan, job / "plan.part")
        (job / "plan.part").rename(job / "plan.parquet")
    (job / "config.part").write_text(canonical_json(config) + "\n")
    (job / "config.part").rename(job / "config.json")


def run(job: Path, command: list[str], held: int, *, quiet: bool) -> dict[str, Any]:
    """Run the job's command; its progress is shown on stderr as it comes.

    held: descriptor of the job's lock. The process inherits it: where only we are killed, a rerun
        waits for the training that goes on, and finds it finished.
    """
    code, last = _executed(command, held, quiet=quiet)
    if code:
        words = f"it said {last!r}" if last else "its own words stand above"
        raise TrainingError(
            f"training {_ended(code)}; {words}, its files are in {job}; run the same"
            " command again after mending the cause"
        )
    done: dict[str, Any] = json.loads((job / "done.json").read_text())
    return done


def _executed(command: list[str], held: int, *, quiet: bool) -> tuple[int, str]:
    """Exit code and last words of a command; these where it is for us to tell what it says."""
    from training.launch import without_warnings

    kept = subprocess.PIPE if quiet or machine() else None
    last = ""
    with subprocess.Popen(
        command, pass_fds=(held,), env=without_warnings(), stderr=kept, text=True
    ) as process:
        try:
            for line in filter(None, map(str.strip, process.stderr or ())):
                last = line
                if not quiet:
                    say(line, "training")
            return process.wait(), last
        except BaseException:  # interrupted: the job goes with us
            process.kill()
            raise


def _ended(code: int) -> str:
    """How a process ended, in words; a negative code is the signal that killed it.

    >>> _ended(-9)
    'was killed by signal 9 (SIGKILL): where nobody did that, memory may have run out'
    """
    if code >= 0:
        return f"ended with exit code {code}"
    name = Signals(-code).name
    why = ": where nobody did that, memory may have run out" if -code == Signals.SIGKILL else ""
    return f"was killed by signal {-code} ({name}){why}"
