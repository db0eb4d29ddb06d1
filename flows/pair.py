"""Pair sets: from the latest consensus to files and rows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa

from flows.choose import chosen_method
from flows.clearance import audit_rows, clearance
from flows.ids import by_start
from flows.settings import Settings
from pairing.folder import (
    ITEMS,
    MANIFEST,
    clear_partial,
    note_override,
    read_manifest,
    read_pair_set,
    write_pair_set,
)
from pairing.imported import for_evaluation, refuse_imported
from pairing.pairset import Origin, PairSet, build_pairs, pair_set_row
from pairing.portable import check_portable
from pairing.recipe import Recipe, default_counts, read_toml
from pairing.stats import pair_set_stats
from warehouse.digest import canonical_json
from warehouse.errors import PairingError
from warehouse.face import current, publish
from warehouse.moment import at
from warehouse.store import Store

SOURCES = ("items", "media", "prompts")
# What tells videos apart: their bytes, or their place where the bytes were not read, as of a URL.
VIDEO = "coalesce(c.media_sha256, c.uri) AS media_sha256"
READ = ("consensus", *SOURCES)  # tables of record that a set is made of
PROVENANCE = ("items_as_of", "override", "table_versions")  # what a manifest says of a build


@dataclass(frozen=True)
class Built:
    """A pair set in the warehouse and its folder of files."""

    pair_set_id: str
    digest: str
    path: Path
    counts: list[dict[str, Any]]


def recipe_of(
    settings: Settings,
    store: Store,
    path: Path | None = None,
    changes: Sequence[str] = (),
    extend: str | None = None,
) -> Recipe:
    """Recipe of a TOML file, else of the section `pairs` of soli.toml, else the default one.

    extend: a set that is extended; without a file its own recipe is taken.

    The default takes every dimension that has a consensus.
    changes: lines of TOML that come on top, such as `seed = 7` or `counts.win_lose.train = 500`.
    Raises: PairingError for a recipe that makes no sense, or where there is no consensus.
    """
    if path is not None:
        try:
            values = read_toml(path.read_text(encoding="utf-8-sig"))
        except (OSError, UnicodeDecodeError) as error:
            raise PairingError(f"recipe {path} cannot be read: {error}") from error
    elif extend is not None:
        values = _to_extend(store, extend).manifest["recipe"]
    else:
        found = store.query("SELECT DISTINCT dimension FROM consensus ORDER BY 1")["dimension"]
        if not len(found):
            raise PairingError("nothing was decided yet; run `soli consensus build` first")
        values = {"dimensions": found.to_pylist()} | settings.pairs
    wanted: dict[str, Any] = {}
    for line in changes:
        wanted = merged(wanted, read_toml(line))
    if "counts" in wanted and "counts" not in values:  # they change the default ones
        values = {"counts": default_counts(ood="ood_generators" in values | wanted)} | values
    if isinstance(wanted.get("kinds"), list) and isinstance(values.get("counts"), Mapping):
        named = {k: each for k, each in values["counts"].items() if k in wanted["kinds"]}
        values = {**values, "counts": named}  # those of kinds that are gone would be refused
    return Recipe.from_dict(merged(values, wanted))


def merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Values with changes on top, table by table."""
    found = dict(values)
    for key, change in changes.items():
        old, tables = found.get(key), isinstance(change, Mapping)
        found[key] = merged(old, change) if isinstance(old, Mapping) and tables else change
    return found


def build(
    settings: Settings,
    store: Store,
    recipe: Recipe,
    *,
    extend: str | None = None,
    override: str | None = None,
    master: str | None = None,
    dry_run: bool = False,
) -> tuple[Built, PairSet]:
    """Build a pair set from the latest consensus, or the recipe's, as files and as rows.

    master: of a Spark that reads and sorts the tables; None: that is done here.
    extend: id of an earlier set, or the start of it, whose pairs are kept where their labels stand.
    override: a reason to build although a gate, or the test of win-ties, says stop.
    Raises: GateStop where one of them does; PairingError where there is no consensus, or the recipe
        asks for more than there is.
    """
    if master is not None:
        check_portable(recipe)
    moment = datetime.fromisoformat(recipe.as_of) if recipe.as_of else None
    with store.writing("build a pair set", dry_run=dry_run):
        cleared = clearance(store, recipe, override, moment)
        consensus_id = latest_run(store, chosen_method(settings), moment)
        known_then = items_known(store, moment)
        origin: Origin = {
            "base": _to_extend(store, extend) if extend is not None else None,
            "as_of": committed(store, consensus_id),
            "code_version": version("soli"),
            "warnings": cleared.warnings,
            "provenance": {
                "items_as_of": known_then.isoformat(),
                "override": cleared.override,
                "table_versions": {name: store.lake.version(name) for name in READ},
            },
        }
        if master is None:
            tables = read_both(store, consensus_id, known_then, recipe)
            pair_set = build_pairs(*tables, recipe, **origin)
        else:
            from flows import spark

            pair_set = spark.draw(store, recipe, consensus_id, known_then, master, **origin)
        built = add_set(store, pair_set, dry_run=dry_run)
    if not dry_run:  # what stood there already keeps what it says
        pair_set = replace(pair_set, manifest=read_manifest(built.path / MANIFEST))
    return built, pair_set


def _to_extend(store: Store, start: str) -> PairSet:
    found = read(store, start)
    refuse_imported(found.manifest, "cannot be extended")
    return found


def rebuild(store: Store, manifest: Path, *, dry_run: bool = False) -> tuple[Built, PairSet]:
    """Build the set again that a manifest is of: the same pairs, items and manifest.

    Raises: PairingError for a file that is no manifest, where this warehouse does not hold what the
        set was made of, or where something else comes out.
    """
    said = read_manifest(manifest)
    refuse_imported(said, "cannot be built from its manifest")
    recipe, extended = Recipe.from_dict(said["recipe"]), said.get("extends")
    with store.writing("build a pair set", dry_run=dry_run):
        known_then = datetime.fromisoformat(said.get("items_as_of") or said["as_of"])
        consensus, items = read_both(store, said["consensus_id"], known_then, recipe)
        if not consensus.num_rows:
            raise PairingError(
                f"{manifest} was made of the consensus {said['consensus_id']}, which is not in"
                f" {store.home}; name the home that has it with --home"
            )
        pair_set = build_pairs(
            consensus,
            items,
            recipe,
            base=read(store, extended["pair_set_id"]) if extended else None,
            as_of=datetime.fromisoformat(said["as_of"]),
            code_version=said["code_version"],
            provenance={name: said[name] for name in PROVENANCE if name in said},
        )
        pair_set.manifest["warnings"] = said["warnings"]
        if pair_set.digest != said["digest"]:
            raise PairingError(
                f"{manifest} says digest {said['digest'][:16]}, but {pair_set.digest[:16]} comes"
                f" out; it was written by version {said['code_version']}, this is"
                f" {version('soli')}"
            )
        return add_set(store, pair_set, dry_run=dry_run), pair_set


def add_set(store: Store, pair_set: PairSet, *, dry_run: bool) -> Built:
    """Files and rows of a set, the rows as one unit; what is there already stays."""
    identity = pair_set.pair_set_id
    folder = folder_of(store, identity)
    if not dry_run:
        clear_partial(folder.parent)  # whoever is alive holds the lease
        recorded = _recorded(store, identity)
        if recorded:  # by another recipe, perhaps, that makes the same pairs
            said = {"recipe": json.loads(recorded["recipe"]), "seed": recorded["seed"]}
            pair_set = replace(pair_set, manifest=pair_set.manifest | said)
        with ThreadPoolExecutor(1) as beside, store.batch("add a pair set") as batch:
            batch.wait_for(beside.submit(_write_files, pair_set, folder).result)
            if over := pair_set.manifest.get("override"):
                batch.add("audit", audit_rows(identity, over))
            if not recorded:
                batch.add("pair_set_items", pair_set.items)
                batch.add("pairs", pair_set.pairs)
                batch.add("pair_sets", pair_set_row(pair_set, str(folder)))
        if batch.added or not current(store):  # a build that was killed may have left it so
            publish(store)
    return Built(identity, pair_set.digest, folder, _counted(pair_set.manifest))


def _write_files(pair_set: PairSet, folder: Path) -> None:
    """The files of a set, again where they were lost; they stand before the rows that name them."""
    write_pair_set(pair_set, folder)
    if over := pair_set.manifest.get("override"):
        note_override(folder, over)


def _counted(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Pairs by dimension, split and kind, in this order."""
    return sorted(
        (
            {"dimension": dimension, "split": split, "kind": kind, "pairs": pairs}
            for dimension, splits in manifest["counts"].items()
            for split, kinds in splits.items()
            for kind, pairs in kinds.items()
            if pairs
        ),
        key=lambda row: (row["dimension"], row["split"], row["kind"]),
    )


def items_known(store: Store, moment: datetime | None) -> datetime:
    """The newest commit about items, prompts and videos, at a moment or now.

    Raises: PairingError where nothing was known.
    """
    tables = " UNION ALL ".join(f"SELECT observed_at FROM {name}" for name in SOURCES)
    found = store.query(
        f"SELECT max(observed_at) AS at FROM ({tables}) WHERE $at IS NULL OR observed_at <= $at",
        {"at": moment},
    )["at"]
    if found.null_count:
        raise PairingError("no items are known yet; run `soli ingest` first")
    return at(found[0])


def read_both(
    store: Store, consensus_id: str, moment: datetime, recipe: Recipe
) -> tuple[pa.Table, pa.Table]:
    """Consensus and items, read at the same time; see `consensus_of` and `sources`."""
    with ThreadPoolExecutor(2) as beside:
        items = beside.submit(sources, store, moment, recipe)
        beside.submit(import_module, "pandas")  # 0.2 s that Arrow takes at its first array
        return consensus_of(store, consensus_id, recipe), items.result()


def sources(store: Store, moment: datetime, recipe: Recipe) -> pa.Table:
    """What pairs need to know of items, as it was known at a moment."""
    attributes, prompts = "", ""
    if recipe.quotas is not None:  # they may go by an attribute of prompts
        attributes, prompts = (
            ", p.attributes",
            "LEFT JOIN prompts_as_of($at) AS p USING (prompt_id)",
        )
    return store.query(
        f"SELECT c.item_id, c.prompt_id, c.generator, {VIDEO}{attributes}"
        f" FROM clips_as_of($at) AS c {prompts} ORDER BY c.item_id",
        {"at": moment},
    )


def latest_run(store: Store, method: str, moment: datetime | None = None) -> str:
    """Id of the newest consensus run of a method, at a moment or now.

    Raises: PairingError where there is none.
    """
    rows = "consensus_as_of($at)" if moment else "consensus"
    found = store.query(
        f"SELECT arg_max(consensus_id, observed_at) AS id FROM {rows} WHERE method = $m",
        {"m": method} | ({"at": moment} if moment else {}),
    )["id"]
    if found.null_count:
        then = f" at {moment:%Y-%m-%d %H:%M:%S} UTC" if moment else ""
        raise PairingError(f"no consensus by {method}{then}; run `soli consensus build` first")
    return str(found[0])


def consensus_of(store: Store, consensus_id: str, recipe: Recipe | None = None) -> pa.Table:
    """Rows of a consensus run; none where it is not known.

    recipe: only what it needs, unless a dimension is missing: an error then names those there are.
    """
    if recipe is not None:
        wanted = [*recipe.judged, *recipe.combined]  # the latter should not be there
        rows = store.query(
            "SELECT consensus_id, item_id, dimension, label, p_pass FROM consensus"
            " WHERE consensus_id = $c AND dimension IN $d",
            {"c": consensus_id, "d": wanted},
        )
        if set(recipe.judged) <= set(rows["dimension"].unique().to_pylist()):
            return rows
    return store.query("FROM consensus WHERE consensus_id = $c", {"c": consensus_id})


def committed(store: Store, consensus_id: str) -> datetime:
    """When a consensus run was committed: its labels were known then."""
    found = store.query(
        "SELECT min(observed_at) AS at FROM consensus WHERE consensus_id = $c", {"c": consensus_id}
    )
    return at(found["at"][0])


def folder_of(store: Store, identity: str) -> Path:
    """Folder of a pair set's files."""
    return store.home / "pair_sets" / identity


def known(store: Store, identity: str) -> bool:
    """Whether the pair set is in the warehouse already."""
    return _recorded(store, identity) is not None


def _recorded(store: Store, identity: str) -> dict[str, Any] | None:
    """What the warehouse says of a pair set's recipe and seed; None where it does not know it."""
    rows = store.query("SELECT recipe, seed FROM pair_sets WHERE pair_set_id = $p", {"p": identity})
    return dict(rows.to_pylist()[0]) if rows.num_rows else None


def newest_pair_set(
    store: Store, start: str | None = None, *, to_train_on: bool = False
) -> dict[str, Any]:
    """Row of `pair_sets`: the newest, or the one whose id starts so; its path is in this home.

    to_train_on: leave out evaluation sets.
    Raises: StoreError where there is none, or more than one.
    """
    rows = store.query("FROM pair_sets ORDER BY observed_at DESC").to_pylist()
    if to_train_on:
        rows = [row for row in rows if not for_evaluation(json.loads(row["recipe"]))]
    row = by_start(rows, "pair_set_id", start, "pair set", "soli pairs build")
    return row | {"path": str(folder_of(store, row["pair_set_id"]))}  # the home may have moved


def checked(chosen: Mapping[str, Any]) -> PairSet:
    """The files of a pair set, checked against its row in the warehouse.

    chosen: row of `pair_sets`, see `newest_pair_set`.
    Raises: PairingError where they are damaged, changed, or another set's.
    """
    folder = Path(chosen["path"])
    if (folder / MANIFEST).exists() and not (folder / ITEMS).exists():
        raise PairingError(
            f"the items and pairs of set {chosen['pair_set_id']} are gone from {folder}: `soli"
            " forget` deletes them with an item, or somebody did; build another set"
        )
    found = read_pair_set(folder)
    if found.digest != chosen["digest"]:
        raise PairingError(
            f"{chosen['path']} holds pairs with digest {found.digest[:16]}, the warehouse says"
            f" {chosen['digest'][:16]}; delete the folder and build the set again"
        )
    if canonical_json(found.manifest["recipe"]) != chosen["recipe"]:
        raise PairingError(
            f"{chosen['path']}/{MANIFEST} holds another recipe than the warehouse; somebody changed"
            " it: delete the folder and build the set again"
        )
    return found


def read(store: Store, start: str | None = None) -> PairSet:
    """The files of a pair set, the newest or the one whose id starts so; see `checked`."""
    return checked(newest_pair_set(store, start))


def statistics_of(store: Store, pair_set: PairSet) -> dict[str, pa.Table]:
    """Statistics of a pair set by name, with the age of the labels behind it, in days."""
    sources = store.query(f"SELECT item_id, generator, {VIDEO} FROM clips AS c ORDER BY item_id")
    ages = store.query(
        "SELECT * EXCLUDE pair_set_id FROM pair_label_age WHERE pair_set_id = $p ORDER BY ALL",
        {"p": pair_set.pair_set_id},
    )
    return pair_set_stats(pair_set.items, pair_set.pairs, sources) | {"label_age": ages}
