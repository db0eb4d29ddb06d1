"""Pairs of annotators who agree more than two independent people can.

If people judge independently given the item, the covariance of two people's labels is the product
of what each of them takes from the item, their *loadings*: cov_ab = l_a l_b. That holds for any
coins, and where items differ in difficulty alike for all, so honest people who err on the same
hard items are not suspected. What a pair should have in common is predicted from the other pairs:

    cov_ab = cov(a, others) * cov(b, others) / cov(others, others)

with pooled covariances in which the pair itself takes no part (Spearman's tetrads), nor any pair
that is flagged: the most striking one is taken out of the pools and the others are judged anew,
until there is no new one. It needs four people: with three, any agreement fits some loadings.

The covariance gives the expected share of equal labels. The chance of as many as observed is
bounded by Hoeffding's inequality, at a share that is GUARD standard errors above the expected one;
Holm's correction covers all pairs.

With thousands of shared labels any small likeness of taste is significant, so a flag also wants
size: `copied` = (agree - expected) / (1 - expected), the share of copied answers that would explain
the agreement.

Sources: Spearman (1904), General intelligence; Parisi et al. (2014), Ranking and combining multiple
predictors without labeled data (covariance of rank one); Jaffe et al. (2016), Unsupervised ensemble
learning with dependent classifiers; Hoeffding (1963), Probability inequalities, theorem 1; Holm
(1979), A simple sequentially rejective multiple test procedure.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from agreement.labels import BoolArray, FloatArray, IntArray
from agreement.others import Answers

GUARD = 2.0  # standard errors
PRODUCT_SD = 0.25  # of the product of two deviations of labels, at most about this
SCHEMA = pa.schema(
    [
        pa.field("annotator_a", pa.string(), nullable=False),
        pa.field("annotator_b", pa.string(), nullable=False),
        pa.field("items", pa.int64(), nullable=False),  # judged by both, once per dimension
        pa.field("agree", pa.float64(), nullable=False),  # share of equal labels
        pa.field("expected", pa.float64()),  # share if independent; NULL with nobody to compare
        pa.field("copied", pa.float64()),  # share of copied answers that would explain it
        pa.field("p_value", pa.float64()),  # Holm-corrected
        pa.field("flagged", pa.bool_(), nullable=False),
    ]
)


class _Pairs(NamedTuple):
    """P pairs who share questions: ranks a < b, and their sums over questions they share.

    shared: questions. equal: equal labels. chance: equal labels expected from the two pass rates
    alone. product: sum of the products of deviations from each one's pass rate.
    """

    a: IntArray
    b: IntArray
    shared: IntArray
    equal: IntArray
    chance: FloatArray
    product: FloatArray


class _Found(NamedTuple):
    """Shares of equal labels, seen and expected; share of copied ones; corrected p-value: (P,)."""

    agree: FloatArray
    expected: FloatArray
    copied: FloatArray
    p_value: FloatArray


def copies(answers: Answers, level: float, least: float) -> pa.Table:
    """Every pair who answered the same questions, and whether one seems to copy the other.

    level: chance that any honest pair is flagged. least: `copied` from which a pair is flagged.
    Returns: rows of SCHEMA, ids in ascending order in a row and over the rows.
    Cost: one sort of all pairs of labels that share a question.
    """
    pairs = _pairs(answers)
    taken = np.zeros(len(pairs.a), dtype=bool)
    while True:
        found = _judge(pairs, taken, len(answers.people))
        new = (found.p_value <= level) & (found.copied >= least) & ~taken
        if not new.any():
            return _table(answers, pairs, found, taken)
        taken[np.argmax(np.where(new, found.copied, -1))] = True


def _judge(pairs: _Pairs, taken: BoolArray, people: int) -> _Found:
    """Test every pair; those taken tell nothing about the others."""
    agree = pairs.equal / pairs.shared
    expected, error = _expected(pairs, taken, people)
    guarded = np.minimum(expected + GUARD * error, 1)
    copied = (agree - expected) / np.maximum(1 - expected, 1 / (2 * pairs.shared))
    return _Found(
        agree,
        expected,
        np.clip(copied, 0, 1),
        _holm(binomial_tail(pairs.equal, pairs.shared, guarded)),
    )


def _table(answers: Answers, pairs: _Pairs, found: _Found, flagged: BoolArray) -> pa.Table:
    names = np.array(answers.people.to_pylist(), dtype=object)
    one, two = names[pairs.a], names[pairs.b]
    swap = one > two
    unknown = np.isnan(found.expected)
    columns = {
        "annotator_a": pa.array(np.where(swap, two, one), pa.string()),
        "annotator_b": pa.array(np.where(swap, one, two), pa.string()),
        "items": pairs.shared,
        "agree": found.agree,
        "expected": pa.array(found.expected, mask=unknown),
        "copied": pa.array(found.copied, mask=unknown),
        "p_value": pa.array(found.p_value, mask=unknown),
        "flagged": flagged,
    }
    table = pa.table([columns[name] for name in SCHEMA.names], schema=SCHEMA)
    return table.sort_by([("annotator_a", "ascending"), ("annotator_b", "ascending")])


def binomial_tail(successes: IntArray, trials: IntArray, p: FloatArray) -> FloatArray:
    """Upper bound of the chance of so many successes or more, p being the mean chance of each.

    Exact where all succeed. NaN where p is.
    Source: Hoeffding (1963), theorem 1: exp(-n KL(k/n, p)), also for unequal chances.

    >>> binomial_tail(np.array([3, 1]), np.array([3, 2]), np.array([0.5, 0.5])).round(3).tolist()
    [0.125, 1.0]
    """
    share = successes / trials
    with np.errstate(divide="ignore", invalid="ignore"):
        hit = np.where(share > 0, share * np.log(share / p), 0)
        miss = np.where(share < 1, (1 - share) * np.log((1 - share) / (1 - p)), 0)
        bound = np.exp(-trials * (hit + miss))
    tail: FloatArray = np.where(np.isnan(p), np.nan, np.where(share > p, bound, 1.0))
    return tail


def _pairs(answers: Answers) -> _Pairs:
    """All pairs of labels that share a question, summed by pair of people."""
    people, dimensions = len(answers.people), len(answers.dimensions)
    keys, tables = _crosstables(answers)
    pair, dimension = np.divmod(keys, max(dimensions, 1))
    a, b = np.divmod(pair, max(people, 1))
    rate = _pass_rates(answers)
    shared = tables.sum(axis=1)
    a_pass, b_pass = tables[:, 2] + tables[:, 3], tables[:, 1] + tables[:, 3]
    rate_a, rate_b = rate[a, dimension], rate[b, dimension]
    product = tables[:, 3] - (rate_b * a_pass + rate_a * b_pass) + shared * (rate_a * rate_b)
    chance = (a_pass * b_pass + (shared - a_pass) * (shared - b_pass)) / shared
    distinct, group = np.unique(pair, return_inverse=True)
    size = len(distinct)
    return _Pairs(
        distinct // max(people, 1),
        distinct % max(people, 1),
        _sums(group, shared, size).astype(np.int64),
        _sums(group, tables[:, 0] + tables[:, 3], size).astype(np.int64),
        _sums(group, chance, size),
        _sums(group, product, size),
    )


def _crosstables(answers: Answers) -> tuple[IntArray, IntArray]:
    """Keys of (person a < person b, dimension), and their labels ff, fp, pf, pp: (K,), (K, 4)."""
    people, dimensions = len(answers.people), len(answers.dimensions)
    found = [np.empty(0, dtype=np.int64)]
    for step in range(1, int(answers.others.sum(axis=1).max(initial=0)) + 1):
        first = np.flatnonzero(answers.question[step:] == answers.question[:-step])
        second = first + step
        pair = answers.person[first] * people + answers.person[second]
        said = 2 * answers.passed[first] + answers.passed[second]
        found.append((pair * dimensions + answers.dimension[first]) * 4 + said)
    codes, counts = np.unique(np.concatenate(found), return_counts=True)
    keys, row = np.unique(codes // 4, return_inverse=True)
    tables = np.zeros((len(keys), 4), dtype=np.int64)
    tables[row, codes % 4] = counts
    return keys, tables


def _pass_rates(answers: Answers) -> FloatArray:
    """Pass rate of each person in each dimension: (A, D), 0 where they gave no label."""
    shape = (len(answers.people), len(answers.dimensions))
    group = answers.person * shape[1] + answers.dimension
    given = np.bincount(group, minlength=shape[0] * shape[1])
    passed = np.bincount(group, answers.passed, minlength=shape[0] * shape[1])
    rates: FloatArray = (passed / np.maximum(given, 1)).reshape(shape)
    return rates


def _expected(pairs: _Pairs, taken: BoolArray, people: int) -> tuple[FloatArray, FloatArray]:
    """Share of equal labels if the pair is independent, and its standard error: (P,).

    NaN where the others do not tell: nobody else shares questions with one of the two, or the
    others have nothing in common among themselves.
    """
    a, b = pairs.a, pairs.b
    product, shared = np.where(taken, 0, pairs.product), np.where(taken, 0.0, pairs.shared)
    of_person = _sums_of_ends(pairs, product, people)
    met = _sums_of_ends(pairs, shared, people)
    rest = product.sum() - of_person[a] - of_person[b] + product
    cov_a, error_a = _mean(of_person[a] - product, met[a] - shared)
    cov_b, error_b = _mean(of_person[b] - product, met[b] - shared)
    cov_rest, error_rest = _mean(rest, shared.sum() - met[a] - met[b] + shared)
    with np.errstate(invalid="ignore", divide="ignore"):
        known = cov_rest > error_rest
        cov = np.where(known, np.maximum(cov_a, 0) * np.maximum(cov_b, 0) / cov_rest, np.nan)
        error = np.sqrt(
            (error_a * cov_b) ** 2 + (error_b * cov_a) ** 2 + (error_rest * cov) ** 2
        ) / np.where(known, cov_rest, np.nan)
    return pairs.chance / pairs.shared + 2 * cov, 2 * error


def _mean(total: FloatArray, count: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Pooled covariance and its standard error; NaN of nothing."""
    count = np.where(count > 0, count, np.nan)
    return total / count, PRODUCT_SD / np.sqrt(count)


def _sums_of_ends(pairs: _Pairs, values: FloatArray, people: int) -> FloatArray:
    """Sum over the pairs that each person is part of: (A,)."""
    return _sums(pairs.a, values, people) + _sums(pairs.b, values, people)


def _sums(group: IntArray, values: FloatArray | IntArray, groups: int) -> FloatArray:
    return np.bincount(group, values, groups).astype(np.float64, copy=False)


def _holm(p_value: FloatArray) -> FloatArray:
    """p-values that may all be compared with one level; NaN is no test.

    >>> _holm(np.array([0.01, np.nan, 0.02, 0.9])).tolist()
    [0.03, nan, 0.04, 0.9]
    """
    tested = np.flatnonzero(~np.isnan(p_value))
    order = tested[np.argsort(p_value[tested], kind="stable")]
    scaled = p_value[order] * np.arange(len(order), 0, -1)
    corrected: FloatArray = np.full(len(p_value), np.nan)
    corrected[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    return corrected
