"""The videos of a foreign pair file as items: which the warehouse knows, and which are new."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from annotation.items import UNKNOWN_GENERATOR, Items, items_of
from annotation.media import is_remote
from flows.additions import Additions, additions, known_items, known_prompts
from pairing.imports import Foreign, Video
from pairing.imports.foreign import shown
from warehouse.forgotten import forgotten
from warehouse.identity import prompt_id
from warehouse.store import Store

SAME_FILE = """
SELECT media_sha256, prompt_id, min(item_id) AS item_id FROM clips
WHERE media_sha256 IN (SELECT unnest($digests::VARCHAR[])) GROUP BY ALL
"""

DESIGN_K = 3  # design labels of a new item, should it come to be labelled

Row = dict[str, Any]


@dataclass(frozen=True)
class ForeignItems:
    """The videos of a file beside what the warehouse knows."""

    item_ids: Mapping[str, str]
    """Item by the key of its video, of every video that names one."""
    refused: Mapping[str, str]
    """Reason by the key of a video."""
    added: Additions
    """Items that are new, or of which more is known now."""
    facts: Mapping[str, Row]
    """What is known of each item with all that the file adds: at least the columns of items."""

    def local(self) -> ForeignItems:
        """The same, where a video that is not on this machine is refused: none can train on it."""
        refused = dict(self.refused)
        for key, item in self.item_ids.items():
            place = self.facts[item]
            if is_remote(place["uri"]):
                refused[key] = f"video {shown(key)} is at a URL; copy it to this machine"
            elif not place["media_sha256"]:
                refused[key] = f"video {shown(key)} is not there; put it there"
        return replace(self, refused=refused)

    def rows(self, table: str, used: set[str]) -> pa.Table:
        """Of prompts, items or media: the rows to add that used items need."""
        rows: pa.Table = getattr(self.added, table)
        column = "item_id"
        wanted = used
        if table == "prompts":
            column, wanted = "prompt_id", {self.facts[item]["prompt_id"] for item in used}
        return rows.filter(pc.is_in(rows[column], pa.array(sorted(wanted), pa.string())))


def foreign_items(
    store: Store,
    foreign: Foreign,
    name: str,
    folder: Path,
    roots: Sequence[Path],
    *,
    progress: Callable[[int, int], None],
) -> ForeignItems:
    """Every video of a file as an item.

    An item is known by its id: the one that the file gives, else NAME/PATH; a new id whose video
    has the bytes and the prompt of a known item is that item. A local video may be missing.
    folder, roots: as `annotation.items.items_of`.
    """
    raw = _raw_rows(foreign, name)
    known = known_items(store, [row["item_id"] for row in raw.values()])
    settled = {row["item_id"] for row in raw.values() if _needs_no_look(row, known, folder)}
    looked_at = [row for row in raw.values() if row["item_id"] not in settled]
    found = items_of(
        looked_at,
        folder,
        roots,
        design_k=DESIGN_K,
        known=lambda _: known,
        progress=progress,
        absent=True,
    )
    same = _same_files(store, found, known)
    fresh = _without(found, same)
    prompts = known_prompts(store, fresh.prompts["prompt_id"].to_pylist())
    added = additions(fresh, known, prompts, forgotten(store))
    reasons = {looked_at[each.row - 1]["item_id"]: each.reason for each in added.refused}
    facts = {item: known[item] for item in settled}
    facts |= known_items(store, sorted(set(same.values()))) if same else {}
    facts |= {row["item_id"]: row for row in added.every.to_pylist()}
    ids = {key: row["item_id"] for key, row in raw.items()}
    return ForeignItems(
        {key: same.get(item, item) for key, item in ids.items() if item not in reasons},
        {key: reasons[item] for key, item in ids.items() if item in reasons},
        added,
        facts,
    )


def _raw_rows(foreign: Foreign, name: str) -> dict[str, Row]:
    """Rows of an items file by the keys of the videos, in their order."""
    videos: dict[str, Video] = {}
    for video in (video for each in foreign.judged for video in (each.a, each.b)):
        before = videos.setdefault(video.key, video)
        path = min(before.path, video.path)  # a URL may stand there under several signatures
        generator = before.generator or video.generator
        videos[video.key] = replace(before, path=path, generator=generator)
    return {
        key: {
            "item_id": video.item_id or f"{name}/{key}",
            "prompt": video.prompt,
            "media": video.path,
            "generator": video.generator,
        }
        for key, video in sorted(videos.items())
    }


def _needs_no_look(row: Row, known: Mapping[str, Row], folder: Path) -> bool:
    """Whether the item is known as it stands: its video lies where it was, or is not there."""
    item = known.get(row["item_id"])
    if item is None or item["prompt_id"] != prompt_id(row["prompt"]):
        return False
    if row["generator"] not in ("", UNKNOWN_GENERATOR, item["generator"]):
        return False
    if is_remote(row["media"]):
        return bool(item["uri"] == row["media"])
    try:
        place = (folder / row["media"]).resolve()
        there = place.exists()
    except (OSError, RuntimeError, ValueError):
        return False  # a look tells what is wrong
    return not there or (item["uri"] == str(place) and item["media_sha256"] is not None)


def _same_files(store: Store, found: Items, known: Mapping[str, Row]) -> dict[str, str]:
    """New ids whose video is, with its prompt, a known item already -> that item."""
    rows = [
        row
        for row in found.items.select(["item_id", "prompt_id", "media_sha256"]).to_pylist()
        if row["item_id"] not in known and row["media_sha256"] is not None
    ]
    if not rows:
        return {}
    digests = sorted({row["media_sha256"] for row in rows})
    items = {
        (each["media_sha256"], each["prompt_id"]): each["item_id"]
        for each in store.query(SAME_FILE, {"digests": digests}).to_pylist()
    }
    return {
        row["item_id"]: items[key]
        for row in rows
        if (key := (row["media_sha256"], row["prompt_id"])) in items
    }


def _without(found: Items, same: Mapping[str, str]) -> Items:
    """The items that are not known under another id."""
    keep = [item not in same for item in found.items["item_id"].to_pylist()]
    rows = tuple(row for row, kept in zip(found.rows, keep, strict=True) if kept)
    return replace(found, items=found.items.filter(pa.array(keep, pa.bool_())), rows=rows)
