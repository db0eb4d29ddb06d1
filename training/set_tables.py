"""Rows of a pair set's two files as arrays; `training.data` makes a split of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from warehouse.errors import TrainingError

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def read_rows(path: Path, dimensions: tuple[str, ...], split: str) -> pa.Table:
    """Rows of items.parquet or pairs.parquet in a split and in these dimensions.

    Raises: TrainingError where the file cannot be read, or lacks a dimension in every split.
    """
    wanted = (pc.field("split") == split) & pc.field("dimension").isin(list(dimensions))
    try:
        held = pc.unique(pq.read_table(path, columns=["dimension"])["dimension"]).to_pylist()
        missing = sorted(set(dimensions) - set(held))
        if missing:
            raise TrainingError(
                f"pair set {path.parent}: no {path.stem} of dimension {missing[0]}; it has "
                f"{', '.join(sorted(held)) or 'none'}"
            )
        return pq.read_table(path, filters=wanted)
    except (OSError, pa.ArrowException, KeyError) as error:
        raise TrainingError(f"pair set: {path} cannot be read ({error}); build it again") from error


def places(
    place: dict[tuple[str, int], int], names: list[str], ordinals: list[int], folder: str | Path
) -> Ints:
    """Item numbers of the ordinals of pairs, given their dimensions' names.

    place: item number by dimension and ordinal.
    Raises: TrainingError for an ordinal that is not among them.
    """
    try:
        return np.array([place[key] for key in zip(names, ordinals, strict=True)], dtype=np.int64)
    except KeyError as error:
        raise TrainingError(
            f"pair set {folder}: a pair names item {error.args[0]}, which is not in items.parquet "
            "for this split; build the set again"
        ) from error


def column(table: pa.Table, name: str) -> Floats:
    """A column of numbers; NULL is NaN."""
    values: Floats = table[name].to_numpy().astype(np.float64)
    return values


def ties(pairs: pa.Table) -> NDArray[np.bool_]:
    """Whether a pair is a tie of any kind."""
    tie: NDArray[np.bool_] = pc.not_equal(pairs["kind"], "win_lose").to_numpy().astype(bool)
    return tie


def passed(items: pa.Table) -> Floats:
    """1 pass, 0 fail, NaN no label."""
    values: Floats = pc.equal(items["label"], "pass").cast(pa.float64()).to_numpy()
    return values


def is_soft(pairs: pa.Table) -> bool:
    """Whether mu or weight say more than the pairs' kinds: then they come from P(pass)."""
    hard = (column(pairs, "mu") == np.where(ties(pairs), 0.5, 1.0)) & (column(pairs, "weight") == 1)
    return not bool(hard.all())


def by_item(
    items: pa.Table, number: dict[str, int], dimensions: tuple[str, ...], values: Floats
) -> Floats:
    """(N, Q) values of the rows of items.parquet; NaN where an item has no row."""
    table = np.full((len(number), len(dimensions)), np.nan)
    rows = [number[item] for item in items["item_id"].to_pylist()]
    columns = [dimensions.index(name) for name in items["dimension"].to_pylist()]
    table[rows, columns] = values
    return table
