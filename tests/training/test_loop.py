import numpy as np
import pytest
import torch

from training.config import FrameConfig, LossConfig
from training.data import Block, PairSplit
from training.items import augmented
from training.loop import block_loss
from training.losses import pair_loss
from training.model import RewardModel


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


def test_augmentation_moves_and_mirrors_whole_clips_alike():
    clip = torch.randint(0, 256, (1, 3, 8, 8, 3)).byte().repeat(20, 1, 1, 1, 1)
    rng = np.random.default_rng(0)
    mirrored = augmented(clip, FrameConfig(mirror=0.5), rng)
    kinds = {bool((one == clip[0]).all()) for one in mirrored}
    assert kinds == {True, False}
    assert all((one == clip[0]).all() or (one == clip[0].flip(2)).all() for one in mirrored)
    moved = augmented(clip, FrameConfig(shift=2), rng)
    for one in moved:  # the middle of the clip is found again at one place, in all frames alike
        places = [
            (y, x)
            for y in range(5)
            for x in range(5)
            if (one[:, y : y + 4, x : x + 4] == clip[0, :, 2:6, 2:6]).all()
        ]
        assert places


def test_without_augmentation_frames_stay_as_they_are():
    clips = list(torch.zeros(2, 3, 8, 8, 3).byte())
    seen = augmented(clips, FrameConfig(), np.random.default_rng(0))
    assert all(one is two for one, two in zip(seen, clips, strict=True))
