"""Reasons to look at an annotator's labels: random, drifts, fast, copies.

A flag is no verdict: it says where to look. Each is raised on about 1 % of honest people or fewer
over the teams of soak/results/annotator_flags.txt, which also shows the hard ones where `random`
is raised on more. `random` and `copies` are about a person and stand in the rows
of all their dimensions; `drifts` and `fast` are about one dimension.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from agreement.copies import binomial_tail
from agreement.dawid_skene import Prior
from agreement.labels import FloatArray, IntArray
from agreement.random_test import RandomOdds
from warehouse.contracts import FLAGS
from warehouse.digest import canonical_json
from warehouse.errors import AgreementError

Flags = dict[tuple[str, str | None], dict[str, str]]
"""Reason by flag, by annotator and dimension; None is every dimension."""


@dataclass(frozen=True)
class AnnotatorConfig:
    """What is measured of annotators, and when one is flagged."""

    prior: Prior = field(default_factory=Prior)
    """Of the coins that Dawid-Skene gives each annotator."""
    random_odds: float = 5.0
    """Flag `random`: chance explains the labels so many times better than honest judging does."""
    random_labels: int = 50
    """Nobody is called random before so many labels that others have answered as well."""
    fast_seconds: float | None = None
    """A label given in less is too fast; None: a quarter of the team's median, at least 1 s."""
    fast_share: float = 0.2
    """Flag `fast`: surely more than this share of an annotator's labels is too fast."""
    period: int = 50
    """Labels in a period of the drift charts."""
    copied_share: float = 0.3
    """Flag `copies`: a pair agrees as if at least this share of answers were copied."""
    level: float = 0.01
    """Chance of a false flag: of a person (fast, drifts in 20 periods), of a team (copies)."""

    def __post_init__(self) -> None:
        """Refuse what flags everybody or nobody."""
        object.__setattr__(self, "prior", Prior.of(self.prior))
        for name in ("fast_share", "copied_share", "level"):
            if not 0 < getattr(self, name) < 1:
                raise AgreementError(f"annotators: {name}={getattr(self, name)}; give 0 to 1")
        for name in ("random_labels", "period"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 1:
                raise AgreementError(
                    f"annotators: {name}={getattr(self, name)}; give a whole number from 1 on"
                )
        if not 1 < self.random_odds < math.inf:
            raise AgreementError(f"annotators: random_odds={self.random_odds}; give more than 1")
        if self.fast_seconds is not None and not 0 < self.fast_seconds < math.inf:
            raise AgreementError(
                f"annotators: fast_seconds={self.fast_seconds}; give seconds, or leave it out"
            )


def flag_texts(keys: list[tuple[str, str]], *kinds: Flags) -> list[str]:
    """JSON lists of {flag, reason}, one for each (annotator, dimension); [] where there is none.

    >>> flag_texts([("a", "shape")], {("a", None): {"copies": "as b"}}, {("b", "shape"): {}})
    ['[{"flag":"copies","reason":"as b"}]']
    """
    texts = []
    for annotator, dimension in keys:
        reasons: dict[str, str] = {}
        for flags in kinds:
            reasons |= flags.get((annotator, None), {}) | flags.get((annotator, dimension), {})
        found = [{"flag": flag, "reason": reasons[flag]} for flag in FLAGS if flag in reasons]
        texts.append(canonical_json(found))
    return texts


def random_flags(people: pa.Array, odds: RandomOdds, config: AnnotatorConfig) -> Flags:
    """People whose labels chance explains better than honest judging does."""
    judged = odds.labels >= config.random_labels
    found = np.flatnonzero(judged & (odds.log_odds >= math.log(config.random_odds)))
    return {
        (people[place].as_py(), None): {
            "random": f"chance explains {odds.labels[place]} labels"
            f" 10^{odds.log_odds[place] / math.log(10):.1f} times as well as somebody who is right"
            " three times in four or more, given what the others said"
        }
        for place in found.tolist()
    }


def fast_flags(
    keys: list[tuple[str, str]], fast: IntArray, timed: IntArray, config: AnnotatorConfig
) -> Flags:
    """Keys of which more than the allowed share of labels is too fast, by a one-sided test.

    fast, timed: labels per key that were too fast, and whose time is known.
    """
    allowed: FloatArray = np.full(len(keys), config.fast_share)
    p_value = binomial_tail(fast, np.maximum(timed, 1), allowed)
    return {
        keys[place]: {
            "fast": f"{fast[place]} of {timed[place]} labels took less time than looking takes"
        }
        for place in np.flatnonzero(p_value <= config.level).tolist()
    }


def drift_flags(drift: pa.Table) -> Flags:
    """Charts with a recent period below the limits."""
    low = drift.filter(pc.and_(drift["signal"], drift["recent"]))
    flags: Flags = {}
    for row in low.to_pylist():  # the newest signal of a chart comes last
        flags[row["annotator_id"], row["dimension"]] = {
            "drifts": f"{row['kind']}: {row['share']:.0%} right in {row['labels']} labels until "
            f"{row['end']:%Y-%m-%d}, limit {row['lower']:.0%}, centre {row['centre']:.0%}"
        }
    return flags


def copy_flags(copies: pa.Table) -> Flags:
    """Members of pairs that agree too much, with the pair that does most."""
    flags: Flags = {}
    pairs = copies.filter(copies["flagged"])
    for row in pairs.sort_by([("copied", "ascending")]).to_pylist():
        for name, other in (("annotator_a", "annotator_b"), ("annotator_b", "annotator_a")):
            flags[row[name], None] = {
                "copies": f"says the same as {row[other]} on {row['agree']:.0%} of {row['items']} "
                f"shared answers, {row['expected']:.0%} expected; one copies the other, or it is "
                "one person under two accounts"
            }
    return flags
