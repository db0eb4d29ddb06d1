"""Answers of both tasks in one shape: Pass or Fail of an item, a category of a pair of items."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from agreement.labels import FloatArray, IntArray, check_columns, code, item_values, number
from agreement.report import Unit
from agreement.statistics import Histogram, cluster_cells, histogram
from warehouse.contracts import LABELS
from warehouse.errors import AgreementError

SINGLE, PAIRED = "single_item", "comparison"
COLUMNS = ("item_a", "item_b", "dimension", "annotator_id", "category")
PROMPTS = ("prompt_id", "other_prompt_id")
LARGEST_KEY = 2**62  # statistics.histogram writes a cell as one integer
TEXT = pa.string()


@dataclass(frozen=True)
class Task:
    """L answers of one task in one dimension, on N units: items, or pairs of items."""

    name: str
    categories: tuple[str, ...]
    unit: IntArray
    """(L,) from 0 to N - 1; each unit has an answer."""
    category: IntArray
    """(L,) positions in `categories`."""
    people: frozenset[str]
    """Who answered."""
    prompts: pa.Array | None
    """(N,) prompt of each unit, where they are asked for."""

    @cached_property
    def counts(self) -> IntArray:
        """(N, K) answers per unit and category.

        Raises: AgreementError where there are too many categories to count.
        """
        k = len(self.categories)
        found = np.bincount(self.unit * k + self.category, minlength=self._units * k)
        counts = found.reshape(self._units, k)
        if math.prod((counts.max(axis=0, initial=0) + 1).tolist()) >= LARGEST_KEY:
            raise AgreementError(
                f"{k} categories with up to {counts.max()} equal answers to one pair are too many"
                " to count; merge some of them before they are taken in"
            )
        return counts

    @property
    def _units(self) -> int:
        return int(self.unit.max(initial=-1)) + 1

    @cached_property
    def histogram(self) -> Histogram:
        """Sufficient for every statistic."""
        return histogram(self.counts)

    @cached_property
    def moments(self) -> FloatArray:
        """(C, F) what one unit of each cell adds, see Histogram.moments."""
        return np.array(self.histogram.moments, dtype=np.float64)

    def clusters(self, prompt: IntArray, total: int) -> IntArray:
        """(total, C) units of each prompt in each cell. prompt: (N,) from 0 to total - 1."""
        cells = np.zeros((total, len(self.histogram.items)), dtype=np.int64)
        cells[np.unique(prompt)] = cluster_cells(self.histogram, self.counts, prompt)
        return cells


def single_task(labels: pa.Table, unit: Unit) -> Task:
    """Design labels of one dimension.

    labels: the view `labels`. unit: `prompt` takes each item's prompt along.
    Raises: AgreementError for labels that cannot be counted.
    """
    coded = code(labels, ["prompt_id"] if unit == "prompt" else [])
    prompts = None
    if unit == "prompt":
        names, prompt = item_values(coded, "prompt_id")
        prompts = pa.array(names, TEXT).take(pa.array(prompt))
    people = frozenset(coded.annotators.to_pylist())
    return Task(SINGLE, LABELS, coded.item, (~coded.passed).astype(np.int64), people, prompts)


def paired_task(judgements: pa.Table, categories: Sequence[str], unit: Unit) -> Task:
    """Judgements of one dimension.

    judgements: the view `judgements`. categories: what may be said of a pair.
    unit: `prompt` takes the prompt along that both items of a pair are of.
    Raises: AgreementError for judgements that cannot be counted, or have no such prompt.
    """
    check_judgements(judgements)
    _check_categories(judgements, categories)
    (_, a), (_, b) = (number(judgements[name]) for name in ("item_a", "item_b"))
    _, first, pair = np.unique(
        a * (int(b.max(initial=0)) + 1) + b, return_index=True, return_inverse=True
    )
    _, person = number(judgements["annotator_id"])
    _check_once(pair, person)
    category = pc.index_in(judgements["category"], pa.array(categories, TEXT))
    prompts = None
    if unit == "prompt":
        _check_prompts(judgements)
        prompts = judgements["prompt_id"].take(pa.array(first)).combine_chunks()
    people = frozenset(judgements["annotator_id"].unique().to_pylist())
    choice = category.cast(pa.int64()).to_numpy()
    return Task(PAIRED, tuple(categories), pair, choice, people, prompts)


def check_judgements(judgements: pa.Table) -> None:
    """Refuse judgements that lack a column, or a value in one.

    Raises: AgreementError.
    """
    check_columns(judgements, "comparisons", COLUMNS, advice="pass the view `judgements`")


def _check_categories(judgements: pa.Table, categories: Sequence[str]) -> None:
    known = pc.is_in(judgements["category"], value_set=pa.array(categories, TEXT))
    _refuse(
        judgements,
        pc.invert(known),
        f"hold a category outside {', '.join(categories)}",
        "name it in soli.toml, section comparisons",
    )


def _check_once(pair: IntArray, person: IntArray) -> None:
    answered = np.unique(pair * (int(person.max(initial=0)) + 1) + person)
    if twice := len(pair) - len(answered):
        raise AgreementError(
            f"comparisons: {twice} of {len(pair)} rows repeat an annotator's judgement of a pair;"
            " pass the view `judgements`, which holds the newest only"
        )


def _check_prompts(judgements: pa.Table) -> None:
    """Refuse pairs that belong to no prompt, or to two."""
    a, b = (judgements[name] for name in PROMPTS)
    unknown = pc.or_(pc.is_null(a), pc.is_null(b))
    apart = pc.fill_null(pc.not_equal(a, b), fill_value=False)
    why = "so that prompts cannot be drawn with their pairs"
    items = "let the bootstrap draw items (--unit item)"
    add = f"add them with `soli annotate items`, or {items}"
    _refuse(judgements, unknown, f"are of items that are not known here, {why}", add)
    _refuse(judgements, apart, f"compare items of two prompts, {why}", items)


def _refuse(judgements: pa.Table, mask: pa.ChunkedArray, words: str, advice: str) -> None:
    """Refuse judgements of which some are masked, naming the first."""
    wrong = judgements.filter(mask)
    if wrong.num_rows:
        first = wrong.slice(0, 1).to_pylist()[0]
        raise AgreementError(
            f"comparisons: {wrong.num_rows} of {judgements.num_rows} judgements {words} (first:"
            f" {first['category']!r} of {first['item_a']} and {first['item_b']}); {advice}"
        )
