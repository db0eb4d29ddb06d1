"""How many labels does the useful order save on the demo's world?

    python -m soak.active_order [--seeds 5] [--write]

The demo's clips and simulated annotators (`flows.world_plan`, `flows.people`) are labelled one look
at a time (one annotator, one clip, all three dimensions), in batches, by four orders:

random    every clip once, in random order; then every clip a second time; and so on
chance    each look at a clip drawn at random among those with fewer than six
bits      most expected bits first (uncertainty alone), as `soli annotate queue` did before
useful    uncertainty x disagreement x coverage, with a fifth of the looks in random order: what
          `soli score --push` and `soli annotate queue --push` do

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

With --write, soak/results/active_order.txt and docs/active_order.png are replaced.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from time import process_time

import matplotlib as mpl
import numpy as np
import pyarrow as pa

from agreement.usefulness import usefulness
from annotation.queue import QueueConfig, served_order
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

PLOT = Path(__file__).parents[1] / "docs" / "active_order.png"
USUAL = 3  # looks at a clip in the demo
BATCH = 144  # looks before the consensus is built anew
Order = Callable[[Labelling], list[str]]


def random_order(state: Labelling) -> list[str]:
    """The next batch of rounds over all clips."""
    while len(state.rounds) < BATCH and state.total + len(state.rounds) < MOST * len(state.looks):
        state.rounds += state.rng.permutation(state.world.pool).tolist()
    chosen, state.rounds = state.rounds[:BATCH], state.rounds[BATCH:]
    return chosen


def chance_order(state: Labelling) -> list[str]:
    """Any clips that are open."""
    return [str(item) for item in state.rng.permutation(state.open)[:BATCH]]


def bits_order(state: Labelling) -> list[str]:
    """Most expected bits first, nobody's rewards."""
    return _ranked(state, None, QueueConfig(random_share=0.0), "information")


def useful_order(state: Labelling) -> list[str]:
    """What `soli` does."""
    return _ranked(state, rewards_of(state), QueueConfig(seed=state.world.seed), "usefulness")


def _ranked(state: Labelling, rewards: pa.Table | None, config: QueueConfig, by: str) -> list[str]:
    assert state.consensus is not None
    found = usefulness(
        state.consensus, coins(state), state.world.cells, rewards, given=state.labels,
        most_labels=MOST,
    )  # fmt: skip
    items = found.items.sort_by([(by, "descending"), ("item_id", "ascending")])
    return served_order(items["item_id"].to_pylist(), config)[:BATCH]


ORDERS: dict[str, Order] = {
    "random": random_order,
    "chance": chance_order,
    "bits": bits_order,
    "useful": useful_order,
}


def run(world: World, order: Order, looks: int) -> Floats:
    """(points, 3): looks, accuracy and ACC after each batch; the first batch is random for all."""
    state, points = Labelling(world), []
    state.look(chance_order(state))
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
    """Looks at which a curve first reaches a target for good, between points; NaN: never."""
    below = np.flatnonzero(curve[:, column] < target)
    last = below[-1] if len(below) else -1
    if last == len(curve) - 1:
        return float("nan")
    if last < 0:
        return float(curve[0, 0])
    (x0, *_), (x1, *_) = curve[last], curve[last + 1]
    y0, y1 = curve[last, column], curve[last + 1, column]
    return float(x0 + (x1 - x0) * (target - y0) / (y1 - y0))


def described(curves: dict[str, list[Floats]], usual: int) -> list[str]:
    """The result in words: looks to what `random` has after the usual number of looks."""
    lines = []
    for column, name in ((1, "accuracy of the consensus"), (2, "ACC of the probe")):
        random = np.mean(curves["random"], axis=0)
        target = float(np.interp(usual, random[:, 0], random[:, column]))
        lines += [
            "",
            f"{name}: {target:.4f}, what `random` reaches with {usual} looks ({USUAL} a clip)",
        ]
        for order, each in curves.items():
            mean = needed(np.mean(each, axis=0), column, target)
            own = [needed(curve, column, target) for curve in each]
            saved = (
                "never" if np.isnan(mean) else f"{mean:5.0f} looks, {1 - mean / usual:+.0%} saved"
            )
            spread = ", ".join("never" if np.isnan(one) else f"{one:.0f}" for one in own)
            end = np.mean([curve[-1, column] for curve in each])
            lines.append(f"  {order:<7} {saved}; by seed {spread}; {end:.4f} at the end")
    return lines


def draw(curves: dict[str, list[Floats]], usual: int) -> None:
    """Both measures over looks: mean of the seeds, and their range."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    colors = {"random": "#9AA0A6", "chance": "#CC79A7", "bits": "#D55E00", "useful": "#0072B2"}
    figure, axes = plt.subplots(1, 2, figsize=(9.2, 3.8), layout="constrained")
    for axis, column, name in zip(
        axes, (1, 2), ("accuracy of the consensus", "ACC of a probe"), strict=True
    ):
        for order, each in curves.items():
            x, values = each[0][:, 0], np.array([curve[:, column] for curve in each])
            axis.plot(x, values.mean(0), color=colors[order], label=order, lw=1.8)
            axis.fill_between(
                x, values.min(0), values.max(0), color=colors[order], alpha=0.15, lw=0
            )
        axis.axvline(usual, color="#202124", lw=0.6, ls=":")
        axis.set(xlabel="looks (one person, one clip, all dimensions)", title=name)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].legend(frameon=False)
    figure.savefig(PLOT, dpi=130, metadata={"Software": None})


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
        draw(curves, usual)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
