"""Figures of an evaluation, after the paper's Figures 2 to 4: rows in, SVG text out.

rows: those of `flows.evaluate.Evaluation`, each with model, dimension and split.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

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
    styled,
    words,
)
from warehouse.contracts import SPLITS

COLORS = (PASS, FAIL, GREEN, VIOLET, "#56B4E9", "#E69F00", GREY)  # of models, in turn
NAMES = {"validation": "validation", "test": "held-out prompts", "ood": "out of domain"}
BINS = 40
MOST_RANKS = 12
LONGEST = 28  # letters of a name in a title


@styled
def distributions(rows: Rows, models: Sequence[str]) -> Figure:
    """Scores of all held-out items, a row a model and a panel a dimension; levels marked (Fig. 2).

    rows: passed, failed, unlabelled, levels, clustered.
    """
    figure, panels = _grid(rows, models)
    for axis, mine in panels:
        values = [each for row in mine for each in _all(row)]
        axis.hist(values, bins=_bins(values), color=PASS, alpha=0.65)
        marked = sorted({score for row in mine for score, _ in row["levels"]})
        top = axis.get_ylim()[1]
        axis.plot(marked, [1.05 * top] * len(marked), "v", color=FAIL, ms=5, clip_on=False)
        axis.set_ylim(0, 1.1 * top)
        if any(row["clustered"] for row in mine):
            axis.set_title(f"{axis.get_title(loc='left')} *", fontsize=10)
    _label(panels, "score", "items")
    figure.legend(
        handles=[Patch(color=FAIL, label="a score of many items; * scores cluster")],
        loc="outside upper right",
        frameon=False,
        fontsize=8,
    )
    return figure


@styled
def pass_and_fail(rows: Rows, models: Sequence[str]) -> Figure:
    """Rewards of pass and of fail items: filled in domain, a line out of domain (Fig. 3).

    rows: passed, failed.
    """
    figure, panels = _grid(rows, models)
    for axis, mine in panels:
        bins = _bins([each for row in mine for each in row["passed"] + row["failed"]])
        for row in mine:
            for label, color in (("failed", FAIL), ("passed", PASS)):
                if row["split"] == "ood":
                    _share(axis, row[label], bins, color=color, lw=1.6)
                elif row["split"] == "test":
                    _share(axis, row[label], bins, color=color, alpha=0.4, fill=True)
    _label(panels, "reward", "share of the items")
    color_key(figure, {"pass": PASS, "fail": FAIL})
    return figure


@styled
def reliability(rows: Rows, models: Sequence[str]) -> Figure:
    """How often the favourite wins against how often the model says so; on the line: as often.

    rows: pairs, predicted, observed. A panel a split and dimension; a point's area says the pairs.
    """
    dimensions, splits = dimensions_of(rows), _splits(rows)
    figure, axes = new_figure(len(splits), len(dimensions), 0.7 + 2.5 * len(splits))
    keys = [(split, dimension) for split in splits for dimension in dimensions]
    for axis, (split, dimension) in zip(axes, keys, strict=True):
        axis.plot([0.5, 1], [0.5, 1], color=GREY, lw=1, ls="--")
        here = [row for row in rows if (row["split"], row["dimension"]) == (split, dimension)]
        for model, color in _colors(models).items():
            mine = [row for row in here if row["model"] == model and row["pairs"]]
            _reliable(axis, sorted(mine, key=lambda row: float(row["low"])), color)
        axis.set_title(f"{words(dimension)}, {NAMES[split]}", fontsize=10)
        axis.set(xlim=(0.48, 1.02), ylim=(-0.04, 1.04))
    for axis in axes[-len(dimensions) :]:
        axis.set_xlabel("σ of the reward gap")
    for axis in axes[:: len(dimensions)]:
        axis.set_ylabel("favourite wins")
    color_key(figure, {_short(model): color for model, color in _colors(models).items()})
    return figure


@styled
def advantages(rows: Rows, models: Sequence[str]) -> Figure:
    """Advantage within the items of a prompt, by rank (Fig. 4): 80 %, the middle half, the median.

    rows: rank, items, low, quarter, median, three_quarters, high. A panel a split and dimension.
    """
    shown = [row for row in rows if row["rank"] <= MOST_RANKS]
    dimensions, splits = dimensions_of(shown), _splits(shown)
    figure, axes = new_figure(len(splits), len(dimensions), 0.7 + 2.3 * len(splits))
    keys = [(split, dimension) for split in splits for dimension in dimensions]
    for axis, (split, dimension) in zip(axes, keys, strict=True):
        axis.axhline(0, color=GREY, lw=0.8)
        for number, (model, color) in enumerate(_colors(models).items()):
            aside = 0.7 * ((number + 0.5) / len(models) - 0.5)
            for row in shown:
                if (row["split"], row["dimension"], row["model"]) == (split, dimension, model):
                    _spread(axis, row, row["rank"] + aside, color)
        axis.set_title(f"{words(dimension)}, {NAMES[split]}", fontsize=10)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axis in axes[-len(dimensions) :]:
        axis.set_xlabel("rank within the prompt")
    for axis in axes[:: len(dimensions)]:
        axis.set_ylabel("advantage")
    color_key(figure, {_short(model): color for model, color in _colors(models).items()})
    return figure


def _grid(rows: Rows, models: Sequence[str]) -> tuple[Figure, list[tuple[Axes, Rows]]]:
    """A panel a model and dimension, with the rows of its splits in their order."""
    dimensions = dimensions_of(rows)
    figure, axes = new_figure(len(models), len(dimensions), 0.7 + 2.1 * len(models))
    panels = []
    keys = [(model, dimension) for model in models for dimension in dimensions]
    for axis, (model, dimension) in zip(axes, keys, strict=True):
        named = words(dimension) + (f", {_short(model)}" if len(models) > 1 else "")
        axis.set_title(named, fontsize=10)
        mine = [row for row in rows if (row["model"], row["dimension"]) == (model, dimension)]
        panels.append((axis, sorted(mine, key=lambda row: SPLITS.index(row["split"]))))
    return figure, panels


def _label(panels: Sequence[tuple[Axes, Rows]], across: str, up: str) -> None:
    for axis, _ in panels:
        grid = axis.get_subplotspec()
        assert grid is not None
        if grid.is_first_col():
            axis.set_ylabel(up)
        if grid.is_last_row():
            axis.set_xlabel(across)


def _all(row: dict[str, Any]) -> list[float]:
    return [*row["passed"], *row["failed"], *row["unlabelled"]]


def _bins(values: Sequence[float]) -> list[float]:
    edges: list[float] = np.histogram_bin_edges(values, bins=BINS).tolist()
    return edges


def _share(axis: Axes, values: Sequence[float], bins: Sequence[float], **style: Any) -> None:
    """Share of the values in each bin; nothing where there is no value."""
    if values:
        heights, edges = np.histogram(values, bins=bins)
        axis.stairs(heights / len(values), edges, **style)


def _reliable(axis: Axes, rows: Rows, color: str) -> None:
    total = sum(row["pairs"] for row in rows)
    x, y = [row["predicted"] for row in rows], [row["observed"] for row in rows]
    axis.plot(x, y, color=color, lw=1.2)
    axis.scatter(x, y, [8 + 120 * row["pairs"] / total for row in rows], color=color, alpha=0.8)


def _spread(axis: Axes, row: dict[str, Any], x: float, color: str) -> None:
    axis.plot([x, x], [row["low"], row["high"]], color=color, lw=1.1)
    quarters = [row["quarter"], row["three_quarters"]]
    axis.plot([x, x], quarters, color=color, lw=5, solid_capstyle="butt")
    axis.plot([x], [row["median"]], "_", color=INK, ms=8)


def _splits(rows: Rows) -> list[str]:
    """In domain above out of domain; validation only where there is nothing else."""
    found = {row["split"] for row in rows}
    return [split for split in ("test", "ood") if split in found] or sorted(found)


def _colors(models: Sequence[str]) -> dict[str, str]:
    return {model: COLORS[number % len(COLORS)] for number, model in enumerate(models)}


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
