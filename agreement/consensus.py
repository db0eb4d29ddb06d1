"""The decided label of each item: by majority, or by Dawid-Skene with one coin or two.

Design labels decide, with escalated ones where the rule counts them. Gold labels decide nothing:
they show how far P(pass) can be believed, and mend it where it can be mended for all items. The
same labels and rules give the same rows, bit for bit, whatever the order of the labels and the ids
of the annotators.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from agreement import dawid_skene
from agreement.calibration import MINIMUM_GOLD, Calibration, calibrate, unchanged
from agreement.gold import gold_of
from agreement.labels import BoolArray, Coded, FloatArray, IntArray, check, code, labels_digest
from agreement.rows import contract_schema, contract_table
from warehouse.contracts import LABELS, METHODS
from warehouse.digest import P_DIGITS, value_digest
from warehouse.errors import AgreementError

Method = Literal["majority", "one_coin", "dawid_skene"]
Decision = Literal["pass", "fail", "undecided"]
DECISIONS = (*LABELS, "undecided")
DESIGN = "design"
VOTING = (DESIGN, "escalation", "review")  # gold checks, and a repeat is no new opinion


@dataclass(frozen=True)
class ConsensusRule:
    """How the labels of an item become its consensus."""

    method: Method = "dawid_skene"
    """majority: P(pass) is the share of pass labels. dawid_skene: labels count by annotator, whose
    errors on pass and on fail items may differ. one_coin: they are taken to be equal."""
    roles: tuple[str, ...] = (DESIGN, "escalation")
    """Labels that count: design, and escalation and review where named. Agreement is measured on
    design labels alone; a decision takes what was asked for because it was open."""
    minimum_votes: int = 2
    """An item with fewer labels that count is undecided."""
    tie: Decision = "undecided"
    """What an item is whose labels are half pass, half fail (majority)."""
    pass_at: float = 0.75
    """An item is pass when P(pass) is at least this (Dawid-Skene), above 1/2 (majority)."""
    fail_at: float = 0.25
    """An item is fail when P(pass) is at most this (Dawid-Skene), below 1/2 (majority)."""
    calibrate: bool = True
    """Fit P(pass) to the gold labels where they show that it helps (Dawid-Skene)."""
    minimum_gold: int = MINIMUM_GOLD
    """A dimension with fewer gold items is not fitted."""
    prior: dawid_skene.Prior = field(default_factory=dawid_skene.Prior)
    """Of Dawid-Skene's coins."""

    def __post_init__(self) -> None:
        """Refuse a rule that decides nothing, or both ways."""
        object.__setattr__(self, "prior", dawid_skene.Prior.of(self.prior))
        if self.method not in METHODS:
            raise AgreementError(f"consensus method {self.method!r}: take {' or '.join(METHODS)}")
        if self.tie not in DECISIONS:
            raise AgreementError(f"consensus tie {self.tie!r}: take {' or '.join(DECISIONS)}")
        if DESIGN not in self.roles or not set(self.roles) <= set(VOTING):
            raise AgreementError(
                f"consensus roles {', '.join(self.roles) or 'none'}: take design, and if wanted"
                " escalation and review"
            )
        for name in ("minimum_votes", "minimum_gold"):
            if getattr(self, name) < 1:
                raise AgreementError(f"{name}={getattr(self, name)}: give 1 or more")
        if not 0 <= self.fail_at < self.pass_at <= 1:
            raise AgreementError(
                f"thresholds fail_at={self.fail_at}, pass_at={self.pass_at}: "
                "give 0 <= fail_at < pass_at <= 1"
            )


@dataclass(frozen=True)
class Consensus:
    """Rows of the contracts `consensus` and `calibrations`, without observed_at."""

    table: pa.Table
    calibrations: pa.Table


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


def build_consensus(labels: pa.Table, rule: ConsensusRule | None = None) -> Consensus:
    """Consensus of every item that has a label that counts, per dimension.

    labels: the view `labels`.
    Returns: rows by dimension and item, and one calibration per dimension. An item is `undecided`
        with too few votes, between the thresholds, or at a tie. P(pass) is rounded to 1e-6 before
        anything reads it; an item with a gold label keeps the P that the crowd gave it.
    Raises: AgreementError for labels that cannot be counted.

    >>> people, said = list("abc" * 2), ["pass", "pass", "fail", "fail", "fail", "fail"]
    >>> labels = pa.table({"item_id": ["v1"] * 3 + ["v2"] * 3, "dimension": ["shape"] * 6,
    ...     "annotator_id": people, "value": said, "role": ["design"] * 6})
    >>> rows = build_consensus(labels, ConsensusRule(method="majority")).table
    >>> rows.select(["item_id", "label", "p_pass", "n_pass", "n_fail"]).to_pylist()[0]
    {'item_id': 'v1', 'label': 'pass', 'p_pass': 0.666667, 'n_pass': 2, 'n_fail': 1}
    """
    rule = rule or ConsensusRule()
    coded = code(_counted(labels, rule.roles))
    truth = gold_of(coded, labels)
    gold = hashlib.sha256(truth.astype("i1").tobytes()).hexdigest()
    consensus_id = value_digest(
        {"labels": labels_digest(coded), "gold": gold, "rule": _settings(rule)}
    )
    tables, calibrations = [contract_table("consensus", [])], []
    for dimension, name in enumerate(coded.dimensions):
        votes = _votes(coded, dimension)
        raw = np.round(_p_pass(votes, rule), P_DIGITS)
        found = _calibration(raw, truth[dimension][votes.items], rule)
        run = {"consensus_id": consensus_id, "dimension": name}
        calibrations.append(run | asdict(found))
        tables.append(_rows(coded.items, votes, found.apply(raw), rule, run))
    table = pa.concat_tables(tables).combine_chunks()
    return Consensus(table, contract_table("calibrations", calibrations))


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


def _settings(rule: ConsensusRule) -> dict[str, Any]:
    """What of a rule the result depends on: majority knows neither thresholds nor priors."""
    settings = asdict(rule) | {"roles": sorted(set(rule.roles))}
    if rule.method == "majority":
        return {name: settings[name] for name in ("method", "roles", "minimum_votes", "tie")}
    return {name: value for name, value in settings.items() if name != "tie"}


def _counted(labels: pa.Table, roles: tuple[str, ...]) -> pa.Table:
    """Labels, all that count made design labels, which are those that are numbered."""
    if roles == (DESIGN,):
        return labels
    check(labels)
    role = labels["role"].cast(pa.string())
    counts = pc.is_in(role, value_set=pa.array(roles))
    place = labels.column_names.index("role")
    return labels.set_column(place, "role", pc.if_else(counts, DESIGN, role))


def _votes(coded: Coded, dimension: int) -> _Votes:
    rows = np.flatnonzero(coded.dimension == dimension)
    items, item = np.unique(coded.item[rows], return_inverse=True)
    annotators, annotator = np.unique(coded.annotator[rows], return_inverse=True)
    counts = coded.counts[dimension][items]
    return _Votes(items, annotators, item, annotator, coded.passed[rows], counts)


def _p_pass(votes: _Votes, rule: ConsensusRule) -> FloatArray:
    """P(pass) of each item as its labels have it: (N,)."""
    if rule.method == "majority":
        shares: FloatArray = votes.counts[:, 0] / votes.counts.sum(axis=1)
        return shares
    one_coin = rule.method == "one_coin"
    labels = votes.item, votes.annotator, votes.passed
    return dawid_skene.fit(*labels, rule.prior, one_coin=one_coin).p_pass


def _calibration(raw: FloatArray, truth: IntArray, rule: ConsensusRule) -> Calibration:
    if rule.method == "majority":
        return unchanged(raw, truth, "by majority, P(pass) is the share of pass labels")
    if not rule.calibrate:
        return unchanged(raw, truth, "switched off by the setting consensus.calibrate")
    return calibrate(raw, truth, rule.minimum_gold)


def _rows(
    items: pa.Array, votes: _Votes, p_pass: FloatArray, rule: ConsensusRule, run: dict[str, str]
) -> pa.Table:
    """Rows of one dimension. run: the columns that are the same in all of them."""
    n = len(votes.items)
    columns = {name: pa.repeat(value, n) for name, value in run.items()} | {
        "item_id": items.take(pa.array(votes.items)),
        "label": pa.array(DECISIONS).take(pa.array(_decide(p_pass, votes.counts, rule))),
        "p_pass": p_pass,
        "n_pass": votes.counts[:, 0].astype(np.int32),
        "n_fail": votes.counts[:, 1].astype(np.int32),
        "method": pa.repeat(rule.method, n),
    }
    schema = contract_schema("consensus")
    return pa.table([columns[name] for name in schema.names], schema=schema)


def _decide(p_pass: FloatArray, counts: IntArray, rule: ConsensusRule) -> IntArray:
    """Position in DECISIONS of each item's label: (N,)."""
    undecided = DECISIONS.index("undecided")
    if rule.method == "majority":
        says_pass, says_fail = counts[:, 0] > counts[:, 1], counts[:, 0] < counts[:, 1]
        otherwise = DECISIONS.index(rule.tie)
    else:
        says_pass, says_fail = p_pass >= rule.pass_at, p_pass <= rule.fail_at
        otherwise = undecided
    decision = np.select([says_pass, says_fail], [0, 1], default=otherwise)
    return np.where(counts.sum(axis=1) >= rule.minimum_votes, decision, undecided)
