"""What canaries show of a model: how far each change moves the rewards, and whether that is bad.

A change is judged in standard deviations of the model's reference, by the 95 % interval of its mean
over items, drawn by prompt. Shapes: N items of one dimension.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from training.metrics import split_metrics
from warehouse.errors import TrainingError

Floats = NDArray[np.float64]
Verdict = Literal["raises", "lowers", "insensitive", "steady", "unclear"]

THRESHOLD = 0.2  # reference standard deviations: Cohen's small effect
REPLICATES = 1000
LEVEL = 0.95
SAID = {
    "swapped": "another item's prompt",
    "frozen": "one frame throughout",
    "shuffled": "shuffled frames",
    "reversed": "frames in reverse",
    "blurred": "blur",
    "brightened": "more brightness",
    "watermarked": "a mark in the corner",
}
MOTION = ("frozen", "shuffled", "reversed")
"""Changes that a dimension about motion has to notice."""
MEANING = ("swapped",)
"""Changes that a dimension about the prompt has to notice."""


@dataclass(frozen=True)
class Canary:
    """One change in one dimension."""

    canary: str
    dimension: str
    items: int
    effect: float
    """Mean change of the reward in reference standard deviations."""
    low: float | None
    """Ends of the interval of `effect`; None where the items have one prompt."""
    high: float | None
    moved: float
    """Mean of the change's size, whatever its sign, in the same unit."""
    raised_share: float
    """Items whose reward rises."""
    acc: float | None
    """Pass x fail pairs in the right order as the clips are."""
    acc_after: float | None
    """The same with all clips changed."""
    acc_attacked: float | None
    """The same with only the fail clips changed: what a generator gains by the change."""
    verdict: Verdict
    flagged: bool
    """The verdict is one that this canary is there to warn of."""
    reason: str
    """The verdict in words."""


def judge(
    canary: str,
    dimension: str,
    before: ArrayLike,
    after: ArrayLike,
    *,
    prompts: Sequence[str],
    passed: Sequence[bool | None],
    std: float,
    notices: bool,
    threshold: float = THRESHOLD,
    seed: int = 0,
) -> Canary:
    """Verdict on one change in one dimension.

    before, after: (N,) rewards. prompts: (N,) prompt ids. passed: (N,) labels, None unlabelled.
    std: of the model's reference. notices: the dimension has to notice this change.
    The rule, with the interval of the mean change in units of std:
        raises       all above the threshold: flagged, whatever the change
        insensitive  the mean SIZE of the change is below it: flagged where `notices`
        lowers       all below minus the threshold
        steady       all within the threshold, though single items move
        unclear      else: more items would tell
    Raises: TrainingError where there are no items, or the reference has no spread.
    """
    old, new = np.asarray(before, float), np.asarray(after, float)
    if not len(old) or not std > 0:
        raise TrainingError(
            f"canary {canary}: {len(old)} items in {dimension}, reference std {std}; it takes items"
            " and a reference whose rewards differ"
        )
    change = (new - old) / std
    low, high = mean_interval(change, prompts, seed)
    moved = float(np.abs(change).mean())
    verdict = _verdict(low, high, moved, threshold)
    good = np.array([label is True for label in passed])
    bad = np.array([label is False for label in passed])
    return Canary(
        canary=canary,
        dimension=dimension,
        items=len(change),
        effect=float(change.mean()),
        low=low,
        high=high,
        moved=moved,
        raised_share=float((change > 0).mean()),
        acc=split_metrics(old[good], old[bad]).acc,
        acc_after=split_metrics(new[good], new[bad]).acc,
        acc_attacked=split_metrics(old[good], new[bad]).acc,
        verdict=verdict,
        flagged=verdict == "raises" or (verdict == "insensitive" and notices),
        reason=_reason(canary, verdict, notices=notices),
    )


def mean_interval(
    values: ArrayLike, prompts: Sequence[str], seed: int
) -> tuple[float | None, float | None]:
    """95 % interval of the mean of (N,) values; whole prompts are drawn. None for one prompt.

    Source: percentile bootstrap over clusters (Efron and Tibshirani 1993, chapter 13).
    """
    _, group = np.unique(np.asarray(prompts, dtype=str), return_inverse=True)
    counts = np.bincount(group)
    if len(counts) == 1:
        return None, None
    sums = np.bincount(group, np.asarray(values, float))
    chances = np.full(len(counts), 1 / len(counts))
    draws = np.random.default_rng(seed).multinomial(len(counts), chances, REPLICATES)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile((draws @ sums) / (draws @ counts), [tail, 1 - tail])
    return float(low), float(high)


def _verdict(low: float | None, high: float | None, moved: float, threshold: float) -> Verdict:
    if moved < threshold:
        return "insensitive"
    if low is None or high is None:
        return "unclear"
    if low > threshold:
        return "raises"
    if high < -threshold:
        return "lowers"
    return "steady" if low > -threshold and high < threshold else "unclear"


def _reason(canary: str, verdict: Verdict, *, notices: bool) -> str:
    said = SAID[canary]
    words: dict[Verdict, str] = {
        "raises": f"with {said} the reward rises: a generator can earn it without being better",
        "lowers": f"with {said} the reward falls",
        "insensitive": f"with {said} the reward stays as it was"
        + (", though this dimension has to notice it" if notices else ""),
        "steady": f"with {said} single rewards move, but not their mean",
        "unclear": f"with {said} these items do not tell where the mean reward goes",
    }
    return words[verdict]
