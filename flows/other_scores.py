"""Scores that other models gave, from CSV files, to stand beside ours."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from flows.held_out import Judge
from warehouse.errors import TrainingError
from warehouse.store import Store

ITEM = ("item_id", "path")
SCORE = ("reward", "score")
Given = dict[tuple[str, str], tuple[float, str]]


@dataclass
class OtherScores:
    """What the files said, by model."""

    given: dict[str, Given] = field(default_factory=dict)
    """(item_id, dimension) -> (score, place in the files) of each model."""
    left_out: set[str] = field(default_factory=set)
    """Dimensions of the files that are not asked about."""

    def judges(self) -> list[Judge]:
        """The models, by name."""
        return [Judge(name, _frame(self.given[name])) for name in sorted(self.given)]


def read_scores(store: Store, files: Sequence[Path], dimensions: Sequence[str]) -> OtherScores:
    """Scores of CSV files, one row an item, or an item and dimension.

    Columns: item_id, or path (a video's, as the warehouse knows it or from the file's folder);
    reward or score; model (default: the file's name without its ending); dimension, where a score
    is about one (default: it counts in all of `dimensions`). Other columns are left alone.
    Raises: TrainingError for a file that cannot be read or lacks a column, and for a row with an
        unknown item, no number, or a score that was given before.
    """
    found, items = OtherScores(), _Items.of(store)
    for file in files:
        for place, model, item, dimension, score in _rows(file, items):
            if dimension is not None and dimension not in dimensions:
                found.left_out.add(dimension)
                continue
            mine = found.given.setdefault(model, {})
            for name in dimensions if dimension is None else (dimension,):
                if (item, name) in mine:
                    raise TrainingError(
                        f"{place}: {model!r} scored item {item!r} in {name} before, in"
                        f" {mine[item, name][1]}; keep one of the two rows"
                    )
                mine[item, name] = score, place
    if not found.given:
        there = ", ".join(sorted(found.left_out))
        raise TrainingError(
            f"{', '.join(map(str, files))}: no score in a dimension of the pair set"
            f" ({', '.join(dimensions)}); they are of {there}"
        )
    return found


def _rows(file: Path, items: _Items) -> Iterator[tuple[str, str, str, str | None, float]]:
    """(place, model, item_id, dimension or None, score) of each row."""
    at, lines = 0, _lines(file)
    for at, row in lines:
        place = f"{file}, line {at}"
        model = row.get("model", file.stem).strip()
        if not model:
            raise TrainingError(f"{place}: no name in the column model")
        dimension = row.get("dimension")
        if dimension is not None and not dimension.strip():
            raise TrainingError(f"{place}: no name in the column dimension")
        item = items.find(row, file.parent, place)
        yield place, model, item, dimension and dimension.strip(), _number(row, place)
    if not at:
        raise TrainingError(f"{file} has no row below its head; nothing was scored")


def _lines(file: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows of a CSV file with their line numbers, after a look at its columns."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            reader = csv.DictReader(opened, strict=True)
            _check_columns(file, reader.fieldnames or [])
            for row in reader:
                if None in row or None in row.values():
                    raise TrainingError(
                        f"{file}, line {reader.line_num}: more or fewer cells than its head names"
                    )
                yield reader.line_num, row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TrainingError(f"scores {file} cannot be read: {error}") from error


def _check_columns(file: Path, columns: Sequence[str]) -> None:
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise TrainingError(f"{file} has the column {twice[0]!r} twice; keep one")
    for names, what in ((ITEM, "which item"), (SCORE, "its score")):
        here = [name for name in names if name in columns]
        if len(here) != 1:
            said = f"both {' and '.join(names)}" if here else f"neither {' nor '.join(names)}"
            raise TrainingError(
                f"{file} has {said} among its columns ({', '.join(columns) or 'none'});"
                f" one of them says {what}"
            )


def _number(row: dict[str, str], place: str) -> float:
    name = next(name for name in SCORE if name in row)
    try:
        score = float(row[name])
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        raise TrainingError(
            f"{place}: {name} is {row[name]!r}, no finite number; leave the row out"
        )
    return score


@dataclass(frozen=True)
class _Items:
    """Items of the warehouse, by id and by where their video is."""

    ids: frozenset[str]
    at: dict[str, list[str]]

    @classmethod
    def of(cls, store: Store) -> _Items:
        rows = store.query("SELECT item_id, uri FROM clips ORDER BY item_id").to_pylist()
        at: dict[str, list[str]] = {}
        for row in rows:
            at.setdefault(row["uri"], []).append(row["item_id"])
        return cls(frozenset(row["item_id"] for row in rows), at)

    def find(self, row: dict[str, str], folder: Path, place: str) -> str:
        if "item_id" in row:
            if row["item_id"] not in self.ids:
                raise TrainingError(f"{place}: no item {row['item_id']!r} in the warehouse")
            return row["item_id"]
        path = row["path"]
        found = self.at.get(path) or self.at.get(_real(folder / path), [])
        if len(found) != 1:
            those = f"{len(found)} items have" if found else "no item has"
            raise TrainingError(
                f"{place}: {those} the video {path!r}; name the item in a column item_id"
            )
        return found[0]


def _real(path: Path) -> str:
    """Where a path leads; empty where it is no path, as with a zero byte."""
    try:
        return str(path.resolve())
    except (OSError, ValueError):
        return ""


def _frame(given: Given) -> pd.DataFrame:
    rows = [(item, dimension, score) for (item, dimension), (score, _) in sorted(given.items())]
    return pd.DataFrame(rows, columns=["item_id", "dimension", "reward"])
