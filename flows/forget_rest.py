"""What is left to do of a deletion request: all that is beyond Soli's reach, in words."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from flows.forget_files import SERVER, looked_after, words_of
from flows.forget_plan import Plan, held_in
from flows.forget_words import forms_of, names, telling
from warehouse.store import Store
from warehouse.wording import counted
from warehouse.words import columns_naming

# Folders whose files are rewritten or thrown away as a whole, or are another program's.
OURS = ("tables", "people", "mirror", "face", "staging", "frames", "pulls", SERVER)
BINARY = (".parquet", ".safetensors", ".duckdb", ".mp4", ".pt", ".bin", ".lock", ".key")
ELSEWHERE = (
    "backups, exports and other copies of the home; logs of a Prefect server elsewhere; older"
    " versions that an object store keeps"
)
SHOWN = 5  # numbers of annotations or tasks


def remaining(store: Store, plan: Plan, *, done: bool) -> list[str]:
    """What only people can do, in words; tables and files that name what was forgotten.

    done: whether it was carried out; before, tables and files that will be looked after are left
        out.
    """
    said = (
        _in_label_studio(plan),
        _server(store.home),
        _videos(store, plan),
        _frames(store.home, plan),
        _tables(store, plan) if done else (),
        _files(store.home, plan, done=done),
        _vague(plan),
    )
    return [*chain(*said), ELSEWHERE]


def _in_label_studio(plan: Plan) -> Iterator[str]:
    for row in plan.label_studio:
        project = f"Label Studio, project with source {row['source']}"
        tasks = counted(len(row["tasks"]), "task", "tasks")
        if plan.kind == "item":
            yield f"{project}: delete {tasks} ({_some(row['tasks'])})"
            continue
        users = ", ".join(map(str, row["users"])) or "unknown"
        if not row["annotations"]:
            yield f"{project}: delete user {users}"
            continue
        given = counted(len(row["annotations"]), "annotation", "annotations")
        yield (
            f"{project}: delete {given} ({_some(row['annotations'])}) in {tasks}, then user {users}"
        )


def _server(home: Path) -> Iterator[str]:
    if (home / SERVER).exists():
        yield f"{home / SERVER}: data, secrets and log of the Label Studio that runs in this home"


def _frames(home: Path, plan: Plan) -> Iterator[str]:
    if plan.kind == "item" and (home / "frames").is_symlink():
        yield f"{home / 'frames'} is a link: empty the folder that it leads to, a cache of frames"


def _some(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:SHOWN]))
    return f"{shown}, ...; --json lists all" if len(numbers) > SHOWN else shown


def _videos(store: Store, plan: Plan) -> Iterator[str]:
    ours = {str(place) for place in held_in(plan, store.home)}
    for uri in plan.uris:
        if uri not in ours:
            yield f"the video itself: {uri}"


def _tables(store: Store, plan: Plan) -> Iterator[str]:
    texts = sorted({form for text in filter(telling, plan.texts) for form in forms_of(text)})
    for (table, column), rows in columns_naming(store, texts).items():
        found = counted(rows, "row", "rows")
        yield f"table {table}, column {column} still names {_whom(plan)} in {found}: look at it"


def _files(home: Path, plan: Plan, *, done: bool) -> Iterator[str]:
    words = words_of(plan)
    for path in sorted(home.rglob("*")):
        inside = path.relative_to(home)
        if inside.parts[0] in OURS or inside.name.lstrip(".") == "forget.json":
            continue
        if not path.is_file() or (not done and looked_after(inside)):
            continue
        if words.search(str(inside)) or (inside.suffix not in BINARY and names(path, words)):
            yield f"{path} still names {_whom(plan)}: look at it"


def _vague(plan: Plan) -> Iterator[str]:
    for text in plan.texts:
        if not telling(text):
            yield f"texts and logs were not searched for {text!r}, which could mean anything"


def _whom(plan: Plan) -> str:
    return "them" if plan.kind == "annotator" else "it"
