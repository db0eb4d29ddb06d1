"""How good rewards are: order, ties, spread, clustering, reliability, group advantage.

Plain functions on arrays; intervals draw whole prompts. Nothing here needs torch.
"""

from training.metrics.advantage import Advantages, RankSummary, by_rank, group_advantages
from training.metrics.intervals import Interval, pair_intervals, share_interval, split_intervals
from training.metrics.levels import ScoreLevels, score_levels
from training.metrics.order import Metrics, pair_metrics, split_metrics
from training.metrics.reliability import (
    Bin,
    Reliability,
    pair_ece,
    pair_reliability,
    split_ece,
    split_reliability,
)
from training.metrics.spread import pass_spread
from training.metrics.ties import TieThreshold, accuracy_with_ties, calibrate_ties, judged_right

__all__ = [
    "Advantages",
    "Bin",
    "Interval",
    "Metrics",
    "RankSummary",
    "Reliability",
    "ScoreLevels",
    "TieThreshold",
    "accuracy_with_ties",
    "by_rank",
    "calibrate_ties",
    "group_advantages",
    "judged_right",
    "pair_ece",
    "pair_intervals",
    "pair_metrics",
    "pair_reliability",
    "pass_spread",
    "score_levels",
    "share_interval",
    "split_ece",
    "split_intervals",
    "split_metrics",
    "split_reliability",
]
