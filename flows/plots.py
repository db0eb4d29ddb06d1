"""Figures of the report: tables in, SVG text out. Colours are safe for colour-blind readers."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ParamSpec

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

PASS, FAIL, GREEN, VIOLET = "#0072B2", "#D55E00", "#009E73", "#CC79A7"  # Okabe and Ito
GREY, INK = "#9AA0A6", "#202124"
VALIDATION = "validation_acc/"
SPLIT_COLORS = {"validation": GREY, "test": PASS, "ood": FAIL}
SPLIT_NAMES = {"validation": "validation", "test": "held-out prompts", "ood": "out of domain"}
STATISTIC_NAMES = {"alpha": "α", "kappa": "κ", "ac1": "AC1", "raw": "raw"}
COINS = ("sensitivity", "specificity")
# Landis & Koch (1977): lower ends of slight, fair, moderate, substantial, almost perfect.
LANDIS_KOCH = (0.0, 0.2, 0.4, 0.6, 0.8)
STYLE: Any = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "text.color": INK,
    "svg.hashsalt": "soli",  # same numbers, same bytes
    "svg.fonttype": "none",
    "text.parse_math": False,  # a $ in a name is a $
}
Rows = Sequence[dict[str, Any]]
P = ParamSpec("P")


def _styled(draw: Callable[P, Figure]) -> Callable[P, str]:
    """Draw under our style; the SVG element of the figure, without the XML head."""

    @wraps(draw)
    def drawn(*arguments: P.args, **options: P.kwargs) -> str:
        buffer = io.StringIO()
        with mpl.rc_context(STYLE):
            draw(*arguments, **options).savefig(buffer, format="svg", metadata={"Date": None})
        text = buffer.getvalue()
        return text[text.index("<svg") :]

    return drawn


def words(dimension: str) -> str:
    """Name of a dimension as people read it.

    >>> words("physical_plausibility")
    'Physical plausibility'
    """
    return dimension.replace("_", " ").capitalize()


@_styled
def agreement(rows: Rows) -> Figure:
    """Each statistic of each dimension with its interval, over Landis and Koch's bands."""
    dimensions = sorted({row["dimension"] for row in rows})
    figure, axes = _figure(1, 1, height=0.75 * len(dimensions) + 1.2)
    axis = axes[0]
    for low in LANDIS_KOCH:
        axis.axvline(low, color=GREY, lw=0.5, ls=":")
    known = {(row["dimension"], row["statistic"]): row for row in rows}
    for y, dimension in enumerate(reversed(dimensions)):
        for step, (statistic, name) in enumerate(STATISTIC_NAMES.items()):
            row = known.get((dimension, statistic))
            if row and row["value"] is not None:
                color = (PASS, FAIL, GREEN, GREY)[step]
                _interval(axis, row, y + 0.27 - 0.18 * step, color, name)
    axis.set_yticks(range(len(dimensions)), [words(name) for name in reversed(dimensions)])
    axis.set_xlim(min(0.0, axis.get_xlim()[0]), 1)
    axis.set_xlabel("agreement, 95 % bootstrap interval; dotted: slight, fair, moderate, ...")
    _legend(figure, columns=4)
    return figure


def _legend(figure: Figure, columns: int) -> None:
    """Each name once; nothing where nothing was drawn."""
    handles, names = figure.axes[0].get_legend_handles_labels()
    if once := dict(zip(names, handles, strict=True)):
        figure.legend(
            handles=list(once.values()),
            labels=list(once),
            loc="outside upper right",
            ncols=columns,
            frameon=False,
        )


def _interval(axis: Axes, row: dict[str, Any], y: float, color: str, label: str) -> None:
    low, high = row["low"], row["high"]
    if low is not None and high is not None:
        axis.plot([low, high], [y, y], color=color, lw=2.2, solid_capstyle="round")
    axis.plot([row["value"]], [y], "o", color=color, ms=5, label=label)


@_styled
def annotators(rows: Rows) -> Figure:
    """Sensitivity against specificity of each annotator, one panel a dimension."""
    dimensions = sorted({row["dimension"] for row in rows})
    start = min([0.5, *(row[side] - 0.02 for row in rows for side in COINS)])
    figure, axes = _figure(1, max(1, len(dimensions)), height=3.2)
    for axis, dimension in zip(axes, dimensions, strict=False):
        for number, row in enumerate(r for r in rows if r["dimension"] == dimension):
            x, y = row["specificity"], row["sensitivity"]
            axis.plot([x], [y], "o", color=PASS, ms=4 + row["labels"] ** 0.5 / 4, alpha=0.75)
            axis.annotate(f"{number + 1}", (x, y), textcoords="offset points", xytext=(6, 3))
        axis.set(title=words(dimension), xlim=(start, 1.02), ylim=(start, 1.02))
        axis.set_xlabel("P(says fail | fail)")
    axes[0].set_ylabel("P(says pass | pass)")
    return figure


@_styled
def scores(rows: Rows) -> Figure:
    """Rewards of held-out items by consensus label, one panel a dimension."""
    dimensions = sorted({row["dimension"] for row in rows})
    figure, axes = _figure(1, max(1, len(dimensions)), height=3.0)
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


@_styled
def accuracy(rows: Rows, goal: float) -> Figure:
    """ACC with its interval per dimension and split; chance is 0.5."""
    dimensions = sorted({row["dimension"] for row in rows})
    figure, axes = _figure(1, 1, height=0.7 * len(dimensions) + 1.2)
    axis = axes[0]
    axis.axvline(0.5, color=INK, lw=0.8, ls="--")
    axis.axvline(goal, color=GREY, lw=0.8, ls=":")
    known = {(row["dimension"], row["split"]): row for row in rows if row["value"] is not None}
    splits = [name for name in SPLIT_COLORS if any(split == name for _, split in known)]
    for y, dimension in enumerate(reversed(dimensions)):
        for step, split in enumerate(splits):
            if row := known.get((dimension, split)):
                color, name = SPLIT_COLORS[split], SPLIT_NAMES[split]
                _interval(axis, row, y + 0.22 - 0.22 * step, color, name)
    axis.set_yticks(range(len(dimensions)), [words(name) for name in reversed(dimensions)])
    low = min([0.2, *(row["low"] or 0.0 for row in known.values())])
    axis.set(
        xlim=(low, 1.01), xlabel=f"ACC, 95 % interval by prompt; dashed: chance, dotted: {goal}"
    )
    _legend(figure, columns=3)
    return figure


@_styled
def curve(rows: Rows) -> Figure:
    """Loss and accuracy during training; rows are the lines of curve.jsonl."""
    figure, (losses, accuracies) = _figure(1, 2, height=2.8)
    names = {"loss": INK, "win_lose_loss": PASS, "win_tie_loss": FAIL}
    for name, color in names.items():
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


def _figure(rows: int, columns: int, height: float) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(9.2, height), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False).flat)
