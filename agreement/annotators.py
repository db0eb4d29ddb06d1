"""Annotators: how many labels, how good, how fast, and who needs a look.

Items that should be judged again are not listed here: the view `disagreement_queue` has them, and
the consensus' escalation list says which deserve one more label.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from agreement.checks import Checks, gold_checks, peer_checks
from agreement.consensus import AnnotatorCoins, annotator_coins
from agreement.copies import copies
from agreement.drift import drift_charts
from agreement.flags import (
    AnnotatorConfig,
    copy_flags,
    drift_flags,
    fast_flags,
    flag_texts,
    random_flags,
)
from agreement.intervals import wilson
from agreement.labels import Coded, FloatArray, IntArray, code
from agreement.others import Answers, answers_of
from agreement.random_test import random_odds
from agreement.rows import contract_schema

LEAST_SECONDS = 1.0  # nobody sees a video in less
FAST_PART = 0.25  # of the team's median time
Coins = Mapping[tuple[int, int], AnnotatorCoins]


@dataclass(frozen=True)
class AnnotatorReport:
    """What is known of the annotators.

    rows: the contract `annotators` without measurement_id and observed_at, by annotator and
        dimension. drift: control charts, see agreement.drift.SCHEMA. copies: pairs, see
        agreement.copies.SCHEMA.
    """

    rows: pa.Table
    drift: pa.Table
    copies: pa.Table


def annotator_report(labels: pa.Table, config: AnnotatorConfig | None = None) -> AnnotatorReport:
    """Measure the annotators who gave design labels.

    labels: the view `labels`; which gold labels there are, and what they say, is a matter of the
    view's moment. Agreement with others, bias, copies and `random` are of design labels; gold
    accuracy is of all labels but gold ones, on items with a gold label. Lead times are of whole
    annotations: where one page asks for several dimensions, all its labels have the same.
    Returns: the same for any order of the rows and, ids apart, any naming of the annotators.
    Raises: AgreementError for labels that cannot be counted.
    """
    config = config or AnnotatorConfig()
    coded = code(labels, ["seconds", "created_at"])
    answers = answers_of(coded)
    group = _Groups.of(answers)
    coins = by_rank(answers, coded, annotator_coins(coded, config.prior))
    gold = gold_checks(labels, answers)
    checks = {"gold": gold, "leave_one_out": peer_checks(answers, coded)}
    drift = drift_charts(checks, answers, size=config.period, level=config.level)
    pairs = copies(answers, config.level, config.copied_share)
    seconds = _seconds(answers, coded)
    columns = _basics(answers, seconds, group, coins) | _gold(gold, group)
    fast, timed = _too_fast(seconds, answers.dimension, columns["seconds"], group, config)
    columns["fast_share"] = _ratio(fast, timed)
    names = columns["annotator_id"].to_pylist(), columns["dimension"].to_pylist()
    keys = list(zip(*names, strict=True))
    columns["flags"] = flag_texts(
        keys,
        random_flags(answers.people, random_odds(answers, coins), config),
        drift_flags(drift),
        fast_flags(keys, fast, timed, config),
        copy_flags(pairs),
    )
    return AnnotatorReport(_table(columns), drift, pairs)


def group_medians(group: IntArray, values: FloatArray) -> dict[int, float]:
    """Median of each group's values; NaN is no value, and a group without values has no entry.

    >>> group_medians(np.array([0, 0, 1, 0, 2]), np.array([3.0, 1.0, 5.0, 2.0, np.nan]))
    {0: 2.0, 1: 5.0}
    """
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(group[known], kind="stable")]
    groups, starts = np.unique(group[order], return_index=True)
    parts = np.split(values[order], starts[1:])
    return {int(name): float(np.median(part)) for name, part in zip(groups, parts, strict=False)}


class _Groups(NamedTuple):
    """The (person, dimension) that have labels.

    of_label (L,): person * D + dimension. used (G,): those that there are. size: A * D.
    """

    of_label: IntArray
    used: IntArray
    dimensions: int
    size: int

    @classmethod
    def of(cls, answers: Answers) -> _Groups:
        dimensions = len(answers.dimensions)
        of_label = answers.person * dimensions + answers.dimension
        return cls(of_label, np.unique(of_label), dimensions, len(answers.people) * dimensions)

    def numbers(self, of_label: IntArray) -> IntArray:
        """Number of labels in each group: (G,)."""
        return np.bincount(of_label, minlength=self.size)[self.used]


def by_rank(answers: Answers, coded: Coded, coins: Coins) -> Coins:
    """Coins by rank of the person instead of position in Coded."""
    rank = np.empty(len(coded.annotators), dtype=np.int64)
    rank[coded.annotator[answers.row]] = answers.person
    return {(int(rank[person]), place): coin for (person, place), coin in coins.items()}


def _basics(answers: Answers, seconds: FloatArray, group: _Groups, coins: Coins) -> dict[str, Any]:
    """Columns that design labels alone give: (G,) each."""
    person, dimension = np.divmod(group.used, max(group.dimensions, 1))
    pairs = [coins[place] for place in zip(person.tolist(), dimension.tolist(), strict=True)]
    labels = group.numbers(group.of_label)
    passed = group.numbers(group.of_label[answers.passed])
    decided, met = answers.decided, answers.others.sum(axis=1) > 0
    compared = group.numbers(group.of_label[decided])
    alike = group.numbers(group.of_label[answers.agrees])
    low, high = wilson(alike, compared)
    share = answers.others[met, 0] / answers.others[met].sum(axis=1)
    bias = np.bincount(group.of_label[met], answers.passed[met] - share, group.size)[group.used]
    medians = group_medians(group.of_label, seconds)
    return {
        "annotator_id": answers.people.take(pa.array(person)),
        "dimension": pa.array(answers.dimensions, pa.string()).take(pa.array(dimension)),
        "labels": labels,
        "pass_rate": passed / labels,
        "sensitivity": [coin.sensitivity for coin in pairs],
        "specificity": [coin.specificity for coin in pairs],
        "leave_one_out": _ratio(alike, compared),
        "compared": compared,
        "low": _known(low),
        "high": _known(high),
        "pass_bias": _ratio(bias, group.numbers(group.of_label[met])),
        "seconds": [medians.get(place) for place in group.used.tolist()],
    }


def _gold(gold: Checks, group: _Groups) -> dict[str, Any]:
    """Columns on the labels of items whose truth is known."""
    of_label = gold.person * group.dimensions + gold.dimension
    labels, right = group.numbers(of_label), group.numbers(of_label[gold.right])
    low, high = wilson(right, labels)
    return {
        "gold_labels": labels,
        "gold_accuracy": _ratio(right, labels),
        "gold_low": _known(low),
        "gold_high": _known(high),
    }


def _seconds(answers: Answers, coded: Coded) -> FloatArray:
    """Lead time of each label's annotation, NaN where unknown: (L,)."""
    seconds: FloatArray = coded.table["seconds"].cast("float64").to_numpy()[answers.row]
    return seconds


def _too_fast(
    seconds: FloatArray,
    dimension: IntArray,
    medians: list[float | None],
    group: _Groups,
    config: AnnotatorConfig,
) -> tuple[IntArray, IntArray]:
    """Labels that took less than the threshold, and labels whose time is known: (G,) each.

    seconds, dimension: (L,). medians: of each group's seconds (G,).
    A threshold that is not configured comes from the median over people of their medians in the
    dimension, so that those who label most do not set it.
    """
    limit = np.full(group.dimensions, config.fast_seconds or LEAST_SECONDS)
    if config.fast_seconds is None:
        of_group = group.used % max(group.dimensions, 1)
        team = group_medians(of_group, np.array(medians, dtype=np.float64))
        for place, median in team.items():
            limit[place] = max(LEAST_SECONDS, FAST_PART * median)
    known = ~np.isnan(seconds)
    fast = seconds < limit[dimension]
    return group.numbers(group.of_label[fast]), group.numbers(group.of_label[known])


def _ratio(part: IntArray | FloatArray, whole: IntArray) -> pa.Array:
    """Part of the whole, NULL of nothing."""
    return pa.array(part / np.maximum(whole, 1), mask=whole == 0)


def _known(values: FloatArray) -> pa.Array:
    """Values with NULL for NaN."""
    return pa.array(values, mask=np.isnan(values))


def _table(columns: dict[str, Any]) -> pa.Table:
    """Columns in the order of the contract, rows by annotator and dimension."""
    schema = pa.schema([field for field in contract_schema("annotators") if field.name in columns])
    table = pa.table([columns[name] for name in schema.names], schema=schema)
    return table.sort_by([("annotator_id", "ascending"), ("dimension", "ascending")])
