"""Every metric of one model on one part of a set: a dimension and split, or a group in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training.metrics import (
    Interval,
    Metrics,
    Reliability,
    TieThreshold,
    calibrate_ties,
    group_advantages,
    judged_right,
    pair_ece,
    pair_intervals,
    pair_metrics,
    pair_reliability,
    pass_spread,
    score_levels,
    share_interval,
    split_ece,
    split_intervals,
    split_metrics,
    split_reliability,
)

# In the order in which they are shown.
METRICS = (
    "acc", "equal_share", "margin", "auc",
    "acc_ties", "tie_threshold", "acc_ties_same", "tie_threshold_same",
    "pass_std", "pass_iqr", "pass_relative",
    "levels", "equal_items", "ece", "top_advantage",
)  # fmt: skip
TIES = METRICS[4:8]
Row = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """Items and pairs with rewards of one model."""

    items: pd.DataFrame
    """item_id, prompt_id, label (pass, fail or None), reward."""
    pairs: pd.DataFrame
    """kind, and reward, item_id and prompt_id of winner and other."""
    explicit: bool
    """Win-lose pairs are the set's own; else every pass x fail of the items."""

    @property
    def passed(self) -> NDArray[np.float64]:
        """Rewards of the items that passed."""
        return self.items.loc[self.items["label"] == "pass", "reward"].to_numpy()

    @property
    def failed(self) -> NDArray[np.float64]:
        """Rewards of the items that failed."""
        return self.items.loc[self.items["label"] == "fail", "reward"].to_numpy()

    @property
    def win_lose(self) -> pd.DataFrame:
        """The set's own win-lose pairs."""
        return self.pairs[self.pairs["kind"] == "win_lose"]


def tie_threshold(part: Part) -> TieThreshold | None:
    """The threshold that suits the part's pairs best; None without win-lose pairs or ties."""
    judged, gaps = _judged(part.pairs)
    return calibrate_ties(judged, gaps) if _has_both(judged) else None


def metrics_of(part: Part, calibrated: TieThreshold | str, seed: int) -> Iterator[Row]:
    """A row a metric: metric, value, low, high, reason, pairs, items; in the order of METRICS.

    calibrated: threshold for ties from the validation split, or why there is none.
    """
    yield from _order(part, seed)
    yield from _ties(part, calibrated, seed)
    yield from _spread(part, seed)
    yield from _levels(part)
    yield _row("ece", _ece(part, seed), *_counts(part), "no win-lose pair")
    yield _advantage(part, seed)


def reliability_of(part: Part) -> Reliability:
    """How often the model's favourite wins."""
    if part.explicit:
        pairs = part.win_lose
        return pair_reliability(pairs["winner_reward"] - pairs["other_reward"])
    return split_reliability(part.passed, part.failed)


def _ece(part: Part, seed: int) -> Interval:
    if part.explicit:
        return pair_ece(*_gaps_and_prompts(part.win_lose), seed=seed)
    return split_ece(*_labelled(part), seed=seed)


def _order(part: Part, seed: int) -> Iterator[Row]:
    whole = _whole(part)
    if part.explicit:
        found = pair_intervals(*_gaps_and_prompts(part.win_lose), seed=seed)
    else:
        found = split_intervals(*_labelled(part), seed=seed)
    reason = "no pair whose items both have a reward" if part.explicit else whole.reason
    for metric, interval in found.items():
        yield _row(metric, interval, whole.pairs, whole.items, reason)


def _gaps_and_prompts(pairs: pd.DataFrame) -> tuple[Any, list[str], list[str]]:
    """(P,) gaps of pairs, and the prompts of their two sides."""
    gaps = pairs["winner_reward"] - pairs["other_reward"]
    return gaps, pairs["winner_prompt_id"].tolist(), pairs["other_prompt_id"].tolist()


def _labelled(part: Part) -> tuple[Any, Any, list[str]]:
    """(N,) rewards of the labelled items, whether they passed, and their prompts."""
    items = part.items[part.items["label"].notna()]
    return items["reward"], items["label"] == "pass", items["prompt_id"].tolist()


def _whole(part: Part) -> Metrics:
    if not part.explicit:
        return split_metrics(part.passed, part.failed)
    pairs = part.win_lose
    return pair_metrics(pairs["winner_reward"], pairs["other_reward"], _items_in(pairs))


def _counts(part: Part) -> tuple[int, int]:
    """Win-lose pairs and their items."""
    if part.explicit:
        return len(part.win_lose), _items_in(part.win_lose)
    return len(part.passed) * len(part.failed), len(part.passed) + len(part.failed)


def _ties(part: Part, calibrated: TieThreshold | str, seed: int) -> Iterator[Row]:
    judged, gaps = _judged(part.pairs)
    pairs, items = len(judged), _items_in(part.pairs)
    if not _has_both(judged):
        reason = "the set has no win-lose pairs and ties here to tell apart"
        yield from (_row(metric, None, pairs, items, reason) for metric in TIES)
        return
    for name, threshold in (("", calibrated), ("_same", calibrate_ties(judged, gaps))):
        if isinstance(threshold, str):
            acc, epsilon, reason = None, None, threshold
        else:
            sides = (part.pairs[f"{side}_prompt_id"].tolist() for side in ("winner", "other"))
            right = judged_right(judged, gaps, threshold.epsilon)
            acc, epsilon, reason = share_interval(right, *sides, seed=seed), threshold.epsilon, ""
        yield _row(f"acc_ties{name}", acc, pairs, items, reason)
        yield _row(f"tie_threshold{name}", epsilon, pairs, items, reason)


def _judged(pairs: pd.DataFrame) -> tuple[Any, Any]:
    """(P,) 1 for a win-lose pair, 0 for a tie; (P,) gaps."""
    judged = (pairs["kind"] == "win_lose").to_numpy(dtype=int)
    return judged, (pairs["winner_reward"] - pairs["other_reward"]).to_numpy()


def _has_both(judged: Any) -> bool:
    return 0 < int(judged.sum()) < len(judged)


def _spread(part: Part, seed: int) -> Iterator[Row]:
    rewards, passed, prompts = _labelled(part)
    found = pass_spread(rewards, passed, prompts, seed=seed)
    for metric, interval in found.items():
        yield _row(metric, interval, 0, int(passed.sum()), "fewer than two pass items")


def _levels(part: Part) -> Iterator[Row]:
    seen = score_levels(part.items["reward"])
    count = float(seen.levels) if seen.items else None
    yield _row("levels", count, 0, seen.items, "no item with a reward")
    pairs = seen.items * (seen.items - 1) // 2
    yield _row("equal_items", seen.equal_items, pairs, seen.items, "fewer than two items")


def _advantage(part: Part, seed: int) -> Row:
    found = group_advantages(part.items["reward"], part.items["prompt_id"].tolist())
    best = found.advantage[found.rank == 1]
    interval = share_interval(best, found.prompts, found.prompts, seed=seed)
    reason = "no prompt with three items and different rewards"
    return _row("top_advantage", interval, 0, len(found.advantage), reason)


def _items_in(pairs: pd.DataFrame) -> int:
    return len(np.unique(pairs[["winner_item_id", "other_item_id"]].to_numpy(dtype=str)))


def _row(
    metric: str, value: Interval | float | None, pairs: int, items: int, reason: str | None
) -> Row:
    """A row; the reason is kept where there is no number."""
    found = value if isinstance(value, Interval) else Interval(value, None, None)
    return {
        "metric": metric,
        "value": found.value,
        "low": found.low,
        "high": found.high,
        "reason": reason if found.value is None else None,
        "pairs": pairs,
        "items": items,
    }
