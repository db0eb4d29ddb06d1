"""The demo's clips, labelled one look at a time, and a probe that stands for a reward model.

Nothing is drawn and nobody clicks: what each annotator says is `flows.people`'s answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from agreement.consensus import ConsensusRule, build_consensus
from flows.drawing import stage
from flows.people import LEAD, TEAM, answer
from flows.world_plan import DIMENSIONS, Clip, WorldSpec, plan_world, truth_table

PEOPLE = (*TEAM, LEAD)
MOST = len(PEOPLE)  # looks at a clip
TEST_SHARE = 0.3  # of the prompts, whose clips are never labelled
NOISE = 0.6  # of a probe's numbers, in their standard deviations
RIDGE = 10.0
Floats = np.ndarray[Any, np.dtype[np.float64]]


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


def probe(seen: Floats, p_pass: Floats) -> Floats:
    """Coefficients (K, Q) of a ridge regression of (N, Q) P(pass) on (N, K) numbers."""
    return np.asarray(
        np.linalg.solve(seen.T @ seen + RIDGE * np.eye(seen.shape[1]), seen.T @ (p_pass - 0.5))
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
    fits = [probe(seen[side != half], p_pass[side != half]) for half in (0, 1)]
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
