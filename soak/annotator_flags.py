"""How often are annotators flagged who should be, and who should not?

    python -m soak.annotator_flags [--runs 50] [--seed 0] [--write]

Simulated teams without any past: everybody starts at the same time, and all that is known are the
labels so far. `random` is looked at after every tenth label. Dawid-Skene stops at a tolerance of
1e-4 here, to save time. Takes some four minutes of CPU.
"""

from __future__ import annotations

import argparse
import logging
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa

from agreement.annotators import by_rank
from agreement.checks import Checks
from agreement.consensus import annotator_coins
from agreement.copies import copies
from agreement.dawid_skene import Prior
from agreement.drift import drift_charts
from agreement.flags import AnnotatorConfig
from agreement.labels import Coded, FloatArray
from agreement.others import answers_of
from agreement.random_test import random_odds
from soak.kept import keep

CONFIG = AnnotatorConfig()
PRIOR = Prior(tolerance=1e-4, iterations=300)
DIMENSIONS = 3
ANY = (0.75, 0.95)  # accuracies of honest people, both coins, uniformly
PREVALENCES = {
    "0.5 0.5 0.5": (0.5, 0.5, 0.5),
    "0.2 0.5 0.8": (0.2, 0.5, 0.8),
    "0.8 0.8 0.8": (0.8, 0.8, 0.8),
}
TEAMS = {"2 others, 5 people": (5, 3), "3 others, 6 people": (6, 4), "4 others, 10 people": (10, 5)}
FIRST, DEADLINE, LAST, STEP = CONFIG.random_labels, 60, 300, 10


class Team:
    """People with two coins each, who label items in all dimensions, `each` people per item."""

    def __init__(
        self,
        rng: np.random.Generator,
        people: int,
        each: int,
        accuracy: tuple[float, float] = ANY,
        difficulty: float = 0.0,
    ) -> None:
        self.rng, self.people, self.each, self.difficulty = rng, people, each, difficulty
        shape = (people, DIMENSIONS)
        self.sensitivity = np.broadcast_to(rng.uniform(*accuracy, (people, 1)), shape).copy()
        self.specificity = np.broadcast_to(rng.uniform(*accuracy, (people, 1)), shape).copy()

    def plant(self, rates: tuple[float, ...]) -> None:
        """Person 0 says pass at these rates, whatever the item."""
        self.sensitivity[0] = rates
        self.specificity[0] = 1 - np.array(rates)

    def label(self, labels: int, prevalence: tuple[float, ...]) -> Coded:
        """So many labels of each person, in the order of the items."""
        items = math.ceil(labels / DIMENSIONS * self.people / self.each)
        truth = self.rng.random((items, DIMENSIONS)) < prevalence
        hard = self.rng.normal(0, self.difficulty or 1e-9, truth.shape)
        who = np.argsort(self.rng.random((items, self.people)), axis=1)[:, : self.each]
        item = np.repeat(np.arange(items), self.each * DIMENSIONS)
        person = np.repeat(who.ravel(), DIMENSIONS)
        dimension = np.tile(np.arange(DIMENSIONS), items * self.each)
        true = truth[item, dimension]
        right = np.where(
            true, self.sensitivity[person, dimension], self.specificity[person, dimension]
        )
        right = 1 / (1 + (1 - right) / right * np.exp(-hard[item, dimension]))
        correct = self.rng.random(len(true)) < right
        return Coded(
            pa.table({}),
            pa.array([f"v{n:06}" for n in range(items)]),
            pa.array([f"a{n:03}" for n in range(self.people)]),
            [f"d{n}" for n in range(DIMENSIONS)],
            item,
            person,
            dimension,
            true == correct,
        )


def log_odds(labels: Coded, items: int) -> FloatArray:
    """Log odds of `random` for each person after so many items, -inf with too few labels: (A,)."""
    seen = labels.item < items
    part = replace(
        labels,
        item=labels.item[seen],
        annotator=labels.annotator[seen],
        dimension=labels.dimension[seen],
        passed=labels.passed[seen],
    )
    answers = answers_of(part)
    found = random_odds(answers, by_rank(answers, part, annotator_coins(part, PRIOR)))
    odds = np.full(len(labels.annotators), -np.inf)
    place = [int(name.as_py()[1:]) for name in answers.people]
    odds[place] = np.where(found.labels >= CONFIG.random_labels, found.log_odds, -np.inf)
    return odds


def random_power(rng: np.random.Generator, runs: int) -> Iterator[str]:
    """Planted random annotators found within 60 of their labels."""
    threshold = math.log(CONFIG.random_odds)
    yield f"random, planted: share flagged within {DEADLINE} of their labels ({2 * runs} runs each)"
    head = f"{'rate 0.2':>10}{'0.5':>8}{'0.8':>8}{'same keys':>11}"
    yield f"{'':22}{'prevalence':14}{head}{'honest':>9}"
    for name, (people, each) in TEAMS.items():
        for words, prevalence in PREVALENCES.items():
            hits, false = [], []
            for rates in ((0.2,) * 3, (0.5,) * 3, (0.8,) * 3, (0.97, 0.03, 0.97)):
                teams = [Team(rng, people, each) for _ in range(2 * runs)]
                best = np.array([_planted(team, prevalence, rates) for team in teams])
                hits.append(float(np.mean(best[:, 0] >= threshold)))
                false.append(float(np.mean(best[:, 1:] >= threshold)))
            cells = f"{hits[0]:10.2f}{hits[1]:8.2f}{hits[2]:8.2f}{hits[3]:11.2f}"
            yield f"{name:22}{words:14}{cells}{np.mean(false):9.4f}"
    yield "honest: share of the honest people beside them flagged in the same time"


def _planted(team: Team, prevalence: tuple[float, ...], rates: tuple[float, ...]) -> FloatArray:
    """Largest log odds of each person until the deadline, where person 0 is random: (A,)."""
    team.plant(rates)
    labels = team.label(3 * DEADLINE, prevalence)
    own = np.unique(labels.item[labels.annotator == 0])
    looks = [log_odds(labels, own[n // DIMENSIONS - 1] + 1) for n in (FIRST + 1, DEADLINE)]
    best: FloatArray = np.max(looks, axis=0)
    return best


def random_honest(rng: np.random.Generator, runs: int) -> Iterator[str]:
    """Honest people ever flagged."""
    yield f"random, all honest: share ever flagged, looked at every {STEP} labels up to {LAST}"
    yield f"{'':22}{'prevalence':14}{'accuracies':22}{'people':>7}{'flagged':>9}{'bound':>9}"
    cases = [
        (team, words, ANY, difficulty)
        for team in TEAMS
        for words, difficulty in [*((words, 0.0) for words in PREVALENCES), ("0.5 0.5 0.5", 1.0)]
    ]
    cases += [("3 others, 6 people", "0.5 0.5 0.5", (low, low), 0.0) for low in (0.8, 0.75)]
    threshold = math.log(CONFIG.random_odds)
    for name, words, accuracy, difficulty in cases:
        people, each = TEAMS[name]
        ever, bound = [], []
        for _ in range(max(math.ceil(3 * runs / people), 1)):
            team = Team(rng, people, each, accuracy, difficulty)
            labels = team.label(LAST, PREVALENCES[words])
            per_label = people / each / DIMENSIONS
            looks = [log_odds(labels, round(n * per_label)) for n in range(FIRST, LAST + 1, STEP)]
            ever += list(np.max(looks, axis=0) >= threshold)
            judged = looks[1][np.isfinite(looks[1])]
            bound += list(np.exp(np.minimum(judged - threshold, 0)))
        said = f"{accuracy[0]} to {accuracy[1]}" + (", hard items" if difficulty else "")
        yield (
            f"{name:22}{words:14}{said:22}{len(ever):7}{np.mean(ever):9.4f}{np.mean(bound):9.4f}"
        )
    odds = f"odds after about {FIRST + STEP} labels / {CONFIG.random_odds:g}"
    yield f"bound: mean of min(1, {odds}), see random_test"
    yield "hard items: the logit of being right varies between items with standard deviation 1"


def copy_rates(rng: np.random.Generator, runs: int) -> Iterator[str]:
    """Pairs found, and honest people suspected."""
    yield f"copies: person 0 copies a share of person 1's labels ({runs // 2} runs each)"
    yield f"{'':22}{'shared':>7}{'hard items':>12}{'all':>7}{'3 of 4':>8}{'half':>7}{'honest':>9}"
    for name, (people, each) in (*TEAMS.items(), ("3 others, 40 people", (40, 4))):
        for labels, difficulty in ((90, 0.0), (300, 0.0), (1500, 0.0), (1500, 1.0)):
            hits, false, shared = [], [], 0.0
            for share in (1.0, 0.75, 0.5):
                teams = [Team(rng, people, each, ANY, difficulty) for _ in range(runs // 2)]
                found = [_copied(team, labels, share) for team in teams]
                hits.append(np.mean([hit for hit, _, _ in found]))
                false.append(np.mean([wrong for _, wrong, _ in found]))
                shared = float(np.mean([items for _, _, items in found]))
            cells = f"{hits[0]:7.2f}{hits[1]:8.2f}{hits[2]:7.2f}"
            yield (
                f"{name:22}{shared:7.0f}{'yes' if difficulty else 'no':>12}"
                f"{cells}{np.mean(false):9.4f}"
            )
    yield "shared: answers that both gave; honest: share of the other people flagged"


def _copied(team: Team, labels: int, share: float) -> tuple[bool, float, int]:
    """Whether the pair is flagged, share of the others who are, and answers the pair shares."""
    said = team.label(labels, PREVALENCES["0.2 0.5 0.8"])
    question = said.item * DIMENSIONS + said.dimension
    source = np.full(question.max() + 1, -1)
    source[question[said.annotator == 1]] = said.passed[said.annotator == 1]
    copied = (
        (said.annotator == 0) & (source[question] >= 0) & (team.rng.random(len(question)) < share)
    )
    said.passed[copied] = source[question[copied]] == 1
    rows = copies(answers_of(said), CONFIG.level, CONFIG.copied_share).to_pylist()
    pair = {"a000", "a001"}
    mine = [row for row in rows if {row["annotator_a"], row["annotator_b"]} == pair]
    wrong = {
        name
        for row in rows
        if row["flagged"] and row not in mine
        for name in (row["annotator_a"], row["annotator_b"])
    }
    items = mine[0]["items"] if mine else 0
    return bool(mine and mine[0]["flagged"]), len(wrong - pair) / (team.people - 2), items


def drift_rates(rng: np.random.Generator, runs: int) -> Iterator[str]:
    """Steady people with a signal in 20 periods, and drops found."""
    size, periods = CONFIG.period, 20
    yield f"drifts: {size} labels a period, {DIMENSIONS} dimensions, gold and leave-one-out charts"
    yield "steady for 20 periods: share of people flagged, by accuracy"
    for accuracy in (0.75, 0.85, 0.95):
        flagged = [_drifts(rng, [accuracy] * periods, 2 * DIMENSIONS) for _ in range(20 * runs)]
        yield f"  {accuracy}: {np.mean(flagged):.4f} of {len(flagged)}"
    words = "share of charts with a signal within the next 5"
    yield f"a drop after 10 periods: {words} ({2 * runs} runs)"
    for before, after in ((0.9, 0.8), (0.9, 0.7), (0.9, 0.6), (0.8, 0.65), (0.8, 0.5)):
        flagged = [_drifts(rng, [before] * 10 + [after] * 5, 1) for _ in range(2 * runs)]
        yield f"  {before} to {after}: {np.mean(flagged):.2f}"


def _drifts(rng: np.random.Generator, accuracy: list[float], charts: int) -> bool:
    """Whether any chart of a person of this accuracy in each period signals."""
    share = np.repeat(accuracy, CONFIG.period)
    signals = []
    for kind in ("gold", "leave_one_out"):
        count = max(charts // 2, 1) if kind == "gold" or charts > 1 else 0
        right = rng.random((count, len(share))) < share
        when = np.tile(np.arange(len(share)), count)
        dimension = np.repeat(np.arange(count), len(share))
        signals.append(Checks(np.zeros_like(when), dimension, right.ravel(), when, when))
    answers = answers_of(Team(rng, 1, 1).label(DIMENSIONS, (0.5,) * DIMENSIONS))
    checks = dict(zip(("gold", "leave_one_out"), signals, strict=True))
    table = drift_charts(checks, answers, size=CONFIG.period, level=CONFIG.level)
    return any(table["signal"].to_pylist())


def main() -> int:
    """Command line. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="soak.annotator_flags")
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help="keep the report in soak/results")
    options = parser.parse_args()
    logging.getLogger("agreement.dawid_skene").setLevel(logging.ERROR)  # stopped early on purpose
    rng = np.random.default_rng(options.seed)
    begin, lines = time.process_time(), [f"seed {options.seed}; {CONFIG}"]
    for part in (random_power, random_honest, copy_rates, drift_rates):
        lines.append("")
        for line in part(rng, options.runs):
            print(line, file=sys.stderr)
            lines.append(line)
    lines += ["", f"{time.process_time() - begin:.0f} s of CPU"]
    keep("annotator_flags", lines, write=options.write)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
