"""Whether an annotator presses keys without looking: chance against honest coins, label by label.

Two stories are told of an annotator's labels, over all dimensions together, given what the others
said of the same items:

- honest: pass is said with probability sensitivity * p + (1 - specificity) * (1 - p), where p is
  P(pass) in the light of the others' labels alone (Dawid-Skene's coins of the others, prevalence
  of the dimension). The two coins are unknown: the likelihood is the mean over a prior, uniform on
  0.75 to 0.95. A hundredth of the prior lies on all coins with sensitivity + specificity - 1 >=
  0.25, so that somebody weak or lopsided is not called random however many labels they give.
- random: pass is said with one own rate, whatever the item; or with one rate in each dimension
  (the same keys every time). Half the weight each, rates uniform on 0 to 1.

The *odds* are the likelihood of random over that of honest: a Bayes factor, and under `honest` a
martingale that starts at 1. So whenever one looks, and however often, the odds of an honest
annotator reach c with a chance of at most 1 / c (Ville). Nobody is judged before label n0; from
there on the chance is at most E[min(1, odds at n0 / c)], which is far smaller, as the odds of the
honest are tiny by then. These chances are means over honest people: of those whose coins both lie
at 0.75 itself one in twelve is flagged. soak/results/annotator_flags.txt holds what was measured.

Nothing is assumed of the others but that most are honest. Where items differ in difficulty, honest
people err on the same ones, agree more than assumed, and are flagged less. Somebody who was honest
for long and then stops looking is found by drift, not here.

Sources: Wald (1945), Sequential tests of statistical hypotheses; Ville (1939), Etude critique de
la notion de collectif; Robbins (1970), Statistical methods related to the law of the iterated
logarithm (mixtures); Rogan and Gladen (1978), Estimating prevalence from the results of a
screening test.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from agreement.consensus import AnnotatorCoins
from agreement.labels import BoolArray, FloatArray, IntArray
from agreement.others import Answers

FLOOR, CEILING = 0.75, 0.95  # coins of the honest
WEAK_SHARE = 0.01  # of the prior: coins with at least this informedness
WEAK_INFORMEDNESS = 0.25
STEP = 0.025  # of the grid of coins
BINS = 100  # P(pass) is rounded to hundredths
RAREST = 0.02  # a prevalence estimate stays this far from 0 and 1

_log_gamma = np.vectorize(math.lgamma, otypes=[np.float64])


class RandomOdds(NamedTuple):
    """Per person: log of the odds, and the labels behind them (others answered as well): (A,)."""

    log_odds: FloatArray
    labels: IntArray


def random_odds(answers: Answers, coins: Mapping[tuple[int, int], AnnotatorCoins]) -> RandomOdds:
    """How much better chance explains each person's labels than honest judging does.

    coins: of each (person, dimension), by ranks in `answers`.
    Cost: O(labels) time and memory, and 500 numbers per person.
    """
    shape = (len(answers.people), len(answers.dimensions), BINS + 1, 2)
    compared = answers.others.sum(axis=1) > 0
    level = np.rint(_p_pass(answers, coins) * BINS).astype(np.int64)
    place = np.ravel_multi_index(
        (answers.person, answers.dimension, level, answers.passed.astype(np.int64)), shape
    )
    counts = np.bincount(place[compared], minlength=math.prod(shape)).reshape(shape)
    log_odds = _log_random(counts.sum(axis=2)) - _log_honest(counts.sum(axis=1))
    return RandomOdds(log_odds, counts.sum(axis=(1, 2, 3)))


def _p_pass(answers: Answers, coins: Mapping[tuple[int, int], AnnotatorCoins]) -> FloatArray:
    """P(pass) of each label's item given the labels of the others: (L,)."""
    shape = (len(answers.people), len(answers.dimensions))
    sensitivity, specificity = np.full(shape, 0.5), np.full(shape, 0.5)
    for place, coin in coins.items():
        sensitivity[place], specificity[place] = coin
    at = answers.person, answers.dimension
    right, wrong = sensitivity[at], 1 - specificity[at]
    says_pass = np.log(right) - np.log(wrong)
    says_fail = np.log1p(-right) - np.log1p(-wrong)
    weight = np.where(answers.passed, says_pass, says_fail)
    of_others = np.bincount(answers.question, weight)[answers.question] - weight
    prior = _prevalence(answers, right, 1 - wrong)
    odds = of_others + (np.log(prior) - np.log1p(-prior))[answers.dimension]
    p_pass: FloatArray = 1 / (1 + np.exp(-np.clip(odds, -50, 50)))
    return p_pass


def _prevalence(answers: Answers, right: FloatArray, specificity: FloatArray) -> FloatArray:
    """Share of true passes in each dimension, from the share of pass labels: (D,)."""
    labels = np.bincount(answers.dimension)
    said = np.bincount(answers.dimension, answers.passed) / labels
    sensitivity = np.bincount(answers.dimension, right) / labels
    specificity = np.bincount(answers.dimension, specificity) / labels
    informed = np.maximum(sensitivity + specificity - 1, RAREST)
    share: FloatArray = np.clip((said + specificity - 1) / informed, RAREST, 1 - RAREST)
    return share


def _honest_coins() -> tuple[FloatArray, FloatArray, FloatArray]:
    """Grid of sensitivity and specificity, and the log of each point's prior: (G,) each."""
    side = np.arange(STEP, 1 - STEP / 2, STEP)
    sensitivity, specificity = (grid.ravel() for grid in np.meshgrid(side, side))
    inside: BoolArray = (np.minimum(sensitivity, specificity) > FLOOR - STEP / 2) & (
        np.maximum(sensitivity, specificity) < CEILING + STEP / 2
    )
    weak = sensitivity + specificity - 1 > WEAK_INFORMEDNESS - STEP / 2
    prior = (1 - WEAK_SHARE) * inside / inside.sum() + WEAK_SHARE * weak / weak.sum()
    used = prior > 0
    return sensitivity[used], specificity[used], np.log(prior[used])


def _log_honest(counts: IntArray) -> FloatArray:
    """Log likelihood of the labels if their author is honest: (A,).

    counts: (A, BINS + 1, 2) fail and pass labels by P(pass).
    """
    sensitivity, specificity, log_prior = _honest_coins()
    p = np.arange(BINS + 1)[:, None] / BINS
    says_pass = sensitivity * p + (1 - specificity) * (1 - p)
    log_likelihood = (
        np.einsum("ab,bg->ag", counts[..., 1], np.log(says_pass))
        + np.einsum("ab,bg->ag", counts[..., 0], np.log1p(-says_pass))
        + log_prior
    )
    most = log_likelihood.max(axis=1)
    mean: FloatArray = most + np.log(np.exp(log_likelihood - most[:, None]).sum(axis=1))
    return mean


def _log_random(counts: IntArray) -> FloatArray:
    """Log likelihood of the labels if their author does not look: (A,).

    counts: (A, D, 2) fail and pass labels.
    """
    one_rate = _log_uniform_rate(counts.sum(axis=1))
    by_dimension = _log_uniform_rate(counts).sum(axis=1)
    mean: FloatArray = np.logaddexp(one_rate, by_dimension) - math.log(2)
    return mean


def _log_uniform_rate(counts: IntArray) -> FloatArray:
    """Log of the mean of rate^pass (1 - rate)^fail over all rates, uniformly.

    >>> round(math.exp(_log_uniform_rate(np.array([[1, 1]]))[0]), 4)  # 1/6
    0.1667
    """
    log: FloatArray = _log_gamma(counts + 1).sum(axis=-1) - _log_gamma(counts.sum(axis=-1) + 2)
    return log
