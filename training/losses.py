"""Losses of rewards: pure functions, no model in sight.

Shapes: P pairs. `gap` is r_winner - r_other. A function gives one loss per pair or item, in nats
but for regression; `mean_of_means` averages them over what counts.
"""

from __future__ import annotations

import math

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


def pair_loss(gap: Tensor, mu: Tensor, margin: float = 0.0, smoothing: float = 0.0) -> Tensor:
    """Bradley-Terry with win-tie, -t log sigma(d) - (1 - t) log sigma(-d), per pair.

    gap: (P,). mu: (P,) probability that the winner is preferred; 1 for win-lose, 1/2 for ties.
    margin: asked of a one-sided pair only: d = gap - margin * (2 mu - 1), so that a win-lose pair
        has all of it, a tie none, and a soft pair its share.
    smoothing: share of the target that goes to the other side, t = mu - smoothing * (2 mu - 1): a
        win-lose pair is taken for mislabelled with this probability, a tie stays a tie.
    Returns: (P,) nats.
    Source: Eq. 2 of the SoliReward paper (t = mu); the margin stands on the win-lose term alone.
    """
    lean = 2 * mu - 1
    shifted = gap - margin * lean
    target = mu - smoothing * lean
    return -target * logsigmoid(shifted) - (1 - target) * logsigmoid(-shifted)


def summed_tie_loss(gap: Tensor, margin: float) -> Tensor:
    """The tie term of SoliReward's code, -log sigma(gap - margin) - log sigma(-gap - margin).

    It is a Rao-Kupper tie with log theta = margin, less its constant: the larger the margin, the
    flatter around 0 and the higher its floor.
    gap: (P,); its sign does not matter.
    Returns: (P,) nats; at margin 3 no less than 6.10, with curvature 0.090 at equal rewards.
    Source: measured behaviour of the released trainer; the paper's own tie term is `tie_loss`.

    >>> round(summed_tie_loss(torch.tensor([0.0]), 3.0).item(), 2)
    6.1
    """
    return -logsigmoid(gap - margin) - logsigmoid(-gap - margin)


def btt_loss(gap: Tensor, mu: Tensor, theta: float) -> Tensor:
    """Negative log-likelihood of Bradley-Terry with ties, per pair.

    P(win) = sigma(gap - log theta), P(loss) = sigma(-gap - log theta), and a tie has the rest,
    (theta^2 - 1) P(win) P(loss).
    gap: (P,). theta: above 1; the larger, the wider the ties.
    mu: (P,) 1 for win-lose, 1/2 for ties of any kind. A soft pair counts as a win of the side that
        it leans to by |2 mu - 1|, else as a tie: mu is the chance of a win plus half that of a tie.
    Returns: (P,) nats.
    Source: Rao and Kupper (1967); VideoAlign, Eq. 2, with theta = 5.

    >>> probabilities = [btt_loss(torch.zeros(1), torch.tensor([mu]), 5.0) for mu in (1, 0.5, 0)]
    >>> [round(torch.exp(-loss).item(), 4) for loss in probabilities]
    [0.1667, 0.6667, 0.1667]
    """
    width = math.log(theta)
    lean = 2 * mu - 1
    won = win_loss(torch.where(lean < 0, -gap, gap), width)
    tied = summed_tie_loss(gap, width) - math.log(theta**2 - 1)
    return lean.abs() * won + (1 - lean.abs()) * tied


def bce_loss(reward: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy of items, -t log sigma(r) - (1 - t) log sigma(-r).

    reward: any shape, read as the logit of a pass. target: the same, 1 pass, 0 fail, or P(pass).
    Returns: nats, of that shape.
    Source: SoliReward paper, section 4.4, "Binary Cross Entropy", and Table 6.
    """
    return -target * logsigmoid(reward) - (1 - target) * logsigmoid(-reward)


def regression_loss(reward: Tensor, p_pass: Tensor) -> Tensor:
    """Squared error of the reward itself to P(pass).

    The reward, not sigma(reward): so score regression is defined where it is compared with pairs,
    and so it stays convex in the reward.
    Source: VideoAlign, section 3.2, "Score Regression v.s. Bradley-Terry"; P(pass) for its scores.
    """
    return (reward - p_pass) ** 2


def mean_of_means(losses: Tensor, weight: Tensor, dimension: Tensor) -> Tensor:
    """Mean over dimensions of each dimension's weighted mean, 0 where nothing counts.

    losses, weight: (P,). dimension: (P,) int64 numbers from 0; those without weight count nowhere.
    Ten times as many pairs of one dimension, or pairs of weight 0, leave the scale as it was.
    """
    groups = int(dimension.max()) + 1 if len(dimension) else 0
    sums, totals = (
        torch.zeros(groups, dtype=part.dtype, device=part.device).index_add(0, dimension, part)
        for part in (losses * weight, weight)
    )
    present = (totals > 0).to(sums)
    means = sums / torch.where(totals > 0, totals, torch.ones_like(totals))
    return means.sum() / present.sum().clamp(min=1)
