"""How often is the verdict on win-ties right?

    python -m soak.suitability [--runs 50] [--write]

Simulated dimensions of which the truth is known go through the test of `agreement.suitability`.
Five to eight annotators (six to eight where there are six labels per item), each item judged by a
random team of them. About 60 % of the items pass.

absolute   right with probability 0.80 to 0.95, evenly spread over annotators; the rates on pass and
           on fail items are dealt independently
mild       the same, and each item has a difficulty: error rates vary between items (beta) with an
           SD of 0.05 or 0.07
graded     passes as in absolute; a fail is passed with a rate of 0 to 0.5, differing by item
threshold  normal quality; annotators say pass by a probit with their own slope and threshold, two
           labels have a latent correlation of about 0.77 (raw agreement about 0.78, like absolute)

With --write, soak/results/suitability.txt and docs/suitability_power.png are replaced.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Any

import matplotlib as mpl
import numpy as np
from scipy.special import ndtr
from scipy.stats import beta

from agreement.ogive import Votes
from agreement.states import dispersion_interval, fit_models, power
from agreement.suitability import SuitabilityConfig, judge_models
from soak.kept import keep

ROOT = Path(__file__).parents[1]
PLOT = ROOT / "docs" / "suitability_power.png"
CONFIG = SuitabilityConfig()
SIZES = (60, 120, 200, 300, 400, 600, 1_000, 2_000)
LABELS = (4, 5, 6)
PASSING = 0.6
LATENT = 0.77
SHIFT = 0.25  # of mean quality, in SDs of quality plus noise: 60 % pass
RIGHT = {
    "absolute": "suitable",
    "mild 0.05": "suitable",
    "mild 0.07": "suitable",
    "graded": "suitable",
    "threshold": "unsuitable",
}
COLORS = {4: "#56B4E9", 5: "#E69F00", 6: "#0072B2"}  # Okabe and Ito: told apart by everybody
MARKERS = {4: "o", 5: "s", 6: "^"}


@dataclass(frozen=True)
class Tally:
    """What a number of runs of one kind and size gave."""

    kind: str
    items: int
    labels: int
    verdicts: Counter[str]
    power: float
    covered: float
    seconds: float

    @property
    def right(self) -> float:
        return self.verdicts[RIGHT[self.kind]] / self.verdicts.total()

    def line(self) -> str:
        shares = [
            f"{self.verdicts[name] / self.verdicts.total():12.3f}"
            for name in ("suitable", "unsuitable", "too_little_data")
        ]
        numbers = f"{self.power:8.2f} {self.covered:8.2f} {self.seconds:8.2f}"
        return f"{self.kind:<10}{self.items:6d}{self.labels:4d}{''.join(shares)}{numbers}"


HEADER = (
    f"{'truth':<10}{'items':>6}{'k':>4}{'suitable':>12}{'unsuitable':>12}{'too little':>12}"
    f"{'power':>8} {'covered':>8} {'CPU s':>8}"
)


def teams(rng: np.random.Generator, items: int, labels: int) -> tuple[Any, int]:
    """Annotators of each item, (items, labels), and how many annotators there are."""
    people = int(rng.integers(max(labels, 5), 9))
    return rng.permuted(np.tile(np.arange(people), (items, 1)), axis=1)[:, :labels], people


def absolute(rng: np.random.Generator, items: int, labels: int, sd: float = 0.0) -> Votes:
    team, people = teams(rng, items, labels)
    sensitivity = rng.permutation(np.linspace(0.80, 0.95, people))
    specificity = rng.permutation(np.linspace(0.80, 0.95, people))
    passing = rng.random(items)[:, None] < PASSING
    rate = np.where(passing, sensitivity[team], 1 - specificity[team])
    if sd:
        precision = rate * (1 - rate) / sd**2 - 1
        ease = rng.random((items, 1))
        rate = beta.ppf(ease, rate * precision, (1 - rate) * precision)
    return votes(rng, team, rate)


def graded(rng: np.random.Generator, items: int, labels: int) -> Votes:
    team, people = teams(rng, items, labels)
    sensitivity = rng.permutation(np.linspace(0.80, 0.95, people))
    passing = rng.random((items, 1)) < PASSING
    return votes(rng, team, np.where(passing, sensitivity[team], rng.random((items, 1)) / 2))


def threshold(rng: np.random.Generator, items: int, labels: int) -> Votes:
    team, people = teams(rng, items, labels)
    slopes = rng.permutation(np.linspace(0.7, 1.4, people))
    bars = rng.permutation(np.linspace(-0.4, 0.4, people))
    spread = np.sqrt(LATENT / (1 - LATENT))
    quality = rng.normal(SHIFT * np.sqrt(1 + spread**2), spread, (items, 1))
    return votes(rng, team, ndtr(slopes[team] * quality - bars[team]))


def votes(rng: np.random.Generator, team: Any, rate: Any) -> Votes:
    passed = rng.random(team.shape) < rate
    return Votes(np.repeat(np.arange(len(team)), team.shape[1]), team.ravel(), passed.ravel())


MAKERS: dict[str, Callable[[np.random.Generator, int, int], Votes]] = {
    "absolute": absolute,
    "mild 0.05": lambda rng, n, k: absolute(rng, n, k, 0.05),
    "mild 0.07": lambda rng, n, k: absolute(rng, n, k, 0.07),
    "graded": graded,
    "threshold": threshold,
}


def true_dispersion(kind: str) -> float | None:
    """Correlation of two labels of a true pass; None where it has no closed form."""
    if kind == "threshold":
        return None
    sensitivity = np.linspace(0.80, 0.95, 1001).mean()
    sd = float(kind.split()[1]) if kind.startswith("mild") else 0.0
    return float(sd**2 / (sensitivity * (1 - sensitivity)))


def tally(kind: str, items: int, labels: int, runs: int, *, interval: bool = False) -> Tally:
    """The verdicts of so many runs; each run is a stream of its own."""
    verdicts: Counter[str] = Counter()
    chances, covered = [], []
    truth = true_dispersion(kind)
    begun = process_time()
    for run in range(runs):
        rng = np.random.default_rng([run, items, labels, sorted(MAKERS).index(kind)])
        drawn = MAKERS[kind](rng, items, labels)
        models = fit_models(drawn, CONFIG.tolerance)
        verdicts[judge_models(models, CONFIG)[0]] += 1
        chances.append(power(drawn, models, CONFIG.tolerance, CONFIG.level))
        if interval and truth is not None:
            low, high = dispersion_interval(models, CONFIG.level)
            covered.append(low <= truth <= high)
    share = float(np.mean(covered)) if covered else float("nan")
    seconds = (process_time() - begun) / runs
    return Tally(kind, items, labels, verdicts, float(np.mean(chances)), share, seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=50, help="per point of the curve")
    parser.add_argument("--write", action="store_true", help="replace the committed result")
    args = parser.parse_args()
    print(HEADER)
    stated = [
        shown(tally(kind, 400, 6, 4 * args.runs, interval=True))
        for kind in ("absolute", "threshold")
    ]
    mild = [
        shown(tally(kind, items, labels, 2 * args.runs, interval=labels == max(LABELS)))
        for kind in ("mild 0.05", "mild 0.07", "graded")
        for labels in (4, 6)
        for items in (60, 120, 400)
    ]
    curve = [
        shown(tally(kind, items, labels, args.runs))
        for kind in ("absolute", "threshold")
        for labels in LABELS
        for items in SIZES
    ]
    keep("suitability", report(stated, mild, curve, args.runs), write=args.write)
    if args.write:
        draw(curve)


def shown(result: Tally) -> Tally:
    print(result.line(), flush=True)
    return result


def report(stated: list[Tally], mild: list[Tally], curve: list[Tally], runs: int) -> list[str]:
    """The report."""
    least = min(one.right for one in stated)
    false = [one for one in mild if one.kind != "graded"]
    worst = max(one.verdicts["unsuitable"] / one.verdicts.total() for one in false)
    lines = [
        f"tolerance {CONFIG.tolerance}, evidence {CONFIG.evidence:g}, level {CONFIG.level}",
        "",
        "power: mean of the column `power`, the chance of `unsuitable` if the truth is a threshold",
        "that looks like the labels. covered: share of the 95 % intervals that hold the true",
        "dispersion, where it was asked and is known.",
        "",
        f"Stated size, 400 items x 6 labels, {4 * runs} runs each: at least {least:.1%} right.",
        HEADER,
        *(one.line() for one in stated),
        "",
        f"Item difficulty, {2 * runs} runs each: `unsuitable` in at most {worst:.1%} of the runs",
        "with mild spread. Graded fails are no mild spread: nothing is promised there.",
        HEADER,
        *(one.line() for one in mild),
        "",
        f"The curve, {runs} runs per point.",
        HEADER,
        *(one.line() for one in curve),
    ]
    return [line.replace("nan", "  -") for line in lines]


def draw(curve: list[Tally]) -> None:
    """Right verdicts against the number of items."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(8, 3.4), sharey=True, layout="constrained")
    for axis, kind in zip(axes, ("absolute", "threshold"), strict=True):
        for labels in LABELS:
            points = [one for one in curve if (one.kind, one.labels) == (kind, labels)]
            axis.plot(
                [one.items for one in points],
                [one.right for one in points],
                color=COLORS[labels],
                marker=MARKERS[labels],
                ms=5,
                label=f"{labels} labels per item",
            )
        axis.axhline(0.95, color="0.6", lw=0.8, ls=":")
        axis.set_xscale("log")
        axis.set_xticks(SIZES, [f"{size:,}" for size in SIZES], rotation=45)
        axis.minorticks_off()
        axis.set_ylim(0, 1.03)
        axis.set_xlabel("items of the calibration subset")
        axis.set_title(f"truth: {kind}, right verdict: {RIGHT[kind]}", fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("share of right verdicts (dotted: 0.95)")
    axes[1].legend(frameon=False, loc="lower right")
    figure.savefig(PLOT, dpi=150, metadata={"Software": None})


if __name__ == "__main__":
    main()
