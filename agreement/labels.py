"""Labels as integers: the one module that knows the columns of the `labels` view.

Items, annotators and dimensions are numbered in the order of their names, so nothing downstream
depends on the order of the rows. Only labels of role `design` are numbered: labels added because
earlier ones disagreed (escalation), or with the truth at hand (gold, review), inflate agreement.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from warehouse.contracts import LABELS
from warehouse.digest import table_digest, value_digest
from warehouse.errors import AgreementError

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]

ROLES = ("design", "gold", "review", "escalation", "repeat")
COLUMNS = ("item_id", "dimension", "annotator_id", "value", "role")


@dataclass(frozen=True)
class Coded:
    """L design labels of N items by A annotators in D dimensions, as integers.

    items (N,), annotators (A,), dimensions (D,): names in ascending order.
    item, annotator, dimension (L,): positions in them. passed (L,): the label says pass.
    table: the design labels themselves, row for row.
    """

    table: pa.Table
    items: pa.Array
    annotators: pa.Array
    dimensions: list[str]
    item: IntArray
    annotator: IntArray
    dimension: IntArray
    passed: BoolArray

    @cached_property
    def counts(self) -> IntArray:
        """(D, N, 2) numbers of pass and of fail labels."""
        shape = (len(self.dimensions), len(self.items), 2)
        cell = (self.dimension * shape[1] + self.item) * 2 + ~self.passed
        return np.bincount(cell, minlength=shape[0] * shape[1] * 2).reshape(shape)


def check(labels: pa.Table, columns: Sequence[str] = ()) -> None:
    """Refuse labels that cannot be counted.

    columns: further columns that must be there, holding anything.
    Raises: AgreementError for a missing column, a NULL, or an unknown value or role.
    """
    advice = "pass the view `labels`, joined with the attributes you want slices of"
    check_columns(labels, "labels", COLUMNS, columns, advice=advice)
    _check_words(labels, "value", LABELS)
    _check_words(labels, "role", ROLES)


def check_columns(
    table: pa.Table,
    name: str,
    full: Sequence[str],
    present: Sequence[str] = (),
    *,
    advice: str,
) -> None:
    """Refuse a table without its columns.

    name, advice: for the message. full: columns that hold a value in every row. present: columns
        that may hold anything.
    Raises: AgreementError.
    """
    missing = [column for column in (*full, *present) if column not in table.column_names]
    if missing:
        raise AgreementError(
            f"{name}: no column {', '.join(missing)} in {', '.join(table.column_names)}; {advice}"
        )
    for column in full:
        if nulls := table[column].null_count:
            raise AgreementError(
                f"{name}: {nulls} of {table.num_rows} rows have no {column}; {advice}"
            )


def code(labels: pa.Table, columns: Sequence[str] = ()) -> Coded:
    """Design labels as integers.

    labels: the view `labels`, one row per label. columns: further columns to keep.
    Raises: AgreementError as `check` does.
    """
    check(labels, columns)
    keep = list(dict.fromkeys((*COLUMNS, *columns)))
    design = labels.select(keep)
    counted = pc.equal(labels["role"], "design")
    if not pc.all(counted, min_count=0).as_py():
        design = design.filter(counted)
    items, item = number(design["item_id"])
    annotators, annotator = number(design["annotator_id"])
    dimensions, dimension = number(design["dimension"])
    passed = pc.equal(design["value"], LABELS[0]).to_numpy()
    return Coded(
        design, items, annotators, dimensions.to_pylist(), item, annotator, dimension, passed
    )


def number(column: pa.ChunkedArray) -> tuple[pa.Array, IntArray]:
    """Distinct values in ascending order, and each row's position among them (-1 for NULL).

    >>> names, codes = number(pa.chunked_array([["b", "a", None, "b"]]))
    >>> names.to_pylist(), codes.tolist()
    (['a', 'b'], [1, 0, -1, 1])
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if not len(column):
        return pa.array([], pa.string()), np.empty(0, dtype=np.int64)
    chunks = column.dictionary_encode().chunks  # which share one dictionary
    names = chunks[0].dictionary
    assert {len(chunk.dictionary) for chunk in chunks} == {len(names)}, "one dictionary per chunk"
    order = pc.sort_indices(names)
    rank = np.empty(len(order) + 1, dtype=np.int64)
    rank[order.to_numpy()] = np.arange(len(order))
    rank[-1] = -1
    indices = pa.chunked_array([chunk.indices for chunk in chunks])
    codes: IntArray = rank[pc.fill_null(indices, len(order)).to_numpy()]
    return names.take(order).cast(pa.string()), codes


def places(column: pa.Array | pa.ChunkedArray, names: pa.Array) -> IntArray:
    """Position of each value among the names, -1 where it is none of them.

    >>> places(pa.array(["b", None, "c"]), pa.array(["a", "b"]))
    array([ 1, -1, -1])
    """
    found = pc.index_in(column.cast(pa.string()), value_set=names.cast(pa.string()))
    positions: IntArray = pc.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    return positions


def item_values(coded: Coded, column: str) -> tuple[list[str], IntArray]:
    """Names of a column's values, and the value of each item: (N,), -1 where it has none.

    Raises: AgreementError where two labels of one item differ in the column.
    """
    names, codes = number(coded.table[column])
    values = np.full(len(coded.items), -1, dtype=np.int64)
    values[coded.item] = codes
    differing = np.flatnonzero(values[coded.item] != codes)
    if len(differing):
        item = coded.items[int(coded.item[differing[0]])].as_py()
        raise AgreementError(
            f"labels: item {item} has more than one value of {column}; "
            "slices are made of facts about items"
        )
    return names.to_pylist(), values


def labels_digest(coded: Coded) -> str:
    """SHA-256 of the design labels, whatever the order of rows and the ids of the annotators.

    Raises: AgreementError where an annotator has two design labels for one item and dimension.
    """
    names = table_digest(pa.table({"item_id": coded.items}), ["item_id"])
    parts = {
        dimension: _key_digest(coded, np.flatnonzero(coded.dimension == position), dimension)
        for position, dimension in enumerate(coded.dimensions)
    }
    return value_digest({"items": names, "labels": parts})


def canonical_annotators(item: IntArray, annotator: IntArray, passed: BoolArray) -> IntArray:
    """Positions of annotators ordered by what they said, not by who they are: (A,).

    Annotators with the same position in any naming gave the same labels to the same items; only
    those who gave exactly the same labels may change places.

    >>> item, said = np.array([0, 1, 0, 1]), np.array([True, False, True, True])
    >>> canonical_annotators(item, np.array([0, 0, 1, 1]), said)
    array([0, 1])
    >>> canonical_annotators(item, np.array([1, 1, 0, 0]), said)
    array([1, 0])
    """
    width = 2 * (int(item.max(initial=0)) + 1)
    keys = np.sort(annotator * width + item * 2 + passed)
    people = int(annotator.max(initial=-1)) + 1
    starts = np.searchsorted(keys, np.arange(people + 1) * width)
    said = (keys % width).astype("<i8")
    content = [said[a:b].tobytes() for a, b in pairwise(starts)]
    rank = np.empty(people, dtype=np.int64)
    rank[sorted(range(people), key=content.__getitem__)] = np.arange(people)
    return rank


def _key_digest(coded: Coded, rows: IntArray, dimension: str) -> str:
    item, annotator, passed = coded.item[rows], coded.annotator[rows], coded.passed[rows]
    rank = canonical_annotators(item, annotator, passed)
    keys = np.sort((item * len(rank) + rank[annotator]) * 2 + passed)
    twice = np.flatnonzero(keys[1:] // 2 == keys[:-1] // 2)
    if len(twice):
        name = coded.items[int(keys[twice[0]] // (2 * len(rank)))].as_py()
        raise AgreementError(
            f"labels: {len(twice)} design labels repeat an annotator's answer (first: item {name}, "
            f"dimension {dimension}); pass the view `labels`, which gives such rows the role repeat"
        )
    return hashlib.sha256(keys.astype("<i8").tobytes()).hexdigest()


def _check_words(labels: pa.Table, column: str, words: tuple[str, ...]) -> None:
    known = pc.is_in(labels[column].cast(pa.string()), value_set=pa.array(words))
    if pc.all(known, min_count=0).as_py():
        return
    wrong: dict[str, Any] = labels.filter(pc.invert(known)).slice(0, 1).to_pylist()[0]
    count = pc.sum(pc.invert(known)).as_py()
    raise AgreementError(
        f"labels: {count} of {labels.num_rows} rows have a {column} outside {', '.join(words)} "
        f"(first: {wrong[column]!r}, item {wrong['item_id']}); correct them or map them at ingest"
    )
