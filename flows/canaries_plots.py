"""Figures of canaries: rows in, SVG text out. rows: those of `training.canary_verdicts.Canary`."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flows.figures import (
    FAIL,
    GREY,
    INK,
    PASS,
    Rows,
    color_key,
    dimensions_of,
    interval,
    new_figure,
    styled,
)
from warehouse.wording import words

LINEAR = 1.0  # reference deviations up to which the axis is linear, where effects are far larger
FAR = 3.0  # reference deviations beyond which they are
AFTER = {"acc": INK, "acc_after": PASS, "acc_attacked": FAIL}
NAMES = {
    "acc": "as the clips are",
    "acc_after": "all clips changed",
    "acc_attacked": "fail clips changed",
}


@styled
def effects(rows: Rows, threshold: float) -> Figure:
    """Mean change of the reward after each change, with its interval; what is flagged stands out.

    rows: effect, low, high, flagged. Beyond LINEAR the axis is logarithmic where some are FAR.
    """
    figure, panels = _panels(rows, "change of the reward, deviations")
    ends = [abs(row[end]) for row in rows for end in ("effect", "low", "high") if row[end]]
    far = max([threshold, *ends])
    for axis, mine in panels:
        for end in (-threshold, 0, threshold):
            axis.axvline(end, color=GREY, lw=0.8, ls="-" if end == 0 else ":")
        for y, row in enumerate(reversed(mine)):
            drawn = row | {"value": row["effect"]}
            interval(axis, drawn, y, FAIL if row["flagged"] else PASS, "")
        if far > FAR:
            axis.set_xscale("symlog", linthresh=LINEAR)
            axis.set_xticks(_powers(far), [f"{tick:g}" for tick in _powers(far)])
            axis.minorticks_off()
        axis.set_xlim(-1.2 * far, 1.2 * far)
    color_key(figure, {"flagged": FAIL, "not flagged": PASS, "dotted: the threshold": GREY})
    return figure


def _powers(far: float) -> list[float]:
    """0 and powers of ten on either side up to the end, four at most.

    >>> _powers(150.0)
    [-100.0, -10.0, -1.0, 0.0, 1.0, 10.0, 100.0]
    """
    digits = len(str(int(far))) - 1
    step = 1 + digits // 4
    tens = [10.0**power for power in range(0, digits + 1, step)]
    return [*(-ten for ten in reversed(tens)), 0.0, *tens]


@styled
def accuracies(rows: Rows) -> Figure:
    """ACC as the clips are, with all changed, and with only the fail clips changed.

    rows: acc, acc_after, acc_attacked; None where the items have no pass or no fail.
    """
    figure, panels = _panels(rows, "ACC")
    for axis, mine in panels:
        axis.axvline(0.5, color=GREY, lw=0.8, ls=":")
        for y, row in enumerate(reversed(mine)):
            for step, (name, color) in enumerate(AFTER.items()):
                if row[name] is not None:
                    axis.plot([row[name]], [y + 0.2 - 0.2 * step], "o", color=color, ms=4.5)
        axis.set_xlim(-0.04, 1.04)
    color_key(figure, {NAMES[name]: color for name, color in AFTER.items()})
    return figure


def _panels(rows: Rows, across: str) -> tuple[Figure, list[tuple[Axes, list[dict[str, Any]]]]]:
    """A panel a dimension with its rows; the changes stand below one another, in their order."""
    dimensions, names = dimensions_of(rows), list(dict.fromkeys(row["canary"] for row in rows))
    figure, axes = new_figure(1, len(dimensions), height=3.4)
    panels = []
    for axis, dimension in zip(axes, dimensions, strict=True):
        mine = [row for row in rows if row["dimension"] == dimension]
        axis.set(title=words(dimension), xlabel=across, ylim=(-0.6, len(names) - 0.4))
        axis.set_yticks(range(len(names)), reversed(names) if dimension == dimensions[0] else [])
        panels.append((axis, mine))
    return figure, panels
