"""Pairs of one dimension, split and kind: the unit that is drawn, counted and digested."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pairing.words import Floats, Ints, Kind, Ordinals, SplitName
from warehouse.contracts import PAIR_SET_ITEMS, PAIRS
from warehouse.digest import table_digest, value_digest

_SHARED = 2**16  # rows of the one chunk that a constant column repeats


@dataclass(frozen=True)
class Block:
    """Pairs as ordinals; mu and weight are one number where all pairs have the same."""

    dimension: str
    split: SplitName
    kind: Kind
    winner: Ordinals
    other: Ordinals
    mu: Floats | float
    weight: Floats | float

    def __len__(self) -> int:
        return len(self.winner)


def pairs_table(blocks: list[Block], pair_set_id: str) -> pa.Table:
    """Table `pairs` of the contract, without observed_at, in the order of the blocks."""
    schema = without_stamp(PAIRS.schema)
    tables = [
        pa.Table.from_arrays(
            [
                _column(value, len(block), field.type)
                for field, value in _fields(block, pair_set_id)
            ],
            schema=schema,
        )
        for block in blocks
    ]
    return pa.concat_tables(tables) if tables else schema.empty_table()


def blocks_of(pairs: pa.Table) -> Iterator[Block]:
    """Blocks of a table of pairs in any order, sorted by dimension, split and kind."""
    names = ("dimension", "split", "kind")
    words = [pc.unique(pairs[name]).to_pylist() for name in names]
    sizes = [max(1, len(each)) for each in words]
    codes = np.zeros(pairs.num_rows, dtype=np.int32)
    for name, known, size in zip(names, words, sizes, strict=True):
        codes = codes * size + pc.index_in(pairs[name], pa.array(known, pa.string())).to_numpy()
    numbers = {name: pairs[name].to_numpy() for name in ("winner", "other", "mu", "weight")}
    parts = {
        tuple(each[i] for each, i in zip(words, np.unravel_index(code, sizes), strict=True)): code
        for code in np.unique(codes)
    }
    for key in sorted(parts):
        rows = codes == parts[key]
        yield Block(*key, **{name: column[rows] for name, column in numbers.items()})


def counts_of(
    blocks: Iterable[Block], dimensions: Iterable[str] = ()
) -> dict[str, dict[str, dict[str, int]]]:
    """Pairs by dimension, split and kind, as a manifest says them.

    dimensions: those to name even where they have no pairs.
    """
    counts: dict[str, dict[str, dict[str, int]]] = {name: {} for name in dimensions}
    for block in blocks:
        by_split = counts.setdefault(block.dimension, {})
        by_split.setdefault(block.split, {})[block.kind] = len(block)
    return counts


def fingerprint(items: pa.Table, pairs: pa.Table) -> str:
    """Digest of a pair set's content, 64 hex digits: its frozen items and its pairs.

    items, pairs: columns of the contracts pair_set_items and pairs, rows in any order.
    Neither as-of, nor the code's version, nor the recipe's wording is content.
    """
    return identity_of(items, blocks_of(pairs))["digest"]


def identity_of(items: pa.Table, blocks: Iterable[Block]) -> dict[str, str]:
    """What a manifest says of a set's content: its id, its digest, and those of its two tables.

    items: columns of the contract pair_set_items, rows in any order; blocks: in any order, too.
    Returns: items_digest, pairs_digest, digest: 64 hex digits each; pair_set_id: the first 16 of
        the digest.
    """
    digests = {"items_digest": items_digest(items), "pairs_digest": pairs_digest(blocks)}
    digest = value_digest({"items": digests["items_digest"], "pairs": digests["pairs_digest"]})
    return {**digests, "digest": digest, "pair_set_id": digest[:16]}


def items_digest(items: pa.Table) -> str:
    """Digest of the frozen items."""
    return table_digest(items, [c for c in PAIR_SET_ITEMS.content if c != "pair_set_id"])


def pairs_digest(blocks: Iterable[Block]) -> str:
    """Digest of the pairs: per block, SHA-256 of its rows sorted by (winner, other).

    Sorting packed integers block by block takes a twentieth of the time of sorting the table.
    """
    parts = [
        [block.dimension, block.split, block.kind, len(block), _rows_digest(block)]
        for block in blocks
        if len(block)
    ]
    return value_digest(sorted(parts))


def _rows_digest(block: Block) -> str:
    key = block.winner.astype("<i8") << 32 | block.other
    mu, weight = _constant(block.mu), _constant(block.weight)
    if isinstance(mu, float) and isinstance(weight, float):
        key.sort()
        order: slice | Ints = slice(None)
    else:
        order = np.argsort(key, kind="stable")
        key = key[order]
    sha = hashlib.sha256(key.data)
    for column in (mu, weight):
        if isinstance(column, float):
            sha.update(f"constant:{column!r}".encode())
        else:
            sha.update(column[order].astype("<f8").data)
    return sha.hexdigest()


def _constant(column: Floats | float) -> Floats | float:
    """The one number that a column holds, or the column: one digest for both ways to say it."""
    if isinstance(column, float):
        return column
    return float(column[0]) if bool((column == column[0]).all()) else column


def without_stamp(schema: pa.Schema) -> pa.Schema:
    """Schema of a table before the store stamps it."""
    return schema.remove(schema.get_field_index("observed_at"))


def _fields(block: Block, pair_set_id: str) -> Iterator[tuple[pa.Field, object]]:
    for field in without_stamp(PAIRS.schema):
        value = pair_set_id if field.name == "pair_set_id" else getattr(block, field.name)
        yield field, value


def _column(value: object, rows: int, kind: pa.DataType) -> pa.ChunkedArray:
    if isinstance(value, np.ndarray):
        return pa.chunked_array([pa.array(value, kind)])
    return repeated(value, rows, kind)


def repeated(value: object, rows: int, kind: pa.DataType) -> pa.ChunkedArray:
    """Constant column whose chunks are one and the same memory."""
    chunk = pa.repeat(pa.scalar(value, kind), min(rows, _SHARED))
    whole, rest = divmod(rows, _SHARED)
    return pa.chunked_array([chunk] * whole + ([chunk.slice(0, rest)] if rest else []), kind)
