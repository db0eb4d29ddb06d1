"""Figures of an evaluation, after the paper's Figures 2 to 4: rows in, SVG text out.

rows: those of `flows.evaluate.Evaluation`, each with model, dimension and split.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
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
)
from warehouse.contracts import SPLITS
from warehouse.wording import words

COLORS = (PASS, FAIL, GREEN, VIOLET, "#56B4E9", "#E69F00", GREY)  # of models, in turn
NAMES = {"validation": "validation", "test": "held-out prompts", "ood": "out of domain"}
BINS = 40
FEWEST_BINS = 8  # where shares are shown, few items get wide bins: single ones would be spikes
MOST_RANKS = 12
LONGEST = 24  # letters of a model's name


@styled
def distributions(rows: Rows, models: Sequence[str]) -> Figure:
    """Scores of all held-out items, a row a model and a panel a dimension; levels marked (Fig. 2).

    rows: passed, failed, unlabelled, levels, clustered.
    """
    figure, panels = _panels(rows, "model", models, "items", "score")
    for axis, mine in panels:
        values = [each for row in mine for each in _all(row)]
        axis.hist(values, bins=_bins(values), color=PASS, alpha=0.65)
        top = axis.get_ylim()[1]
        marked = sorted({score for row in mine for score, _ in row["levels"]})
        axis.plot(marked, [1.06 * top] * len(marked), "v", color=FAIL, ms=5)
        axis.set_ylim(0, 1.14 * top)
        if any(row["clustered"] for row in mine):
            axis.set_title("*", loc="right", pad=0)
    if any(row["levels"] or row["clustered"] for row in rows):
        color_key(figure, {"a score that many items share; * scores cluster": FAIL})
    return figure


@styled
def pass_and_fail(rows: Rows, models: Sequence[str]) -> Figure:
    """Rewards of pass and of fail items: filled in domain, a line out of domain (Fig. 3).

    rows: passed, failed. Validation is shown where there is nothing else.
    """
    out = [split for split in _splits(rows) if split == "ood"]
    figure, panels = _panels(rows, "model", models, "share of items", "reward")
    for axis, mine in panels:
        values = [each for row in mine for each in row["passed"] + row["failed"]]
        bins = _bins(values, min(BINS, max(FEWEST_BINS, int(2 * len(values) ** 0.5))))
        for row in (each for each in mine if each["split"] in _splits(rows)):
            for label, color in (("failed", FAIL), ("passed", PASS)):
                if row["split"] in out:
                    _share(axis, row[label], bins, color=color, lw=1.6)
                else:
                    _share(axis, row[label], bins, color=color, alpha=0.4, fill=True)
    color_key(figure, {"pass": PASS, "fail": FAIL})
    return figure


@styled
def reliability(rows: Rows, models: Sequence[str]) -> Figure:
    """How often the favourite wins against how often the model says so; on the line: as often.

    rows: low, pairs, predicted, observed. A point's area says the pairs.
    """
    figure, panels = _panels(rows, "split", _splits(rows), "favourite wins", "σ of the reward gap")
    lowest = min(row["observed"] for _, here in panels for row in here)
    for axis, here in panels:
        axis.plot([0.5, 1], [0.5, 1], color=GREY, lw=1, ls="--")
        for model, color in _colors(models).items():
            _reliable(axis, [row for row in here if row["model"] == model], color)
        axis.set(xlim=(0.48, 1.02), ylim=(min(0.4, lowest) - 0.04, 1.04))
    color_key(figure, {_short(model): color for model, color in _colors(models).items()})
    return figure


@styled
def advantages(rows: Rows, models: Sequence[str]) -> Figure:
    """Advantage within the items of a prompt, by rank (Fig. 4): 80 %, the middle half, the median.

    rows: rank, low, quarter, median, three_quarters, high.
    """
    shown = [row for row in rows if row["rank"] <= MOST_RANKS]
    figure, panels = _panels(shown, "split", _splits(shown), "advantage", "rank within the prompt")
    for axis, here in panels:
        axis.axhline(0, color=GREY, lw=0.8)
        for number, (model, color) in enumerate(_colors(models).items()):
            aside = 0.7 * ((number + 0.5) / len(models) - 0.5)
            for row in here:
                if row["model"] == model:
                    _spread(axis, row, row["rank"] + aside, color)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    color_key(figure, {_short(model): color for model, color in _colors(models).items()})
    return figure


def _panels(
    rows: Rows, by: str, lines: Sequence[str], up: str, across: str
) -> tuple[Figure, list[tuple[Axes, Rows]]]:
    """A line of panels each model or split, a panel a dimension, with the panel's rows.

    by: `model` or `split`; lines: those wanted. up, across: what the axes show.
    """
    dimensions = dimensions_of(rows)
    figure, axes = new_figure(len(lines), len(dimensions), 0.8 + 2.1 * len(lines))
    keys = [(line, dimension) for line in lines for dimension in dimensions]
    panels: list[tuple[Axes, Rows]] = []
    for axis, (line, dimension) in zip(axes, keys, strict=True):
        mine = [row for row in rows if (row[by], row["dimension"]) == (line, dimension)]
        panels.append((axis, sorted(mine, key=_in_order)))
        if line == lines[0]:
            axis.set_title(words(dimension))
        if line == lines[-1]:
            axis.set_xlabel(across)
        if dimension == dimensions[0]:
            named = by == "split" or len(lines) > 1
            axis.set_ylabel(f"{NAMES.get(line, _short(line))}\n{up}" if named else up)
    return figure, panels


def _in_order(row: dict[str, Any]) -> tuple[int, str, float]:
    """By split, model and rank or bin, whatever order rows came in."""
    return SPLITS.index(row["split"]), row["model"], float(row.get("rank", row.get("low", 0)))


def _all(row: dict[str, Any]) -> list[float]:
    return [*row["passed"], *row["failed"], *row["unlabelled"]]


def _bins(values: Sequence[float], bins: int = BINS) -> list[float]:
    edges: list[float] = np.histogram_bin_edges(values, bins=bins).tolist()
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
