"""Figures of the report: tables in, SVG text out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flows.figures import (
    FAIL,
    GREEN,
    GREY,
    INK,
    PASS,
    VIOLET,
    interval,
    legend,
    new_figure,
    styled,
)
from warehouse.wording import words

VALIDATION = "validation_acc/"
SPLIT_COLORS = {"validation": GREY, "test": PASS, "ood": FAIL}
SPLIT_NAMES = {"validation": "validation", "test": "held-out prompts", "ood": "out of domain"}
STATISTIC_NAMES = {"alpha": "α", "kappa": "κ", "ac1": "AC1", "raw": "raw"}
COINS = ("sensitivity", "specificity")
# Landis & Koch (1977): lower ends of slight, fair, moderate, substantial, almost perfect.
LANDIS_KOCH = (0.0, 0.2, 0.4, 0.6, 0.8)
Rows = Sequence[dict[str, Any]]


@styled
def agreement(rows: Rows) -> Figure:
    """Each statistic of each dimension with its interval, over Landis and Koch's bands."""
    dimensions = sorted({row["dimension"] for row in rows})
    figure, axes = new_figure(1, 1, height=0.75 * len(dimensions) + 1.2)
    axis = axes[0]
    for low in LANDIS_KOCH:
        axis.axvline(low, color=GREY, lw=0.5, ls=":")
    known = {(row["dimension"], row["statistic"]): row for row in rows}
    for y, dimension in enumerate(reversed(dimensions)):
        for step, (statistic, name) in enumerate(STATISTIC_NAMES.items()):
            row = known.get((dimension, statistic))
            if row and row["value"] is not None:
                color = (PASS, FAIL, GREEN, GREY)[step]
                interval(axis, row, y + 0.27 - 0.18 * step, color, name)
    axis.set_yticks(range(len(dimensions)), [words(name) for name in reversed(dimensions)])
    axis.set_xlim(min(0.0, axis.get_xlim()[0]), 1)
    axis.set_xlabel("agreement, 95 % bootstrap interval; dotted: slight, fair, moderate, ...")
    legend(figure, columns=4)
    return figure


@styled
def annotators(rows: Rows) -> Figure:
    """Sensitivity against specificity of each annotator, one panel a dimension."""
    dimensions = sorted({row["dimension"] for row in rows})
    start = min([0.5, *(row[side] - 0.02 for row in rows for side in COINS)])
    figure, axes = new_figure(1, max(1, len(dimensions)), height=3.2)
    for axis, dimension in zip(axes, dimensions, strict=False):
        for number, row in enumerate(r for r in rows if r["dimension"] == dimension):
            x, y = row["specificity"], row["sensitivity"]
            axis.plot([x], [y], "o", color=PASS, ms=4 + row["labels"] ** 0.5 / 4, alpha=0.75)
            axis.annotate(f"{number + 1}", (x, y), textcoords="offset points", xytext=(6, 3))
        axis.set(title=words(dimension), xlim=(start, 1.02), ylim=(start, 1.02))
        axis.set_xlabel("P(says fail | fail)")
    axes[0].set_ylabel("P(says pass | pass)")
    return figure


@styled
def scores(rows: Rows) -> Figure:
    """Rewards of held-out items by consensus label, one panel a dimension."""
    dimensions = sorted({row["dimension"] for row in rows})
    figure, axes = new_figure(1, max(1, len(dimensions)), height=3.0)
    for axis, dimension in zip(axes, dimensions, strict=False):
        chosen = [row for row in rows if row["dimension"] == dimension]
        bins = np.histogram_bin_edges([row["reward"] for row in chosen], bins=24).tolist()
        for label, color in (("fail", FAIL), ("pass", PASS)):
            values = [row["reward"] for row in chosen if row["label"] == label]
            axis.hist(values, bins=bins, color=color, alpha=0.6, label=label)
        axis.set(title=words(dimension), xlabel="reward")
    axes[0].set_ylabel("items never trained on")
    if axes[0].has_data():
        axes[0].legend(frameon=False)
    return figure


@styled
def accuracy(rows: Rows, goal: float) -> Figure:
    """ACC with its interval per dimension and split; chance is 0.5."""
    dimensions = sorted({row["dimension"] for row in rows})
    figure, axes = new_figure(1, 1, height=0.7 * len(dimensions) + 1.2)
    axis = axes[0]
    axis.axvline(0.5, color=INK, lw=0.8, ls="--")
    axis.axvline(goal, color=GREY, lw=0.8, ls=":")
    known = {(row["dimension"], row["split"]): row for row in rows if row["value"] is not None}
    splits = [name for name in SPLIT_COLORS if any(split == name for _, split in known)]
    for y, dimension in enumerate(reversed(dimensions)):
        for step, split in enumerate(splits):
            if row := known.get((dimension, split)):
                color, name = SPLIT_COLORS[split], SPLIT_NAMES[split]
                interval(axis, row, y + 0.22 - 0.22 * step, color, name)
    axis.set_yticks(range(len(dimensions)), [words(name) for name in reversed(dimensions)])
    low = min([0.2, *(row["low"] or 0.0 for row in known.values())])
    axis.set(
        xlim=(low, 1.01), xlabel=f"ACC, 95 % interval by prompt; dashed: chance, dotted: {goal}"
    )
    legend(figure, columns=3)
    return figure


@styled
def curve(rows: Rows) -> Figure:
    """Loss and accuracy during training; rows are the lines of curve.jsonl."""
    figure, (losses, accuracies) = new_figure(1, 2, height=2.8)
    parts = {"win_lose_loss": PASS, "win_tie_loss": FAIL, "tie_loss": FAIL, "item_loss": GREEN}
    for name, color in {"loss": INK, **parts}.items():
        _line(losses, rows, name, color, name.replace("_", " "))
    _line(accuracies, rows, "train_acc", GREY, "train batches")
    validated = sorted({key for row in rows for key in row if key.startswith(VALIDATION)})
    for name, color in zip(validated, (PASS, FAIL, GREEN, VIOLET), strict=False):
        _line(accuracies, rows, name, color, f"{words(name.removeprefix(VALIDATION))}, validation")
    losses.set(title="Loss", xlabel="step")
    accuracies.set(title="Pair accuracy", xlabel="step", ylim=(0, 1.02))
    for axis in (losses, accuracies):
        if axis.has_data():
            axis.legend(frameon=False, fontsize=8)
    return figure


def _line(axis: Axes, rows: Rows, name: str, color: str, label: str) -> None:
    points = [(row["step"], row[name]) for row in rows if row.get(name) is not None]
    if points:
        axis.plot(*zip(*points, strict=True), color=color, lw=1.3, label=label)
