"""A deletion request in the files of a home that lie beside its tables."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from annotation.members import strike_out
from annotation.spool import clear
from flows.forget_plan import Plan, held_in
from flows.forget_prefect import DATABASE, erase_said
from flows.forget_words import names, pattern, telling
from pairing.folder import ITEMS, PAIRS_FILE
from warehouse.disk import sync
from warehouse.lease import lease
from warehouse.store import Store

SERVER = "labelstudio"  # Label Studio's own folder, where `soli annotate server` runs one
ACCOUNTS = Path(SERVER) / "annotators.json"  # what `soli annotate annotators --sign-up` keeps
Say = Callable[[str], None]


def words_of(plan: Plan) -> re.Pattern[str]:
    """Words of the request that mean nothing else."""
    return pattern(filter(telling, plan.texts), any_case=plan.kind == "annotator")


def looked_after(inside: Path) -> bool:
    """Whether `erase` sees to what a file of the home says: its path from there."""
    page = len(inside.parts) == 1 and inside.suffix == ".html"
    return page or inside.as_posix().startswith(DATABASE.as_posix())


@contextmanager
def no_training(home: Path, plan: Plan) -> Iterator[None]:
    """Hold the jobs whose media table names an item.

    Raises: StoreError where such a training is under way.
    """
    with ExitStack() as held:
        for media in sorted((home / "runs").glob("*/media.parquet")):
            items = pq.read_table(media, columns=["item_id"])["item_id"]
            if plan.kind == "item" and pc.is_in(pa.scalar(plan.subject), value_set=items).as_py():
                lock = media.with_name("job.lock")
                held.enter_context(lease(lock, "forget an item", wait=0))
        yield


def erase(store: Store, plan: Plan, say: Say) -> None:
    """Delete what files of the home hold of an annotator or an item; safe to repeat."""
    home = store.home
    for folder in sorted((home / "pulls").glob("*/")):
        clear(folder)  # pages as the server gave them; the next pull reads them again
    said = pattern(plan.texts, any_case=plan.kind == "annotator")
    for page in sorted(home.glob("*.html")):
        if names(page, said):
            page.unlink()
            say(f"{page} deleted; the command that wrote it writes it again")
    if changed := erase_said(home, words_of(plan)):
        say(f"{home / DATABASE}: {changed} values changed")
    if plan.kind == "annotator":
        strike_out(home / ACCOUNTS, plan.texts)
    else:
        _erase_item(home, plan)


def _erase_item(home: Path, plan: Plan) -> None:
    known = {row["pair_set_id"] for row in plan.pair_sets}
    for folder in sorted((home / "pair_sets").glob("*/")):  # one may have been built meanwhile
        if folder.name in known or _holds(folder / ITEMS, plan.subject):
            for name in (ITEMS, PAIRS_FILE):
                (folder / name).unlink(missing_ok=True)
    for media in sorted((home / "runs").glob("*/media.parquet")):
        _leave_out(media, plan.subject)
    if plan.frames:
        shutil.rmtree(home / "frames", ignore_errors=True)  # a cache: decoded again where needed
    for copy in held_in(plan, home):
        copy.unlink(missing_ok=True)


def _holds(table: Path, item: str) -> bool:
    """Whether a file of items, where it is there and whole, holds an item."""
    try:
        items = pq.read_table(table, columns=["item_id"])["item_id"]
    except (OSError, KeyError, pa.ArrowException):
        return False
    return bool(pc.is_in(pa.scalar(item), value_set=items).as_py())


def _leave_out(media: Path, item: str) -> None:
    """Write a training job's media table without an item."""
    rows = pq.read_table(media)
    kept = rows.filter(pc.not_equal(rows["item_id"], pa.scalar(item)))
    if kept.num_rows < rows.num_rows:
        fresh = media.with_suffix(".part")
        pq.write_table(kept, fresh)
        sync(fresh)
        fresh.rename(media)
