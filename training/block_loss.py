"""Loss of one block of items: its kind is looked up in LOSSES, nowhere else told from another.

A loss is a sum of parts (win-lose pairs, ties, items), each the mean over what counts for it,
within a dimension first and then over dimensions: how many pairs are ties, are masked, or are of
one dimension does not change the scale of a part.
Shapes: B items of a block, Q dimensions, P pairs of a block.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from training.config import LossConfig, LossKind, TrainConfig
from training.data import Block, PairSplit
from training.losses import (
    bce_loss,
    btt_loss,
    mean_of_means,
    pair_loss,
    regression_loss,
    summed_tie_loss,
)
from warehouse.errors import TrainingError


@dataclass(frozen=True)
class Gathered:
    """Rewards of a block, and what the set says of its pairs and items."""

    gap: Tensor
    """(P,) winner's reward less the other's."""
    mu: Tensor
    """(P,) probability that the winner is preferred."""
    weight: Tensor
    """(P,); a pair of weight 0 counts nowhere."""
    tie: Tensor
    """(P,) bool, the pair is a tie."""
    dimension: Tensor
    """(P,) int64."""
    reward: Tensor
    """(B, Q)."""
    target: Tensor
    """(B, Q) 1 pass, 0 fail, P(pass) in soft sets; NaN: not judged, counts nowhere."""
    p_pass: Tensor
    """(B, Q); NaN: not judged."""


@dataclass(frozen=True)
class Part:
    """Losses of pairs or items before their mean is taken."""

    losses: Tensor
    weight: Tensor
    dimension: Tensor
    coefficient: float = 1.0


@dataclass(frozen=True)
class LossParts:
    """A loss and what it is made of, each a scalar."""

    total: Tensor
    parts: dict[str, Tensor]
    """Means, without their coefficients; a part that has nothing to count is not there."""


def _win_lose(rewards: Gathered, config: LossConfig) -> Part:
    losses = pair_loss(rewards.gap, rewards.mu, config.margin, config.label_smoothing)
    return Part(losses, rewards.weight * ~rewards.tie, rewards.dimension)


def _win_tie(rewards: Gathered, config: LossConfig) -> Part:
    losses = pair_loss(rewards.gap, rewards.mu, config.margin, config.label_smoothing)
    return _tie(rewards, config, losses)


def _summed_tie(rewards: Gathered, config: LossConfig) -> Part:
    return _tie(rewards, config, summed_tie_loss(rewards.gap, config.margin))


def _btt_win(rewards: Gathered, config: LossConfig) -> Part:
    losses = btt_loss(rewards.gap, rewards.mu, config.theta)
    return Part(losses, rewards.weight * ~rewards.tie, rewards.dimension)


def _btt_tie(rewards: Gathered, config: LossConfig) -> Part:
    return _tie(rewards, config, btt_loss(rewards.gap, rewards.mu, config.theta))


def _tie(rewards: Gathered, config: LossConfig, losses: Tensor) -> Part:
    weight = rewards.weight * rewards.tie
    return Part(losses, weight, rewards.dimension, config.tie_coefficient)


def _bce(rewards: Gathered, config: LossConfig) -> Part:
    del config
    return _items(rewards.reward, rewards.target, bce_loss)


def _bce_beside(rewards: Gathered, config: LossConfig) -> Part:
    return _items(rewards.reward, rewards.target, bce_loss, config.bce_coefficient)


def _regression(rewards: Gathered, config: LossConfig) -> Part:
    del config
    return _items(rewards.reward, rewards.p_pass, regression_loss)


def _items(
    reward: Tensor,
    target: Tensor,
    loss: Callable[[Tensor, Tensor], Tensor],
    coefficient: float = 1.0,
) -> Part:
    """Every item in every dimension in which it has a target."""
    judged = ~target.isnan()
    losses = loss(reward, target.nan_to_num())  # no NaN may reach the gradient
    dimension = torch.arange(reward.shape[1], device=reward.device).expand_as(reward)
    return Part(losses.flatten(), judged.to(losses).flatten(), dimension.flatten(), coefficient)


@dataclass(frozen=True)
class Loss:
    """One kind of loss."""

    kinds: frozenset[str]
    """Kinds of pairs that it learns from, or that put items into one block."""
    parts: Mapping[str, Callable[[Gathered, LossConfig], Part]]


WINS = frozenset({"win_lose"})
# Of two items that failed nobody said that they are equally bad (paper, sections 3.3 and 8).
PASSES = frozenset({"win_lose", "win_tie"})
ALL = frozenset({"win_lose", "win_tie", "lose_tie", "tie"})

LOSSES: Mapping[LossKind, Loss] = MappingProxyType(
    {
        "bt": Loss(WINS, {"win_lose": _win_lose}),
        "bt-wt": Loss(PASSES, {"win_lose": _win_lose, "win_tie": _win_tie}),
        "summed-tie": Loss(PASSES, {"win_lose": _win_lose, "win_tie": _summed_tie}),
        "btt": Loss(ALL, {"win_lose": _btt_win, "tie": _btt_tie}),
        "bce": Loss(ALL, {"item": _bce}),
        "bt-wt+bce": Loss(
            PASSES, {"win_lose": _win_lose, "win_tie": _win_tie, "item": _bce_beside}
        ),
        "regression": Loss(ALL, {"item": _regression}),
    }
)


def kinds_of(config: LossConfig) -> frozenset[str]:
    """Kinds of pairs that a loss is trained on; a set's other pairs are left out."""
    return LOSSES[config.kind].kinds


def check_split(split: PairSplit, config: TrainConfig) -> None:
    """Refuse to train on a split that a loss finds nothing in.

    Raises: TrainingError.
    """
    kind = config.loss.kind
    if not split.pairs:
        raise TrainingError(
            f"pair set {config.pair_set}: no pair to train on; the loss {kind} takes "
            f"{', '.join(sorted(kinds_of(config.loss)))}; label more items"
        )
    if "item" in LOSSES[kind].parts and np.isnan(split.target).all():
        raise TrainingError(
            f"pair set {config.pair_set}: its items have no labels, which the loss {kind} learns "
            "from; take a loss of pairs alone (bt, bt-wt, btt), or a set built from labels"
        )


def loss_of(rewards: Gathered, config: LossConfig) -> LossParts:
    """Sum of the parts of a loss, each the mean over what counts for it."""
    made = {name: part(rewards, config) for name, part in LOSSES[config.kind].parts.items()}
    means = {name: mean_of_means(p.losses, p.weight, p.dimension) for name, p in made.items()}
    total = torch.stack([part.coefficient * means[name] for name, part in made.items()]).sum()
    counted = {name: mean for name, mean in means.items() if bool((made[name].weight > 0).any())}
    return LossParts(total, counted)


def gather(rewards: Tensor, split: PairSplit, block: Block) -> Gathered:
    """Rewards (B, Q) of a block's items, in its order, beside its pairs; in fp32 at least."""
    rewards = rewards.to(torch.promote_types(rewards.dtype, torch.float32))
    winner, other, dimension, tie = (
        torch.from_numpy(values).to(rewards.device)
        for values in (
            *block.ends(split),
            split.dimension[block.pairs],
            split.tie[block.pairs],
        )
    )
    mu, weight, target, p_pass = (
        torch.from_numpy(values).to(rewards)
        for values in (
            split.mu[block.pairs],
            split.weight[block.pairs],
            split.target[block.items],
            split.p_pass[block.items],
        )
    )
    gap = rewards[winner, dimension] - rewards[other, dimension]
    return Gathered(gap, mu, weight, tie, dimension, rewards, target, p_pass)


def block_loss(
    rewards: Tensor, split: PairSplit, block: Block, config: LossConfig
) -> tuple[LossParts, dict[str, float | None]]:
    """Loss of one block: rewards (B, Q) of its items, gathered per pair.

    Returns: the loss, and what the curve says of it: loss, each part's mean as PART_loss, and the
        accuracy over win-lose pairs; None where nothing counts.
    """
    gathered = gather(rewards, split, block)
    loss = loss_of(gathered, config)
    said: dict[str, float | None] = {"loss": float(loss.total.detach())}
    for name in LOSSES[config.kind].parts:
        said[f"{name}_loss"] = float(loss.parts[name].detach()) if name in loss.parts else None
    one_sided = gathered.gap.detach()[~gathered.tie]
    said["train_acc"] = float((one_sided > 0).float().mean()) if len(one_sided) else None
    return loss, said
