"""Intervals of a slice: resampling its items one by one, and ours from the histogram, in turn.

    python -m benchmarks.intervals [--items 250000] [--rounds 5]

Both give all five statistics. The baseline draws items and counts cells anew for each replicate; it
does a hundredth of the replicates, and its time is multiplied. Ours also corrects bias and
acceleration (BCa). CPU time; the aim for ours is 100 ms.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np

from agreement.bootstrap import REPLICATES, bootstrap_intervals
from agreement.labels import IntArray
from agreement.statistics import RATIOS, Histogram, histogram, replicate_values
from benchmarks.machine import report

SHARE = 100  # of the replicates that the baseline does


def label_counts(items: int, categories: int, seed: int = 0) -> IntArray:
    """Labels per item and category (N, K): 3 to 5 labels for two categories, 5 for more."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, 6, items) if categories == 2 else np.full(items, 5)
    shares = rng.dirichlet(np.full(categories, 0.5), items)
    counts: IntArray = rng.multinomial(labels, shares)
    return counts


def resampled(counts: IntArray) -> None:
    """A hundredth of the replicates, item by item."""
    rng = np.random.default_rng(0)
    for _ in range(REPLICATES // SHARE):
        drawn = histogram(counts[rng.integers(len(counts), size=len(counts))])
        sums = np.array(drawn.moments, dtype=np.float64).T @ drawn.items
        for name in RATIOS:
            replicate_values(name, sums[None, :])


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of the work."""
    start = time.process_time()
    work()
    return time.process_time() - start


def compare(name: str, counts: IntArray, own: IntArray | None, rounds: int) -> str:
    """One line: the baseline and ours in turn, medians."""
    cells: Histogram = histogram(counts, own)
    theirs, ours = [], []
    for _ in range(rounds):
        theirs.append(seconds(lambda: resampled(counts)) * SHARE)
        ours.append(seconds(lambda: bootstrap_intervals(cells)))
    slow, fast = statistics.median(theirs), statistics.median(ours)
    return (
        f"{name:28s} {len(cells.items):3d} cells  item by item {slow:7.1f} s  ours"
        f" {1000 * fast:6.1f} ms  {slow / fast:7.0f} x"
    )


def main() -> None:
    """Print and keep the comparison."""
    parser = argparse.ArgumentParser(description="Intervals of a slice, CPU time")
    parser.add_argument("--items", type=int, default=250_000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    two, four = label_counts(args.items, 2), label_counts(args.items, 4)
    own = np.random.default_rng(1).integers(0, 2, args.items)
    lines = [
        f"{args.items:,} items, {REPLICATES:,} replicates, median of {args.rounds} rounds",
        compare("Pass/Fail, 3 to 5 labels", two, None, args.rounds),
        compare("one annotator, 3 to 5 others", two, own, args.rounds),
        compare("four categories, 5 labels", four, None, args.rounds),
    ]
    report("intervals", lines)


if __name__ == "__main__":
    main()
