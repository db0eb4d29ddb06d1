"""A pair set: frozen items, pairs, and a manifest that says where they come from."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypedDict, Unpack

import pyarrow as pa

from pairing.blocks import (
    Block,
    counts_of,
    identity_of,
    pairs_table,
    repeated,
    without_stamp,
)
from pairing.counts import MOST_PAIRS
from pairing.draw import Decks, Request, draw, requests
from pairing.extend import Base
from pairing.freeze import Frozen, freeze
from pairing.grouped import group_requests
from pairing.recipe import Recipe
from pairing.split import realised_splits
from pairing.stats import exposure, leakage
from warehouse.contracts import PAIR_SET_ITEMS, PAIR_SETS
from warehouse.digest import canonical_json
from warehouse.errors import PairingError

logger = logging.getLogger(__name__)

FORMAT = 1  # of the manifest
SHOWN = 3  # of the decks without a pair, in a message


@dataclass(frozen=True)
class PairSet:
    """items and pairs as in the contracts pair_set_items and pairs, without observed_at."""

    items: pa.Table
    pairs: pa.Table
    manifest: dict[str, Any]

    @property
    def digest(self) -> str:
        """SHA-256 over the set's content, 64 hex digits."""
        return str(self.manifest["digest"])

    @property
    def pair_set_id(self) -> str:
        """First 16 hex digits of the digest."""
        return str(self.manifest["pair_set_id"])


class Origin(TypedDict, total=False):
    """Where a set comes from. All but `base` is kept in the manifest, and in no table or digest."""

    base: PairSet | None
    """An earlier set to extend: its pairs whose labels stand are kept, and others come from a deck
    of these items. Balance is then not promised; the manifest's exposure tells it."""
    as_of: datetime
    """When the labels were known."""
    code_version: str
    """Version of Soli."""
    warnings: Sequence[str]
    """What a reader of the set should know, beside what is found here."""
    provenance: Mapping[str, Any]
    """Further fields of the manifest."""


def build_pairs(
    consensus: pa.Table, items: pa.Table, recipe: Recipe, **origin: Unpack[Origin]
) -> PairSet:
    """Pairs that a recipe makes of a consensus.

    consensus: rows of one consensus run, as in the contract; undecided items make no pairs.
    items: item_id, prompt_id, generator, media_sha256 of at least the consensus' items. Splits are
        taken over all of them, so that a new label never moves a prompt.
        Where quotas go by an attribute, the JSON of the prompt's attributes is in `attributes`.
    Raises: PairingError for tables or recipes that make no sense together, and where fewer pairs
        exist than were asked for.
    """
    return pairs_of(freeze(consensus, items, recipe), recipe, **origin)


def pairs_of(
    frozen: Frozen, recipe: Recipe, *, decks: Decks | None = None, **origin: Unpack[Origin]
) -> PairSet:
    """Pairs of frozen items, whoever froze them.

    decks: as in `requests`. The others, and the errors: as in `build_pairs`.
    """
    base = origin.get("base")
    asked = asked_for(frozen, recipe, decks)
    _check_total(asked, frozen, recipe)
    earlier = Base(base, frozen, recipe) if base is not None else None
    blocks = [draw(request, frozen, recipe, earlier) for request in asked if request.number]
    items = items_table(frozen, "")
    with ThreadPoolExecutor(1) as beside:
        account = beside.submit(_account, frozen, recipe, blocks, items)
        identity = identity_of(items, blocks)
    pair_set_id = identity["pair_set_id"]
    manifest = {
        "format": FORMAT,
        **identity,
        "recipe": recipe.to_dict(),
        "seed": recipe.seed,
        "as_of": utc(origin.get("as_of")),
        "consensus_id": frozen.consensus_id,
        "code_version": origin.get("code_version", ""),
        **account.result(),
        "warnings": _warnings([*origin.get("warnings", ()), *frozen.warnings], asked, recipe),
        "extends": earlier.account if earlier is not None else None,
        **origin.get("provenance", {}),
    }
    named = repeated(pair_set_id, items.num_rows, pa.string())
    place = items.column_names.index("pair_set_id")
    items = items.set_column(place, items.schema.field(place), named)
    return PairSet(items, pairs_table(blocks, pair_set_id), manifest)


def asked_for(frozen: Frozen, recipe: Recipe, decks: Decks | None = None) -> list[Request]:
    """Requests of a recipe, whether it asks for pairs of decks or for blocks."""
    if recipe.blocks is not None:
        return list(group_requests(frozen, recipe))
    return list(requests(frozen, recipe, decks))


def pair_set_row(pair_set: PairSet, path: str) -> pa.Table:
    """Row of the contract pair_sets, without observed_at. path: folder that holds the files.

    Raises: PairingError where the set was built without an as-of time.
    """
    manifest = pair_set.manifest
    if manifest["as_of"] is None:
        raise PairingError(
            f"pair set {pair_set.pair_set_id}: as_of is not set; build it with the "
            "time as of which the labels were read"
        )
    row = {
        **{name: manifest[name] for name in ("pair_set_id", "digest", "seed", "consensus_id")},
        "recipe": canonical_json(manifest["recipe"]),
        "counts": canonical_json(manifest["counts"]),
        "as_of": datetime.fromisoformat(manifest["as_of"]),
        "code_version": manifest["code_version"],
        "path": path,
    }
    return pa.Table.from_pylist([row], schema=without_stamp(PAIR_SETS.schema))


def _check_total(asked: list[Request], frozen: Frozen, recipe: Recipe) -> None:
    total = sum(request.number for request in asked)
    if total == 0:
        lacking = _lacking(asked, recipe)
        more = f"{len(lacking) - SHOWN} more like it" if len(lacking) > SHOWN else ""
        why = "; ".join(filter(None, [*lacking[:SHOWN], more, *frozen.warnings]))
        step = "label more, or correct split, strategy or counts" if lacking else "ask for some"
        raise PairingError(
            f"pairs: the recipe makes no pair at all ({why or 'every count is 0'}); {step}"
        )
    if total > MOST_PAIRS:
        raise PairingError(
            f"pairs: the recipe makes {total:,} pairs, more than {MOST_PAIRS:,}; "
            "ask for a number instead of 'all'"
        )


def _lacking(asked: list[Request], recipe: Recipe) -> list[str]:
    """Decks without a pair, in words; a split that is to get no item lacks nothing."""
    none = {name for name in ("train", "validation", "test") if not getattr(recipe.split, name)}
    return [each.explanation for each in asked if each.empty and each.split not in none]


def items_table(frozen: Frozen, pair_set_id: str) -> pa.Table:
    """Table `pair_set_items` of the contract, without observed_at."""
    ordinal = frozen.decided["ordinal"]
    columns = {name: frozen.decided[name] for name in frozen.decided.column_names}
    columns |= {
        name: frozen.items[name].take(ordinal) for name in ("item_id", "prompt_id", "split")
    }
    columns["pair_set_id"] = repeated(pair_set_id, len(ordinal), pa.string())
    schema = without_stamp(PAIR_SET_ITEMS.schema)
    return pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)


def _account(
    frozen: Frozen, recipe: Recipe, blocks: list[Block], table: pa.Table
) -> dict[str, Any]:
    """What came out, beside what was asked for."""
    return {
        "counts": counts_of(blocks, recipe.dimensions),
        "items": frozen.items.num_rows,
        "left_out": frozen.left_out,
        "splits": realised_splits(frozen.items, recipe.split),
        "exposure": exposure(table, blocks).to_pylist(),
        "leakage": leakage(frozen.items).to_pylist(),
    }


def _warnings(known: list[str], asked: list[Request], recipe: Recipe) -> list[str]:
    """What a reader of the set should know; also logged."""
    warnings = [*known, *_lacking(asked, recipe)]
    for warning in warnings:
        logger.warning("pair set: %s", warning)
    return warnings


def utc(moment: datetime | None) -> str | None:
    """A moment as a manifest says it.

    Raises: PairingError where it has no time zone.
    """
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise PairingError(f"as_of {moment.isoformat()} has no time zone; give one, e.g. +00:00")
    return moment.astimezone(UTC).isoformat()
