import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from training.chunks import in_chunks
from training.data import Block, read_split
from training.loop import block_loss
from training.model import RewardModel
from training.run import train


def gradients(model, split, block, loss, chunk):
    """All gradients of one block's loss as one vector, dropout drawn from one seed."""
    model.zero_grad()
    frames = torch.randint(0, 256, (12, 3, 16, 16, 3), generator=torch.Generator().manual_seed(0))
    prompts = [f"a ball{' falls' * (item % 4)}" for item in range(12)]
    ids, mask = model.backbone.collate([model.tokens(prompts[i], (3, 16, 16)) for i in block.items])
    torch.manual_seed(5)
    rewards = model(ids, mask, [frames[i].byte() for i in block.items], chunk=chunk)
    block_loss(rewards, split, block, loss)[0].total.backward()
    return torch.cat([w.grad.flatten() for w in model.parameters() if w.grad is not None])


@pytest.fixture
def split(config):
    return read_split(config.pair_set, config.dimensions, "train")


@pytest.mark.slow
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("chunk", [1, 5, 11])
def test_gradients_chunk_by_chunk_are_those_of_one_pass(config, split, chunk, checkpointing):
    model = RewardModel.create(replace(config, head=replace(config.head, dropout=0.0))).double()
    model.train()
    if checkpointing:
        model.backbone.checkpoint_activations()
    block = Block(np.arange(12), np.arange(split.pairs))
    whole = gradients(model, split, block, config.loss, None)
    parts = gradients(model, split, block, config.loss, chunk)
    assert (whole - parts).norm() <= 1e-6 * whole.norm()
    assert whole.norm() > 0


def test_a_chunk_is_encoded_again_with_the_same_dropout():
    seen, weight = [], torch.ones(3, 8, requires_grad=True)

    def encode(ids, mask, clips):
        seen.append(torch.nn.functional.dropout(torch.stack(clips) * weight, 0.5))
        return seen[-1].square().sum(1, keepdim=True)

    ids = torch.zeros(6, 1)
    in_chunks(encode, (ids, ids, list(torch.ones(6, 8))), 3).sum().backward()
    first, second, *again = seen
    assert all(torch.equal(one, two) for one, two in zip(again, (second, first), strict=True))
    assert not torch.equal(first, second)


@pytest.mark.slow
def test_training_in_chunks_holds_few_items_at_a_time_and_ends_as_without(
    config, write_job, monkeypatch
):
    config = replace(config, head=replace(config.head, dropout=0.0))
    whole = write_job(config, "whole")
    parts = write_job(replace(config, batch=replace(config.batch, chunk=2)), "parts")
    train(whole, quiet=True)
    train(parts, quiet=True)
    one, two = (RewardModel.from_pretrained(job / "checkpoint") for job in (whole, parts))
    for name, weight in one.state_dict().items():
        assert torch.allclose(weight, two.state_dict()[name], atol=1e-4), name


@pytest.mark.slow
def test_the_naive_way_encodes_both_items_of_each_pair_and_has_the_same_gradients(config, split):
    model = RewardModel.create(config).double().eval()
    rows = np.arange(0, split.pairs, 3)
    ends = np.concatenate([split.winner[rows], split.other[rows]])
    naive, once = Block(ends, rows, copies=True), Block(np.unique(ends), rows)
    one, two = (gradients(model, split, block, config.loss, None) for block in (naive, once))
    assert len(naive.items) == 2 * len(rows)
    assert (one - two).norm() <= 1e-6 * two.norm()


def test_a_run_the_naive_way_pays_two_encodings_a_pair(config, write_job):
    job = write_job(replace(config, batch=replace(config.batch, kind="naive", size=3, max_steps=2)))
    train(job, quiet=True)
    coverage = json.loads((job / "metrics.json").read_text())["coverage"]
    assert coverage["encodings"] == 2 * coverage["pair_uses"] == 12
