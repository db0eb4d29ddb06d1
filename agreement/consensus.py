"""The decided label of each item: by majority, or by Dawid-Skene.

Design labels decide. The same labels and rules give the same rows, bit for bit, whatever the order
of the labels and the ids of the annotators.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa

from agreement import dawid_skene
from agreement.labels import BoolArray, Coded, FloatArray, IntArray, code, labels_digest
from agreement.rows import contract_schema, contract_table
from warehouse.contracts import LABELS, METHODS
from warehouse.digest import P_DIGITS, value_digest
from warehouse.errors import AgreementError

Method = Literal["majority", "dawid_skene"]
DECISIONS = (*LABELS, "undecided")


@dataclass(frozen=True)
class ConsensusRule:
    """How the labels of an item become its consensus."""

    method: Method = "dawid_skene"
    """majority: P(pass) is the share of pass labels. dawid_skene: labels count by annotator."""
    minimum_votes: int = 2
    """An item with fewer design labels is undecided."""
    pass_at: float = 0.75
    """An item is pass when P(pass) is at least this (Dawid-Skene), above 1/2 (majority)."""
    fail_at: float = 0.25
    """An item is fail when P(pass) is at most this (Dawid-Skene), below 1/2 (majority)."""
    prior: dawid_skene.Prior = field(default_factory=dawid_skene.Prior)
    """Of Dawid-Skene's coins."""

    def __post_init__(self) -> None:
        """Refuse a rule that decides nothing, or both ways."""
        object.__setattr__(self, "prior", dawid_skene.Prior.of(self.prior))
        if self.method not in METHODS:
            raise AgreementError(f"consensus method {self.method!r}: take {' or '.join(METHODS)}")
        if self.minimum_votes < 1:
            raise AgreementError(f"minimum_votes={self.minimum_votes}: give 1 or more")
        if not 0 <= self.fail_at < self.pass_at <= 1:
            raise AgreementError(
                f"thresholds fail_at={self.fail_at}, pass_at={self.pass_at}: "
                "give 0 <= fail_at < pass_at <= 1"
            )


class AnnotatorCoins(NamedTuple):
    """What Dawid-Skene says of one annotator in one dimension."""

    sensitivity: float
    specificity: float


class _Votes(NamedTuple):
    """Labels of one dimension: item and annotator (L,) count from 0 without gaps."""

    items: IntArray  # (N,) positions in Coded.items
    annotators: IntArray  # (A,) positions in Coded.annotators
    item: IntArray
    annotator: IntArray
    passed: BoolArray
    counts: IntArray  # (N, 2) pass and fail labels


def build_consensus(labels: pa.Table, rule: ConsensusRule | None = None) -> pa.Table:
    """Consensus of every item that has a design label, per dimension.

    labels: the view `labels`.
    Returns: rows of the contract `consensus` without observed_at, by dimension and item. An item
        is `undecided` with too few votes, between the thresholds, or at a tie.
    Raises: AgreementError for labels that cannot be counted.

    >>> people, said = list("abc" * 2), ["pass", "pass", "fail", "fail", "fail", "fail"]
    >>> labels = pa.table({"item_id": ["v1"] * 3 + ["v2"] * 3, "dimension": ["shape"] * 6,
    ...     "annotator_id": people, "value": said, "role": ["design"] * 6})
    >>> rows = build_consensus(labels, ConsensusRule(method="majority"))
    >>> rows.select(["item_id", "label", "p_pass", "n_pass", "n_fail"]).to_pylist()[0]
    {'item_id': 'v1', 'label': 'pass', 'p_pass': 0.666667, 'n_pass': 2, 'n_fail': 1}
    """
    rule = rule or ConsensusRule()
    coded = code(labels)
    consensus_id = value_digest({"labels": labels_digest(coded), "rule": _settings(rule)})
    tables = [
        _rows(coded, dimension, rule, consensus_id) for dimension in range(len(coded.dimensions))
    ]
    return pa.concat_tables([contract_table("consensus", []), *tables]).combine_chunks()


def annotator_coins(
    coded: Coded, prior: dawid_skene.Prior | None = None
) -> dict[tuple[int, int], AnnotatorCoins]:
    """Coins of each annotator in each dimension where they gave labels, by both positions."""
    coins = {}
    for dimension in range(len(coded.dimensions)):
        votes = _votes(coded, dimension)
        fit = dawid_skene.fit(votes.item, votes.annotator, votes.passed, prior)
        pairs = zip(fit.sensitivity.tolist(), fit.specificity.tolist(), strict=True)
        for annotator, pair in zip(votes.annotators.tolist(), pairs, strict=True):
            coins[annotator, dimension] = AnnotatorCoins(*pair)
    return coins


def _settings(rule: ConsensusRule) -> dict[str, object]:
    """What of a rule the result depends on: majority knows neither thresholds nor priors."""
    if rule.method == "majority":
        return {"method": rule.method, "minimum_votes": rule.minimum_votes}
    return asdict(rule)


def _votes(coded: Coded, dimension: int) -> _Votes:
    rows = np.flatnonzero(coded.dimension == dimension)
    items, item = np.unique(coded.item[rows], return_inverse=True)
    annotators, annotator = np.unique(coded.annotator[rows], return_inverse=True)
    counts = coded.counts[dimension][items]
    return _Votes(items, annotators, item, annotator, coded.passed[rows], counts)


def _rows(coded: Coded, dimension: int, rule: ConsensusRule, consensus_id: str) -> pa.Table:
    votes = _votes(coded, dimension)
    p_pass = np.round(_P_PASS[rule.method](votes, rule), P_DIGITS)
    decision = pa.array(_decide(p_pass, votes.counts.sum(axis=1), rule))
    n = len(votes.items)
    columns = {
        "consensus_id": pa.repeat(consensus_id, n),
        "item_id": coded.items.take(pa.array(votes.items)),
        "dimension": pa.repeat(coded.dimensions[dimension], n),
        "label": pa.array(DECISIONS).take(decision),
        "p_pass": p_pass,
        "n_pass": votes.counts[:, 0].astype(np.int32),
        "n_fail": votes.counts[:, 1].astype(np.int32),
        "method": pa.repeat(rule.method, n),
    }
    schema = contract_schema("consensus")
    return pa.table([columns[name] for name in schema.names], schema=schema)


def _decide(p_pass: FloatArray, votes: IntArray, rule: ConsensusRule) -> IntArray:
    """Position in DECISIONS of each item's label: (N,)."""
    if rule.method == "majority":
        says_pass, says_fail = p_pass > 0.5, p_pass < 0.5  # noqa: PLR2004 -- a half is a tie
    else:
        says_pass, says_fail = p_pass >= rule.pass_at, p_pass <= rule.fail_at
    decision = np.select([says_pass, says_fail], [0, 1], default=2)
    return np.where(votes >= rule.minimum_votes, decision, 2)


def _share(votes: _Votes, _: ConsensusRule) -> FloatArray:
    shares: FloatArray = votes.counts[:, 0] / votes.counts.sum(axis=1)
    return shares


def _dawid_skene(votes: _Votes, rule: ConsensusRule) -> FloatArray:
    return dawid_skene.fit(votes.item, votes.annotator, votes.passed, rule.prior).p_pass


_P_PASS: dict[str, Callable[[_Votes, ConsensusRule], FloatArray]] = {
    "majority": _share,
    "dawid_skene": _dawid_skene,
}
