"""Pair sets: from the latest consensus to files and rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa

from flows.choose import by_start
from flows.measure import chosen_method
from flows.settings import Settings
from pairing.blocks import blocks_of
from pairing.folder import read_pair_set, write_pair_set
from pairing.pairset import PairSet, build_pairs, pair_set_row
from pairing.recipe import Recipe
from pairing.stats import counts, pair_set_stats
from warehouse.errors import GateStop, PairingError
from warehouse.face import publish
from warehouse.store import Store


@dataclass(frozen=True)
class Built:
    """A pair set in the warehouse and its folder of files."""

    pair_set_id: str
    digest: str
    path: Path
    counts: list[dict[str, Any]]


def recipe_of(settings: Settings, store: Store, path: Path | None = None) -> Recipe:
    """Recipe of a TOML file, else of the section `pairs` of soli.toml, else the default one.

    The default takes every dimension that has a consensus.
    Raises: PairingError for a recipe that makes no sense, or where there is no consensus.
    """
    if path is not None:
        try:
            return Recipe.from_toml(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise PairingError(f"recipe {path} cannot be read: {error}") from error
    found = store.query("SELECT DISTINCT dimension FROM consensus ORDER BY 1")["dimension"]
    if not len(found):
        raise PairingError("nothing was decided yet; run `soli consensus build` first")
    return Recipe.from_dict({"dimensions": found.to_pylist()} | settings.pairs)


def build(
    settings: Settings, store: Store, recipe: Recipe, *, dry_run: bool = False
) -> tuple[Built, PairSet]:
    """Build a pair set from the latest consensus, as files and as rows.

    Raises: GateStop where a gate stopped one of the recipe's dimensions; PairingError where there
        is no consensus, or the recipe asks for more than there is.
    """
    with store.writing("build a pair set", dry_run=dry_run):
        check_gates(store, recipe.dimensions)
        consensus = latest_consensus(store, chosen_method(settings))
        items = store.query(
            "SELECT item_id, prompt_id, generator, media_sha256 FROM clips ORDER BY item_id"
        )
        as_of = committed(store, str(consensus["consensus_id"][0]))
        pair_set = build_pairs(consensus, items, recipe, as_of=as_of, code_version=version("soli"))
        identity = pair_set.pair_set_id
        folder = folder_of(store, identity)
        rows = counts(blocks_of(pair_set.pairs)).to_pylist()
        if not dry_run:
            write_pair_set(pair_set, folder)  # again where the folder was lost
        if not dry_run and not known(store, identity):
            store.append("pair_set_items", pair_set.items)
            store.append("pairs", pair_set.pairs)
            store.append("pair_sets", pair_set_row(pair_set, str(folder)))
            publish(store)
    return Built(identity, pair_set.digest, folder, rows), pair_set


def check_gates(store: Store, dimensions: tuple[str, ...]) -> None:
    """Raise where the last measurement stopped one of these dimensions, or never judged it.

    Raises: GateStop with the reasons; PairingError where agreement was never measured.
    """
    rows = store.query(
        "WITH newest AS (SELECT arg_max(measurement_id, observed_at) AS measurement_id FROM gates)"
        " SELECT dimension, verdict, reason FROM gates SEMI JOIN newest USING (measurement_id)"
    ).to_pylist()
    if not rows:
        raise PairingError("agreement was never measured; run `soli agreement report` first")
    stopped = [r for r in rows if r["verdict"] == "stop" and r["dimension"] in dimensions]
    if stopped:
        reasons = "; ".join(f"{row['dimension']}: {row['reason']}" for row in stopped)
        raise GateStop(
            f"no pairs: the gate stopped {reasons}. Mend the guidelines, ask for more labels with"
            " `soli annotate queue --push`, or leave the dimension out of the recipe"
        )


def latest_consensus(store: Store, method: str) -> pa.Table:
    """Rows of the newest consensus run of a method.

    Raises: PairingError where there is none.
    """
    rows = store.query(
        "FROM latest_consensus WHERE method = $m ORDER BY item_id, dimension", {"m": method}
    )
    if not rows.num_rows:
        raise PairingError(f"no consensus by {method}; run `soli consensus build` first")
    return rows


def committed(store: Store, consensus_id: str) -> datetime:
    """When a consensus run was committed: its labels were known then."""
    moment: datetime = store.query(
        "SELECT min(observed_at) AS t FROM consensus WHERE consensus_id = $c", {"c": consensus_id}
    )["t"][0].as_py()
    return moment


def folder_of(store: Store, identity: str) -> Path:
    """Folder of a pair set's files."""
    return store.home / "pair_sets" / identity


def known(store: Store, identity: str) -> bool:
    """Whether the pair set is in the warehouse already."""
    rows = store.query("SELECT 1 FROM pair_sets WHERE pair_set_id = $p", {"p": identity})
    return bool(rows.num_rows)


def newest_pair_set(store: Store, start: str | None = None) -> dict[str, Any]:
    """Row of `pair_sets`: the newest, or the one whose id starts so; its path is in this home.

    Raises: StoreError where there is none, or more than one.
    """
    rows = store.query("FROM pair_sets ORDER BY observed_at DESC").to_pylist()
    row = by_start(rows, "pair_set_id", start, "pair set", "soli pairs build")
    return row | {"path": str(folder_of(store, row["pair_set_id"]))}  # the home may have moved


def check_files(chosen: dict[str, Any]) -> None:
    """Check a pair set's files against the digest that the warehouse holds.

    Raises: PairingError where they are damaged, or another set's.
    """
    found = read_pair_set(Path(chosen["path"])).digest
    if found != chosen["digest"]:
        raise PairingError(
            f"{chosen['path']} holds pairs with digest {found[:16]}, the warehouse says"
            f" {chosen['digest'][:16]}; delete the folder and build the set again"
        )


def read(store: Store, start: str | None = None) -> PairSet:
    """The files of a pair set, checked against their digests."""
    return read_pair_set(Path(newest_pair_set(store, start)["path"]))


def statistics_of(store: Store, pair_set: PairSet) -> dict[str, pa.Table]:
    """Statistics of a pair set by name."""
    sources = store.query("SELECT item_id, generator, media_sha256 FROM clips ORDER BY item_id")
    return pair_set_stats(pair_set.items, pair_set.pairs, sources)
