"""How often does the default gate stop, rightly and wrongly?

    python -m soak.gate_errors [--sets 2000] [--replicates 2000] [--seed 0]

The gate stops where the upper end of alpha's interval lies below the threshold. In each row the
annotators' accuracy is such that alpha is exactly as stated (see soak/simulated.py). The same data
sets are judged twice: with that true value as the threshold, where every stop is an error, and with
a threshold two half-widths of the interval above it, where every go is one; half a width is that of
the row's mean interval. Ends with exit code 1 where more than 3.5 % stop wrongly or fewer than 95 %
rightly.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from agreement.bootstrap import bootstrap_intervals
from agreement.gates import GateRule, judge
from agreement.rows import contract_table
from agreement.statistics import measure
from soak.kept import keep
from soak.simulated import World, coin, with_alpha

MOST_WRONG, LEAST_RIGHT = 0.035, 0.95
PREVALENCES = (0.2, 0.35, 0.5, 0.65, 0.8)
ALPHAS = (0.2, 0.4, 0.6)  # 0.2 is the default threshold
ANYBODY = coin(0.5, 0.5)  # with_alpha gives the accuracy


def worlds() -> Iterator[tuple[str, float, World]]:
    for alpha in ALPHAS:
        for p in PREVALENCES:
            several = tuple((ANYBODY,) * n for n in (3, 4, 5))
            yield "200 items, 3-5 labels", p, with_alpha(World((p, 1 - p), several, 200), alpha)
    for p in PREVALENCES:
        three = World((p, 1 - p), ((ANYBODY,) * 3,), 200)
        yield "200 items, 3 labels", p, with_alpha(three, ALPHAS[0])
        two = World((p, 1 - p), ((ANYBODY,) * 2,), 1_000)
        yield "1000 items, 2 labels", p, with_alpha(two, ALPHAS[0])


def measured(world: World, options: argparse.Namespace, seed: int) -> pa.Table:
    """Rows of the contract `agreement`, one for each data set, which stands for a dimension."""
    rows: list[dict[str, Any]] = []
    for number, (histogram, _) in enumerate(world.data_sets(options.sets, seed)):
        value = measure(histogram)["alpha"].value
        interval = bootstrap_intervals(histogram, replicates=options.replicates)["alpha"]
        rows.append(
            {
                "measurement_id": "simulated",
                "dimension": f"set {number}",
                "slice": "all",
                "statistic": "alpha",
                "value": None if value is None else float(value),
                "low": interval.low,
                "high": interval.high,
                "reason": interval.reason,
                "items": int(histogram.items.sum()),
                "labels": histogram.labels,
                "annotators": 5,
            }
        )
    return contract_table("agreement", rows)


def stopped(agreement: pa.Table, threshold: float) -> float:
    """Share of the data sets that the default rule stops at a threshold."""
    rules = {name: (GateRule(threshold=threshold),) for name in agreement["dimension"].to_pylist()}
    return float(pc.mean(pc.equal(judge(agreement, rules)["verdict"], "stop")).as_py())


def main() -> int:
    parser = argparse.ArgumentParser(prog="soak.gate_errors")
    parser.add_argument("--sets", type=int, default=2_000)
    parser.add_argument("--replicates", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    lines, wrong, right = [], [], []
    for row, (words, prevalence, world) in enumerate(worlds()):
        print(words, prevalence, file=sys.stderr)
        agreement = measured(world, options, options.seed + row)
        alpha = world.true_values()["alpha"]
        half = pc.mean(pc.subtract(agreement["high"], agreement["low"])).as_py() / 2
        wrong.append(stopped(agreement, alpha))
        right.append(stopped(agreement, alpha + 2 * half))
        lines.append(
            f"{words:22} {prevalence:10.2f} {alpha:8.3f} {half:8.3f}"
            f" {100 * wrong[-1]:12.2f} {100 * right[-1]:14.2f}"
        )
    errors = [100 * np.sqrt(p * (1 - p) / options.sets) for p in (0.025, 0.975)]
    head = [
        f"{options.sets} data sets in each row, {options.replicates} replicates in each;",
        f"standard errors of the two shares: {errors[0]:.2f} % and {errors[1]:.2f} %",
        "",
        f"{'':33} {'true':>8} {'half':>8}   per cent stopped at threshold",
        f"{'':22} {'prevalence':>10} {'alpha':>8} {'width':>8} {'alpha':>12} {'+ 2 halves':>14}",
    ]
    found = f"wrongly at most {100 * max(wrong):.2f} %, rightly at least {100 * min(right):.2f} %"
    keep("gate_errors", [*head, *lines, "", found])
    return 0 if max(wrong) <= MOST_WRONG and min(right) >= LEAST_RIGHT else 1


if __name__ == "__main__":
    raise SystemExit(main())
