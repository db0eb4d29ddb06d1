"""How many labels does the useful order save on the demo's world?

    python -m soak.active_order [--seeds 5] [--write]

The demo's clips and simulated annotators (`flows.world_plan`, `flows.people`) are labelled one look
at a time (one annotator, one clip, all three dimensions), in batches, by these orders:

random      every clip once, in random order; then every clip a second time; and so on
bits        most expected bits first (uncertainty alone), nothing in random order
useful      uncertainty x disagreement x coverage, with the settings' share in random order: what
            `soli score --push` and `soli annotate queue --push` do
useful 20%  the same with a fifth in random order
useful 0%   the same with nothing in random order

A clip of the share in random order gets its three looks whatever they say; only then may it be
asked again because it is useful.

After each batch the consensus (one-coin Dawid-Skene) is built anew from what was said, and two
things are measured against the world's truth:

accuracy  share of right decisions on P(pass) over the pool's clips and dimensions; a clip nobody
          has looked at counts one half
ACC       share of pairs, one clip that is good and one that is not, both of prompts that were never
          labelled, which a PROBE orders rightly

The probe stands for a reward model, which would take an hour for each of the points: a ridge
regression of P(pass) on eighteen numbers read off the plan of a clip (how it moves, how it is
shaped, whether it shows what was asked), with noise, and as many numbers that say nothing. It says
how fast a model learns from labels in some order, not how good a video model gets. The orders see
its rewards cross-fitted: each clip's comes from a probe that was not trained on it.

Saved is the share of `random`'s three looks a clip that an order does not need to get to where
`random` is with them, on the mean curves of the seeds; a curve is there when it no longer falls
below (a curve that is nearly flat may fall below late, that of `random` itself, too). The interval
holds 95 % of all draws of as many seeds with replacement (every draw is counted, none sampled);
with five seeds it is rather too narrow. `never`: not within four and a half looks a clip.

With --write, soak/results/active_order.txt and docs/active_order.svg are replaced.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from time import process_time

import numpy as np
import pyarrow as pa
from matplotlib.figure import Figure

from agreement.usefulness import usefulness
from annotation.queue import QueueConfig, served_order
from flows.figures import FAIL, GREY, INK, PASS, WIDTH, styled
from flows.world_plan import DIMENSIONS, FULL
from soak.active_world import (
    MOST,
    Floats,
    Labelling,
    World,
    coins,
    learnt,
    make_world,
    probe,
    rewards_of,
)
from soak.kept import keep

PLOT = Path(__file__).parents[1] / "docs" / "active_order.svg"
USUAL = 3  # looks at a clip in the demo
BATCH = 144  # looks before the consensus is built anew
Order = Callable[[Labelling], list[str]]


def random_order(state: Labelling) -> list[str]:
    """The next batch of rounds over all clips."""
    while len(state.rounds) < BATCH and state.total + len(state.rounds) < MOST * len(state.looks):
        state.rounds += state.rng.permutation(state.world.pool).tolist()
    chosen, state.rounds = state.rounds[:BATCH], state.rounds[BATCH:]
    return chosen


def bits_order(state: Labelling) -> list[str]:
    """Most expected bits first, nobody's rewards."""
    return _ranked(state, None, QueueConfig(random_share=0.0), "information")


def useful_order(share: float) -> Order:
    """What `soli` does, with a share in random order."""

    def order(state: Labelling) -> list[str]:
        config = QueueConfig(random_share=share, seed=state.world.seed)
        return _ranked(state, rewards_of(state), config, "usefulness")

    return order


def _ranked(state: Labelling, rewards: pa.Table | None, config: QueueConfig, by: str) -> list[str]:
    assert state.consensus is not None
    found = usefulness(
        state.consensus, coins(state), state.world.cells, rewards, given=state.labels,
        most_labels=MOST,
    )  # fmt: skip
    items = found.items.sort_by([(by, "descending"), ("item_id", "ascending")])
    again = {item for item, looks in state.looks.items() if looks >= USUAL}
    return served_order(items["item_id"].to_pylist(), config, again)[:BATCH]


USEFUL = "useful"
ORDERS: dict[str, Order] = {
    "random": random_order,
    "bits": bits_order,
    USEFUL: useful_order(QueueConfig().random_share),
    "useful 20%": useful_order(0.2),
    "useful 0%": useful_order(0.0),
}


def run(world: World, order: Order, looks: int) -> Floats:
    """(points, 3): looks, accuracy and ACC after each batch; the first batch is random for all."""
    state, points = Labelling(world), []
    state.look(state.rng.permutation(world.pool)[:BATCH].tolist())
    while True:
        points.append((state.total, accuracy(state), probe_acc(state)))
        if state.total >= looks:
            return np.array(points)
        state.look(order(state))


def accuracy(state: Labelling) -> float:
    """Share of right decisions over the pool, one half for what nobody has looked at."""
    known = state.p_pass()
    right = [
        0.5 if p is None or p == 0.5 else float((p > 0.5) == good)
        for item in state.world.pool
        for name, good in zip(DIMENSIONS, state.world.truth[item], strict=True)
        for p in [known.get((item, name))]
    ]
    return float(np.mean(right))


def probe_acc(state: Labelling) -> float:
    """Mean over dimensions of the share of pairs of other prompts that a probe orders rightly."""
    _, seen, p_pass = learnt(state)
    rewards = np.array([state.world.seen[item] for item in state.world.test]) @ probe(seen, p_pass)
    good = np.array([state.world.truth[item] for item in state.world.test])
    shares = [
        (rewards[good[:, d], d][:, None] > rewards[~good[:, d], d]).mean()
        for d in range(len(DIMENSIONS))
    ]
    return float(np.mean(shares))


def needed(curve: Floats, column: int, target: float) -> float:
    """Looks at which a curve first reaches a target for good, between points; infinite: never."""
    below = np.flatnonzero(curve[:, column] < target)
    last = below[-1] if len(below) else -1
    if last == len(curve) - 1:
        return float("inf")
    if last < 0:
        return float(curve[0, 0])
    (x0, *_), (x1, *_) = curve[last], curve[last + 1]
    y0, y1 = curve[last, column], curve[last + 1, column]
    return float(x0 + (x1 - x0) * (target - y0) / (y1 - y0))


def saved(random: Floats, other: Floats, column: int, usual: int) -> float:
    """Share of looks saved to what random has after the usual number; mean curves of seeds."""
    target = float(np.interp(usual, random[:, 0], random[:, column]))
    return 1 - needed(other, column, target) / usual


def interval(
    random: list[Floats], other: list[Floats], column: int, usual: int
) -> tuple[float, float]:
    """95 % of `saved` over all draws of the seeds with replacement."""
    seeds = range(len(random))
    draws = [
        saved(np.mean([random[s] for s in some], 0), np.mean([other[s] for s in some], 0),
              column, usual)
        for some in product(seeds, repeat=len(random))
    ]  # fmt: skip
    low, high = np.quantile(draws, (0.025, 0.975), method="nearest")
    return float(low), float(high)


def described(curves: dict[str, list[Floats]], usual: int) -> list[str]:
    """The result in words: looks to what `random` has after the usual number of looks."""
    lines = []
    random = np.mean(curves["random"], axis=0)
    for column, name in ((1, "accuracy of the consensus"), (2, "ACC of the probe")):
        target = float(np.interp(usual, random[:, 0], random[:, column]))
        lines += [
            "",
            f"{name}: {target:.4f}, what `random` has after {usual} looks ({USUAL} a clip)",
        ]
        for order, each in curves.items():
            mean = np.mean(each, axis=0)
            share = saved(random, mean, column, usual)
            low, high = map(_percent, interval(curves["random"], each, column, usual))
            lines.append(
                f"  {order:<10} {needed(mean, column, target):5.0f} looks, {_percent(share)} saved"
                f" ({low} to {high}); {mean[-1, column]:.4f} after {mean[-1, 0]:.0f}"
            )
    return lines


def _percent(share: float) -> str:
    return f"{share:+.0%}" if np.isfinite(share) else "never"


@styled
def figure(curves: dict[str, list[Floats]], usual: int) -> Figure:
    """Both measures over looks: mean of the seeds, and their range."""
    drawn = Figure(figsize=(WIDTH, 3.8), layout="constrained")
    axes = drawn.subplots(1, 2)
    colors = {"random": GREY, "bits": FAIL, USEFUL: PASS}
    names = {1: "Accuracy of the consensus", 2: "ACC of the probe"}
    for axis, (column, name) in zip(axes, names.items(), strict=True):
        for order, color in colors.items():
            x = curves[order][0][:, 0]
            values = np.array([curve[:, column] for curve in curves[order]])
            axis.plot(x, values.mean(0), color=color, label=order, lw=1.8)
            axis.fill_between(x, values.min(0), values.max(0), color=color, alpha=0.15, lw=0)
        axis.axvline(usual, color=INK, lw=0.6, ls=":")
        axis.set(xlabel="looks (one person, one clip, all dimensions)", title=name)
    axes[0].legend(frameon=False, loc="lower right")
    return drawn


def main() -> int:
    """Command line. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="soak.active_order")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="keep the result and the plot")
    options = parser.parse_args()
    begin = process_time()
    curves: dict[str, list[Floats]] = {order: [] for order in ORDERS}
    for seed in range(options.seeds):
        world = make_world(FULL, seed)
        for order, choose in ORDERS.items():
            curves[order].append(run(world, choose, round(1.5 * USUAL * len(world.pool))))
            print(f"seed {seed}, {order}: {process_time() - begin:.0f} s of CPU", file=sys.stderr)
    points = min(len(curve) for each in curves.values() for curve in each)
    curves = {order: [curve[:points] for curve in each] for order, each in curves.items()}
    usual = round(np.mean([USUAL * len(make_world(FULL, s).pool) for s in range(options.seeds)]))
    lines = [f"{options.seeds} seeds; batches of {BATCH} looks; {QueueConfig()}"]
    lines += [*described(curves, usual), "", f"{process_time() - begin:.0f} s of CPU"]
    keep("active_order", lines, write=options.write)
    if options.write:
        PLOT.write_text(figure(curves, usual) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
