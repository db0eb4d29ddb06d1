"""Figures of the report: tables in, SVG text out. Colours are safe for colour-blind readers."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

PASS, FAIL, GREY, INK = "#0072B2", "#D55E00", "#9AA0A6", "#202124"
SPLIT_COLORS = {"validation": GREY, "test": PASS, "ood": FAIL}
SPLIT_NAMES = {"validation": "validation", "test": "held-out prompts", "ood": "out of domain"}
STATISTIC_NAMES = {"alpha": "α", "kappa": "κ", "ac1": "AC1", "raw": "raw"}
# Landis & Koch (1977): lower ends of slight, fair, moderate, substantial, almost perfect.
LANDIS_KOCH = (0.0, 0.2, 0.4, 0.6, 0.8)
STYLE: dict[str, Any] = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "text.color": INK,
    "svg.hashsalt": "soli",  # same numbers, same bytes
    "svg.fonttype": "none",
}
Rows = Sequence[dict[str, Any]]


def words(dimension: str) -> str:
    """Name of a dimension as people read it.

    >>> words("physical_plausibility")
    'Physical plausibility'
    """
    return dimension.replace("_", " ").capitalize()


def agreement(rows: Rows) -> str:
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
                color = (PASS, FAIL, "#009E73", GREY)[step]
                _interval(axis, row, y + 0.27 - 0.18 * step, color, name if y == 0 else None)
    axis.set_yticks(range(len(dimensions)), [words(name) for name in reversed(dimensions)])
    axis.set_xlim(min(0.0, axis.get_xlim()[0]), 1)
    axis.set_xlabel("agreement, 95 % bootstrap interval; dotted: slight, fair, moderate, ...")
    figure.legend(loc="outside upper right", ncols=4, frameon=False)
    return _svg(figure)


def _interval(axis: Axes, row: dict[str, Any], y: float, color: str, label: str | None) -> None:
    low, high = row["low"], row["high"]
    if low is not None and high is not None:
        axis.plot([low, high], [y, y], color=color, lw=2.2, solid_capstyle="round")
    axis.plot([row["value"]], [y], "o", color=color, ms=5, label=label)


def annotators(rows: Rows) -> str:
    """Sensitivity against specificity of each annotator, one panel a dimension."""
    dimensions = sorted({row["dimension"] for row in rows})
    figure, axes = _figure(1, len(dimensions), height=3.2)
    for axis, dimension in zip(axes, dimensions, strict=True):
        for number, row in enumerate(r for r in rows if r["dimension"] == dimension):
            x, y = row["specificity"], row["sensitivity"]
            axis.plot([x], [y], "o", color=PASS, ms=4 + row["labels"] ** 0.5 / 4, alpha=0.75)
            axis.annotate(f"{number + 1}", (x, y), textcoords="offset points", xytext=(6, 3))
        axis.set(title=words(dimension), xlim=(0.5, 1.02), ylim=(0.5, 1.02))
        axis.set_xlabel("P(says fail | fail)")
    axes[0].set_ylabel("P(says pass | pass)")
    return _svg(figure)


def scores(rows: Rows) -> str:
    """Rewards of held-out items by consensus label, one panel a dimension."""
    dimensions = sorted({row["dimension"] for row in rows})
    figure, axes = _figure(1, len(dimensions), height=3.0)
    for axis, dimension in zip(axes, dimensions, strict=True):
        chosen = [row for row in rows if row["dimension"] == dimension]
        bins = np.histogram_bin_edges([row["reward"] for row in chosen], bins=24)
        for label, color in (("fail", FAIL), ("pass", PASS)):
            values = [row["reward"] for row in chosen if row["label"] == label]
            axis.hist(values, bins=bins, color=color, alpha=0.6, label=label)
        axis.set(title=words(dimension), xlabel="reward")
    axes[0].set_ylabel("items never trained on")
    axes[0].legend(frameon=False)
    return _svg(figure)


def accuracy(rows: Rows, goal: float) -> str:
    """ACC with its interval per dimension and split; chance is 0.5."""
    dimensions = sorted({row["dimension"] for row in rows})
    figure, axes = _figure(1, 1, height=0.7 * len(dimensions) + 1.2)
    axis = axes[0]
    axis.axvline(0.5, color=INK, lw=0.8, ls="--")
    axis.axvline(goal, color=GREY, lw=0.8, ls=":")
    splits = [name for name in SPLIT_COLORS if any(row["split"] == name for row in rows)]
    for y, dimension in enumerate(reversed(dimensions)):
        for step, split in enumerate(splits):
            for row in rows:
                if (row["dimension"], row["split"]) == (dimension, split) and row["value"]:
                    label = SPLIT_NAMES[split] if y == 0 else None
                    _interval(axis, row, y + 0.22 - 0.22 * step, SPLIT_COLORS[split], label)
    axis.set_yticks(range(len(dimensions)), [words(name) for name in reversed(dimensions)])
    axis.set(xlim=(0.2, 1.01), xlabel=f"ACC, 95 % interval by prompt; dashed: chance, dotted: {goal}")
    figure.legend(loc="outside upper right", ncols=3, frameon=False)
    return _svg(figure)


def curve(rows: Rows) -> str:
    """Loss and accuracy during training."""
    figure, axes = _figure(1, 2, height=2.8)
    steps = [row["step"] for row in rows if row.get("loss") is not None]
    for name, color in (("loss", INK), ("loss_win_lose", PASS), ("loss_win_tie", FAIL)):
        values = [row.get(name) for row in rows if row.get("loss") is not None]
        if any(value is not None for value in values):
            shown = [np.nan if value is None else value for value in values]
            axes[0].plot(steps, shown, color=color, lw=1.4, label=name.replace("_", " "))
    axes[0].set(title="Loss", xlabel="step")
    axes[0].legend(frameon=False)
    axes[1].plot(steps, [r.get("train_acc", np.nan) for r in rows if r.get("loss") is not None],
                 color=GREY, lw=1.2, label="train batches")  # fmt: skip
    names = sorted({key for row in rows for key in row if key.startswith("validation_acc")})
    for name, color in zip(names, (PASS, FAIL, "#009E73", "#CC79A7"), strict=False):
        points = [(row["step"], row[name]) for row in rows if row.get(name) is not None]
        label = words(name.removeprefix("validation_acc_")) + ", validation"
        axes[1].plot(*zip(*points, strict=True), "o-", ms=3, color=color, lw=1.4, label=label)
    axes[1].set(title="Pair accuracy", xlabel="step", ylim=(0, 1.02))
    axes[1].legend(frameon=False, fontsize=8)
    return _svg(figure)


def _figure(rows: int, columns: int, height: float) -> tuple[Figure, list[Axes]]:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.2, height), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False)
    return figure, list(axes.flat)


def _svg(figure: Figure) -> str:
    """SVG element of a figure, without the XML head."""
    buffer = io.StringIO()
    with mpl.rc_context(STYLE):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
