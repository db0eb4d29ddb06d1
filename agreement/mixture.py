"""How items lie on the line of `agreement.ogive`: at two states, or along a continuum.

Two families of distributions, each a vector of weights on the grid of places:

continuum   t ~ Normal(mu, b^2): 2 parameters
two sides   a share of the items lies on the pass side, t > 0, as Normal(mu_1, b_1^2) cut off there;
            the others at t < 0, as Normal(mu_0, b_0^2): 5 parameters. It is a latent class model
            with a random effect (Qu, Tan and Kutner 1996); b_1 = b_0 = 0 is Dawid and Skene's, and
            mu_1 = mu_0, b_1 = b_0 the continuum.

A millionth of the items lies anywhere, so no pattern is impossible.

Source: Qu, Tan and Kutner (1996), Random effects models in latent class analysis for evaluating
accuracy of diagnostic tests, Biometrics 52.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize

from agreement.labels import BoolArray, FloatArray
from agreement.ogive import PLACES, STEP, Evidence

PASS_SIDE = PLACES > 0
FAIL_SIDE = PLACES < 0
BLUR = 0.7 * STEP  # a normal narrower than this falls between the places
STRAY = 1e-6
SPREADS = (-5.0, 2.0)  # natural logarithm of b: from far below BLUR to flat
CENTRES = (-6.0, 6.0)
LOG_ODDS = (-7.0, 7.0)
CONTINUUM, TWO_SIDES = 2, 5  # parameters
BOUNDS = {CONTINUUM: (CENTRES, SPREADS), TWO_SIDES: (LOG_ODDS, CENTRES, SPREADS, CENTRES, SPREADS)}

ROUNDS = 100
SLACK = 0.01  # of a bound, in the bound's own units
Target = Callable[[FloatArray], tuple[float, FloatArray]]  # x -> value, gradient


class Spread(NamedTuple):
    """How the pass rates of the true passes differ between items."""

    mean: float
    sd: float

    @property
    def correlation(self) -> float:
        """Of the labels of two annotators, given that the item is a true pass."""
        return self.sd**2 / (self.mean * (1 - self.mean))


@dataclass(frozen=True)
class Fitted:
    """Parameters of a family, 2 or 5 (see the module), and the log-likelihood there."""

    x: FloatArray
    loglik: float


def weights(x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Share of the items at each place (T,), and its derivatives (parameters, T)."""
    if len(x) == CONTINUUM:
        share, slopes = _cut_normal(x[0], x[1], np.ones(len(PLACES), dtype=bool))
    else:
        passing = 1 / (1 + np.exp(-x[0]))
        upper, upper_slopes = _cut_normal(x[1], x[2], PASS_SIDE)
        lower, lower_slopes = _cut_normal(x[3], x[4], FAIL_SIDE)
        share = passing * upper + (1 - passing) * lower
        odds_slope = passing * (1 - passing) * (upper - lower)
        slopes = np.vstack([odds_slope, passing * upper_slopes, (1 - passing) * lower_slopes])
    return (1 - STRAY) * share + STRAY / len(PLACES), (1 - STRAY) * slopes


def _cut_normal(centre: float, log_b: float, side: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Weights of a normal on one side of the grid, and their derivatives by centre and log b."""
    b2 = np.exp(2 * log_b)
    away, variance = PLACES - centre, b2 + BLUR**2
    log_w = np.where(side, -(away**2) / (2 * variance), -np.inf)
    w = np.exp(log_w - log_w.max())
    w /= w.sum()
    slopes = np.array([away / variance, away**2 * b2 / variance**2])
    return w, w * (slopes - (w * slopes).sum(axis=1, keepdims=True))


def loglik(evidence: Evidence, x: FloatArray) -> tuple[float, FloatArray]:
    """Log-likelihood and its gradient."""
    share, slopes = weights(x)
    # einsum, not a matrix product: a BLAS may add in another order with other thread counts.
    f = np.einsum("ut,t->u", evidence.likelihood, share)
    by_place = np.einsum("u,ut->t", evidence.items / f, evidence.likelihood)
    logs = np.log(f) + evidence.largest
    return float((evidence.items * logs).sum()), (slopes * by_place).sum(axis=1)


def pass_spread(pass_rate: FloatArray, x: FloatArray) -> Spread:
    """Spread of the true passes, which are the pass side of the two-sided family."""
    return _moments(pass_rate, x, 1)[0]


def dispersion(pass_rate: FloatArray) -> Target:
    """Give x -> correlation of two labels of a true pass, and its gradient."""

    def correlation(x: FloatArray) -> tuple[float, FloatArray]:
        spread, mean_slope, variance_slope = _moments(pass_rate, x, 1)
        noise = spread.mean * (1 - spread.mean)
        noise_slope = (1 - 2 * spread.mean) * mean_slope
        slope: FloatArray = (variance_slope - spread.correlation * noise_slope) / noise
        return spread.correlation, slope

    return correlation


def mild(pass_rate: FloatArray, tolerance: float, *, passing: bool) -> Target:
    """Give x -> what is at least 0 where the pass rates of one side have at most this SD."""

    def room(x: FloatArray) -> tuple[float, FloatArray]:
        spread, _, slope = _moments(pass_rate, x, 1 if passing else 3)
        return 1 - (spread.sd / tolerance) ** 2, -slope / tolerance**2

    return room


def _moments(
    pass_rate: FloatArray, x: FloatArray, first: int
) -> tuple[Spread, FloatArray, FloatArray]:
    """Spread of the side whose parameters begin at `first`; slopes of its mean and variance."""
    side = slice(first, first + 2)
    share, slopes = _cut_normal(x[first], x[first + 1], PASS_SIDE if first == 1 else FAIL_SIDE)
    mean = float((share * pass_rate).sum())
    away = pass_rate - mean
    by_mean, by_variance = np.zeros(len(x)), np.zeros(len(x))
    by_mean[side] = (slopes * pass_rate).sum(axis=1)
    by_variance[side] = (slopes * away**2).sum(axis=1)
    return Spread(mean, float(np.sqrt((share * away**2).sum()))), by_mean, by_variance


def fit(evidence: Evidence, starts: Sequence[FloatArray], bounds: Sequence[Target] = ()) -> Fitted:
    """Maximum likelihood from several starts, where every bound is at least 0.

    starts: parameters, 2 or 5 of them, which says the family.
    Source: Kraft (1988), sequential least squares programming, as scipy has it.
    """
    total = float(evidence.items.sum())

    def loss(x: FloatArray) -> tuple[float, FloatArray]:
        value, slope = loglik(evidence, x)
        return -value / total, -slope / total

    found = [_descend(loss, start, bounds) for start in starts]
    # A start that ends outside the bounds is beaten by any that ends inside.
    x = max(found, key=lambda x: (min(0.0, _room(x, bounds) + SLACK), loglik(evidence, x)[0]))
    return Fitted(x, loglik(evidence, x)[0])


def likelihood_ends(
    evidence: Evidence, target: Target, best: Fitted, starts: Sequence[FloatArray], drop: float
) -> tuple[float, float]:
    """Least and greatest target over all x whose log-likelihood is within `drop` of the best.

    These are the ends of the profile likelihood interval.
    Source: Neale and Miller (1997), The use of likelihood-based confidence intervals.
    """

    def near(x: FloatArray) -> tuple[float, FloatArray]:
        value, slope = loglik(evidence, x)
        return (value - best.loglik) / drop + 1, slope / drop

    def opposite(x: FloatArray) -> tuple[float, FloatArray]:
        value, slope = target(x)
        return -value, -slope

    points = [best.x]
    for aim in (target, opposite):
        found = (_descend(aim, start, [near]) for start in (best.x, *starts))
        points += [x for x in found if _room(x, [near]) > -SLACK]
    values = [target(x)[0] for x in points]
    return min(values), max(values)


def _descend(loss: Target, start: FloatArray, bounds: Sequence[Target]) -> FloatArray:
    """Parameters that make the loss least, inside the box and where every bound is at least 0."""
    low, high = np.array(BOUNDS[len(start)]).T
    found = minimize(
        loss,
        np.clip(start, low, high),
        jac=True,
        method="SLSQP",
        bounds=np.column_stack([low, high]),
        constraints=[_constraint(f) for f in bounds],
        options={"maxiter": ROUNDS, "ftol": 1e-7},
    )
    x: FloatArray = np.clip(found.x, low, high)
    return x


def _constraint(bound: Target) -> dict[str, Any]:
    """The bound as scipy takes it: value and gradient apart, so the last point is remembered."""
    last: dict[bytes, tuple[float, FloatArray]] = {}

    def at(x: FloatArray) -> tuple[float, FloatArray]:
        key = x.tobytes()
        if key not in last:
            last.clear()
            last[key] = bound(x)
        return last[key]

    return {"type": "ineq", "fun": lambda x: at(x)[0], "jac": lambda x: at(x)[1]}


def _room(x: FloatArray, bounds: Sequence[Target]) -> float:
    """Least value of the bounds, which is below 0 where one is broken."""
    return min((f(x)[0] for f in bounds), default=0.0)
