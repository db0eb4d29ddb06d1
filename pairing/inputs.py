"""Checks of the two tables that pairs are made from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pairing.codes import ascending, codes_of, whole
from pairing.combine import with_combined
from pairing.recipe import Recipe
from warehouse.errors import PairingError
from warehouse.wording import counted

_CONSENSUS = ("consensus_id", "item_id", "dimension", "label", "p_pass")
_ITEMS = ("item_id", "prompt_id", "generator", "media_sha256")
_LABELS = ("pass", "fail", "undecided")


def checked_items(items: pa.Table, recipe: Recipe) -> pa.Table:
    """Items in the order of item_id, each once, with a prompt, a generator and a stratum.

    Videos, about as many as items, are dictionary-encoded. The stratum is the one that the recipe's
    quotas go by, NULL where there are none.
    Raises: PairingError naming the column, the count and the first item.
    """
    given, items = items, _columns("items", items, _ITEMS)
    if items.num_rows == 0:
        raise PairingError("items: the table is empty; import items before building pairs")
    for column in ("item_id", "prompt_id", "generator"):
        _no_nulls("items", items, column)
    sorted_already = ascending(items["item_id"])  # a tenth of the time of sorting
    if not sorted_already:
        _unique("items", items, ("item_id",))
    strata = pa.nulls(items.num_rows, pa.string())
    if recipe.quotas is not None:
        strata = recipe.quotas.strata(given)
    items = items.append_column("stratum", strata)
    coded = items["media_sha256"].combine_chunks().dictionary_encode()  # once for all who compare
    items = items.set_column(items.column_names.index("media_sha256"), "media_sha256", coded)
    return items if sorted_already else items.sort_by("item_id")


def checked_consensus(consensus: pa.Table, items: pa.Table, recipe: Recipe) -> pa.Table:
    """Consensus of one run in the recipe's dimensions, of known items, each decided once.

    Rows of combined dimensions are made of those of their parts.
    items: as `checked_items` returns them.
    Returns: place, the item's row there, dimension, label, p_pass.
    Raises: PairingError naming the column, the count and the first item.
    """
    consensus = _columns("consensus", consensus, _CONSENSUS)
    if consensus.num_rows == 0:
        raise PairingError("consensus: the table is empty; run `soli consensus build` first")
    for column in _CONSENSUS:
        _no_nulls("consensus", consensus, column)
    _one_run(consensus)
    _known_dimensions(consensus, recipe)
    _new_names(consensus, recipe)
    consensus = _of(consensus, recipe.judged)
    place = _places(consensus, items)
    _decided_once(consensus, place)
    _sound_values(consensus)
    consensus = consensus.select(["dimension", "label", "p_pass"]).add_column(0, "place", place)
    return _of(with_combined(consensus, recipe.combinations), recipe.dimensions)


def _of(consensus: pa.Table, dimensions: tuple[str, ...]) -> pa.Table:
    wanted = pa.array(dimensions, pa.string())
    return consensus.filter(pc.is_in(consensus["dimension"], wanted))


def _columns(name: str, table: pa.Table, columns: Sequence[str]) -> pa.Table:
    missing = [column for column in columns if column not in table.column_names]
    if missing:
        raise PairingError(
            f"{name}: column {missing[0]} is missing; the table has "
            f"{', '.join(table.column_names) or 'none'}: pass the warehouse's {name} table"
        )
    return pa.table({c: _plain(name, table[c], c) for c in columns})


def _plain(name: str, column: pa.ChunkedArray, label: str) -> pa.ChunkedArray:
    wanted = pa.float64() if label == "p_pass" else pa.string()
    try:
        return column.cast(wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise PairingError(
            f"{name}: column {label} is {column.type}, not {wanted}; "
            f"pass the warehouse's {name} table"
        ) from error


def _no_nulls(name: str, table: pa.Table, column: str) -> None:
    nulls = table[column].null_count
    if nulls:
        where = table.filter(pc.is_null(table[column]))["item_id"][0].as_py()
        raise PairingError(
            f"{name}: {nulls} of {table.num_rows} rows have no {column} (first: item {where!r}); "
            "rebuild the table"
        )


def _unique(name: str, table: pa.Table, key: tuple[str, ...]) -> None:
    counted = table.group_by(list(key)).aggregate([([], "count_all")])
    twice = counted.filter(pc.greater(counted["count_all"], 1)).sort_by(
        [(column, "ascending") for column in key]
    )
    if twice.num_rows:
        first = " of ".join(repr(twice[column][0].as_py()) for column in reversed(key))
        raise PairingError(
            f"{name}: {twice.num_rows} of {counted.num_rows} keys ({', '.join(key)}) stand more "
            f"than once (first: {first}); pass each one once"
        )


def _one_run(consensus: pa.Table) -> None:
    runs = pc.unique(consensus["consensus_id"]).to_pylist()
    if len(runs) > 1:
        raise PairingError(
            f"consensus: rows of {len(runs)} runs ({', '.join(sorted(runs)[:3])}); "
            "pass the rows of one run"
        )


def _known_dimensions(consensus: pa.Table, recipe: Recipe) -> None:
    known = sorted(pc.unique(consensus["dimension"]).to_pylist())
    missing = [name for name in recipe.judged if name not in known]
    if missing:
        raise PairingError(
            f"recipe: it needs the dimension {missing[0]!r}, but the consensus has only "
            f"{', '.join(known)}; correct the recipe or build that consensus"
        )


def _new_names(consensus: pa.Table, recipe: Recipe) -> None:
    known = pc.unique(consensus["dimension"]).to_pylist()
    for name in recipe.combined:
        if name in known:
            raise PairingError(
                f"recipe: combined.{name} is also a dimension that was judged; choose another name"
            )


def _places(consensus: pa.Table, items: pa.Table) -> pa.Array:
    """Row of each consensus' item among the items, (rows of consensus,) int32."""
    place = whole(pc.index_in(consensus["item_id"], items["item_id"].combine_chunks()))
    if place.null_count:
        unknown = pc.unique(consensus["item_id"].filter(pc.is_null(place))).sort()
        raise PairingError(
            f"consensus: {counted(len(unknown), 'item is', 'items are')} not in the items table"
            f" (first: {unknown[0].as_py()!r}); import them, or pass the items of the same"
            " warehouse"
        )
    return place


def _decided_once(consensus: pa.Table, place: pa.Array) -> None:
    dimension = codes_of(consensus["dimension"])
    keys = place.to_numpy().astype(np.int64) * (dimension.max(initial=0) + 1) + dimension
    if np.bincount(keys).max(initial=0) > 1:
        _unique("consensus", consensus, ("item_id", "dimension"))


def _sound_values(consensus: pa.Table) -> None:
    label, p = consensus["label"], consensus["p_pass"]
    good = pc.is_in(label, pa.array(_LABELS))
    _refuse(consensus, good, "label", "pass, fail or undecided")
    share = pc.and_(pc.greater_equal(p, 0.0), pc.less_equal(p, 1.0))
    _refuse(consensus, share, "p_pass", "a probability from 0 to 1")


def _refuse(consensus: pa.Table, good: pa.ChunkedArray, column: str, expected: str) -> None:
    bad = consensus.filter(pc.invert(good)).sort_by("item_id")
    if bad.num_rows:
        raise PairingError(
            f"consensus: {bad.num_rows} of {consensus.num_rows} rows have a {column} that is not "
            f"{expected} (first: item {bad['item_id'][0].as_py()!r}, {bad[column][0].as_py()!r}); "
            "rebuild the consensus"
        )
