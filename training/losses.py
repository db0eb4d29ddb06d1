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


def weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Mean of (P,) values under (P,) weights; 0 (with a gradient of 0) where nothing weighs."""
    total = weight.sum()
    return (values * weight).sum() / torch.where(total > 0, total, torch.ones_like(total))


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
    margin: float = 0.0,
    tie_coefficient: float = 1.0,
) -> LossParts:
    """BT-WT over the pairs of one dimension.

    gap, mu, weight: (P,); pairs of weight 0 count nowhere. tie: (P,) bool, the pair is a tie.
    Returns: mean over win-lose pairs + tie_coefficient * mean over ties, and both means. Each mean
        is over its own weights: ten times as many ties leave the scale of both terms as it was.
    Source: Eq. 2 of the SoliReward paper.
    """
    losses = pair_loss(gap, mu, margin)
    win_lose = weighted_mean(losses, weight * ~tie)
    win_tie = weighted_mean(losses, weight * tie)
    return LossParts(win_lose + tie_coefficient * win_tie, win_lose, win_tie)
