"""Figures of agreement: rows in, SVG text out; one panel a dimension where dimensions compare."""

from __future__ import annotations

import math
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
    Rows,
    color_key,
    dimensions_of,
    interval,
    new_figure,
    of_dimension,
    styled,
)
from warehouse.wording import words

ACROSS = 3  # panels beside each other
CODE = 6  # letters of an annotator's id that tell people apart in a figure
LONGEST = 32  # letters of a slice's name
MOST_NUMBERED = 12  # people whose shares can be read in a matrix
HALF_AGREED, ALL_AGREED = 0.5, 1.0  # ends of its scale
MOST_SLICES = 40  # rows of a figure; the table has them all
COLORS = (PASS, FAIL, GREEN, VIOLET, GREY, INK)
KINDS = {"gold": "against gold", "leave_one_out": "against the others"}


@styled
def by_week(rows: Rows) -> Figure:
    """Alpha of each week with its interval; weeks without a number leave a gap.

    rows: of the table `agreement`, slices week=...
    """
    dimensions = dimensions_of(rows)
    figure, axes = _panels(dimensions, height=2.4)
    for axis, dimension in zip(axes, dimensions, strict=True):
        mine = sorted(of_dimension(rows, dimension), key=lambda row: row["slice"])
        known = [(x, row) for x, row in enumerate(mine) if row["value"] is not None]
        for x, row in known:
            if row["low"] is not None and row["high"] is not None:
                axis.plot([x, x], [row["low"], row["high"]], color=PASS, lw=2.2, alpha=0.5)
        axis.plot([x for x, _ in known], [row["value"] for _, row in known], "o-", color=PASS, ms=4)
        axis.axhline(0, color=GREY, lw=0.8, ls="--")
        names = [_value(row["slice"]).removeprefix("20") for row in mine]
        axis.set_xticks(range(len(names)), names, rotation=45, ha="right", fontsize=8)
        axis.set(title=words(dimension), ylim=(min(-0.05, *_lows(mine)), 1.02))
    axes[0].set_ylabel("Krippendorff's α")
    return figure


@styled
def annotator_matrix(rows: Rows) -> Figure:
    """Raw agreement of each two annotators on the items that both judged.

    rows: dimension, annotator_a, annotator_b, items, agree (a share).
    """
    dimensions = dimensions_of(rows)
    people = sorted({row[side] for row in rows for side in ("annotator_a", "annotator_b")})
    place = {name: number for number, name in enumerate(people)}
    figure, axes = _panels(dimensions, height=3.0)
    for axis, dimension in zip(axes, dimensions, strict=True):
        shares = np.full((len(people), len(people)), np.nan)
        for row in of_dimension(rows, dimension):
            at = place[row["annotator_a"]], place[row["annotator_b"]]
            shares[at] = shares[at[::-1]] = row["agree"]
        image = axis.imshow(shares, vmin=HALF_AGREED, vmax=ALL_AGREED, cmap="cividis")
        if len(people) <= MOST_NUMBERED:
            _numbers(axis, shares)
        short = [name[:CODE] for name in people]
        axis.set_xticks(range(len(people)), short, rotation=90, fontsize=8)
        axis.set_yticks(range(len(people)), short, fontsize=8)
        axis.set_title(words(dimension))
    if people:
        figure.colorbar(image, ax=axes, shrink=0.7, label="share of items alike")
    return figure


@styled
def confusion(rows: Rows) -> Figure:
    """How often each annotator is right on pass and on fail items, by Dawid-Skene.

    rows: of the table `annotators`.
    """
    dimensions = dimensions_of(rows)
    people = sorted({row["annotator_id"] for row in rows})
    figure, axes = _panels(dimensions, height=0.28 * len(people) + 1.2)
    for axis, dimension in zip(axes, dimensions, strict=True):
        for y, name in enumerate(people):
            found = [row for row in of_dimension(rows, dimension) if row["annotator_id"] == name]
            for row in found:
                axis.barh(y + 0.2, row["sensitivity"], 0.36, color=PASS)
                axis.barh(y - 0.2, row["specificity"], 0.36, color=FAIL)
        axis.axvline(0.5, color=INK, lw=0.8, ls="--")
        axis.set(title=words(dimension), xlim=(0, 1))
        axis.set_yticks(range(len(people)), [name[:CODE] for name in people], fontsize=8)
    color_key(figure, {"says pass on pass": PASS, "says fail on fail": FAIL})
    return figure


@styled
def prevalence(rows: Rows) -> Figure:
    """Share of pass with its interval in each slice.

    rows: of the table `agreement`, statistic prevalence.
    """
    dimensions = dimensions_of(rows)
    names = sorted({row["slice"] for row in rows}, key=lambda name: (name != "all", name))
    names = names[:MOST_SLICES]
    figure, axes = _panels(dimensions, height=0.22 * len(names) + 1.2)
    for axis, dimension in zip(axes, dimensions, strict=True):
        known = {
            row["slice"]: row for row in of_dimension(rows, dimension) if row["value"] is not None
        }
        for y, name in enumerate(reversed(names)):
            if row := known.get(name):
                interval(axis, row, y, INK if name == "all" else PASS, name)
        axis.axvline(0.5, color=GREY, lw=0.8, ls=":")
        axis.set_yticks(range(len(names)), [])
        axis.set(title=words(dimension), xlim=(0, 1), xlabel="share of pass")
    shown = [name.removeprefix("attribute.")[:LONGEST] for name in reversed(names)]
    for first in axes[::ACROSS]:
        first.set_yticks(range(len(names)), shown, fontsize=8)
    return figure


@styled
def distribution(rows: Rows) -> Figure:
    """Pass rate by prompt attribute and generator, as the paper's Figure 7.

    rows: of the view `label_distribution`.
    """
    dimensions = dimensions_of(rows)
    generators = sorted({row["generator"] for row in rows})
    columns = _attribute_values(rows)
    figure, axes = new_figure(len(dimensions), 1, height=1.2 + len(dimensions) * 1.9)
    for axis, dimension in zip(axes, dimensions, strict=True):
        known = {_cell(row): row["pass_rate"] for row in of_dimension(rows, dimension)}
        width = 0.8 / max(1, len(generators))
        for number, generator in enumerate(generators):
            at = [x - 0.4 + (number + 0.5) * width for x in range(len(columns))]
            heights = [known.get((*column, generator), math.nan) for column in columns]
            axis.bar(at, heights, width, color=COLORS[number % len(COLORS)], label=generator)
        axis.set(title=words(dimension), ylim=(0, 1), ylabel="pass rate")
        axis.set_xticks(range(len(columns)), [])
    texts = [value if name == "all" else f"{name}: {value}" for name, value in columns]
    axes[-1].set_xticks(range(len(columns)), texts, rotation=40, ha="right", fontsize=8)
    color_key(figure, dict(zip(generators, COLORS, strict=False)))
    return figure


@styled
def dispersion(rows: Rows) -> Figure:
    """How many items got how many passes, beside what the two meanings of Pass expect.

    rows: dimension, labels, passes, observed, one_state, threshold (expected items).
    """
    groups = sorted({(row["dimension"], row["labels"]) for row in rows})
    figure, axes = _panels(groups, height=2.6)
    for axis, (dimension, labels) in zip(axes, groups, strict=True):
        mine = [row for row in of_dimension(rows, dimension) if row["labels"] == labels]
        mine = sorted(mine, key=lambda row: row["passes"])
        x = [row["passes"] for row in mine]
        axis.bar(x, [row["observed"] for row in mine], color=GREY, alpha=0.6)
        axis.plot(x, [row["one_state"] for row in mine], "o-", color=PASS, ms=4)
        axis.plot(x, [row["threshold"] for row in mine], "s--", color=FAIL, ms=4)
        axis.set(title=words(dimension), xlabel=f"passes of {labels} labels", ylabel="items")
    color_key(figure, {"items": GREY, "Pass is one state": PASS, "Pass is a threshold": FAIL})
    return figure


@styled
def reliability(rows: Rows) -> Figure:
    """Share of gold passes where the consensus says P(pass): on the diagonal it is calibrated.

    rows: dimension, mean_p, share, share_low, share_high, items.
    """
    dimensions = dimensions_of(rows)
    figure, axes = _panels(dimensions, height=2.8)
    for axis, dimension in zip(axes, dimensions, strict=True):
        axis.plot([0, 1], [0, 1], color=GREY, lw=0.8, ls="--")
        for row in of_dimension(rows, dimension):
            ends = [row["share_low"], row["share_high"]]
            axis.plot([row["mean_p"]] * 2, ends, color=PASS, lw=2, alpha=0.5)
            size = 3 + row["items"] ** 0.5 / 3
            axis.plot([row["mean_p"]], [row["share"]], "o", color=PASS, ms=size)
        axis.set(title=words(dimension), xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="P(pass)")
    axes[0].set_ylabel("share of gold passes")
    return figure


@styled
def drift(rows: Rows) -> Figure:
    """Control chart of each annotator whose share left its limits, or of all where none did.

    rows: annotator_id, dimension, kind, period (a number), share, centre, lower, upper, signal.
    """
    keys = sorted({_chart(row) for row in rows})
    signalled = sorted({_chart(row) for row in rows if row["signal"]})
    shown = (signalled or keys)[: 2 * ACROSS]
    figure, axes = _panels(shown, height=2.4)
    for axis, key in zip(axes, shown, strict=True):
        mine = sorted((row for row in rows if _chart(row) == key), key=lambda row: row["period"])
        x = [row["period"] for row in mine]
        axis.fill_between(
            x,
            [row["lower"] for row in mine],
            [row["upper"] for row in mine],
            color=GREY,
            alpha=0.25,
            step="mid",
        )
        axis.step(x, [row["centre"] for row in mine], where="mid", color=GREY, lw=1)
        axis.plot(x, [row["share"] for row in mine], "o-", color=PASS, ms=4)
        out = [row for row in mine if row["signal"]]
        axis.plot([r["period"] for r in out], [r["share"] for r in out], "o", color=FAIL, ms=7)
        axis.set_title(f"{key[0][:CODE]}, {words(key[1])}", fontsize=9)
        axis.set(ylim=(0, 1.04), xlabel="period", ylabel=KINDS[key[2]])
    return figure


def _chart(row: dict[str, Any]) -> tuple[str, str, str]:
    return row["annotator_id"], row["dimension"], row["kind"]


def _value(name: str) -> str:
    """What a slice is, without which column it is of: week=2026-W47 -> 2026-W47."""
    return name.partition("=")[2]


def _lows(rows: Rows) -> list[float]:
    return [row["low"] for row in rows if row["low"] is not None] or [0.0]


def _cell(row: dict[str, Any]) -> tuple[str, str, str]:
    return row["attribute"], row["setting"], row["generator"]


def _attribute_values(rows: Rows) -> list[tuple[str, str]]:
    """Attributes with their values, the whole first."""
    found = {(row["attribute"], row["setting"]) for row in rows}
    return sorted(found, key=lambda pair: (pair[0] != "all", pair))


def _panels(keys: Sequence[Any], height: float) -> tuple[Figure, list[Axes]]:
    """A panel for each key, a few a row; figures of nothing are not drawn."""
    across = max(1, min(ACROSS, len(keys)))
    down = max(1, math.ceil(len(keys) / across))
    figure, axes = new_figure(down, across, height * down)
    for axis in axes[len(keys) :]:
        axis.set_axis_off()
    return figure, axes[: len(keys)]


def _numbers(axis: Axes, shares: np.ndarray[Any, np.dtype[np.float64]]) -> None:
    middle = (HALF_AGREED + ALL_AGREED) / 2
    for (y, x), share in np.ndenumerate(shares):
        if not math.isnan(share):
            color = INK if share > middle else "white"
            axis.text(x, y, f"{share:.2f}", ha="center", va="center", fontsize=7, color=color)
