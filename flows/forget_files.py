"""A deletion request in the files of a home beside its tables, and what is beyond Soli's reach."""

from __future__ import annotations

import html
import json
import re
import shutil
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from annotation.spool import clear
from flows.forget_plan import Plan, held_in
from pairing.folder import ITEMS, PAIRS_FILE
from warehouse.disk import sync
from warehouse.lease import lease
from warehouse.store import Store
from warehouse.wording import counted

SERVER = "labelstudio"  # Label Studio's own folder, where `soli annotate server` runs one
# Folders whose files are looked after above, or hold no text.
OURS = ("tables", "people", "mirror", "face", "staging", "frames", "pulls", SERVER)
BINARY = (".parquet", ".safetensors", ".duckdb", ".mp4", ".pt", ".bin", ".lock", ".key")
ELSEWHERE = "backups, exports and other copies of the home; older versions an object store keeps"
LARGEST = 256 << 20  # bytes of a file that is searched


def erase(store: Store, plan: Plan) -> None:
    """Delete what files of the home hold of an annotator or an item; safe to repeat."""
    home = store.home
    for folder in sorted((home / "pulls").glob("*/")):
        clear(folder)  # pages as the server gave them; the next pull reads them again
    for page in home.glob("*.html"):
        if _names(page, plan):
            page.unlink()  # the command that wrote it writes it again
    if plan.kind == "annotator":
        return  # pair sets, jobs and frames hold items alone
    for row in plan.pair_sets:
        for name in (ITEMS, PAIRS_FILE):
            (home / "pair_sets" / row["pair_set_id"] / name).unlink(missing_ok=True)
    for media in sorted((home / "runs").glob("*/media.parquet")):
        _leave_out(media, plan.subject)
    if plan.frames:
        shutil.rmtree(home / "frames", ignore_errors=True)  # a cache: decoded again where needed
    for copy in held_in(plan, home):
        copy.unlink(missing_ok=True)


def _leave_out(media: Path, item: str) -> None:
    """Write a training job's media table without an item; no such training may be under way."""
    rows = pq.read_table(media)
    kept = rows.filter(pc.not_equal(rows["item_id"], pa.scalar(item)))
    if kept.num_rows == rows.num_rows:
        return
    with lease(media.with_name("job.lock"), "forget an item", wait=0):
        fresh = media.with_suffix(".part")
        pq.write_table(kept, fresh)
        sync(fresh)
        fresh.rename(media)


def remaining(store: Store, plan: Plan) -> list[str]:
    """What only people can do, in words; files of the home that still name what was forgotten."""
    said = (_in_label_studio(plan), _server(store.home), _videos(store, plan))
    return [*chain(*said, _files(store.home, plan)), ELSEWHERE]


def _in_label_studio(plan: Plan) -> Iterator[str]:
    for row in plan.label_studio:
        project = f"Label Studio, project with source {row['source']}"
        tasks = counted(len(row["tasks"]), "task", "tasks")
        if plan.kind == "item":
            yield f"{project}: delete {tasks} ({_some(row['tasks'])})"
            continue
        given = counted(len(row["annotations"]), "annotation", "annotations")
        users = ", ".join(map(str, row["users"])) or "unknown"
        yield (
            f"{project}: delete {given} ({_some(row['annotations'])}) in {tasks}, then user {users}"
        )


def _server(home: Path) -> Iterator[str]:
    if (home / SERVER).exists():
        yield f"{home / SERVER}: data, secrets and log of the Label Studio that runs in this home"


def _some(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:5]))
    return f"{shown}, ...; --json lists all" if len(numbers) > 5 else shown  # noqa: PLR2004


def _videos(store: Store, plan: Plan) -> Iterator[str]:
    ours = {str(place) for place in held_in(plan, store.home)}
    for uri in plan.uris:
        if uri not in ours:
            yield f"the video itself: {uri}"


def _files(home: Path, plan: Plan) -> Iterator[str]:
    for path in sorted(home.rglob("*")):
        inside = path.relative_to(home)
        if inside.parts[0] in OURS or inside.name.lstrip(".") == "forget.json":
            continue
        if inside.suffix not in BINARY and path.is_file() and _names(path, plan):
            yield f"{path} still names {'them' if plan.kind == 'annotator' else 'it'}: look at it"


def _names(path: Path, plan: Plan) -> bool:
    """Whether a file holds the id, or another of the texts, as a word of its own."""
    if path.stat().st_size > LARGEST:
        return False
    forms = {form for text in plan.texts for form in _forms(text)}
    words = "|".join(map(re.escape, sorted(forms)))
    found = re.search(rf"(?<!\w)(?:{words})(?!\w)".encode(), path.read_bytes())
    return found is not None


def _forms(text: str) -> Iterator[str]:
    """A text as it stands in a file of text, JSON or HTML."""
    yield text
    yield json.dumps(text)[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    yield html.escape(text)
