"""Figures of a pair set: rows of its statistics in, SVG text out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator, StrMethodFormatter

from flows.figures import (
    FAIL,
    GREEN,
    GREY,
    INK,
    PASS,
    VIOLET,
    Rows,
    color_key,
    dimensions_of,
    new_figure,
    of_dimension,
    styled,
)
from pairing.stats import BINS
from pairing.words import KINDS, SPLITS, SplitName
from warehouse.wording import words

KIND_COLORS = {"win_lose": PASS, "win_tie": GREEN, "lose_tie": FAIL, "tie": GREY}
SPLIT_COLORS = {"train": PASS, "validation": GREY, "test": GREEN, "ood": FAIL}
SIDES = (
    ("win_lose", "winner", PASS, "winners"),
    ("win_lose", "other", FAIL, "others"),
    ("win_tie", "either", GREEN, "win-ties"),
    ("lose_tie", "either", VIOLET, "lose-ties"),
    ("tie", "either", GREY, "ties"),
)
MOST_NUMBERED = 8  # generators whose counts can be read in a matrix
MOST_POINTS = 40  # numbers of pairs that are drawn one by one
LONGEST = 24  # letters of a generator's name
GAP = (3, 0)  # points between a bar and its number
FIVE_LETTERS, MILLION = 10_000, 1_000_000


@styled
def by_kind(rows: Rows) -> Figure:
    """Pairs by kind and split, a panel a dimension; the scale is logarithmic.

    rows: dimension, split, kind, pairs.
    """
    figure = _bars(rows, "pairs", lambda row: f"{row['pairs']:,}")
    most = max(row["pairs"] for row in rows)
    for axis in figure.axes:
        axis.set(xscale="log", xlim=(0.7, most * 4))
        axis.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axis.xaxis.set_minor_locator(NullLocator())
    figure.axes[-1].set_xlabel("pairs")
    return figure


@styled
def generators(rows: Rows) -> Figure:
    """Which generators meet: winner by other, a row a dimension and a panel a kind; all splits.

    rows: dimension, kind, winner_generator, other_generator, pairs.
    """
    dimensions, kinds = dimensions_of(rows), _kinds(rows)
    names = sorted({row[side] for row in rows for side in ("winner_generator", "other_generator")})
    figure, axes = new_figure(len(dimensions), len(kinds), _matrix_height(names) * len(dimensions))
    keys = [(dimension, kind) for dimension in dimensions for kind in kinds]
    for axis, (dimension, kind) in zip(axes, keys, strict=True):
        mine = [row for row in of_dimension(rows, dimension) if row["kind"] == kind]
        _matrix(axis, _meetings(mine, names), names)
        axis.set_title(f"{words(dimension)}, {_word(kind)}", fontsize=10)
        tie = kind != "win_lose"
        axis.set(ylabel="either" if tie else "winner", xlabel="or" if tie else "other")
    return figure


@styled
def exposure(rows: Rows) -> Figure:
    """Share of the items that stand in so many pairs, a row a dimension and a panel a side.

    rows: dimension, split, kind, side, pairs, items.
    """
    dimensions, splits = dimensions_of(rows), _splits(rows)
    sides = [side for side in SIDES if _on(rows, side)]
    figure, axes = new_figure(len(dimensions), len(sides), 0.6 + 2.1 * len(dimensions))
    keys = [(dimension, side) for dimension in dimensions for side in sides]
    for axis, (dimension, side) in zip(axes, keys, strict=True):
        mine = _on(of_dimension(rows, dimension), side)
        for split in splits:
            _exposures(axis, [row for row in mine if row["split"] == split], split)
        axis.set_title(f"{words(dimension)}, {side[3]}", fontsize=10)
        axis.set(ylim=(0, 1.04), xlabel="pairs per item")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    for first in axes[:: len(sides)]:
        first.set_ylabel("share of items")
    color_key(figure, {split: SPLIT_COLORS[split] for split in splits})
    return figure


@styled
def prompts(rows: Rows) -> Figure:
    """Share of a split's prompts that stand in pairs, a panel a dimension.

    rows: dimension, split, kind, prompts, in_pairs, share.
    """
    figure = _bars(rows, "share", lambda row: f"{row['in_pairs']:,} of {row['prompts']:,}")
    for axis in figure.axes:
        axis.set(xlim=(0, 1.18), xticks=[0, 0.25, 0.5, 0.75, 1])
    figure.axes[-1].set_xlabel("share of prompts in pairs")
    return figure


@styled
def label_age(rows: Rows) -> Figure:
    """Age of the newest label of each item, in days: all, the middle half, and the median.

    rows: of the view `pair_label_age`.
    """
    dimensions, splits = dimensions_of(rows), _splits(rows)
    figure, axes = new_figure(len(dimensions), 1, 0.7 + len(dimensions) * (0.5 + 0.28 * 4))
    ends = [row[name] for row in rows for name in ("youngest", "oldest")]
    room = 0.03 * (max(ends) - min(ends)) or 1.0
    for axis, dimension in zip(axes, dimensions, strict=True):
        for row in of_dimension(rows, dimension):
            y, color = splits.index(row["split"]), SPLIT_COLORS[row["split"]]
            axis.plot([row["youngest"], row["oldest"]], [y, y], color=color, lw=1.2)
            axis.plot([row["q25"], row["q75"]], [y, y], color=color, lw=6, solid_capstyle="butt")
            axis.plot([row["median"]], [y], "|", color=INK, ms=12)
        _split_axis(axis, splits)
        axis.set(title=words(dimension), xlim=(min(0, *ends) - room, max(ends) + room))
    axes[-1].set_xlabel("days from an item's newest label to the set's as-of time")
    return figure


@styled
def probabilities(rows: Rows) -> Figure:
    """P(pass) of winners, others and ties, each item as often as it stands in a pair; all splits.

    rows: dimension, kind, side, p_from, pairs.
    """
    dimensions = dimensions_of(rows)
    figure, axes = new_figure(len(dimensions), 1, 0.6 + 1.9 * len(dimensions))
    for axis, dimension in zip(axes, dimensions, strict=True):
        mine = of_dimension(rows, dimension)
        for side in SIDES:
            if here := _on(mine, side):
                heights, _ = np.histogram(
                    [row["p_from"] + 0.5 / BINS for row in here],
                    bins=BINS,
                    range=(0, 1),
                    weights=[row["pairs"] for row in here],
                )
                edges = np.linspace(0, 1, BINS + 1)
                axis.stairs(heights, edges, color=side[2], lw=1.6)
                axis.stairs(heights, edges, color=side[2], alpha=0.15, fill=True)
        axis.set(title=words(dimension), xlim=(0, 1), ylabel="items in pairs")
        axis.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axis.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10], integer=True))
    axes[-1].set_xlabel("P(pass)")
    color_key(figure, {side[3]: side[2] for side in SIDES if _on(rows, side)})
    return figure


def _bars(rows: Rows, column: str, said: Callable[[dict[str, Any]], str]) -> Figure:
    """A panel a dimension, in it a bar for each split and kind with what is said of it."""
    dimensions, splits, kinds = dimensions_of(rows), _splits(rows), _kinds(rows)
    tall = 0.2 * len(splits) * max(2, len(kinds))
    figure, axes = new_figure(len(dimensions), 1, 0.7 + len(dimensions) * (0.5 + tall))
    thick = 0.8 / len(kinds)
    for axis, dimension in zip(axes, dimensions, strict=True):
        for row in of_dimension(rows, dimension):
            place = kinds.index(row["kind"]) - (len(kinds) - 1) / 2  # a split's kinds lie together
            y = splits.index(row["split"]) + place * thick
            axis.barh(y, row[column], thick, color=KIND_COLORS[row["kind"]])
            end = row[column], y
            axis.annotate(said(row), end, GAP, textcoords="offset points", va="center", fontsize=8)
        _split_axis(axis, splits)
        axis.set_title(words(dimension))
    color_key(figure, {_word(kind): KIND_COLORS[kind] for kind in kinds})
    return figure


def _exposures(axis: Axes, rows: Rows, split: SplitName) -> None:
    """Line over the numbers of pairs; where there are many of them, without points.

    A later split's line is thinner, so that none hides another.
    """
    if not rows:
        return
    found = {row["pairs"]: row["items"] for row in rows}
    x, items = range(min(found), max(found) + 1), sum(found.values())
    y = [found.get(pairs, 0) / items for pairs in x]
    style, thick = "o-" if len(x) <= MOST_POINTS else "-", len(SPLITS) - SPLITS.index(split)
    axis.plot(x, y, style, color=SPLIT_COLORS[split], ms=2 + 1.5 * thick, lw=thick)


def _meetings(rows: Rows, names: list[str]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """(G, G) pairs by generator of winner (row) and other (column)."""
    found = np.zeros((len(names), len(names)), dtype=np.int64)
    for row in rows:
        at = names.index(row["winner_generator"]), names.index(row["other_generator"])
        found[at] += row["pairs"]
    return found


def _matrix(axis: Axes, found: np.ndarray[Any, np.dtype[np.int64]], names: list[str]) -> None:
    axis.imshow(np.where(found > 0, found, np.nan), vmin=0, cmap="Blues", aspect="auto")
    if len(names) <= MOST_NUMBERED:
        for (y, x), pairs in np.ndenumerate(found):
            color = "white" if pairs > 0.6 * found.max() else INK
            if pairs:
                axis.text(x, y, _short(pairs), ha="center", va="center", fontsize=7, color=color)
    shown = [name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…" for name in names]
    axis.set_xticks(range(len(names)), shown, rotation=40, ha="right", fontsize=8)
    axis.set_yticks(range(len(names)), shown, fontsize=8)


def _short(pairs: int) -> str:
    """A count in at most five letters.

    >>> [_short(n) for n in (7, 9_999, 12_345, 2_345_678)]
    ['7', '9999', '12k', '2.3M']
    """
    if pairs < FIVE_LETTERS:
        return str(pairs)
    return f"{pairs / 1e3:.0f}k" if pairs < MILLION else f"{pairs / MILLION:.1f}M"


def _splits(rows: Rows) -> list[SplitName]:
    found = {row["split"] for row in rows}
    return [split for split in SPLITS if split in found]


def _kinds(rows: Rows) -> list[str]:
    found = {row["kind"] for row in rows}
    return [kind for kind in KINDS if kind in found]


def _on(rows: Rows, side: tuple[str, str, str, str]) -> list[dict[str, Any]]:
    return [row for row in rows if (row["kind"], row["side"]) == side[:2]]


def _word(kind: str) -> str:
    return kind.replace("_", "-")


def _matrix_height(names: list[str]) -> float:
    return 1.4 + 0.24 * max(3, len(names))


def _split_axis(axis: Axes, splits: list[SplitName]) -> None:
    """Splits from top to bottom."""
    axis.set_yticks(range(len(splits)), splits)
    axis.set_ylim(len(splits) - 0.5, -0.5)
