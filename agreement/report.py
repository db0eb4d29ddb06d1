"""From the labels table to rows: agreement by dimension and slice, annotators, what counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from agreement import bootstrap
from agreement.annotators import annotator_rows
from agreement.dawid_skene import Prior
from agreement.labels import Coded, IntArray, check, code, item_values, labels_digest
from agreement.rows import contract_table
from agreement.statistics import (
    Histogram,
    cluster_cells,
    grouped_histograms,
    landis_koch,
    measure,
)
from warehouse.digest import table_digest, value_digest
from warehouse.errors import AgreementError

Unit = Literal["item", "prompt"]


@dataclass(frozen=True)
class MeasureConfig:
    """What is measured, and how intervals are made."""

    slices: tuple[str, ...] = ("generator",)
    """Columns of the labels table, facts about items: each value becomes a slice beside `all`."""
    unit: Unit = "item"
    """What the bootstrap draws: single items, or prompts with all their items."""
    replicates: int = bootstrap.REPLICATES
    """Bootstrap replicates behind each interval."""
    seed: int = 0
    """Of the bootstrap; every slice starts from it, so slices do not change each other."""
    level: float = bootstrap.LEVEL
    """Of the interval."""
    prior: Prior = field(default_factory=Prior)
    """Of the coins that Dawid-Skene gives each annotator."""

    def __post_init__(self) -> None:
        """Refuse what cannot be measured; the bootstrap checks its own numbers."""
        object.__setattr__(self, "prior", Prior.of(self.prior))
        if self.unit not in ("item", "prompt"):
            raise AgreementError(f"bootstrap unit {self.unit!r}: take item or prompt")
        if len(set(self.slices)) < len(self.slices) or not isinstance(self.slices, tuple):
            raise AgreementError(f"slices {self.slices!r}: give a list that names each column once")
        bootstrap.check(self.replicates, self.level, self.seed)


@dataclass(frozen=True)
class Report:
    """Rows of the contracts `agreement` and `annotators` without observed_at, and a summary.

    summary: dimension, role, labels, corrected: how many labels there are in each role, and how
        many of those were corrected at least once. Only role design was measured.
    """

    agreement: pa.Table
    annotators: pa.Table
    summary: pa.Table


def agreement_report(
    labels: pa.Table,
    config: MeasureConfig | None = None,
    dimensions: Sequence[str] = (),
) -> Report:
    """Measure agreement on the design labels.

    labels: the view `labels`; with further columns where config.slices names some.
    dimensions: those to report even where nobody gave a label; the labels' own come anyway.
    Returns: the same for any order of the rows; a measurement_id that does not depend on ids.
    Raises: AgreementError for labels that cannot be counted, or slices that are no item facts.
    """
    config = config or MeasureConfig()
    columns = dict.fromkeys([*config.slices, *_cluster_columns(config), "seconds"])
    coded = code(labels, list(columns))
    names = sorted({*coded.dimensions, *dimensions})
    identity = value_digest({"labels": _content(coded, config), "dimensions": names})
    groupings = _groupings(coded, config)
    rows = [
        {"measurement_id": identity, "dimension": dimension, **row}
        for dimension in names
        for part in _slices(coded, dimension, groupings, config)
        for row in _slice_rows(part, config)
    ]
    people = [{"measurement_id": identity, **row} for row in annotator_rows(coded, config.prior)]
    return Report(
        contract_table("agreement", rows),
        contract_table("annotators", people),
        label_summary(labels),
    )


def label_summary(labels: pa.Table) -> pa.Table:
    """Labels per dimension and role, and how many of them were corrected.

    labels: the view `labels`.
    Returns: dimension, role, labels, corrected, in this order of rows.

    >>> row = {"item_id": "v", "dimension": "shape", "annotator_id": "a", "value": "pass"}
    >>> rows = [{**row, "role": "design", "changed": True}, {**row, "role": "gold"}]
    >>> label_summary(pa.Table.from_pylist(rows)).drop(["dimension"]).to_pylist()
    [{'role': 'design', 'labels': 1, 'corrected': 1}, {'role': 'gold', 'labels': 1, 'corrected': 0}]
    """
    check(labels, ["changed"])
    changed = pc.fill_null(labels["changed"], fill_value=False)
    plain = labels.select(["dimension", "role"]).append_column("changed", changed)
    grouped = plain.group_by(["dimension", "role"])
    summary = grouped.aggregate([("changed", "count"), ("changed", "sum")])
    summary = summary.rename_columns(["dimension", "role", "labels", "corrected"])
    return summary.cast(SUMMARY).sort_by([("dimension", "ascending"), ("role", "ascending")])


class _Grouping(NamedTuple):
    """Items cut into slices: slice names (S,), and the slice of each item (N,), -1 for none."""

    names: list[str]
    group: IntArray


class _Slice(NamedTuple):
    """Labels of one dimension on the items of one slice."""

    name: str
    histogram: Histogram
    annotators: int
    clusters: IntArray | None  # (P, C), see bootstrap_intervals


def _cluster_columns(config: MeasureConfig) -> list[str]:
    return ["prompt_id"] if config.unit == "prompt" else []


def _content(coded: Coded, config: MeasureConfig) -> dict[str, object]:
    """Everything that the numbers depend on, apart from the ids of annotators."""
    facts = {
        column: table_digest(
            coded.table.select(["item_id", column]).group_by(["item_id", column]).aggregate([]),
            ["item_id", column],
        )
        for column in (*config.slices, *_cluster_columns(config))
    }
    return {"labels": labels_digest(coded), "facts": facts, "config": asdict(config)}


def _groupings(coded: Coded, config: MeasureConfig) -> list[_Grouping]:
    groupings = [_Grouping(["all"], np.zeros(len(coded.items), dtype=np.int64))]
    for column in config.slices:
        values, group = item_values(coded, column)
        groupings.append(_Grouping([f"{column}={value}" for value in values], group))
    return groupings


def _slices(
    coded: Coded, dimension: str, groupings: list[_Grouping], config: MeasureConfig
) -> Iterator[_Slice]:
    counts = _counts(coded, dimension)
    prompts = item_values(coded, "prompt_id")[1] if config.unit == "prompt" else None
    for names, group in groupings:
        histograms = grouped_histograms(counts, group, len(names))
        annotators = _annotators(coded, dimension, group, len(names))
        for position, name in enumerate(names):
            part = histograms[position]
            member = (group == position) & (counts.sum(axis=1) > 0)
            clusters = None
            if prompts is not None:
                clusters = cluster_cells(part, counts[member], prompts[member])
            yield _Slice(name, part, int(annotators[position]), clusters)


def _counts(coded: Coded, dimension: str) -> IntArray:
    if dimension not in coded.dimensions:
        return np.zeros((len(coded.items), 2), dtype=np.int64)
    counts: IntArray = coded.counts[coded.dimensions.index(dimension)]
    return counts


def _annotators(coded: Coded, dimension: str, group: IntArray, groups: int) -> IntArray:
    """Number of annotators who gave labels in each slice: (S,)."""
    if dimension not in coded.dimensions:
        return np.zeros(groups, dtype=np.int64)
    rows = coded.dimension == coded.dimensions.index(dimension)
    slices, people = group[coded.item[rows]], coded.annotator[rows]
    width = len(coded.annotators)
    met = np.bincount(((slices + 1) * width + people), minlength=(groups + 1) * width)
    distinct: IntArray = np.count_nonzero(met.reshape(groups + 1, width)[1:], axis=1)
    return distinct


def _slice_rows(part: _Slice, config: MeasureConfig) -> Iterator[dict[str, Any]]:
    intervals = bootstrap.bootstrap_intervals(
        part.histogram,
        part.clusters,
        replicates=config.replicates,
        seed=config.seed,
        level=config.level,
    )
    for statistic, measured in measure(part.histogram).items():
        interval = intervals[statistic]
        known = measured.value is not None
        value = None if measured.value is None else float(measured.value)
        worded = statistic in ("alpha", "kappa") and measured.value is not None
        yield {
            "slice": part.name,
            "statistic": statistic,
            "value": value,
            "low": interval.low if known else None,
            "high": interval.high if known else None,
            "reason": measured.reason or interval.reason,
            "word": landis_koch(measured.value) if worded and measured.value is not None else None,
            "items": int(part.histogram.items.sum()),
            "labels": part.histogram.labels,
            "annotators": part.annotators,
        }


SUMMARY = pa.schema(
    [
        pa.field("dimension", pa.string(), nullable=False),
        pa.field("role", pa.string(), nullable=False),
        pa.field("labels", pa.int64(), nullable=False),
        pa.field("corrected", pa.int64(), nullable=False),
    ]
)
