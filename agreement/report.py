"""From tallies of the labels to rows: agreement by dimension and slice, and what counted."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import pyarrow as pa

from agreement import bootstrap
from agreement.labels import IntArray, check
from agreement.rows import contract_table, statistic_rows
from agreement.slices import Slice, slices_of
from agreement.statistics import Measured, measure
from warehouse.digest import table_digest, value_digest
from warehouse.errors import AgreementError
from warehouse.tallies import Tallies, tally_table

Unit = Literal["item", "prompt"]
SLICES = ("generator", "week")


@dataclass(frozen=True)
class MeasureConfig:
    """What is measured, and how intervals are made."""

    slices: tuple[str, ...] = SLICES
    """Beside `all`: project, batch, week, generator, attribute.NAME, attributes, annotator,
    annotator_pair; each value makes a slice."""
    unit: Unit = "item"
    """What the bootstrap draws: single items, or prompts with all their items."""
    replicates: int = bootstrap.REPLICATES
    """Bootstrap replicates behind each interval."""
    seed: int = 0
    """Of the bootstrap; every slice starts from it, so slices do not change each other."""
    level: float = bootstrap.LEVEL
    """Of the interval."""

    def __post_init__(self) -> None:
        """Refuse what cannot be measured; the bootstrap checks its own numbers."""
        if self.unit not in ("item", "prompt"):
            raise AgreementError(f"bootstrap unit {self.unit!r}: take item or prompt")
        if len(set(self.slices)) < len(self.slices) or not isinstance(self.slices, tuple):
            raise AgreementError(f"slices {self.slices!r}: give a list that names each slice once")
        bootstrap.check(self.replicates, self.level, self.seed)

    @property
    def by_prompt(self) -> bool:
        """Whether prompts are tallied apart."""
        return self.unit == "prompt"


@dataclass(frozen=True)
class Report:
    """What was measured.

    agreement: rows of the contract `agreement`, without observed_at.
    summary: dimension, role, labels, corrected: how many labels there are in each role, and how
        many of those were corrected at least once. Only role design was measured.
    pairs: what two annotators said about the items of both, see `Tallies`.
    """

    agreement: pa.Table
    summary: pa.Table
    pairs: pa.Table


def agreement_report(
    labels: pa.Table,
    config: MeasureConfig | None = None,
    dimensions: Sequence[str] = (),
) -> Report:
    """Measure agreement on the design labels of a table.

    labels: the view `labels`, with a further column for each fact that config.slices names; of the
        default slices, those that are columns are taken.
    dimensions: as `report_of`, and so is what is returned.
    Raises: AgreementError for labels that cannot be counted, or slices that are no item facts.
    """
    config = config or MeasureConfig()
    check(labels, ["changed", *(["prompt_id"] if config.by_prompt else [])])
    slices = config.slices
    if slices == SLICES:
        slices = tuple(name for name in slices if name in labels.column_names)
    return report_of(tally_table(labels, slices, by_prompt=config.by_prompt), config, dimensions)


def report_of(tallies: Tallies, config: MeasureConfig, dimensions: Sequence[str] = ()) -> Report:
    """Measure agreement on tallied labels.

    tallies: of the slices that the config names, by prompt where its unit is prompt.
    dimensions: those to report even where nobody gave a label; the labels' own come anyway.
    Returns: the same for any order of the labels; the names of annotators stand in slices about
        them, and nothing else depends on them.
    """
    names = sorted({*tallies.cells["dimension"].to_pylist(), *dimensions})
    identity = value_digest({**_content(tallies), "config": asdict(config), "dimensions": names})
    numbers = _numbers_by(config)
    rows = [
        {"measurement_id": identity, "unit": config.unit, **row}
        for part in slices_of(tallies, names, by_prompt=config.by_prompt)
        for row in _rows(part, numbers(part))
    ]
    return Report(contract_table("agreement", rows), tallies.roles, tallies.pairs)


def _content(tallies: Tallies) -> dict[str, object]:
    """Everything that the numbers depend on, apart from the config."""
    tables = {"cells": tallies.cells, "annotators": tallies.annotators}
    digests = {name: table_digest(table, table.column_names) for name, table in tables.items()}
    return {**digests, "slicings": list(tallies.slicings)}


class _Numbers(NamedTuple):
    """Every statistic of a histogram, with its interval."""

    measured: dict[str, Measured]
    intervals: dict[str, bootstrap.Interval]


def _numbers_by(config: MeasureConfig) -> Callable[[Slice], _Numbers]:
    """What a slice is measured with; equal histograms are measured once.

    Of thousands of pairs of annotators, many have the same few items in the same three cells.
    """
    known: dict[bytes, _Numbers] = {}

    def numbers(part: Slice) -> _Numbers:
        of_slice = part.histogram
        arrays = (of_slice.cells, of_slice.items, of_slice.own, part.clusters)
        content = _fingerprint(arrays)
        if content not in known:
            intervals = bootstrap.bootstrap_intervals(
                of_slice,
                part.clusters,
                replicates=config.replicates,
                seed=config.seed,
                level=config.level,
            )
            known[content] = _Numbers(measure(of_slice), intervals)
        return known[content]

    return numbers


def _fingerprint(arrays: Iterable[IntArray | None]) -> bytes:
    """SHA-256 of the arrays' shapes and values; clusters of many prompts are large."""
    sha = hashlib.sha256()
    for array in arrays:
        sha.update(b"none" if array is None else repr(array.shape).encode() + array.tobytes())
    return sha.digest()


def _rows(part: Slice, numbers: _Numbers) -> Iterator[dict[str, Any]]:
    facts = {
        "dimension": part.dimension,
        "slice": part.name,
        "items": int(part.histogram.items.sum()),
        "labels": part.histogram.labels,
        "annotators": part.annotators,
    }
    return (facts | row for row in statistic_rows(numbers.measured, numbers.intervals))
