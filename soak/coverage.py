"""How often does the 95 % interval hold the true value?

    python -m soak.coverage [--sets 2000] [--replicates 2000] [--seed 0]

Each row is a world (see soak/simulated.py) whose true values are exact; in each simulated data set
the interval is asked, with fewer replicates than the 10,000 of a report, which only adds noise.
Beside the share of intervals that hold the true value stand the shares that lie wholly above and
wholly below it. Ends with exit code 1 where alpha, kappa or AC1 is held by fewer than 93 % or more
than 97 % of the intervals in a row of the first part: 200 items or more, prevalence 0.2 to 0.8, 3
to 5 labels per item.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from itertools import combinations

import numpy as np

from agreement.bootstrap import bootstrap_intervals
from agreement.statistics import RATIOS
from soak.kept import keep
from soak.simulated import World, coin

CLAIMED = ("alpha", "kappa", "ac1")
WITHIN = (93.0, 97.0)
PREVALENCES = (0.2, 0.35, 0.5, 0.65, 0.8)
GOOD, HASTY = coin(0.9, 0.9), coin(0.95, 0.7)
PEOPLE = tuple(coin(*chances) for chances in [(0.97, 0.9), (0.9, 0.95), (0.8, 0.8), (0.9, 0.7)])
# Two videos compared: A, B, both good, both bad; six of ten answers say which it is.
FOUR = tuple(tuple(0.6 if c == truth else 0.4 / 3 for c in range(4)) for truth in range(4))


def claimed() -> Iterator[tuple[str, World]]:
    for p in PREVALENCES:
        truth = (p, 1 - p)
        several = tuple((HASTY,) * n for n in (3, 4, 5))
        yield f"200 items, 3 labels, prevalence {p}", World(truth, ((GOOD,) * 3,), 200)
        yield f"200 items, 3-5 labels, prevalence {p}", World(truth, several, 200)
        mixed = tuple(combinations(PEOPLE, 3))
        yield f"500 items, 3 of 4 people, prevalence {p}", World(truth, mixed, 500)


def beside() -> Iterator[tuple[str, World]]:
    for p in (0.2, 0.5):
        truth = (p, 1 - p)
        several = tuple((GOOD,) * n for n in (3, 4, 5))
        yield f"200 items, 2 labels, prevalence {p}", World(truth, ((GOOD,) * 2,), 200)
        yield f"75 items, 5 labels, prevalence {p}", World(truth, ((GOOD,) * 5,), 75)
        yield f"40 prompts of 5 items, prevalence {p}", World(truth, several, 200, prompts=40)
        mixed = tuple(combinations(PEOPLE, 3))
        yield f"one against the others, prevalence {p}", World(truth, mixed[:3], 200, own=True)
    yield "75 pairs, 4 categories, 5 labels", World((0.35, 0.35, 0.2, 0.1), ((FOUR,) * 5,), 75)
    yield "40 prompts of 5 pairs, 4 categories", World((0.25,) * 4, ((FOUR,) * 3,), 200, prompts=40)


def misses(world: World, options: argparse.Namespace, seed: int) -> dict[str, tuple[float, float]]:
    """Per cent of the intervals that lie wholly above the true value, and wholly below."""
    truth = world.true_values()
    above, below = dict.fromkeys(RATIOS, 0), dict.fromkeys(RATIOS, 0)
    for histogram, clusters in world.data_sets(options.sets, seed):
        intervals = bootstrap_intervals(histogram, clusters, replicates=options.replicates)
        for name, interval in intervals.items():
            assert interval.low is not None
            assert interval.high is not None
            above[name] += interval.low > truth[name]
            below[name] += interval.high < truth[name]
    share = 100 / options.sets
    return {name: (share * above[name], share * below[name]) for name in RATIOS}


def table(
    worlds: Iterator[tuple[str, World]], options: argparse.Namespace
) -> tuple[list[str], list[float]]:
    """Lines, and the coverage of the claimed statistics."""
    lines, covered = [], []
    for row, (words, world) in enumerate(worlds):
        print(words, file=sys.stderr)
        missed = misses(world, options, options.seed + row)
        truth = world.true_values()["alpha"]
        shown = (f"{100 - a - b:5.1f} ({a:3.1f}, {b:3.1f})" for a, b in missed.values())
        lines.append(f"{words:42} {truth:6.3f}  " + "  ".join(shown))
        covered += [100 - sum(missed[name]) for name in CLAIMED]
    return lines, covered


def main() -> int:
    parser = argparse.ArgumentParser(prog="soak.coverage")
    parser.add_argument("--sets", type=int, default=2_000)
    parser.add_argument("--replicates", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    first, covered = table(claimed(), options)
    second, _ = table(beside(), options)
    error = 100 * np.sqrt(0.95 * 0.05 / options.sets)
    lines = [
        f"per cent of {options.sets} data sets whose 95 % interval holds the true value, and in",
        "brackets the per cent of intervals wholly above it, and wholly below it;",
        f"a share of 95 % has a standard error of {error:.2f} %",
        f"{options.replicates} replicates behind an interval; seed {options.seed}",
        "",
        f"{'':39} true alpha  " + "  ".join(f"{name:16}" for name in RATIOS).rstrip(),
        *first,
        "",
        f"alpha, kappa and ac1 so far: {min(covered):.1f} % to {max(covered):.1f} %",
        f"on average {np.mean(covered):.2f} %",
        "",
        *second,
    ]
    keep("coverage", lines)
    return 0 if WITHIN[0] <= min(covered) and max(covered) <= WITHIN[1] else 1


if __name__ == "__main__":
    raise SystemExit(main())
