"""Kill `soli pairs build` again and again: is a set ever half there?

    python -m soak.pair_kills [--kills 50] [--items 400] [--seed N] [--write]

One home is built in peace; its steps on the disk and their times are written down. Copies of the
home before it are killed with SIGKILL at moments drawn from that life: most of them just before
a step, the others anywhere. After each kill, what people read shows the set whole or not at
all. Some homes are then killed again while they recover; in the end each must hold what the
home that was built in peace holds, byte for byte where files are promised, and nothing may be left
lying about. Ends with exit code 1 where not.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from flows.exports import ingest_export
from flows.labelling import Labelling
from flows.measure import build as build_consensus
from flows.measure import measure
from flows.settings import Settings
from pairing.folder import read_pair_set
from soak.compare import Unequal, check_clean, check_face
from soak.kept import keep
from soak.mortal import Death, Step, lived
from warehouse.audit import audit
from warehouse.contracts import TABLES
from warehouse.errors import PlatformError
from warehouse.face import publish
from warehouse.store import Store

DIMENSIONS = ("physics", "shape")
# The test of win-ties is not the point here, and has too little to say of coins.
BUILD = ("pairs", "build", *(f'--set=win_ties.{name}="allow"' for name in DIMENSIONS))
AT_A_STEP = 0.7  # share of the kills; the others fall anywhere
ONCE_MORE = 0.5  # of the killed homes are killed again
PLACES = {  # where a step is, by what its file's name holds
    ".partial": "while the folder of files was written",
    "staging/": "while rows were staged",
    "tables/": "while the tables were committed",
    "face/": "while the face was built",
    "warehouse.duckdb": "while the face was put in place",
}
BEFORE = "before anything was written"
SETS = ("pair_sets", "pair_set_items", "pairs")
NOON = "2026-01-02T12:00:00.000000Z"
TOLD = """
SELECT pair_set_id, digest,
  (SELECT count(*) FROM pair_set_items AS i WHERE i.pair_set_id = s.pair_set_id) AS items,
  (SELECT count(*) FROM pairs AS p WHERE p.pair_set_id = s.pair_set_id) AS pairs
FROM pair_sets AS s
"""
COUNTS = " UNION ALL ".join(
    f"SELECT '{name}' AS name, count(*) AS number FROM {name}" for name in TABLES
)
STRAYS = """
SELECT DISTINCT pair_set_id
FROM (SELECT pair_set_id FROM pair_set_items UNION ALL SELECT pair_set_id FROM pairs)
ANTI JOIN pair_sets USING (pair_set_id)
"""


@dataclass
class Victims:
    """Copies of the home `before` that are killed, and where the kills hit."""

    folder: Path
    before: Path
    peace: dict[str, Any]
    sets: int
    command: list[str]
    life: list[Step]
    dice: random.Random
    deck: list[int] = field(default_factory=list)
    hits: Counter[str] = field(default_factory=Counter)
    shown: Counter[str] = field(default_factory=Counter)
    homes: int = 0

    def play(self, kills: int) -> None:
        """So many kills; raises Unequal."""
        while self.hits.total() < kills:
            self.homes += 1
            home = copied(self.before, self.folder / f"{self.homes}")
            again = True
            while again and self.hits.total() < kills:
                self.kill(home)
                again = self.dice.random() < ONCE_MORE
            lived(home, self.command)
            check_whole(home, self.peace)
            if self.hits.total() == kills:
                check_verified(home)
            shutil.rmtree(home)

    def kill(self, home: Path) -> None:
        """Kill one build, and look at what is there."""
        steps, code = lived(home, self.command, self.moment())
        if code:
            self.hits[place(steps[-1])] += 1
            self.shown["whole" if check_killed(home) > self.sets else "not at all"] += 1

    def moment(self) -> Death:
        """Just before a step, each once before any comes again, or anywhere in the life."""
        if self.dice.random() < AT_A_STEP:
            if not self.deck:
                self.deck = self.dice.sample(range(len(self.life)), len(self.life))
            return Death(self.deck.pop() + 1, 0.0)
        when = self.dice.uniform(0, self.life[-1].at)
        begun = [number for number, step in enumerate(self.life) if step.at <= when]
        return Death(begun[-1] + 1, max(when - self.life[begun[-1]].at, 1e-6))


def place(step: Step) -> str:
    """Where in a build a step is, in words."""
    return next((words for part, words in PLACES.items() if part in step.path), BEFORE)


def command(seed: int, items: int) -> list[str]:
    """Build fewer pairs than there are, so that the seed decides which."""
    counts = {"win_lose": items**2 // 12, "win_tie": items**2 // 25}
    return [
        *BUILD,
        f"--set=seed={seed}",
        *(f'--set=counts.{k}.train="up to {n}"' for k, n in counts.items()),
    ]


def copied(home: Path, target: Path) -> Path:
    """A home of the same content, whose face reads its own files."""
    shutil.copytree(home, target, symlinks=True)
    publish(Store(target))
    return target


def check_killed(home: Path) -> int:
    """How many sets the face shows; raises Unequal where it shows half a set.

    The tables are looked at as they lie, too, before the next writer finishes what was begun: a set
    that is named there must be there.
    """
    for folder in (home / "pair_sets").glob("[0-9a-f]*"):
        read_pair_set(folder)  # renamed into place: whole
    _check_sets(home, Store(home).query)
    with duckdb.connect(str(home / "warehouse.duckdb"), read_only=True) as face:
        strays = face.execute(STRAYS).fetchall()
        if strays:
            raise Unequal(f"the face shows rows of sets that it does not name: {strays}")
        return _check_sets(home, lambda sql: face.sql(sql).to_arrow_table())


def _check_sets(home: Path, ask: Callable[[str], pa.Table]) -> int:
    """How many sets a reader is told of; each must be there in files, and in rows."""
    told = ask(TOLD).to_pylist()
    for row in told:
        files = read_pair_set(home / "pair_sets" / row["pair_set_id"])
        there = {"items": files.items.num_rows, "pairs": files.pairs.num_rows}
        wanted = {"pair_set_id": files.pair_set_id, "digest": files.digest, **there}
        if row != wanted:
            raise Unequal(f"a reader is told {row}, the files say {wanted}")
    return len(told)


def content(home: Path) -> dict[str, Any]:
    """Rows and digest of every table, and bytes of every file of a set."""
    store = Store(home)
    counts = store.query(COUNTS, people=True).to_pylist()
    tables = {row["name"]: (row["number"], store.digest(row["name"])) for row in counts}
    folder = home / "pair_sets"
    files = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
    return tables | {str(name): path.read_bytes() for name, path in files.items()}


def check_whole(home: Path, peace: dict[str, Any]) -> None:
    """Content, faces, and what lies about; raises Unequal."""
    found = content(home)
    differ = sorted(
        name for name in found.keys() | peace.keys() if found.get(name) != peace.get(name)
    )
    if differ:
        raise Unequal(f"{home}: {', '.join(differ)} are not as in the home built in peace")
    store = Store(home)
    check_face(store)
    check_clean(store)


def check_verified(home: Path) -> None:
    """What `soli warehouse verify` says; raises Unequal."""
    problems = [row for row in audit(Store(home)) if row["problems"]]
    if problems:
        raise Unequal(f"soli warehouse verify: {problems}")


def decided(folder: Path, items: int, dice: random.Random) -> Path:
    """A home of so many items, two to a prompt, judged by three people and decided."""
    settings = Settings(home=folder / "decided")
    export = folder / "project.json"
    export.write_text(json.dumps([task(number, dice) for number in range(items)]))
    ingest_export(settings.store, export, labelling=Labelling(DIMENSIONS))
    measure(settings, settings.store)
    build_consensus(settings, settings.store)
    return settings.home


def task(number: int, dice: random.Random) -> dict[str, Any]:
    """A task of Label Studio's export: people are right nine times in ten."""
    truth = {name: dice.random() < 0.5 for name in DIMENSIONS}
    said = [{name: good == (dice.random() < 0.9) for name, good in truth.items()} for _ in range(3)]
    return {
        "id": number + 1,
        "project": 1,
        "created_at": NOON,
        "updated_at": NOON,
        "data": {
            "item_id": f"clip_{number:04}",
            "prompt": f"a ball {number // 2}",
            "video": f"https://clips.example/{number}.mp4",
            "generator": ("north", "south")[number % 2],
        },
        "annotations": [
            annotation(3 * number + person + 1, person + 1, answers)
            for person, answers in enumerate(said)
        ],
    }


def annotation(number: int, person: int, answers: dict[str, bool]) -> dict[str, Any]:
    """One person's answers on a task."""
    return {
        "id": number,
        "completed_by": person,
        "was_cancelled": False,
        "ground_truth": False,
        "lead_time": 2.0,
        "created_at": NOON,
        "updated_at": NOON,
        "result": [
            {
                "from_name": name,
                "to_name": "video",
                "type": "choices",
                "value": {"choices": ["Pass" if good else "Fail"]},
            }
            for name, good in answers.items()
        ],
    }


def play(options: argparse.Namespace, folder: Path) -> list[str]:
    """All kills, of a first set and of a second one; returns the lines of the report."""
    dice = random.Random(options.seed)
    before = decided(folder, options.items, dice)
    plays = []
    for number, name in enumerate(("first", "second")):
        build = command(number, options.items)
        twin = copied(before, folder / name)
        life, _ = lived(twin, build)
        victims = folder / f"victims_of_{name}"
        plays.append(Victims(victims, before, content(twin), number, build, life, dice))
        before = twin
    for each, kills in zip(plays, halves(options.kills), strict=True):
        each.play(kills)
    return report(options, plays, Store(before))


def halves(number: int) -> tuple[int, int]:
    """A number as two that differ by one at most."""
    return number // 2, number - number // 2


def report(options: argparse.Namespace, plays: list[Victims], store: Store) -> list[str]:
    """What was done and found."""
    hits, shown = Counter[str](), Counter[str]()
    for each in plays:
        hits, shown = hits + each.hits, shown + each.shown
    lives = " and ".join(f"{len(each.life)} steps in {each.life[-1].at:.1f} s" for each in plays)
    told = ", ".join(f"{words} after {count} kills" for words, count in shown.most_common())
    rows = ", ".join(f"{store.read(name).num_rows} {name}" for name in SETS)
    return [
        f"seed {options.seed}; {options.items} items; a first and a second set: {lives}",
        f"{sum(each.homes for each in plays)} homes, some killed again while they recovered",
        "",
        "kills  where they hit",
        *(f"{count:5}  {words}" for words, count in hits.most_common()),
        f"{hits.total():5}  in all",
        "",
        f"readers were shown the set {told}, half of it after none",
        f"equal to the homes built in peace: {rows}",
        "faces equal tables; nothing left lying about; soli warehouse verify: clean at the end",
        f"digest of pairs: {store.digest('pairs')}",
    ]


def main() -> int:
    """Command line. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="soak.pair_kills")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--items", type=int, default=400)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--write", action="store_true", help="keep the report in soak/results")
    options = parser.parse_args()
    print(f"seed {options.seed}", file=sys.stderr)
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="soli-pair-kills-") as name:
        try:
            lines = play(options, Path(name))
        except (PlatformError, RuntimeError, Unequal) as difference:
            print(f"seed {options.seed}: {difference}", file=sys.stderr)
            return 1
    keep("pair_kills", [*lines, f"{time.monotonic() - begin:.0f} seconds"], write=options.write)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
