"""Foreign pair files: their videos as items, their judgements as comparisons and a pair set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa

from annotation.comparisons import CATEGORIES, ComparisonConfig, Judgement, News, news
from annotation.media import is_remote
from flows.comparisons import known_judgements
from flows.foreign_items import ForeignItems, Row, foreign_items
from flows.pair import Built, add_set, known
from flows.settings import Settings
from pairing.imported_set import Verdict, imported_set, settled
from pairing.imports import Foreign, Judged, RefusedRow, read_foreign
from pairing.pairset import utc
from pairing.parts import Split
from warehouse.errors import PairingError
from warehouse.face import publish
from warehouse.identity import imported_source, imported_voice
from warehouse.store import Store

CONFIG = ComparisonConfig((*CATEGORIES, "same"))
LONGEST_NAME = 100  # characters


@dataclass(frozen=True)
class Imported:
    """What came of a foreign pair file."""

    name: str
    pair_set: Built
    rows: int
    """Rows of the file."""
    judgements: int
    """Judgements in the set."""
    silent: int
    """Rows that judge in none of the dimensions read."""
    refused: list[RefusedRow]
    items: int
    """New items."""
    known: int
    """Items of the set that were known already."""
    missing: int
    """Items whose video is not there: they cannot be scored until it is."""
    remote: int
    """Items whose video is at a URL."""
    new: int
    """Comparisons never seen before."""
    changed: int
    """Comparisons that are a revision of a known one."""
    warnings: list[str]
    """What a reader of a set that was split should know."""


def import_set(
    settings: Settings,
    form: str,
    file: Path,
    *,
    media_root: Path | None = None,
    name: str | None = None,
    columns: Mapping[str, str] | None = None,
    split: Split | None = None,
    dry_run: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Imported:
    """Take in a foreign pair file: items, comparisons, and a pair set of its judgements.

    media_root: what relative paths start from, and the only folder that local videos may lie in;
        None: the file's folder, or those that the settings name.
    name: of the data set (default: the file's, without its ending). Items that the file gives no id
        are called NAME/PATH.
    columns: dimension by column, as `pairing.imports.read_foreign`.
    split: shares of the prompts, for a set to train on; a video that is not on this machine is then
        refused. None: an evaluation set, all in test.
    Running it again adds nothing; a bad row is refused alone, with its reason.
    Raises: PairingError where the file cannot be read, or nothing in it can be taken in.
    """
    called = _name(file.stem if name is None else name)
    foreign = read_foreign(file, form, columns)
    store, folder = settings.store, (media_root or file.parent).absolute()
    roots = (folder,) if media_root else settings.media_roots or (settings.media_root, folder)
    items = foreign_items(store, foreign, called, folder, roots, progress=progress)
    items = items if split is None else items.local()
    kept, refused = _judgements(foreign, items)
    used = {end for each in kept.values() for end in (each.winner, each.other)}
    origin = {"form": form, "name": called, "sha256": foreign.sha256}
    pair_set = imported_set(kept.values(), _sources(items, used), origin, split=split)
    with store.writing("import pairs", dry_run=dry_run):
        compared = _comparisons(kept, items, called)
        fresh, added = _add(store, items, used, compared, name=called, dry_run=dry_run)
        made = {"as_of": _known_at(store, imported_source(called)), "code_version": version("soli")}
        there = known(store, pair_set.pair_set_id)
        built = add_set(
            store, replace(pair_set, manifest=pair_set.manifest | made), dry_run=dry_run
        )
        if added and there and not dry_run:  # else the set was published, with all the rest
            publish(store)
    return Imported(
        name=called,
        pair_set=built,
        rows=foreign.rows,
        judgements=len(kept),
        silent=foreign.silent,
        refused=refused,
        items=added.get("items", 0),
        known=len(used) - added.get("items", 0),
        **_absent([items.facts[item] for item in used]),
        new=fresh.new,
        changed=fresh.changed,
        warnings=pair_set.manifest["warnings"],
    )


def _absent(places: list[Row]) -> dict[str, int]:
    """How many items have no video on this machine: missing, or at a URL."""
    elsewhere = [is_remote(row["uri"]) for row in places]
    here = [row for row, remote in zip(places, elsewhere, strict=True) if not remote]
    return {"missing": sum(not row["media_sha256"] for row in here), "remote": sum(elsewhere)}


def _name(text: str) -> str:
    name = text.strip()
    if not name or not name.isprintable() or len(name) > LONGEST_NAME:
        raise PairingError(
            f"import: the set's name is {name[:LONGEST_NAME]!r}; give one of 1 to {LONGEST_NAME}"
            " visible characters with --name"
        )
    return name


def _judgements(
    foreign: Foreign, items: ForeignItems
) -> tuple[dict[Judged, Verdict], list[RefusedRow]]:
    """Judgements that stand, and all rows that are refused.

    Raises: PairingError where none stands.
    """
    sound, refused = [], {}
    for each in foreign.judged:
        reasons = [items.refused[v.key] for v in (each.a, each.b) if v.key in items.refused]
        if reasons:
            refused[each.row] = RefusedRow(each.row, reasons[0])
        else:
            sound.append(each)
    kept, repeated = settled(sound, items.item_ids)
    every = sorted([*foreign.refused, *refused.values(), *repeated], key=lambda each: each.row)
    if not kept:
        why = f"row {every[0].row}: {every[0].reason}" if every else "no row judges anything"
        raise PairingError(f"import: none of {foreign.rows} rows can be taken in ({why})")
    return kept, every


def _comparisons(kept: Mapping[Judged, Verdict], items: ForeignItems, name: str) -> list[Judgement]:
    """The judgements as they stand in `comparisons`."""
    voice, found = imported_voice(name), []
    for each in kept:
        a, b = (items.item_ids[video.key] for video in (each.a, each.b))
        swapped = b < a
        first, second = (b, a) if swapped else (a, b)
        category = CONFIG.turned(each.category) if swapped else each.category
        found.append(
            Judgement(
                each.row, first, second, each.dimension, voice, category, swapped, judged_at=None
            )
        )
    return found


def _add(
    store: Store,
    items: ForeignItems,
    used: set[str],
    compared: list[Judgement],
    *,
    name: str,
    dry_run: bool,
) -> tuple[News, dict[str, int]]:
    """Commit items and comparisons as one unit; what is new of the latter, and rows by table."""
    source = imported_source(name)
    with store.batch("import pairs", dry_run=dry_run) as batch:
        fresh = news(compared, known_judgements(store, compared, source), source)
        for table in ("prompts", "items", "media"):
            batch.add(table, items.rows(table, used))
        batch.add("comparisons", fresh.rows)
    return fresh, batch.added


def _sources(items: ForeignItems, used: set[str]) -> pa.Table:
    """item_id, prompt_id, media_sha256 of the items of a set."""
    names = ("item_id", "prompt_id", "media_sha256")
    rows = [{name: items.facts[item][name] for name in names} for item in sorted(used)]
    return pa.Table.from_pylist(rows, schema=pa.schema([(name, pa.string()) for name in names]))


def _known_at(store: Store, source: str) -> str | None:
    """When the newest judgement of a source was committed; None where there is none."""
    moment: datetime | None = store.query(
        "SELECT max(observed_at) AS at FROM comparisons WHERE source = $s", {"s": source}
    )["at"][0].as_py()
    return utc(moment)
