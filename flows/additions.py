"""Items of a file beside those that are known: what is new, what fills a gap, what is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from annotation.items import UNKNOWN_GENERATOR, Items, Refused
from annotation.tables import from_rows
from warehouse.contracts import MEDIA_FACTS
from warehouse.forgotten import NOBODY, Forgotten
from warehouse.store import Store

Row = dict[str, Any]
Known = Mapping[str, Row]
UNKNOWN = {"generator": UNKNOWN_GENERATOR, "attributes": "{}", "media_sha256": None}
FIXED = ("prompt_id", "design_k")
DELETED = "an item of this id was deleted on request (`soli forget`); it is not taken in again"
WORDS = {"prompt_id": "prompt", "media_sha256": "video (by its digest)"}


@dataclass(frozen=True)
class Additions:
    """What of an items file may be added, as tables of the contracts."""

    prompts: pa.Table
    """Of every item that is not refused; a known prompt keeps the attributes it came with."""
    items: pa.Table
    """Items never seen before."""
    media: pa.Table
    """Known items of which more is known now, or whose video is somewhere else."""
    every: pa.Table
    """Every item that is not refused, in the shape of items, with all that is known of it."""
    refused: list[Refused]
    kept: int
    """Prompts that keep the attributes they came with, though the file says others."""


def additions(
    found: Items, items: Known, prompts: Known, forgotten: Forgotten = NOBODY
) -> Additions:
    """What may stand beside what is known.

    items: rows of the view `clips` by item; prompts: rows of the table by prompt.
    forgotten: items that were deleted on request are refused.
    A known item may gain what nobody knew of it, and its video may have moved; with other content
    it is refused, for items never change.
    """
    every, new, media = [], [], []
    refused = list(found.refused)
    for number, row in zip(found.rows, found.items.to_pylist(), strict=True):
        known = items.get(row["item_id"])
        if forgotten.item(row["item_id"]):
            refused.append(Refused(number, row["item_id"], DELETED))
        elif known is None:
            every.append(row)
            new.append(row)
        elif others := _others(row, known):
            refused.append(Refused(number, row["item_id"], _changed(row, known, others)))
        else:
            whole = _merged(row, known)
            every.append(whole)
            if any(whole[name] != known[name] for name in ("uri", *UNKNOWN)):
                media.append({**whole, "revision": (known["revision"] or 0) + 1})
    used = {row["prompt_id"] for row in every}
    given = [row for row in found.prompts.to_pylist() if row["prompt_id"] in used]
    return Additions(
        from_rows("prompts", [prompts.get(row["prompt_id"], row) for row in given]),
        from_rows("items", new),
        from_rows("media", media),
        from_rows("items", every),
        sorted(refused, key=lambda each: each.row),
        sum(_kept(row, prompts.get(row["prompt_id"], row)) for row in given),
    )


def _kept(given: Row, known: Row) -> bool:
    return given["attributes"] not in ("{}", known["attributes"])


def _others(row: Row, known: Row) -> list[str]:
    """Columns in which a row contradicts what is known; what nobody knows contradicts nothing."""
    filled = [
        name
        for name, nothing in UNKNOWN.items()
        if known[name] != nothing and row[name] not in (nothing, known[name])
    ]
    unseen = [] if known["media_sha256"] is None or row["media_sha256"] else ["media_sha256"]
    return [name for name in FIXED if row[name] != known[name]] + filled + unseen


def _merged(row: Row, known: Row) -> Row:
    """The row with what is known of its item where the row says nothing."""
    silent = {name: known[name] for name, nothing in UNKNOWN.items() if row[name] == nothing}
    same_file = row["media_sha256"] is not None and row["media_sha256"] == known["media_sha256"]
    facts = {name: known[name] for name in MEDIA_FACTS} if same_file else {}
    return {**row, **silent, **facts}


def _changed(row: Row, known: Row, names: Sequence[str]) -> str:
    others = ", ".join(WORDS.get(name, name) for name in names)
    if row["media_sha256"] is None and "media_sha256" in names:
        others += " (a URL cannot be compared with the file that is known)"
    detail = [f"{n} {known[n]!r}, here {row[n]!r}" for n in names if n in ("generator", "design_k")]
    told = f": {'; '.join(detail)}" if detail else ""
    return (
        f"item {row['item_id']} is known with another {others}{told}; items never change: give this"
        " video an item_id of its own"
    )


def known_items(store: Store, ids: Sequence[str]) -> dict[str, Row]:
    """Rows of the view `clips` of these items."""
    rows = store.query(
        "FROM clips WHERE item_id IN (SELECT unnest($ids::VARCHAR[]))", {"ids": list(ids)}
    )
    return {row["item_id"]: row for row in rows.to_pylist()}


def known_prompts(store: Store, ids: Sequence[str]) -> dict[str, Row]:
    """Rows of the table prompts of these prompts."""
    rows = store.query(
        "SELECT prompt_id, text, attributes FROM prompts"
        " WHERE prompt_id IN (SELECT unnest($ids::VARCHAR[]))",
        {"ids": list(ids)},
    )
    return {row["prompt_id"]: row for row in rows.to_pylist()}
