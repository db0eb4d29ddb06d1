"""Dawid-Skene: which label is true, and how often each annotator errs, from labels alone.

Each item is pass with probability `prevalence`; annotator a says pass on a passing item with
probability sensitivity_a and fail on a failing item with probability specificity_a, independently
given the truth (*two coins*; with *one coin*, both are the same accuracy). EM alternates P(pass) of
the items and the annotators' coins, and never lowers the likelihood of the labels times the prior.
Beta priors keep the coins away from 0 and 1 where an annotator gave few labels. Prevalence has
none: two imagined items on either side cost two points of accuracy on 40 items of which 95 % pass,
and win at most one anywhere (measured on simulated batches).

Coins and prevalence are learned from items with two labels or more. A single label says nothing
about who errs, and EM on single labels alone drifts to calling everything pass or everything fail;
such items get their P(pass) from coins learned elsewhere, or from the prior.

Items that got the same labels from the same annotators are one *pattern* with a weight: five
annotators make a few hundred patterns out of any number of items.

Sources: Dawid and Skene (1979), Maximum likelihood estimation of observer error-rates using the EM
algorithm; priors as in Raykar et al. (2010), Learning from crowds; one coin as in Liu, Peng and
Ihler (2012), Variational inference for crowdsourcing.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from agreement.labels import BoolArray, FloatArray, IntArray, canonical_annotators
from warehouse.errors import AgreementError

logger = logging.getLogger(__name__)

EDGE = 1e-10  # probabilities stay this far from 0 and 1, so that logarithms are finite
SURE = 700.0  # log odds beyond which P is 0 in any case, and exp overflows
LARGEST = 2**63 - 1


@dataclass(frozen=True)
class Prior:
    """Pseudo-counts that every coin starts with, and when EM stops.

    The default adds five labels, four of them right. Measured on simulated batches of 40 to 400
    items, 3 of 5 annotators each, 50 to 97 % pass: never more than a point below the majority, and
    up to ten above, where no prior loses up to twelve on 40 items.
    """

    right: float = 4.0
    """Labels in agreement with the truth added to each annotator's, on pass and on fail items."""
    wrong: float = 1.0
    """Labels against the truth added likewise; right = wrong = 0 is maximum likelihood."""
    iterations: int = 1_000
    """At most this many rounds of EM."""
    tolerance: float = 1e-9
    """EM stops when no P(pass) moves by more."""

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing."""
        if not math.inf > self.right >= self.wrong >= 0:
            raise AgreementError(
                f"Dawid-Skene prior right={self.right}, wrong={self.wrong}: give right >= wrong "
                ">= 0; annotators are right more often than wrong"
            )
        if self.iterations < 1 or not self.tolerance > 0:
            raise AgreementError(
                f"Dawid-Skene iterations={self.iterations}, tolerance={self.tolerance}: "
                "both must be above 0"
            )

    @classmethod
    def of(cls, value: Any) -> Prior:
        """Prior from itself, or from a section of a settings file.

        Raises: AgreementError for anything else; TypeError for a field that there is not.

        >>> Prior.of({"right": 9}).right
        9
        """
        if isinstance(value, Prior):
            return value
        if isinstance(value, Mapping):
            return cls(**value)
        raise AgreementError(f"Dawid-Skene prior {value!r}: give right, wrong, ... by name")


@dataclass(frozen=True)
class Fit:
    """P(pass) per item (N,), the two coins per annotator (A,), the share of pass among items."""

    p_pass: FloatArray
    sensitivity: FloatArray
    specificity: FloatArray
    prevalence: float
    iterations: int
    converged: bool


@dataclass(frozen=True)
class _Patterns:
    """U patterns of labels, those with most labels first.

    A label's code is 2 annotator + pass. Column j holds the code of the j-th label of every pattern
    that has more than j labels, which are the first ones.
    """

    weight: FloatArray  # (U,) items with this pattern that teach: 0 for a single label
    columns: list[IntArray]
    codes: int
    of_item: IntArray  # (N,) pattern of each item


@dataclass(frozen=True)
class _Coins:
    sensitivity: FloatArray
    specificity: FloatArray
    prevalence: float


def fit(
    item: IntArray,
    annotator: IntArray,
    passed: BoolArray,
    prior: Prior | None = None,
    *,
    one_coin: bool = False,
) -> Fit:
    """Fit the model by EM, started from each item's share of pass labels.

    item, annotator, passed: (L,) one entry per label; items 0..N-1 and annotators 0..A-1 each have
        a label. An annotator's labels count once per entry.
    one_coin: sensitivity and specificity of an annotator are equal; the prior counts once.
    Returns: where nobody labels an item twice, the same bits for any order of the entries and any
        numbering of the annotators.
    Raises: AgreementError where there are no labels.
    Cost: each round O(labels of distinct patterns).

    >>> item = np.repeat(np.arange(4), 3)
    >>> said = np.array([1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1]) == 1
    >>> fit(item, np.tile(np.arange(3), 4), said).p_pass.round(2)
    array([0.99, 0.92, 0.01, 0.08])
    """
    if not len(item):
        raise AgreementError("Dawid-Skene: no labels; ingest design labels first")
    prior = prior or Prior()
    rank = canonical_annotators(item, annotator, passed)
    patterns = _patterns(item, 2 * rank[annotator] + passed, 2 * len(rank))
    shares, coins, rounds, moved = _em(patterns, prior, one_coin=one_coin)
    if converged := moved <= prior.tolerance:
        logger.debug("Dawid-Skene converged after %d rounds", rounds)
    else:
        logger.warning("Dawid-Skene still moved by %.1e after %d rounds", moved, rounds)
    return Fit(
        shares[patterns.of_item],
        coins.sensitivity[rank],
        coins.specificity[rank],
        coins.prevalence,
        rounds,
        converged,
    )


def _em(
    patterns: _Patterns, prior: Prior, *, one_coin: bool
) -> tuple[FloatArray, _Coins, int, float]:
    """P(pass) per pattern, coins, rounds done, and the last round's largest move."""
    says_pass = np.arange(patterns.codes) % 2
    p = _per_pattern(patterns, says_pass) / _per_pattern(patterns, np.ones(patterns.codes))
    moved, rounds = np.inf, 0
    coins = _maximise(patterns, p, prior, one_coin=one_coin)
    while moved > prior.tolerance and rounds < prior.iterations:
        before, p = p, _expect(patterns, coins)
        coins = _maximise(patterns, p, prior, one_coin=one_coin)
        moved, rounds = float(np.abs(p - before).max()), rounds + 1
    return p, coins, rounds, moved


def _expect(patterns: _Patterns, coins: _Coins) -> FloatArray:
    """P(pass) per pattern given the coins: (U,)."""
    evidence = np.empty(patterns.codes)
    evidence[1::2] = np.log(coins.sensitivity) - np.log1p(-coins.specificity)
    evidence[0::2] = np.log1p(-coins.sensitivity) - np.log(coins.specificity)
    odds = _per_pattern(patterns, evidence)
    odds += np.log(coins.prevalence) - np.log1p(-coins.prevalence)
    p: FloatArray = 1 / (1 + np.exp(np.minimum(-odds, SURE)))
    return p


def _maximise(patterns: _Patterns, p: FloatArray, prior: Prior, *, one_coin: bool) -> _Coins:
    """Coins given P(pass) per pattern."""
    on_pass, on_fail = patterns.weight * p, patterns.weight * (1 - p)
    passing, failing = _per_code(patterns, on_pass), _per_code(patterns, on_fail)
    right_on_pass, wrong_on_pass = passing[1::2], passing[0::2]
    right_on_fail, wrong_on_fail = failing[0::2], failing[1::2]
    if one_coin:
        right_on_pass = right_on_fail = right_on_pass + right_on_fail
        wrong_on_pass = wrong_on_fail = wrong_on_pass + wrong_on_fail
    return _Coins(
        _coin(right_on_pass, wrong_on_pass, prior),
        _coin(right_on_fail, wrong_on_fail, prior),
        float(_share(on_pass.sum(keepdims=True), on_fail.sum(keepdims=True))[0]),
    )


def _per_pattern(patterns: _Patterns, value: FloatArray | IntArray) -> FloatArray:
    """Sum of the values of each pattern's codes: (U,)."""
    sums = np.zeros(len(patterns.weight))
    for column in patterns.columns:
        sums[: len(column)] += value[column]
    return sums


def _per_code(patterns: _Patterns, value: FloatArray) -> FloatArray:
    """Sum of the values of the patterns that hold each code: (codes,)."""
    sums = np.zeros(patterns.codes)
    for column in patterns.columns:
        sums += np.bincount(column, value[: len(column)], patterns.codes)
    return sums


def _coin(right: FloatArray, wrong: FloatArray, prior: Prior) -> FloatArray:
    """Probability of a right answer."""
    return _share(right + prior.right, wrong + prior.wrong)


def _share(part: FloatArray, rest: FloatArray) -> FloatArray:
    """Share of the part in the whole, inside the edges; 1/2 of nothing."""
    whole = part + rest
    share = np.divide(part, whole, out=np.full(len(part), 0.5), where=whole > 0)
    clipped: FloatArray = np.clip(share, EDGE, 1 - EDGE)
    return clipped


def _patterns(item: IntArray, code: IntArray, codes: int) -> _Patterns:
    """Items with the same labels put together, in an order that depends on the labels alone."""
    keys = np.sort(item * codes + code)
    item, code = keys // codes, keys % codes
    count = np.bincount(item)
    assert count.all(), "items must be numbered without gaps"
    starts = np.cumsum(count) - count
    of_item = np.empty(len(count), dtype=np.int64)
    blocks: list[IntArray] = []
    for n in np.unique(count)[::-1]:
        items = np.flatnonzero(count == n)
        rows = code[starts[items][:, None] + np.arange(n)]
        first, group = _equal_rows(rows, codes)
        of_item[items] = group + sum(map(len, blocks))
        blocks.append(rows[first])
    columns = [
        np.concatenate([block[:, j] for block in blocks if block.shape[1] > j])
        for j in range(blocks[0].shape[1])
    ]
    weight = np.bincount(of_item).astype(np.float64)
    weight[len(columns[1]) if len(columns) > 1 else 0 :] = 0  # patterns of a single label
    return _Patterns(weight, columns, codes, of_item)


def _equal_rows(rows: IntArray, width: int) -> tuple[IntArray, IntArray]:
    """First row of each group of equal rows, and each row's group; groups in ascending order.

    rows: (N, n) numbers below width. As many columns as an int64 can hold are compared at once.
    """
    key, span = rows[:, 0], width
    for column in rows.T[1:]:
        if span > LARGEST // width:
            key, span = np.unique(key, return_inverse=True)[1], len(rows)
        key, span = key * width + column, span * width
    _, first, group = np.unique(key, return_index=True, return_inverse=True)
    return first, group
