"""Annotators' curves: how often each says pass on an item, by where the item stands.

An item stands at a place t of a line; annotator a says pass with probability Phi(d_a t - c_a), a
normal ogive (Lord 1952). The two coins of Dawid and Skene (1979) are two points of such a curve,

    Phi(d_a - c_a) = sensitivity_a        Phi(-d_a - c_a) = 1 - specificity_a,

so their model is this one with all items at t = 1 (pass) or t = -1 (fail). For items that lie
otherwise the curves are fitted by EM: places of the items given the curves, then one probit
regression per annotator.

The places are a grid, and the likelihood of a pattern of labels at each place is computed once.

Sources: Lord (1952), A theory of test scores; Dawid and Skene (1979), Maximum likelihood estimation
of observer error-rates; Bock and Aitkin (1981), Marginal maximum likelihood estimation of item
parameters: an application of an EM algorithm.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb
from typing import NamedTuple

import numpy as np
from scipy.special import log_ndtr, ndtr, ndtri

from agreement.dawid_skene import Prior
from agreement.labels import BoolArray, FloatArray, IntArray

STEP = 0.1
PLACES: FloatArray = (np.arange(-40, 40, dtype=np.float64) + 0.5) * STEP  # (T,)
STATES = np.array([1.0, -1.0])  # pass, fail
TINY = 1e-300  # a probability whose logarithm is still finite
EDGE = 1e-9  # pass rates stay this far from 0 and 1
ROUNDS = 20  # of EM; another 80 moved no d or c by more than 0.003 (3,000 items x 6 labels)
STEEPEST = 8.0  # d and |c| stay below


class Curves(NamedTuple):
    """d and c of each annotator: (A,)."""

    slope: FloatArray
    shift: FloatArray

    def at(self, places: FloatArray) -> FloatArray:
        """Probit of P(pass): (A, len(places))."""
        probits: FloatArray = self.slope[:, None] * places - self.shift[:, None]
        return probits


class Votes(NamedTuple):
    """Labels (L,) of N items by A annotators, both numbered without gaps."""

    item: IntArray
    annotator: IntArray
    passed: BoolArray

    @property
    def items(self) -> int:
        """Number of items."""
        return int(self.item.max(initial=-1)) + 1

    @property
    def counts(self) -> dict[int, IntArray]:
        """Number of labels k -> items with 0, 1, ..., k pass labels: (k + 1,), k ascending."""
        given = np.bincount(self.item)
        passes = np.bincount(self.item, weights=self.passed).astype(np.int64)
        return {
            k: np.bincount(passes[given == k], minlength=k + 1) for k in np.unique(given).tolist()
        }


@dataclass(frozen=True)
class Evidence:
    """U patterns of labels and what they say about the item's place.

    items: (U,) how many items have the pattern; expected numbers need not be whole.
    likelihood: (U, T) probability of the pattern at each place, over the pattern's largest.
    largest: (U,) logarithm of that.
    pass_rate: (T,) P(pass) at each place, over annotators as often as they label.
    """

    items: FloatArray
    likelihood: FloatArray
    largest: FloatArray
    pass_rate: FloatArray


def coin_curves(sensitivity: FloatArray, specificity: FloatArray) -> Curves:
    """Curves through Dawid-Skene's two coins."""
    right_on_pass, right_on_fail = ndtri(sensitivity), ndtri(specificity)
    return Curves((right_on_pass + right_on_fail) / 2, (right_on_fail - right_on_pass) / 2)


def label_evidence(votes: Votes, curves: Curves) -> Evidence:
    """Evidence of labels whose annotators are known."""
    logs = _place_logs(votes, curves).round(9)
    patterns, items = np.unique(logs, axis=0, return_counts=True)
    share = np.bincount(votes.annotator, minlength=len(curves.slope)) / len(votes.annotator)
    pass_rate: FloatArray = (share[:, None] * ndtr(curves.at(PLACES))).sum(axis=0)
    return _evidence(items.astype(np.float64), patterns, np.clip(pass_rate, EDGE, 1 - EDGE))


def count_evidence(counts: dict[int, FloatArray], pass_rate: FloatArray) -> Evidence:
    """Evidence of counts, whoever gave the labels.

    counts: number of labels k -> items with 0, 1, ..., k pass labels.
    """
    chance = np.concatenate([count_chances(k, pass_rate) for k in counts])
    return _evidence(np.concatenate(list(counts.values())), np.log(chance), pass_rate)


def count_chances(k: int, pass_rate: FloatArray) -> FloatArray:
    """Probability at each place that 0, 1, ..., k of k labels say pass: (k + 1, T)."""
    chances = [comb(k, c) * pass_rate**c * (1 - pass_rate) ** (k - c) for c in range(k + 1)]
    return np.maximum(chances, TINY)


def refit(votes: Votes, curves: Curves, share: FloatArray, prior: Prior) -> Curves:
    """Curves for items that lie on the line as `share` says: (T,).

    prior: the labels that it adds to a coin are added at the two states.
    """
    for _ in range(ROUNDS):
        logs = _place_logs(votes, curves)
        joint = np.exp(logs - logs.max(axis=1, keepdims=True)) * share
        posterior = joint / joint.sum(axis=1, keepdims=True)
        passing = _by_annotator(votes, posterior, votes.passed)
        failing = _by_annotator(votes, posterior, ~votes.passed)
        curves = _regress(curves, passing, failing, prior)
    return curves


def _place_logs(votes: Votes, curves: Curves) -> FloatArray:
    """Log-likelihood of each item's labels at each place: (N, T)."""
    probits = curves.at(PLACES)
    by_label = np.stack([log_ndtr(-probits), log_ndtr(probits)])
    order = np.lexsort((votes.passed, votes.annotator, votes.item))
    item, annotator, passed = (column[order] for column in votes)
    starts = np.flatnonzero(np.diff(item, prepend=-1))
    logs: FloatArray = np.add.reduceat(by_label[passed.astype(np.int64), annotator], starts, axis=0)
    return logs


def _by_annotator(votes: Votes, posterior: FloatArray, chosen: BoolArray) -> FloatArray:
    """Expected number of the chosen labels that each annotator gave at each place: (A, T)."""
    item, annotator = votes.item[chosen], votes.annotator[chosen]
    people = range(int(votes.annotator.max()) + 1)
    return np.array([posterior[np.sort(item[annotator == a])].sum(axis=0) for a in people])


def _regress(curves: Curves, passing: FloatArray, failing: FloatArray, prior: Prior) -> Curves:
    """One step of Fisher scoring of each annotator's probit regression."""
    places = np.append(PLACES, STATES)
    added = np.broadcast_to([prior.right, prior.wrong], (len(passing), 2))
    n_pass, n_fail = np.hstack([passing, added]), np.hstack([failing, added[:, ::-1]])
    probits = curves.at(places)
    density = -(probits**2) / 2 - np.log(2 * np.pi) / 2
    up, down = np.exp(density - log_ndtr(probits)), np.exp(density - log_ndtr(-probits))
    score = n_pass * up - n_fail * down
    weight = (n_pass + n_fail) * up * down
    s0, s1 = score.sum(axis=1), (score * places).sum(axis=1)
    w0, w1, w2 = (np.einsum("at,t->a", weight, places**power) for power in (0, 1, 2))
    room = w0 * w2 - w1**2 + TINY
    slope = curves.slope + (w0 * s1 - w1 * s0) / room
    shift = curves.shift - (w2 * s0 - w1 * s1) / room
    return Curves(np.clip(slope, -STEEPEST, STEEPEST), np.clip(shift, -STEEPEST, STEEPEST))


def _evidence(items: FloatArray, logs: FloatArray, pass_rate: FloatArray) -> Evidence:
    largest = logs.max(axis=1)
    return Evidence(items, np.exp(logs - largest[:, None]), largest, pass_rate)
