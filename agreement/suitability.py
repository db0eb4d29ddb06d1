"""Win-tie suitability: does a shared Pass mean the same quality, or only two items over a bar.

*One state*: an item is a pass or it is not. Labels of true passes then differ by the annotators'
errors alone and are independent given the truth (Dawid and Skene 1979). *Threshold*: quality is a
continuum, and an annotator says pass where quality plus noise exceeds the annotator's threshold
(Lord 1952). True passes are then unlike each other, the good ones always pass and those near the
threshold every other time, and the numbers of pass labels are over-dispersed (Skellam 1948;
Williams 1982).

dispersion  rho = Var(p) / (m (1 - m)): correlation of the labels of two annotators given that the
            item is a true pass; p is the item's pass rate, m the mean of p. 0 in one state.
difficulty  SD of p: how much error rates would have to differ between true passes for item
            difficulty alone to do what was measured.

A true pass is an item nearer to the pass state than to the fail state (t > 0 in
`agreement.ogive`). Verdict, from the four models in `agreement.states`:

unsuitable       one state is rejected (5 % at level 0.95), and either graded is rejected too, or
                 the threshold, with three parameters less, explains the labels better (Akaike)
suitable         graded is not rejected and beats the threshold by the evidence asked for
too little data  otherwise; `power` is the chance of `unsuitable` if the truth is a threshold that
                 looks like these labels

Why at least four labels. k exchangeable labels have k free frequencies, and two classes with their
error rates take three of them: with three labels every frequency is fitted, and nothing can be
tested. Three named annotators have 7 free patterns for 7 parameters: the same. Many annotators in
turn leave a few patterns free, too few to tell a spread from an error rate, so fewer than four are
refused. Albert and Dodd (2004) show how little even more labels may say; hence the third verdict.

What the test cannot see is a difference between items that everybody passes. It finds a continuum
that runs through the threshold, not one that begins above it.

Sources: SoliReward, section 6, asks the question. Dawid and Skene (1979), Maximum likelihood
estimation of observer error-rates; Lord (1952), A theory of test scores; Skellam (1948), A
probability distribution derived from the binomial; Williams (1982), Extra-binomial variation in
logistic linear models; Albert and Dodd (2004), A cautionary note on the robustness of latent class
models; Kass and Raftery (1995), Bayes factors.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from agreement.labels import Coded, canonical_annotators, code, labels_digest
from agreement.ogive import Votes
from agreement.rows import contract_table
from agreement.states import (
    Models,
    critical,
    dispersion_interval,
    expected_counts,
    fit_models,
    p_value,
    power,
)
from warehouse.digest import value_digest
from warehouse.errors import AgreementError

SATURATED = 3  # labels per item that two classes fit exactly
FEWEST_ITEMS = 30  # below, likelihood ratios do not follow their distributions
TOLERANCES = (0.03, 0.3)  # from what the grid resolves to what is no longer one state
DIGITS = 6  # of the numbers in the rows


@dataclass(frozen=True)
class SuitabilityConfig:
    """What counts as one state, and which items are looked at."""

    tolerance: float = 0.07
    """SD of error rates between items of one state: mild difficulty, not a continuum."""
    evidence: float = 6.0
    """Twice the log-likelihood, penalty taken off, by which one state must beat the threshold to be
    suitable; Kass and Raftery call 6 strong."""
    minimum_labels: int = 4
    """Items with fewer design labels are not used; 6 tell far more than 4."""
    minimum_items: int = 60
    """With fewer such items there is no verdict."""
    most_items: int = 5_000
    """Of more items so many are drawn: enough to decide, and it stays quick."""
    level: float = 0.95
    """Of the interval; 1 - level is the chance of each test to reject what is true."""
    seed: int = 0
    """Of the draw."""

    def __post_init__(self) -> None:
        """Refuse settings under which nothing can be tested."""
        low, high = TOLERANCES
        if not low <= self.tolerance <= high:
            raise AgreementError(
                f"suitability tolerance={self.tolerance}: give an SD of error rates from {low} to "
                f"{high}; 0.07 is mild"
            )
        if self.minimum_labels <= SATURATED:
            raise AgreementError(
                f"suitability minimum_labels={self.minimum_labels}: with {SATURATED} labels or "
                "fewer, two error rates explain any labels and nothing can be tested; give 4 or "
                "more, and collect 6 on a calibration subset"
            )
        if not FEWEST_ITEMS <= self.minimum_items <= self.most_items:
            raise AgreementError(
                f"suitability minimum_items={self.minimum_items}, most_items={self.most_items}: "
                f"give {FEWEST_ITEMS} <= minimum_items <= most_items"
            )
        if not 0 <= self.evidence < np.inf:
            raise AgreementError(f"suitability evidence={self.evidence}: give 0 or more")
        if not 0 < self.level < 1:
            raise AgreementError(f"suitability level {self.level} lies outside (0, 1)")
        if self.seed < 0:
            raise AgreementError(f"suitability seed={self.seed}: give 0 or more")


def suitability(
    labels: pa.Table, config: SuitabilityConfig | None = None, *, measurement_id: str | None = None
) -> pa.Table:
    """May two items that pass make a win-tie? One verdict per dimension.

    labels: the view `labels`; design labels count. measurement_id: of the run the rows belong to;
        without it, the digest of labels and settings.
    Returns: rows of the contract `suitability` without observed_at, by dimension.
    Raises: AgreementError for labels that cannot be counted.
    Cost: about a second of CPU per dimension, at any number of items.

    >>> cells = [(f"v{i}", f"a{j}") for i in range(9) for j in range(4)]
    >>> labels = pa.Table.from_pylist([{"item_id": i, "annotator_id": a, "value": "pass",
    ...     "dimension": "shape", "role": "design"} for i, a in cells])
    >>> row = suitability(labels).to_pylist()[0]
    >>> row["verdict"], row["items"], row["labels"], row["reason"]
    ('too_little_data', 9, 36, '9 items with 4 design labels or more; the test asks for 60')
    """
    config = config or SuitabilityConfig()
    coded = code(labels)
    digest = labels_digest(coded)  # which also refuses repeated answers
    run = measurement_id or value_digest({"labels": digest, "suitability": asdict(config)})
    rows = [
        {"measurement_id": run, "dimension": name, **_row(coded, place, config)}
        for place, name in enumerate(coded.dimensions)
    ]
    return contract_table("suitability", rows)


def count_distributions(labels: pa.Table, config: SuitabilityConfig | None = None) -> pa.Table:
    """How many items have how many pass labels, and how many the models expect.

    labels, config: as for `suitability`.
    Returns: a row per dimension, number of labels and number of passes: items observed, and those
        expected by one_state and by threshold, annotators pooled. A dimension that cannot be tested
        has no rows.
    Raises: AgreementError for labels that cannot be counted.
    """
    config = config or SuitabilityConfig()
    coded = code(labels)
    rows = [
        {"dimension": name, **row}
        for place, name in enumerate(coded.dimensions)
        for row in _count_rows(_votes(coded, place, config), config)
    ]
    return pa.Table.from_pylist(rows, schema=DISTRIBUTIONS)


def _row(coded: Coded, dimension: int, config: SuitabilityConfig) -> dict[str, Any]:
    """The columns that are measured."""
    votes = _votes(coded, dimension, config)
    size = {"items": votes.items, "labels": len(votes.item)}
    if reason := _untestable(votes, config):
        return {
            **size,
            "verdict": "too_little_data",
            "reason": _with_thin(reason, coded, dimension),
        }
    models = fit_models(votes, config.tolerance)
    low, high = dispersion_interval(models, config.level)
    numbers = {
        "dispersion": models.dispersion,
        "low": low,
        "high": high,
        "p_value": p_value(models),
        "difficulty": models.difficulty,
        "power": power(votes, models, config.tolerance, config.level),
    }
    verdict, reason = judge_models(models, config)
    rounded = {name: round(number, DIGITS) for name, number in numbers.items()}
    return {**size, **rounded, "verdict": verdict, "reason": reason}


def _votes(coded: Coded, dimension: int, config: SuitabilityConfig) -> Votes:
    """Labels of the items that have enough; annotators numbered by what they said."""
    chosen = np.flatnonzero(coded.counts[dimension].sum(axis=1) >= config.minimum_labels)
    if len(chosen) > config.most_items:
        rng = np.random.default_rng(config.seed)
        chosen = np.sort(rng.choice(chosen, config.most_items, replace=False))
    rows = np.flatnonzero((coded.dimension == dimension) & np.isin(coded.item, chosen))
    item = np.searchsorted(chosen, coded.item[rows])
    annotator = np.unique(coded.annotator[rows], return_inverse=True)[1]
    passed = coded.passed[rows]
    return Votes(item, canonical_annotators(item, annotator, passed)[annotator], passed)


def _untestable(votes: Votes, config: SuitabilityConfig) -> str | None:
    """Why there is nothing to fit."""
    if votes.items < config.minimum_items:
        return (
            f"{votes.items} items with {config.minimum_labels} design labels or more; the test "
            f"asks for {config.minimum_items}"
        )
    if votes.passed.all() or not votes.passed.any():
        return "all labels are equal: there are no errors whose spread could be seen"
    return None


def _with_thin(reason: str, coded: Coded, dimension: int) -> str:
    """The reason, and what items with two or three labels cannot do about it."""
    given = coded.counts[dimension].sum(axis=1)
    thin = int(((given > 0) & (given <= SATURATED)).sum())
    if not thin:
        return reason
    return (
        f"{reason}; {thin} items have {SATURATED} or fewer, which two error rates explain whatever "
        "they say: label a calibration subset 6 times"
    )


def judge_models(models: Models, config: SuitabilityConfig) -> tuple[str, str]:
    """Verdict and reason of fitted models (see the module)."""
    one_state, graded = models.over(models.one_state), models.over(models.graded)
    limit, graded_limit = critical(2, config.level), critical(1, config.level)
    spread = (
        f"error rates of true passes differ by SD {models.difficulty:.3f}, tolerated is "
        f"{config.tolerance:g}"
    )
    if one_state > limit and (graded > graded_limit or models.preference < 0):
        return "unsuitable", (
            f"one state is rejected: likelihood ratio {one_state:.1f}, limit {limit:.1f}; {spread}"
        )
    better, by = "one state", models.preference
    if by < 0:
        better, by = "a threshold", -by
    beats = f"{better} explains the labels better by {by:.1f} (Akaike)"
    if graded <= graded_limit and models.preference >= config.evidence:
        return "suitable", f"{beats}, asked for is {config.evidence:g}; {spread}"
    return "too_little_data", (
        f"neither is shown: {beats}, one state needs {config.evidence:g}; likelihood ratio against "
        f"one state {one_state:.1f}, limit {limit:.1f}; label more items, best 6 times each"
    )


def _count_rows(votes: Votes, config: SuitabilityConfig) -> Iterator[dict[str, Any]]:
    if _untestable(votes, config):
        return
    models = fit_models(votes, config.tolerance)
    one_state = expected_counts(votes, models.evidence, models.one_state)
    threshold = expected_counts(votes, models.continuum, models.threshold)
    for k, observed in votes.counts.items():
        for passes in range(k + 1):
            yield {
                "labels": k,
                "passes": passes,
                "observed": int(observed[passes]),
                "one_state": round(float(one_state[k][passes]), DIGITS),
                "threshold": round(float(threshold[k][passes]), DIGITS),
            }


DISTRIBUTIONS = pa.schema(
    [
        pa.field("dimension", pa.string(), nullable=False),
        pa.field("labels", pa.int64(), nullable=False),
        pa.field("passes", pa.int64(), nullable=False),
        pa.field("observed", pa.int64(), nullable=False),
        pa.field("one_state", pa.float64(), nullable=False),
        pa.field("threshold", pa.float64(), nullable=False),
    ]
)
