"""Figures of an ablation: rows of `flows.ablate_table.summary` in, SVG text out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from flows.ablate import Measured
from flows.ablate_arms import DEFAULT
from flows.ablate_stats import t_interval
from flows.ablate_table import ALL
from flows.figures import (
    FAIL,
    GREY,
    INK,
    PASS,
    Rows,
    color_key,
    interval,
    legend,
    new_figure,
    styled,
)
from warehouse.wording import words

SPLITS = {"test": ("in domain", PASS), "ood": ("out of domain", FAIL)}
CHANCE = 0.5
ASIDE = 0.18


@styled
def accuracy(rows: Rows) -> Figure:
    """ACC over dimensions of each arm with its interval; the band is the default's."""
    known = {
        (row["arm"], row["split"]): row | {"value": row["mean"]}
        for row in rows
        if (row["dimension"], row["metric"]) == (ALL, "acc")
    }
    arms = list(dict.fromkeys(arm for arm, _ in known))
    factors = {row["arm"]: row["factor"] for row in rows}
    figure, (axis,) = new_figure(1, 1, height=0.29 * len(arms) + 1.2)
    for y, arm in enumerate(reversed(arms)):
        for aside, (split, (name, color)) in zip((0.14, -0.14), SPLITS.items(), strict=True):
            if row := known.get((arm, split)):
                interval(axis, row, y + aside, color, name)
    for split, (_, color) in SPLITS.items():
        row = known.get((DEFAULT, split), {"low": None})
        if row["low"] is not None:
            axis.axvspan(row["low"], row["high"], color=color, alpha=0.1, lw=0)
    labels = [arm if arm == DEFAULT else f"{factors[arm]}: {arm}" for arm in reversed(arms)]
    axis.set_yticks(range(len(arms)), labels)
    axis.axvline(CHANCE, color=INK, lw=0.8, ls="--")
    axis.set_xlabel("ACC, mean over dimensions, 95 % interval over seeds; dashed: chance")
    legend(figure, columns=2)
    return figure


@styled
def blocks_and_pairs(measured: Sequence[Measured], arms: Mapping[str, str]) -> Figure:
    """ACC in domain of two arms, a panel a dimension: a line joins the runs of one seed.

    arms: name -> what it is called. Beside the runs stand means with 95 % intervals over seeds.
    """
    values = {
        (run.arm, run.seed, row["dimension"]): row["value"]
        for run in measured
        for row in run.rows
        if (row["split"], row["metric"]) == ("test", "acc") and row["value"] is not None
    }
    dimensions = sorted({dimension for _, _, dimension in values})
    seeds = sorted({seed for _, seed, _ in values})
    figure, axes = new_figure(1, max(1, len(dimensions)), height=3.2)
    for axis, dimension in zip(axes, dimensions, strict=False):
        lines = [[values.get((arm, seed, dimension)) for arm in arms] for seed in seeds]
        both: list[Any] = [line for line in lines if None not in line]
        for line in both:
            axis.plot(range(len(arms)), line, "o-", color=GREY, ms=4, lw=0.9)
        for x, values_of_arm in enumerate(zip(*both, strict=True)):
            found = t_interval(values_of_arm)
            aside = x + (ASIDE if x else -ASIDE)
            if found and found.low is not None and found.high is not None:
                axis.plot([aside] * 2, [found.low, found.high], color=FAIL, lw=2.2)
            if found:
                axis.plot([aside], [found.mean], "o", color=FAIL, ms=6)
        axis.axhline(CHANCE, color=INK, lw=0.8, ls="--")
        axis.set(title=words(dimension), xlim=(-0.4, len(arms) - 0.6))
        axis.set_xticks(range(len(arms)), list(arms.values()))
    axes[0].set_ylabel("ACC, held-out prompts")
    color_key(figure, {"one seed": GREY, "mean, 95 % interval over seeds": FAIL})
    return figure
