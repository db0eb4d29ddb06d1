"""Losses on pairs of rewards: pure functions, no model in sight.

Shapes: P pairs. `gap` is r_winner - r_other. A loss per pair has shape (P,); means are taken over
what counts, so that neither masked pairs nor the share of ties change the scale.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


def win_loss(gap: Tensor, margin: float = 0.0) -> Tensor:
    """Bradley-Terry loss of win-lose pairs, -log sigma(gap - margin).

    gap: (P,) winner's reward less loser's. margin: reward gap from which the loss is below log 2.
    Returns: (P,) nats.
    Source: Eq. 1 of the SoliReward paper (margin 0); Table 16 for a margin of 3.

    >>> round(win_loss(torch.tensor([0.0])).item(), 4)
    0.6931
    """
    return -logsigmoid(gap - margin)


def tie_loss(gap: Tensor) -> Tensor:
    """Loss of win-tie pairs, -1/2 log sigma(gap) - 1/2 log sigma(-gap).

    gap: (P,) difference of the rewards; its sign does not matter.
    Returns: (P,) nats; log 2 at equal rewards, curvature 1/4 there.
    Source: Eq. 2 of the SoliReward paper with mu = 0.5.
    """
    return pair_loss(gap, torch.full_like(gap, 0.5))


def pair_loss(gap: Tensor, mu: Tensor, margin: float = 0.0) -> Tensor:
    """Bradley-Terry with win-tie, -mu log sigma(d) - (1 - mu) log sigma(-d), per pair.

    gap: (P,). mu: (P,) probability that the winner is preferred; 1 for win-lose, 1/2 for ties.
    margin: asked of a one-sided pair only: d = gap - margin * (2 mu - 1), so that a win-lose pair
        has all of it, a tie none, and a soft pair its share.
    Returns: (P,) nats.
    Source: Eq. 2 of the SoliReward paper; the margin stands on the win-lose term alone.
    """
    shifted = gap - margin * (2 * mu - 1)
    return -mu * logsigmoid(shifted) - (1 - mu) * logsigmoid(-shifted)


@dataclass(frozen=True)
class LossParts:
    """A loss and what it is made of, each a scalar in nats."""

    total: Tensor
    win_lose: Tensor
    win_tie: Tensor


def bt_wt(
    gap: Tensor,
    *,
    mu: Tensor,
    weight: Tensor,
    tie: Tensor,
    dimension: Tensor,
    margin: float = 0.0,
    tie_coefficient: float = 1.0,
) -> LossParts:
    """BT-WT over the pairs of one or several dimensions.

    gap, mu, weight: (P,); pairs of weight 0 count nowhere. tie: (P,) bool, the pair is a tie.
    dimension: (P,) int64 numbers from 0.
    Returns: win_lose and win_tie: mean over the pairs of each dimension, then over the dimensions
        that have any; total: win_lose + tie_coefficient * win_tie. Ten times as many ties, or pairs
        of one dimension, leave the scale of both terms as it was.
    Source: Eq. 2 of the SoliReward paper.
    """
    losses = pair_loss(gap, mu, margin)
    win_lose = _mean_of_means(losses, weight * ~tie, dimension)
    win_tie = _mean_of_means(losses, weight * tie, dimension)
    return LossParts(win_lose + tie_coefficient * win_tie, win_lose, win_tie)


def _mean_of_means(values: Tensor, weight: Tensor, group: Tensor) -> Tensor:
    """Mean over groups of each group's weighted mean; groups without weight count nowhere."""
    groups = int(group.max()) + 1 if len(group) else 0
    sums, totals = (
        torch.zeros(groups, dtype=part.dtype, device=part.device).index_add(0, group, part)
        for part in (values * weight, weight)
    )
    present = (totals > 0).to(sums)
    means = sums / torch.where(totals > 0, totals, torch.ones_like(totals))
    return means.sum() / present.sum().clamp(min=1)
