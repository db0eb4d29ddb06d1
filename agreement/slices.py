"""From tallies to one histogram per dimension and slice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from agreement.labels import IntArray, number
from agreement.statistics import Histogram
from warehouse.tallies import ALL, Tallies

Key = tuple[str, str, str]  # slicing, dimension, value
KEY = ("slicing", "dimension", "value")


class Slice(NamedTuple):
    """Design labels of one dimension on the items of one slice, or by some annotators."""

    dimension: str
    slicing: str
    value: str
    histogram: Histogram
    annotators: int
    clusters: IntArray | None
    """(P, C) items of each prompt in each cell, where prompts were tallied apart."""

    @property
    def name(self) -> str:
        """`all`, or slicing=value."""
        return ALL if self.slicing == ALL else f"{self.slicing}={self.value}"


def slices_of(tallies: Tallies, dimensions: Sequence[str], *, by_prompt: bool) -> Iterator[Slice]:
    """Every slice of every dimension, in a fixed order.

    by_prompt: whether the prompts were tallied apart.
    Returns: a value that is met in one dimension makes a slice of each; it may have no labels.
    """
    found = _Cells(tallies.cells)
    counted = tallies.annotators.to_pylist()
    annotators = {tuple(row[name] for name in KEY): row["annotators"] for row in counted}
    values = {(slicing, value) for slicing, _, value in found.rows} | {(ALL, "")}
    place = {slicing: n for n, slicing in enumerate(tallies.slicings)}
    in_order = sorted(values, key=lambda part: (place[part[0]], part[1]))
    for dimension in dimensions:
        for slicing, value in in_order:
            key = slicing, dimension, value
            histogram, clusters = found.histogram(key, by_prompt=by_prompt)
            yield Slice(dimension, slicing, value, histogram, annotators.get(key, 0), clusters)


class _Cells:
    """The cells of all slices as arrays, and which rows belong to which slice."""

    def __init__(self, cells: pa.Table) -> None:
        names, codes = zip(*(number(cells[name]) for name in KEY), strict=True)
        self.rows = {
            tuple(names[n][int(codes[n][start])].as_py() for n in range(len(KEY))): (start, end)
            for start, end in pairwise(_starts(np.stack(codes)))
        }
        says_fail = pc.invert(cells["own"]).cast(pa.int64())  # pass is category 0
        self._own = pc.fill_null(says_fail, -1).to_numpy()
        self._counts = np.stack([cells[name].to_numpy() for name in ("n_pass", "n_fail")], axis=1)
        self._items = cells["items"].to_numpy()
        self._prompt = number(cells["prompt_id"])[1]

    def histogram(self, key: Key, *, by_prompt: bool) -> tuple[Histogram, IntArray | None]:
        """Histogram of a slice, with its clusters where they are asked for."""
        part = slice(*self.rows.get(key, (0, 0)))
        rows = np.column_stack([self._own[part], self._counts[part]])
        cells, cell = np.unique(rows, axis=0, return_inverse=True)
        items = np.zeros(len(cells), dtype=np.int64)
        np.add.at(items, cell, self._items[part])
        own = cells[:, 0] if len(cells) and cells[0, 0] >= 0 else None
        histogram = Histogram(cells[:, 1:], items, own)
        if not by_prompt:
            return histogram, None
        prompts, prompt = np.unique(self._prompt[part], return_inverse=True)
        clusters = np.zeros((len(prompts), len(cells)), dtype=np.int64)
        np.add.at(clusters, (prompt, cell), self._items[part])
        return histogram, clusters


def _starts(codes: IntArray) -> list[int]:
    """Where each run of equal columns begins, and the end: (n, L) -> runs + 1.

    >>> _starts(np.array([[0, 0, 0, 1], [5, 5, 6, 6]]))
    [0, 2, 3, 4]
    """
    length = codes.shape[1]
    if not length:
        return [0]
    changes = np.flatnonzero((codes[:, 1:] != codes[:, :-1]).any(axis=0)) + 1
    return [0, *changes.tolist(), length]
