"""Whole losses of a block, against sums by hand over dimensions and kinds of pairs."""

import math
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.block_loss import LOSSES, Gathered, block_loss, check_split, kinds_of, loss_of
from training.config import LossConfig, LossKind, TrainConfig
from training.data import Block, PairSplit
from training.losses import pair_loss
from training.model import RewardModel
from warehouse.errors import TrainingError

nan = math.nan
KINDS = get_args(LossKind)


def split_of_blocks():
    """Six items, two dimensions, win-lose pairs and ties among them."""
    rows = [(0, 0, 3, 0), (0, 0, 4, 0), (0, 1, 4, 0), (0, 0, 1, 1), (1, 2, 5, 0), (1, 2, 3, 1)]
    dimension, winner, other, tie = np.array(rows, dtype=np.int64).T
    return PairSplit(
        item_ids=[f"item_{n}" for n in range(6)],
        prompt_ids=["p"] * 6,
        dimension=dimension,
        winner=winner,
        other=other,
        mu=np.where(tie, 0.5, 1.0),
        weight=np.array([1.0, 0.5, 1.0, 1.0, 1.0, 0.25]),
        tie=tie.astype(bool),
        target=np.array([[1, 1, 1, 0, 0, 0], [nan, nan, 1, 1, nan, 0]], dtype=float).T,
        p_pass=np.array([[0.9, 1, 0.8, 0.1, 0, 0], [nan, nan, 0.7, 0.9, nan, 0.3]]).T,
    )


def naive_loss(rewards_of_pair, split, config):
    """Pair by pair, both items encoded anew for each: sums by hand over dimensions and kinds."""
    cells = {}
    for row in range(split.pairs):
        rewards = rewards_of_pair(split.winner[row], split.other[row])[:, split.dimension[row]]
        mu = torch.tensor([split.mu[row]], dtype=rewards.dtype)
        loss = pair_loss((rewards[0] - rewards[1])[None], mu, config.margin)[0]
        total, weight = cells.get((split.tie[row], split.dimension[row]), (0.0, 0.0))
        cell = (total + split.weight[row] * loss, weight + split.weight[row])
        cells[split.tie[row], split.dimension[row]] = cell
    means = {kind: [t / w for (tie, _), (t, w) in cells.items() if tie == kind] for kind in (0, 1)}
    return sum(means[0]) / len(means[0]) + config.tie_coefficient * sum(means[1]) / len(means[1])


@pytest.mark.slow
def test_encoding_each_item_once_equals_the_naive_way_in_loss_and_gradients(config):
    model = RewardModel.create(config).double().eval()
    split, loss_config = split_of_blocks(), LossConfig(margin=1.0, tie_coefficient=0.5)
    prompts = ["a ball", "a red star falls", "a ring", "a blue square", "a star", "a ball rises"]
    frames = torch.randint(0, 256, (6, 3, 16, 16, 3), generator=torch.Generator().manual_seed(0))
    rows = [model.tokens(prompt, (3, 16, 16)) for prompt in prompts]

    def encode(items):
        ids, mask = model.backbone.collate([rows[item] for item in items])
        return model(ids, mask, list(frames[items].byte()))

    gradients, losses = [], []
    block = Block(np.arange(6), np.arange(split.pairs))
    for loss in (
        lambda: block_loss(encode(list(range(6))), split, block, loss_config)[0].total,
        lambda: naive_loss(lambda w, o: encode([int(w), int(o)]), split, loss_config),
    ):
        model.zero_grad()
        value = loss()
        value.backward()
        losses.append(value.item())
        used = [weight.grad for weight in model.parameters() if weight.grad is not None]
        gradients.append(torch.cat([gradient.flatten() for gradient in used]))
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    difference = (gradients[0] - gradients[1]).norm() / gradients[1].norm()
    assert difference < 1e-5


def test_the_curve_hears_of_accuracy_over_win_lose_pairs_only():
    split = split_of_blocks()
    rewards = torch.zeros(6, 2)
    rewards[0, 0] = 1.0  # right against 3 and 4; items 1 and 4 are equal, so is the pair 2, 5
    _, said = block_loss(rewards, split, Block(np.arange(6), np.arange(6)), LossConfig())
    assert said["train_acc"] == pytest.approx(2 / 4)
    _, said = block_loss(rewards, split, Block(np.array([0, 1]), np.array([3])), LossConfig())
    assert said["train_acc"] is None
    assert said["win_lose_loss"] is None


def softplus(x):
    """log(1 + e^x), restated in plain floats."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def win_restated(gap, mu, config):
    d = gap - config.margin * (2 * mu - 1)
    target = (1 - config.label_smoothing) * mu + config.label_smoothing * (1 - mu)
    return target * softplus(-d) + (1 - target) * softplus(d)


def btt_restated(gap, mu, config):
    """Rao-Kupper through probabilities: e^r / (e^r + theta e^r'), ties the rest."""
    win = 1 / (1 + config.theta * math.exp(-gap))
    loss = 1 / (1 + config.theta * math.exp(gap))
    tie = 1 - win - loss
    lean = 2 * mu - 1
    return -abs(lean) * math.log(win if lean > 0 else loss) - (1 - abs(lean)) * math.log(tie)


def summed_restated(gap, _, config):
    return softplus(config.margin - gap) + softplus(config.margin + gap)


def bce_restated(reward, target):
    return target * softplus(-reward) + (1 - target) * softplus(reward)


def squared_restated(reward, target):
    return (reward - target) ** 2


def mean_restated(cells):
    """(dimension, weight, loss): mean within each dimension that has weight, then over those."""
    means = []
    for number in sorted({dimension for dimension, _, _ in cells}):
        own = [(weight, loss) for dimension, weight, loss in cells if dimension == number]
        total = sum(weight for weight, _ in own)
        if total > 0:
            means.append(sum(weight * loss for weight, loss in own) / total)
    return sum(means) / len(means) if means else 0.0


def loss_restated(config, split, rewards):
    """The whole loss in plain floats; rewards: a list of rows, one per item."""

    def pairs(tie, loss):
        return mean_restated(
            [
                (d, w, loss(rewards[one][d] - rewards[two][d], mu, config))
                for one, two, d, w, mu, is_tie in zip(
                    split.winner,
                    split.other,
                    split.dimension,
                    split.weight,
                    split.mu,
                    split.tie,
                    strict=True,
                )
                if is_tie == tie
            ]
        )

    def items(targets, loss):
        return mean_restated(
            [
                (d, 1.0, loss(rewards[item][d], targets[item][d]))
                for item in range(len(rewards))
                for d in range(len(rewards[0]))
                if not math.isnan(targets[item][d])
            ]
        )

    ties, c = config.tie_coefficient, config.bce_coefficient
    return {
        "bt": lambda: pairs(False, win_restated),
        "bt-wt": lambda: pairs(False, win_restated) + ties * pairs(True, win_restated),
        "summed-tie": lambda: pairs(False, win_restated) + ties * pairs(True, summed_restated),
        "btt": lambda: pairs(False, btt_restated) + ties * pairs(True, btt_restated),
        "bce": lambda: items(split.target, bce_restated),
        "bt-wt+bce": lambda: (
            pairs(False, win_restated)
            + ties * pairs(True, win_restated)
            + c * items(split.target, bce_restated)
        ),
        "regression": lambda: items(split.p_pass, squared_restated),
    }[config.kind]()


def config_of(kind):
    smoothed = kind not in {"btt", "bce", "regression"}
    return LossConfig(
        kind,
        margin=1.5,
        tie_coefficient=0.5,
        bce_coefficient=0.7,
        label_smoothing=0.1 if smoothed else 0.0,
        theta=3.0,
    )


def soft(split):
    """The same pairs with soft targets, one of them leaning to the other side."""
    return replace(split, mu=np.array([0.9, 1.0, 0.4, 0.5, 0.8, 0.6]))


WHOLE = Block(np.arange(6), np.arange(6))


def random_rewards(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(6, 2, generator=generator, dtype=torch.float64)


def test_every_kind_of_a_config_has_a_loss():
    assert tuple(LOSSES) == KINDS


@pytest.mark.parametrize("change", [lambda split: split, soft], ids=["hard", "soft"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_loss_and_its_gradient_equal_the_formulas_restated(kind, change):
    """The gradient against central differences of the restatement."""
    split, config, rewards = change(split_of_blocks()), config_of(kind), random_rewards()
    rewards.requires_grad_()
    loss, _ = block_loss(rewards, split, WHOLE, config)
    (gradient,) = torch.autograd.grad(loss.total, rewards)
    rows = rewards.detach().tolist()
    assert loss.total.item() == pytest.approx(loss_restated(config, split, rows), rel=1e-12)
    for item in range(6):
        for dimension in range(2):
            ends = []
            for step in (1e-5, -1e-5):
                moved = [list(row) for row in rows]
                moved[item][dimension] += step
                ends.append(loss_restated(config, split, moved))
            slope = (ends[0] - ends[1]) / 2e-5
            assert gradient[item, dimension].item() == pytest.approx(slope, abs=1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_items_and_pairs_in_another_order_give_the_same_loss(kind):
    split, rewards = split_of_blocks(), random_rewards()
    items, pairs = (np.random.default_rng(0).permutation(6) for _ in range(2))
    turned, _ = block_loss(rewards[items], split, Block(items, pairs), config_of(kind))
    straight, _ = block_loss(rewards, split, WHOLE, config_of(kind))
    assert turned.total.item() == pytest.approx(straight.total.item(), rel=1e-12)


def gathered(gap, tie, dimension=None, weight=None, items=((nan,),)):
    """Hard pairs by their gaps, and items of one dimension each by (reward, target)."""
    gap, tie = torch.tensor(gap, dtype=torch.float64), torch.tensor(tie)
    reward = torch.tensor([[row[0]] for row in items]).double()
    target = torch.tensor([[row[-1]] for row in items]).double()
    return Gathered(
        gap,
        mu=torch.where(tie, 0.5, 1.0).double(),
        weight=torch.ones_like(gap) if weight is None else torch.tensor(weight).double(),
        tie=tie,
        dimension=torch.tensor(dimension or [0] * len(gap)),
        reward=reward.nan_to_num(),
        target=target,
        p_pass=target,
    )


def total(rewards, kind):
    return loss_of(rewards, config_of(kind)).total.item()


@pytest.mark.parametrize("kind", KINDS)
@given(repeats=st.integers(1, 20))
def test_more_ties_of_the_same_kind_do_not_change_the_loss(kind, repeats):
    few = gathered([1.0, -2.0, 0.5, 0.1], [False, False, True, True], items=[(1.0, 1), (2.0, 0)])
    many = gathered(
        [1.0, -2.0, *[0.5, 0.1] * repeats],
        [False, False, *[True] * (2 * repeats)],
        items=[(1.0, 1), (2.0, 0)] * repeats,
    )
    assert total(few, kind) == pytest.approx(total(many, kind))


@pytest.mark.parametrize("kind", KINDS)
def test_pairs_of_weight_zero_and_items_without_target_count_nowhere(kind):
    masked = gathered(
        [1.0, 9.0, 0.5, 7.0],
        [False, False, True, True],
        weight=[1, 0, 2, 0],
        items=[(1.0, 1), (5.0, nan)],
    )
    alone = gathered([1.0, 0.5], [False, True], items=[(1.0, 1)])
    assert total(masked, kind) == pytest.approx(total(alone, kind))


@pytest.mark.parametrize("kind", ["bt", "bt-wt", "btt"])
def test_dimensions_count_alike_whatever_their_number_of_pairs(kind):
    both = gathered([1.0, 1.0, 1.0, -1.0], [False] * 4, dimension=[0, 0, 0, 2])
    one, two = gathered([1.0], [False]), gathered([-1.0], [False])
    assert total(both, kind) == pytest.approx((total(one, kind) + total(two, kind)) / 2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_block_in_which_nothing_counts_is_a_loss_of_zero_with_a_gradient(kind):
    split = split_of_blocks()
    masked = replace(
        split,
        weight=np.zeros(6),
        target=np.full((6, 2), nan),
        p_pass=np.full((6, 2), nan),
    )
    rewards = random_rewards().requires_grad_()
    loss, said = block_loss(rewards, masked, WHOLE, config_of(kind))
    loss.total.backward()
    assert loss.total.item() == 0
    assert bool((rewards.grad == 0).all())
    assert {name for name, value in said.items() if value is not None} == {"loss", "train_acc"}


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        ("bt", {"win_lose_loss"}),
        ("bt-wt", {"win_lose_loss", "win_tie_loss"}),
        ("summed-tie", {"win_lose_loss", "win_tie_loss"}),
        ("btt", {"win_lose_loss", "tie_loss"}),
        ("bce", {"item_loss"}),
        ("bt-wt+bce", {"win_lose_loss", "win_tie_loss", "item_loss"}),
        ("regression", {"item_loss"}),
    ],
)
def test_the_curve_hears_of_each_part(kind, parts):
    _, said = block_loss(random_rewards(), split_of_blocks(), WHOLE, config_of(kind))
    assert said.keys() == {"loss", "train_acc", *parts}


def test_losses_take_the_pairs_that_they_have_a_word_for():
    """Two fails are no tie but for Rao-Kupper; losses of items read no pair."""
    kinds = {kind: kinds_of(LossConfig(kind)) for kind in KINDS}
    assert kinds["bt"] == {"win_lose"}
    assert kinds["bt-wt"] == kinds["summed-tie"] == kinds["bt-wt+bce"] == {"win_lose", "win_tie"}
    assert kinds["btt"] == {"win_lose", "win_tie", "lose_tie", "tie"}
    assert kinds["bce"] == kinds["regression"] == kinds["btt"]


def test_a_split_in_which_a_loss_finds_nothing_is_refused():
    split = split_of_blocks()
    config = TrainConfig("base", "SET", dimensions=("a", "b"), loss=LossConfig("bce"))
    check_split(split, config)
    imported = replace(split, target=np.full((6, 2), nan), p_pass=np.full((6, 2), nan))
    check_split(imported, replace(config, loss=LossConfig("btt")))
    with pytest.raises(TrainingError, match="SET: its items have no labels, which the loss bce"):
        check_split(imported, config)
    empty = replace(split, winner=split.winner[:0], other=split.other[:0])
    with pytest.raises(TrainingError, match="no pair to train on; the loss bt takes win_lose;"):
        check_split(empty, replace(config, loss=LossConfig("bt")))


def test_smoothing_of_a_loss_that_has_none_is_refused():
    with pytest.raises(TrainingError, match=r"label_smoothing is 0\.1; it must be 0 for this kind"):
        LossConfig("btt", label_smoothing=0.1)
