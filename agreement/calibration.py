"""P(pass) held against gold labels, and mended where 0.9 is not right nine times in ten.

Dawid-Skene takes annotators for independent given the truth. Where some items are hard for
everybody they are not, and P(pass) is too sure of itself. A line on the log odds mends that:

    logit P = slope x logit of the raw P + intercept

with a slope below 1 where the raw P is over-confident. Slope and intercept are the mode of their
posterior under normal priors around 1 and 0 with standard deviation `SPREAD`: few gold items move P
little, many move it to the maximum likelihood. The line is used only where it lowers the Brier
score of gold items that were left out of the fit; else P stays as it is, with the reason.

A gold label checks P and never replaces it: items with a gold label keep the P that the crowd gave
them, fitted like everybody's, so that known items are no different from the others. Gold items
should be drawn at random: an excess of one label, or of hard items, is fitted as if all had it.

Sources: Platt (1999), Probabilistic outputs for support vector machines (the line); Brier (1950),
Verification of forecasts expressed in terms of probability; DeGroot and Fienberg (1983), The
comparison and evaluation of forecasters (reliability); Wilson (1927), Probable inference.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from agreement.intervals import wilson
from agreement.labels import FloatArray, IntArray
from warehouse.contracts import LABELS
from warehouse.digest import P_DIGITS
from warehouse.errors import AgreementError

MINIMUM_GOLD = 30
# Standard deviation of the priors. Measured on simulated crowds of 4 labels an item, Brier score of
# the items without gold: 30 gold items cost 0.0001 where P was calibrated (0.003 without a prior),
# and gain 0.002 of 0.114 or 0.032 of 0.216 where items differ in difficulty by 1 or 2 log odds.
SPREAD = 0.35
NEAREST = 10.0**-P_DIGITS  # P counts as this far from 0 and 1: what rounding leaves of it
STEPS = 100  # of Newton's method, which needs five to ten
LINE_DIGITS = 6  # slope and intercept are rounded before they are used, so that P follows from them
LEVEL = 0.95
BINS = 10


@dataclass(frozen=True)
class Calibration:
    """The line fitted to G gold items of one dimension, or why there is none.

    slope, intercept: of the log odds; 1 and 0 where nothing is applied.
    brier_before, brier_after: mean squared error on gold of the raw P, and of the fitted P with
        each item left out in turn; None where nothing was there to measure.
    """

    gold_items: int
    slope: float = 1.0
    intercept: float = 0.0
    brier_before: float | None = None
    brier_after: float | None = None
    reason: str | None = None

    def apply(self, p: FloatArray) -> FloatArray:
        """P(pass) on the fitted line, rounded to 1e-6; as it is where nothing was fitted."""
        if self.reason is not None:
            return p
        return np.round(_logistic(self.slope * _logit(p) + self.intercept), P_DIGITS)


class Bin(NamedTuple):
    """Gold items whose P lies in [low, high): mean P, and the share that pass with its interval."""

    low: float
    high: float
    items: int
    mean_p: float
    share: float
    share_low: float
    share_high: float


def calibrate(p: FloatArray, truth: IntArray, minimum_gold: int = MINIMUM_GOLD) -> Calibration:
    """Line from the raw P(pass) to one that agrees with the gold labels.

    p: (N,) raw P(pass). truth: (N,) 1 pass, 0 fail, -1 unknown, as of `agreement.gold.gold_of`.
    minimum_gold: with fewer gold items, or with all of one label, nothing is fitted.
    Raises: AgreementError for shapes that differ, and numbers that are no probabilities.

    >>> p = np.tile([0.999, 0.001], 50)
    >>> truth = (p > 0.5).astype(int)
    >>> truth[:20] = 1 - truth[:20]  # a fifth is wrong, though P was sure
    >>> found = calibrate(p, truth)
    >>> round(found.slope, 2), found.apply(np.array([0.999])).round(2)
    (0.21, array([0.81]))
    """
    _check(p, truth)
    gold = truth[truth >= 0]
    if not len(gold):
        return unchanged(p, truth, "no gold labels")
    if len(gold) < minimum_gold:
        return unchanged(p, truth, f"{len(gold)} gold items; {minimum_gold} are needed")
    if gold.min() == gold.max():
        word = LABELS[0] if gold[0] else LABELS[1]
        reason = f"all {len(gold)} gold labels say {word}; both labels are needed"
        return unchanged(p, truth, reason)
    return _fitted(p[truth >= 0], gold)


def unchanged(p: FloatArray, truth: IntArray, reason: str) -> Calibration:
    """P as it is, held against the gold labels, and why nothing is fitted."""
    _check(p, truth)
    known = truth >= 0
    before = _brier(p[known], truth[known]) if known.any() else None
    return Calibration(int(known.sum()), brier_before=before, reason=reason)


def reliability(p: FloatArray, truth: IntArray, bins: int = BINS) -> list[Bin]:
    """Reliability diagram: gold items by their P, in bins of equal width; empty ones left out.

    p, truth: (N,) as in `calibrate`. Intervals are Wilson's, at 95 %.
    Raises: AgreementError for fewer than one bin.

    >>> for row in reliability(np.array([0.1, 0.2, 0.9]), np.array([0, 1, 1]), bins=2):
    ...     print(row.low, row.items, round(row.mean_p, 2), row.share, round(row.share_low, 3))
    0.0 2 0.15 0.5 0.095
    0.5 1 0.9 1.0 0.207
    """
    _check(p, truth)
    if bins < 1:
        raise AgreementError(f"reliability in {bins} bins: give 1 or more; {BINS} are usual")
    known, passed = p[truth >= 0], truth[truth >= 0]
    return list(_bins(known, passed, bins))


def calibration_error(rows: list[Bin]) -> float | None:
    """Expected calibration error: mean |share - mean P| over items; None without gold items.

    Source: Naeini, Cooper and Hauskrecht (2015), Obtaining well calibrated probabilities.
    """
    items = sum(row.items for row in rows)
    if not items:
        return None
    return sum(row.items * abs(row.share - row.mean_p) for row in rows) / items


def _check(p: FloatArray, truth: IntArray) -> None:
    if p.shape != truth.shape or p.ndim != 1:
        raise AgreementError(f"P of shape {p.shape}, truth of shape {truth.shape}: give (N,) twice")
    if len(p) and not (p.min() >= 0 and p.max() <= 1):
        raise AgreementError(f"P from {p.min()} to {p.max()}: give probabilities")


def _fitted(raw: FloatArray, y: IntArray) -> Calibration:
    """The line, if it is one that helps."""
    x, before = _logit(raw), _brier(raw, y)
    slope, intercept = (round(number, LINE_DIGITS) for number in _newton(x, y))
    after = _brier(_left_out(x, y, slope, intercept), y)
    if slope <= 0:
        reason = f"gold labels contradict P(pass) (slope {slope:.2f}): look at both"
    elif after >= before:
        reason = "P(pass) is calibrated as it is: a line does not lower the Brier score"
    else:
        return Calibration(len(y), slope, intercept, before, after)
    return Calibration(len(y), 1.0, 0.0, before, after, reason)


def _newton(x: FloatArray, y: IntArray) -> tuple[float, float]:
    """Slope and intercept of the logistic line with the highest posterior density.

    x: (G,) log odds. y: (G,) 1 or 0. The log posterior is concave; steps too long for it are
    halved.
    """
    slope, intercept, loss = 1.0, 0.0, _loss(x, y, 1.0, 0.0)
    for _ in range(STEPS):
        error = _logistic(slope * x + intercept) - y
        gradient = np.array([(error * x).sum(), error.sum()])
        gradient += np.array([slope - 1, intercept]) / SPREAD**2
        step = np.linalg.solve(_curvature(x, slope, intercept), gradient)
        size = 1.0
        while (new := _loss(x, y, slope - size * step[0], intercept - size * step[1])) > loss:
            size /= 2
        slope, intercept = slope - size * step[0], intercept - size * step[1]
        if loss - new <= NEAREST**2 * loss:
            break
        loss = new
    return float(slope), float(intercept)


def _loss(x: FloatArray, y: IntArray, slope: float, intercept: float) -> float:
    """Minus the log posterior density, up to a constant."""
    odds = slope * x + intercept
    misses = np.logaddexp(0, odds) - y * odds
    return float(misses.sum() + ((slope - 1) ** 2 + intercept**2) / (2 * SPREAD**2))


def _curvature(x: FloatArray, slope: float, intercept: float) -> FloatArray:
    """Second derivatives of the loss: (2, 2), positive definite."""
    p = _logistic(slope * x + intercept)
    w = p * (1 - p)
    cross = (w * x).sum()
    return np.array([[(w * x * x).sum(), cross], [cross, w.sum()]]) + np.eye(2) / SPREAD**2


def _left_out(x: FloatArray, y: IntArray, slope: float, intercept: float) -> FloatArray:
    """P of each gold item on the line fitted to all the others: (G,).

    One step of Newton's method from the whole fit towards each, in closed form.
    Source: Pregibon (1981), Logistic regression diagnostics.
    """
    odds = slope * x + intercept
    p = _logistic(odds)
    (a, b), (_, d) = np.linalg.inv(_curvature(x, slope, intercept))
    lever = a * x * x + 2 * b * x + d
    return _logistic(odds + (p - y) * lever / (1 - p * (1 - p) * lever))


def _bins(p: FloatArray, passed: IntArray, bins: int) -> Iterator[Bin]:
    place = np.searchsorted(np.arange(1, bins) / bins, p, side="right")
    items = np.bincount(place, minlength=bins)
    sums = np.bincount(place, p, bins)
    passing = np.bincount(place[passed == 1], minlength=bins)
    low, high = wilson(passing, items)
    for n in np.flatnonzero(items).tolist():
        numbers = (sums[n] / items[n], passing[n] / items[n], low[n], high[n])
        yield Bin(n / bins, (n + 1) / bins, int(items[n]), *map(float, numbers))


def _brier(p: FloatArray, y: IntArray) -> float:
    return float(((p - y) ** 2).mean())


def _logit(p: FloatArray) -> FloatArray:
    inside = np.clip(p, NEAREST, 1 - NEAREST)
    odds: FloatArray = np.log(inside) - np.log1p(-inside)
    return odds


def _logistic(odds: FloatArray) -> FloatArray:
    p: FloatArray = np.exp(-np.logaddexp(0, -odds))
    return p
