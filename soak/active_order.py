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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Any

import matplotlib as mpl
import numpy as np
import pyarrow as pa

from agreement.consensus import ConsensusRule, build_consensus
from agreement.usefulness import usefulness
from annotation.queue import QueueConfig, served_order
from flows.drawing import stage
from flows.people import LEAD, TEAM, answer
from flows.world_plan import DIMENSIONS, FULL, Clip, WorldSpec, plan_world, truth_table
from soak.kept import keep

PLOT = Path(__file__).parents[1] / "docs" / "active_order.png"
PEOPLE = (*TEAM, LEAD)
MOST = len(PEOPLE)  # looks at a clip
USUAL = 3  # looks at a clip in the demo
BATCH = 144  # looks before the consensus is built anew
TEST_SHARE = 0.3  # of the prompts, whose clips are never labelled
NOISE = 0.6  # of a probe's numbers, in their standard deviations
RIDGE = 10.0
Floats = np.ndarray[Any, np.dtype[np.float64]]
Orders = dict[str, Callable[["Labelling"], list[str]]]


@dataclass(frozen=True)
class World:
    """Clips, what is right, what everybody would say, and what a probe sees."""

    pool: list[str]
    test: list[str]
    cells: pa.Table
    truth: dict[str, tuple[bool, ...]]
    """Clip -> good or not, in each of DIMENSIONS."""
    said: dict[str, list[tuple[str, tuple[bool, ...]]]]
    """Clip -> (annotator, what they say), in the order in which they look."""
    seen: dict[str, Floats]
    """Clip -> the probe's numbers."""
    seed: int


class Labelling:
    """The looks so far, and what follows from them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.looks = dict.fromkeys(world.pool, 0)
        self.rng = np.random.default_rng(world.seed)
        self.rounds: list[str] = []
        self.consensus: pa.Table | None = None

    @property
    def total(self) -> int:
        """Looks so far."""
        return sum(self.looks.values())

    def look(self, items: Sequence[str]) -> None:
        """One more annotator looks at each; the consensus is built anew."""
        for item in items:
            self.looks[item] += 1
        self.consensus = build_consensus(self.labels, ConsensusRule(method="one_coin")).table

    @property
    def labels(self) -> pa.Table:
        """What was said, as the view `labels` has it."""
        rows = [
            (item, dimension, name, ("fail", "pass")[good])
            for item, count in self.looks.items()
            for name, values in self.world.said[item][:count]
            for dimension, good in zip(DIMENSIONS, values, strict=True)
        ]
        columns = dict(
            zip(
                ("item_id", "dimension", "annotator_id", "value"),
                zip(*rows, strict=True),
                strict=True,
            )
        )
        return pa.table(
            {name: list(column) for name, column in columns.items()}
            | {"role": ["design"] * len(rows)}
        )

    @property
    def open(self) -> list[str]:
        """Clips that somebody has not looked at."""
        return [item for item, count in self.looks.items() if count < MOST]

    def p_pass(self) -> dict[tuple[str, str], float]:
        """(clip, dimension) -> P(pass) by the consensus."""
        assert self.consensus is not None
        keys = zip(
            *(self.consensus[name].to_pylist() for name in ("item_id", "dimension")), strict=True
        )
        return dict(zip(keys, self.consensus["p_pass"].to_pylist(), strict=True))


def make_world(spec: WorldSpec, seed: int) -> World:
    """The demo's world under a seed of its own."""
    clips = plan_world(spec)
    rows = truth_table(clips, spec.frames).to_pylist()
    truth: dict[str, dict[str, bool]] = {}
    for row in rows:
        truth.setdefault(row["item_id"], {})[row["dimension"]] = row["label"] == "pass"
    rng = np.random.default_rng((seed, 1))
    prompts = sorted({clip.prompt for clip in clips})
    held = set(rng.permutation(prompts)[: round(TEST_SHARE * len(prompts))].tolist())
    good = {item: tuple(each[name] for name in DIMENSIONS) for item, each in truth.items()}
    numbers = np.array([_numbers(clip, spec.frames) for clip in clips])
    numbers = (numbers - numbers.mean(0)) / (numbers.std(0) + 1e-9)
    numbers = np.hstack(
        [numbers + NOISE * rng.normal(size=numbers.shape), rng.normal(size=numbers.shape)]
    )
    return World(
        pool=[clip.item_id for clip in clips if clip.prompt not in held],
        test=[clip.item_id for clip in clips if clip.prompt in held],
        cells=pa.table(
            {
                "item_id": [clip.item_id for clip in clips if clip.prompt not in held],
                "cell": [f"{c.prompt} {c.scene.generator}" for c in clips if c.prompt not in held],
            }
        ),
        truth=good,
        said={item: _said(item, values, seed) for item, values in good.items()},
        seen={clip.item_id: row for clip, row in zip(clips, numbers, strict=True)},
        seed=seed,
    )


def _said(item: str, truth: tuple[bool, ...], seed: int) -> list[tuple[str, tuple[bool, ...]]]:
    """What each annotator says, in an order of the clip's own."""
    rng = np.random.default_rng((seed, int(item.removeprefix("clip_"))))
    return [(PEOPLE[at].name, _says(item, truth, seed, at)) for at in rng.permutation(len(PEOPLE))]


def _says(item: str, truth: tuple[bool, ...], seed: int, at: int) -> tuple[bool, ...]:
    person = PEOPLE[at]
    return tuple(
        answer(
            seed, person.name, item, name, truth=("fail", "pass")[good],
            accuracy=person.accuracy[name],
        ) == "pass"
        for name, good in zip(DIMENSIONS, truth, strict=True)
    )  # fmt: skip


def _numbers(clip: Clip, frames: int) -> list[float]:
    """What a probe reads off a clip's plan: motion, shape, and what was asked against shown."""
    decided = stage(clip.scene, frames)
    steps = np.linalg.norm(np.diff(decided.path, axis=0), axis=1)
    turns = np.linalg.norm(np.diff(decided.path, n=2, axis=0), axis=1)
    shown = {"subject": clip.scene.subject, "color": clip.scene.color, "motion": clip.scene.motion}
    return [
        *np.quantile(steps, (0, 0.25, 0.5, 0.75, 1)),
        *np.quantile(turns, (0.5, 0.75, 1)),
        float((steps < 1e-6).mean()),
        float(steps[-frames // 3 :].mean()),
        float(np.ptp(decided.path[:, 0])),
        float(np.ptp(decided.path[:, 1])),
        float(decided.path[-1, 1]),
        float(decided.deformed.mean()),
        decided.shape_amount,
        *(float(shown[name] == clip.attributes[name]) for name in shown),
    ]


def probe(seen: Floats, p_pass: Floats, weights: Floats) -> Floats:
    """Coefficients (K, Q) of a ridge regression of (N, Q) P(pass) on (N, K) numbers."""
    scaled = seen * weights[:, None]
    return np.asarray(
        np.linalg.solve(scaled.T @ seen + RIDGE * np.eye(seen.shape[1]), scaled.T @ (p_pass - 0.5))
    )


def learnt(state: Labelling) -> tuple[list[str], Floats, Floats]:
    """Clips with labels, the probe's numbers of them, and their P(pass)."""
    known = state.p_pass()
    items = [item for item in state.world.pool if state.looks[item]]
    seen = np.array([state.world.seen[item] for item in items])
    return items, seen, np.array([[known[item, name] for name in DIMENSIONS] for item in items])


def rewards_of(state: Labelling) -> pa.Table:
    """Rewards of the pool's clips by probes that were not trained on them."""
    items, seen, p_pass = learnt(state)
    halves = {item: number % 2 for number, item in enumerate(state.world.pool)}
    side = np.array([halves[item] for item in items])
    fits = [
        probe(seen[side != half], p_pass[side != half], np.ones((side != half).sum()))
        for half in (0, 1)
    ]
    rows = [
        {"item_id": item, "dimension": name, "reward": float(reward), "split": None}
        for item in state.world.pool
        for name, reward in zip(
            DIMENSIONS, state.world.seen[item] @ fits[halves[item]], strict=True
        )
    ]
    return pa.Table.from_pylist(
        rows,
        pa.schema(
            [
                ("item_id", pa.string()),
                ("dimension", pa.string()),
                ("reward", pa.float64()),
                ("split", pa.string()),
            ]
        ),
    )


def coins(state: Labelling) -> pa.Table:
    """Mean sensitivity and specificity of the annotators in each dimension, by the consensus."""
    known, sums = state.p_pass(), dict.fromkeys(DIMENSIONS, np.zeros(4))
    for item, count in state.looks.items():
        for _, values in state.world.said[item][:count]:
            for name, good in zip(DIMENSIONS, values, strict=True):
                p = known[item, name]
                sums[name] = sums[name] + np.array([p * good, p, (1 - p) * (not good), 1 - p])
    return pa.Table.from_pylist(
        [
            {
                "dimension": name,
                "labels": state.total,
                "sensitivity": (a + 1) / (b + 2),  # a first consensus may find nothing that fails
                "specificity": (c + 1) / (d + 2),
            }
            for name, (a, b, c, d) in sums.items()
        ]
    )


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


ORDERS: Orders = {
    "random": random_order,
    "chance": chance_order,
    "bits": bits_order,
    "useful": useful_order,
}


def run(world: World, order: Callable[[Labelling], list[str]], looks: int) -> Floats:
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
    rewards = np.array([state.world.seen[item] for item in state.world.test]) @ probe(
        seen, p_pass, np.ones(len(seen))
    )
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
    begin, curves = process_time(), {order: [] for order in ORDERS}  # type: dict[str, list[Floats]]
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
