"""Kill `soli ingest` again and again: is anything lost or doubled?

    python -m soak.kills [--kills 200] [--tasks 1200] [--seed N] [--server DIR] [--write]

A real Label Studio, two homes. In each round the project changes; the twin home pulls once, in
peace; in the other home the pull is killed with SIGKILL at random points, until it has had enough
or got through, and then runs to its end. After each round both homes must say the same as the
server: tables, labels, faces; nothing may be left lying about. Ends with exit code 1 where not.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from annotation import server
from annotation.client import Client
from benchmarks.label_studio import label_studio
from soak.compare import Unequal, check_all, check_round
from soak.kept import keep
from soak.studio import Studio

SOLI = Path(sys.executable).with_name("soli")
POLL_SECONDS = 0.0005
PATIENCE_SECONDS = 120.0  # a pull takes two to ten seconds
AIMED_SHARE = 0.7  # of the kills; the others fall anywhere in the life of the process
AIM_SECONDS = 0.03  # at most so long after the moment aimed at
# A kill is aimed at the moment when such a file appears. A pull that outlives an early one has
# committed nothing; after a late one the round is over, as the next pull finds nothing new.
EARLY = {
    "a page is read": "pulls/*/0*.json",
    "rows are staged": "staging/*",
}
LATE = {
    "the manifest stands": "staging/*/manifest.json",
    "a table is committed": "tables/*/_delta_log/*.json",
    "the face is built": "face/.building*",
    "the face is there": "face/[0-9]*.duckdb",
}
# Newest first: where a kill hit is the last thing that the process had begun.
PHASES = (
    ("after the new face stood", "face/[0-9]*.duckdb"),
    ("while the face was built", "face/.building*"),
    ("after some tables were committed", "tables/*/_delta_log/*.json"),
    ("after the manifest, before any table", "staging/*/manifest.json"),
    ("while rows were staged", "staging/*"),
    ("after a page was read", "pulls/*/0*.json"),
    ("before the first page", "pulls/*/start.json"),
)
BEFORE, AFTER = "before anything was written", "after the commit, before the face"


@dataclass
class Victim:
    """A home whose pulls are killed, and where the kills hit."""

    home: Path
    env: dict[str, str]
    project: int
    dice: random.Random
    hits: Counter[str] = field(default_factory=Counter)
    aims: Counter[str] = field(default_factory=Counter)

    def start(self, *, full: bool) -> subprocess.Popen[bytes]:
        """One `soli ingest`, in a process group of its own."""
        command = [str(SOLI), "--home", str(self.home), "ingest", "--project", str(self.project)]
        return subprocess.Popen(
            [*command, "--full"] if full else command,
            env=self.env,
            cwd=self.home.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def run(self, *, full: bool) -> float:
        """Pull to the end; returns the seconds it took."""
        begin = time.monotonic()
        process = self.start(full=full)
        _, said = process.communicate(timeout=PATIENCE_SECONDS)
        if process.returncode:
            raise Unequal(f"soli ingest ended with {process.returncode}: {said.decode()[-400:]}")
        return time.monotonic() - begin

    def kill(self, life: float, aims: dict[str, str], *, full: bool) -> bool:
        """Start a pull and kill it; True where the kill came before its end.

        life: seconds that such a pull takes.
        """
        before = footprints(self.home)
        aim = self.dice.choice(list(aims)) if self.dice.random() < AIMED_SHARE else None
        wait = self.dice.uniform(0, AIM_SECONDS if aim else life)
        process = self.start(full=full)
        if aim is None or _await(process, self.home, aims[aim], before):
            _sleep(process, wait)
        alive = process.poll() is None
        if alive:
            os.killpg(process.pid, signal.SIGKILL)
        _, said = process.communicate(timeout=PATIENCE_SECONDS)
        if process.returncode not in (0, -signal.SIGKILL):
            raise Unequal(f"soli ingest ended with {process.returncode}: {said.decode()[-400:]}")
        if alive:
            self.hits[where(self.home, before)] += 1
            self.aims[aim or "anywhere in its life"] += 1
        return alive


def footprints(home: Path) -> set[tuple[str, int]]:
    """Files of a home with their times, locks apart."""
    found = set()
    for path in home.rglob("*"):
        try:
            if "lock" not in path.name and not path.is_symlink():
                found.add((str(path.relative_to(home)), path.stat().st_mtime_ns))
        except FileNotFoundError:  # gone while we looked
            continue
    return found


def fresh(home: Path, pattern: str, before: set[tuple[str, int]]) -> bool:
    """Whether there is a file of this pattern that was not there, or not so, before."""
    for path in home.glob(pattern):
        try:
            if (str(path.relative_to(home)), path.stat().st_mtime_ns) not in before:
                return True
        except FileNotFoundError:
            continue
    return False


def where(home: Path, before: set[tuple[str, int]]) -> str:
    """The last thing that a killed process had begun."""
    if footprints(home) == before:
        return BEFORE
    committed = fresh(home, "tables/*/_delta_log/*.json", before)
    staged = any((home / "staging").glob("*/manifest.json"))
    for words, pattern in PHASES:
        if fresh(home, pattern, before):
            if committed and not staged and pattern.startswith("tables"):
                return AFTER
            return words
    return "while the leftovers of an earlier kill were cleared"


def _await(
    process: subprocess.Popen[bytes], home: Path, pattern: str, before: set[tuple[str, int]]
) -> bool:
    """Wait until such a file appears; False where the process ended without."""
    while process.poll() is None:
        if fresh(home, pattern, before):
            return True
        time.sleep(POLL_SECONDS)
    return False


def _sleep(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Sleep, but not longer than the process lives."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        time.sleep(POLL_SECONDS)


def committed(home: Path) -> int:
    """Files of the log of `pulls`: one more for each pull that was committed."""
    return len(list(home.glob("tables/pulls/_delta_log/*.json")))


def play_round(
    studio: Studio, victim: Victim, twin: Victim, number: int, most: int
) -> tuple[int, int]:
    """Change, pull in peace, pull under fire; returns kills made and how many committed."""
    full = number > 1 and victim.dice.random() < 0.2
    if number > 1:
        studio.change(12)
    life = twin.run(full=full)
    before = committed(victim.home)
    kills = 0
    while kills < most and committed(victim.home) == before:
        kills += victim.kill(life, LATE if kills == most - 1 else EARLY, full=full)
    through = committed(victim.home) > before
    victim.run(full=full)
    check_round(twin.home, victim.home, studio)
    return kills, through


@contextmanager
def served(folder: Path, home: Path | None) -> Iterator[server.LabelStudio]:
    """The server that runs in a home, else one of our own."""
    if home is None:
        with label_studio(folder) as running:
            yield running
        return
    running_there = server.running(home)
    if running_there is None:
        raise SystemExit(f"no Label Studio runs in {home}")
    yield running_there


def play(options: argparse.Namespace, folder: Path, label_studio: server.LabelStudio) -> list[str]:
    """All rounds; returns the lines of the report."""
    dice = random.Random(options.seed)
    client = Client(label_studio.url, label_studio.token)
    studio = Studio.make(client, dice)
    studio.add(options.tasks)
    env = {
        "PATH": os.defpath,
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "LABEL_STUDIO_URL": label_studio.url,
        "LABEL_STUDIO_API_KEY": label_studio.token,
    }
    twin, victim = (
        Victim(folder / name / "soli", env, studio.project.id, dice) for name in ("twin", "victim")
    )
    for each in (twin, victim):
        each.home.mkdir(parents=True)
    kills = rounds = through = 0
    while kills < options.kills:
        rounds += 1
        most = max(options.kills // 20, 3) if rounds == 1 else dice.randint(3, 6)
        made, got = play_round(studio, victim, twin, rounds, min(most, options.kills - kills))
        kills, through = kills + made, through + got
        print(f"round {rounds}: {made} kills, {kills} in all", file=sys.stderr)
    facts = check_all(twin.home, victim.home, studio, SOLI, env)
    client.close()
    words = f"{rounds} rounds, in {through} of them a killed pull had committed"
    return report(options, victim, studio, words, facts)


def report(
    options: argparse.Namespace, victim: Victim, studio: Studio, rounds: str, facts: list[str]
) -> list[str]:
    """What was done and found."""
    hits, aims = victim.hits.most_common(), victim.aims.most_common()
    changes = ", ".join(f"{count} {name}" for name, count in sorted(studio.done.items()))
    return [
        f"seed {options.seed}; {options.tasks} tasks at first; {rounds}",
        f"changes: {changes}",
        "",
        "kills  where they hit",
        *(f"{count:5}  {words}" for words, count in hits),
        f"{victim.hits.total():5}  in all",
        "",
        "kills  aimed at the moment when",
        *(f"{count:5}  {words}" for words, count in aims),
        "",
        *facts,
    ]


def main() -> int:
    """Command line. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="soak.kills")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--tasks", type=int, default=1_200)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--server", type=Path, help="home of a Label Studio that runs")
    parser.add_argument("--write", action="store_true", help="keep the report in soak/results")
    options = parser.parse_args()
    print(f"seed {options.seed}", file=sys.stderr)
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="soli-kills-") as name:
        folder = Path(name)
        with served(folder, options.server) as running:
            try:
                lines = play(options, folder, running)
            except Unequal as difference:
                print(f"seed {options.seed}: {difference}", file=sys.stderr)
                return 1
    lines = [*lines, f"{time.monotonic() - begin:.0f} seconds"]
    keep("kills", lines, write=options.write)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
