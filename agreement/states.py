"""One state or a continuum: the models of one dimension's labels, fitted and compared.

Four models out of the families of `agreement.mixture`:

two sides   true passes and true fails each have a spread of their own
graded      true passes are alike up to a tolerance; fails are anything from gross to hard to see
one state   true passes are alike, and true fails too, up to the tolerance
threshold   one normal continuum

The first three stand on the curves of Dawid-Skene's coins and are nested: they are compared by
likelihood ratios. The threshold has curves fitted to itself, as many parameters as the coins, and
is compared by Akaike's criterion.

Where parameters stand at a bound, a likelihood ratio is a mixture of chi-squares: 1/2 : 1/2 of 0
and 1 degrees of freedom for one bound, 1/4 : 1/2 : 1/4 of 0, 1 and 2 for two. Source: Self and
Liang (1987), Asymptotic properties of maximum likelihood estimators and likelihood ratio tests
under nonstandard conditions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.optimize import brentq
from scipy.special import chdtrc, chdtri, ndtr

from agreement import dawid_skene, mixture
from agreement.labels import FloatArray
from agreement.mixture import Fitted, Spread
from agreement.ogive import (
    Evidence,
    Votes,
    coin_curves,
    count_chances,
    count_evidence,
    label_evidence,
    refit,
)

PENALTY = 6.0  # Akaike's, for the graded model's three parameters more than the threshold's
NARROW = mixture.SPREADS[0]
GREATEST = 100.0  # no limit of a likelihood ratio lies above


@dataclass(frozen=True)
class Models:
    """The four models, fitted.

    evidence: on the curves of the coins. continuum: on the threshold's own.
    """

    evidence: Evidence
    continuum: Evidence
    threshold: Fitted
    one_state: Fitted
    graded: Fitted
    two_sides: Fitted

    def over(self, model: Fitted) -> float:
        """Likelihood ratio of the two-sided model over one nested in it."""
        return max(0.0, 2 * (self.two_sides.loglik - model.loglik))

    @property
    def preference(self) -> float:
        """Twice the log-likelihood of graded over threshold, penalty taken off."""
        return 2 * (self.graded.loglik - self.threshold.loglik) - PENALTY

    @cached_property
    def spread(self) -> Spread:
        """How the true passes differ, on the grid."""
        return mixture.pass_spread(self.evidence.pass_rate, self.two_sides.x)

    @cached_property
    def grid(self) -> float:
        """The part of a dispersion that comes of the grid: under 0.01."""
        alike = _without_spread(self.two_sides.x)
        return mixture.pass_spread(self.evidence.pass_rate, alike).correlation

    @property
    def dispersion(self) -> float:
        """Correlation of two labels of a true pass, without the grid's part."""
        return max(0.0, self.spread.correlation - self.grid)

    @property
    def difficulty(self) -> float:
        """SD of error rates between true passes that gives this dispersion."""
        mean = self.spread.mean
        return float(np.sqrt(self.dispersion * mean * (1 - mean)))


def fit_models(votes: Votes, tolerance: float) -> Models:
    """Coins by Dawid-Skene, then the four models on the line that the coins make.

    tolerance: SD of pass rates between items of one state.
    The two-sided model starts where the others ended, too, so it is never worse than they are.
    """
    prior = dawid_skene.Prior()
    coins = dawid_skene.fit(*votes, prior)
    curves = coin_curves(coins.sensitivity, coins.specificity)
    evidence = label_evidence(votes, curves)
    odds = np.log(coins.prevalence) - np.log1p(-coins.prevalence)
    alike = _alike(evidence.pass_rate, tolerance)
    normal = mixture.fit(evidence, [np.array([0, 0.5])])
    one_state = mixture.fit(evidence, [np.array([odds, 1, -2, -1, -2])], alike)
    graded = mixture.fit(evidence, [one_state.x, np.array([odds, 1, -2, -1, -0.3])], alike[:1])
    starts = [one_state.x, graded.x, _as_two_sides(normal.x), np.array([odds, 1, -1, -1, -1])]
    two_sides = mixture.fit(evidence, starts)
    continuum = label_evidence(votes, refit(votes, curves, mixture.weights(normal.x)[0], prior))
    threshold = mixture.fit(continuum, [normal.x])
    return Models(evidence, continuum, threshold, one_state, graded, two_sides)


def dispersion_interval(models: Models, level: float) -> tuple[float, float]:
    """Profile likelihood interval of the dispersion, without the grid's part."""
    low, high = mixture.likelihood_ends(
        models.evidence,
        mixture.dispersion(models.evidence.pass_rate),
        models.two_sides,
        [models.graded.x, np.array([*models.one_state.x[:2], 0, *models.one_state.x[3:]])],
        float(chdtri(1, 1 - level)) / 2,
    )
    return max(0.0, low - models.grid), max(0.0, high - models.grid)


def p_value(models: Models) -> float:
    """Of no dispersion at all: likelihood ratio against the two-sided model with b_1 = 0."""

    def none(x: FloatArray) -> tuple[float, FloatArray]:
        return NARROW - x[2], -np.eye(len(x))[2]

    ends = (models.two_sides.x, models.one_state.x, models.graded.x)
    ratio = models.over(mixture.fit(models.evidence, [_without_spread(x) for x in ends], [none]))
    return float(chdtrc(1, ratio)) / 2 if ratio > 0 else 1.0


def critical(bounds: int, level: float) -> float:
    """Limit of a likelihood ratio with one or two parameters at a bound.

    >>> round(critical(1, 0.95), 2), round(critical(2, 0.95), 2)
    (2.71, 4.23)
    """
    one, two = {1: (0.5, 0.0), 2: (0.5, 0.25)}[bounds]

    def excess(ratio: float) -> float:
        return float(one * chdtrc(1, ratio) + two * chdtrc(2, ratio) - (1 - level))

    return float(brentq(excess, 0.0, GREATEST))


def power(votes: Votes, models: Models, tolerance: float, level: float) -> float:
    """Chance that one state is rejected where the truth is the threshold that was fitted.

    The likelihood ratio of one state on the frequencies expected under the threshold is the
    noncentrality of the test. Source: Self, Mauritsen and Ohara (1992), Power calculations for
    likelihood ratio tests in generalized linear models.
    """
    counts = expected_counts(votes, models.continuum, models.threshold)
    expected = count_evidence(counts, models.evidence.pass_rate)
    starts = [models.one_state.x, np.array([0, 1, -2, -1, -2])]
    one_state = mixture.fit(expected, starts, _alike(expected.pass_rate, tolerance))
    truth = sum(float((seen * np.log(seen / seen.sum())).sum()) for seen in counts.values())
    noncentrality = max(0.0, 2 * (truth - one_state.loglik))
    return float(ndtr(np.sqrt(noncentrality) - np.sqrt(critical(2, level))))


def expected_counts(votes: Votes, evidence: Evidence, model: Fitted) -> dict[int, FloatArray]:
    """What a model expects where `Votes.counts` says what was seen, with annotators pooled."""
    share, _ = mixture.weights(model.x)
    return {
        k: items.sum() * np.einsum("ct,t->c", count_chances(k, evidence.pass_rate), share)
        for k, items in votes.counts.items()
    }


def _alike(pass_rate: FloatArray, tolerance: float) -> list[mixture.Target]:
    """Bounds that keep true passes, and true fails, alike up to the tolerance."""
    return [mixture.mild(pass_rate, tolerance, passing=side) for side in (True, False)]


def _as_two_sides(x: FloatArray) -> FloatArray:
    """The continuum in the parameters of the two-sided family."""
    share = mixture.weights(x)[0][mixture.PASS_SIDE].sum()
    return np.array([np.log(share) - np.log1p(-share), *x, *x])


def _without_spread(x: FloatArray) -> FloatArray:
    """The same with all true passes at one place."""
    return np.array([*x[:2], NARROW, *x[3:]])
