"""Two ways of annotating side by side: one item at a time (Pass/Fail), and two items compared.

Both are measured by the same statistics, and so is how much one has more than the other. Chance
agreement of the comparisons rests on how often each category was chosen, the item whose id comes
first being A: where ids tell which generator an item is of, A and B are chosen unequally.
Source: the SoliReward paper, Table 1, which has both of five annotators.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from agreement.answers import (
    PAIRED,
    SINGLE,
    TEXT,
    Task,
    check_judgements,
    paired_task,
    single_task,
)
from agreement.bootstrap import TOO_FEW, bootstrap_intervals, moment_sums, resampled
from agreement.labels import FloatArray, check, number
from agreement.report import MeasureConfig
from agreement.rows import statistic_rows
from agreement.statistics import measure, replicate_values
from warehouse.errors import AgreementError

COMPARED = ("alpha", "kappa", "ac1", "raw")

Row = dict[str, Any]


def _schema(numbers: str, texts: str, counts: str) -> pa.Schema:
    kinds = ((texts, TEXT), (numbers, pa.float64()), (counts, pa.int64()))
    return pa.schema([(name, kind) for names, kind in kinds for name in names.split()])


TASKS = _schema("value low high", "dimension task statistic reason word", "items labels annotators")
DIFFERENCES = _schema("value low high", "dimension statistic reason", "shared_annotators")
ANSWERS = _schema("share", "dimension task category", "labels")


@dataclass(frozen=True)
class Compared:
    """What both tasks say of each dimension that was judged in both."""

    tasks: pa.Table
    """One row per dimension, task and statistic: value, low, high, reason, word, items, labels,
    annotators. An item of the task `comparison` is a pair; prevalence is the first category's."""
    differences: pa.Table
    """One row per dimension and statistic: value (single items minus comparisons), low, high,
    reason, and shared_annotators, the number of people who did both."""
    answers: pa.Table
    """One row per dimension, task and category: labels, share."""
    alone: dict[str, str]
    """Dimensions that were judged in one task only -> that task."""


def compare(
    labels: pa.Table,
    judgements: pa.Table,
    categories: Sequence[str],
    config: MeasureConfig | None = None,
    dimensions: Sequence[str] = (),
) -> Compared:
    """Agreement of Pass/Fail labels, of comparisons, and the difference, each with its interval.

    labels: the view `labels`; design labels count. judgements: the view `judgements`.
    categories: what may be said of a pair, A better and B better first. One that nobody chose
        still counts in AC1's chance agreement.
    config: its unit, replicates, seed and level. With unit `item` a replicate draws items for one
        task and pairs for the other, independently; with `prompt` it draws prompts once, each with
        its items and its pairs: the same prompts stand behind both.
    dimensions: those to compare; none: every one that both tasks judged.
    Raises: AgreementError where no dimension, or not each one asked for, was judged in both; for
        categories that are not named; with unit `prompt`, for pairs that are not of one prompt.
    """
    config = config or MeasureConfig()
    names, alone = _overlap(labels, judgements, dimensions)
    tasks: list[Row] = []
    differences: list[Row] = []
    answers: list[Row] = []
    for name in names:
        single = single_task(_of(labels, name), config.unit)
        paired = paired_task(_of(judgements, name), categories, config.unit)
        for task in (single, paired):
            tasks += _under(name, _task_rows(task, config))
            answers += _under(name, _answer_rows(task))
        differences += _under(name, _difference_rows(single, paired, config))
    return Compared(
        pa.Table.from_pylist(tasks, TASKS),
        pa.Table.from_pylist(differences, DIFFERENCES),
        pa.Table.from_pylist(answers, ANSWERS),
        alone,
    )


def _overlap(
    labels: pa.Table, judgements: pa.Table, asked: Sequence[str]
) -> tuple[list[str], dict[str, str]]:
    """Dimensions to compare, in ascending order; those of one task only, with the task."""
    check(labels)
    check_judgements(judgements)
    design = labels.filter(pc.equal(labels["role"], "design"))
    one, two = (set(table["dimension"].to_pylist()) for table in (design, judgements))
    wanted = set(asked) or one & two
    lacking = sorted(wanted - (one & two))
    if lacking or not wanted:
        what = f"dimension {', '.join(lacking)} was not" if lacking else "no dimension was"
        known = [", ".join(sorted(names)) or "no dimension" for names in (one, two)]
        raise AgreementError(
            f"compare: {what} judged in both tasks. Design labels are of {known[0]}; comparisons of"
            f" {known[1]}. Correct the dimension's name, or take in what is missing (`soli ingest`,"
            " `soli ingest --comparisons FILE`)"
        )
    alone = dict.fromkeys(one - two, SINGLE) | dict.fromkeys(two - one, PAIRED)
    return sorted(wanted), dict(sorted(alone.items()))


def _of(table: pa.Table, dimension: str) -> pa.Table:
    return table.filter(pc.equal(table["dimension"], dimension))


def _under(dimension: str, rows: Iterator[Row]) -> Iterator[Row]:
    return ({"dimension": dimension, **row} for row in rows)


def _task_rows(task: Task, config: MeasureConfig) -> Iterator[Row]:
    """Rows of `Compared.tasks`."""
    clusters = None
    if task.prompts is not None:
        names, prompt = number(pa.chunked_array([task.prompts]))
        clusters = task.clusters(prompt, len(names))
    intervals = bootstrap_intervals(
        task.histogram,
        clusters,
        replicates=config.replicates,
        seed=config.seed,
        level=config.level,
    )
    facts: Row = {
        "task": task.name,
        "items": len(task.counts),
        "labels": len(task.unit),
        "annotators": len(task.people),
    }
    return (facts | row for row in statistic_rows(measure(task.histogram), intervals))


def _answer_rows(task: Task) -> Iterator[Row]:
    """Rows of `Compared.answers`."""
    given = task.counts.sum(axis=0).tolist()
    for category, labels in zip(task.categories, given, strict=True):
        share = labels / len(task.unit)
        yield {"task": task.name, "category": category, "labels": labels, "share": share}


def _difference_rows(single: Task, paired: Task, config: MeasureConfig) -> Iterator[Row]:
    """Rows of `Compared.differences`."""
    ours, theirs = measure(single.histogram), measure(paired.histogram)
    replicates = _replicates(single, paired, config)
    shared = len(single.people & paired.people)
    for statistic in COMPARED:
        row: Row = {"statistic": statistic, "shared_annotators": shared}
        one, two = ours[statistic], theirs[statistic]
        if one.value is None or two.value is None:
            reasons = ((single, one.reason), (paired, two.reason))
            row["reason"] = "; ".join(f"{task.name}: {why}" for task, why in reasons if why)
        else:
            row["value"] = float(one.value - two.value)
            row |= _interval(statistic, replicates, config.level)
        yield row


def _interval(
    statistic: str, replicates: tuple[FloatArray, FloatArray] | None, level: float
) -> Row:
    """Percentile interval of a difference, over the replicates in which both tasks are defined."""
    if replicates is None:
        return {"reason": TOO_FEW}
    one, two = (replicate_values(statistic, sums) for sums in replicates)
    values = one - two
    defined = values[~np.isnan(values)]
    undefined = len(values) - len(defined)
    if undefined * 2 > len(values):
        return {"reason": f"undefined in {undefined} of {len(values)} replicates: no interval"}
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return {"low": float(low), "high": float(high)}


def _replicates(
    single: Task, paired: Task, config: MeasureConfig
) -> tuple[FloatArray, FloatArray] | None:
    """Moment sums (R, F) of both tasks in each replicate; None where nothing can be drawn."""
    rng = np.random.default_rng(config.seed)
    if single.prompts is not None and paired.prompts is not None:
        return _by_prompt(single, paired, config.replicates, rng)
    if min(len(single.counts), len(paired.counts)) <= 1:
        return None
    one = resampled(single.moments, single.histogram.items, config.replicates, rng)
    return one, resampled(paired.moments, paired.histogram.items, config.replicates, rng)


def _by_prompt(
    single: Task, paired: Task, replicates: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray] | None:
    """As `_replicates`, each prompt drawn with its items and its pairs."""
    names, prompt = number(pa.chunked_array([single.prompts, paired.prompts]))
    if len(names) <= 1:
        return None
    units, width = len(single.counts), len(single.moments)
    one, two = prompt[:units], prompt[units:]
    cells = np.hstack([single.clusters(one, len(names)), paired.clusters(two, len(names))])
    # Prompts with the same cells are drawn as one kind, as items with the same labels are.
    kinds, prompts = np.unique(cells, axis=0, return_counts=True)
    parts = (
        moment_sums(kinds[:, :width], single.moments),
        moment_sums(kinds[:, width:], paired.moments),
    )
    drawn = resampled(np.hstack(parts), prompts, replicates, rng)
    first, second = np.split(drawn, [parts[0].shape[1]], axis=1)
    return first, second
