import json
from dataclasses import replace
from pathlib import Path

import pytest
from deepspeed.runtime.config import DeepSpeedConfig

from training.engine import deepspeed_config, parameter_groups, schedule
from training.model import RewardModel
from training.recipes import RECIPES

GOLDEN = Path(__file__).parents[1] / "data" / "training" / "deepspeed.json"
PAPER_GPUS = 32


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_deepspeeds_config_of_a_recipe_is_the_golden_one(name):
    golden = json.loads(GOLDEN.read_text())
    world = PAPER_GPUS if name in {"paper-1b", "paper-8b", "paper-14b"} else 1
    assert deepspeed_config(RECIPES[name]("base", "pairs"), world=world) == golden[name]


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_stage_and_precision_reach_deepspeed(stage):
    run = RECIPES["paper-1b"]("base", "pairs")
    run = replace(run, engine=replace(run.engine, zero_stage=stage, precision="fp32"))
    golden = json.loads(GOLDEN.read_text())["stages"][stage]
    seen = deepspeed_config(run)
    assert seen["zero_optimization"] == golden
    assert seen["bf16"] == {"enabled": False}
    DeepSpeedConfig(seen | {"train_batch_size": 320})  # no name that DeepSpeed does not know


@pytest.mark.parametrize(("learning", "bucket"), [(1_000, 1_000), (2**40, 500_000_000)])
def test_a_bucket_of_gradients_is_no_larger_than_all_that_learns(learning, bucket):
    run = RECIPES["paper-8b"]("base", "pairs")
    seen = deepspeed_config(run, learning=learning)["zero_optimization"]
    assert seen["reduce_bucket_size"] == bucket


def test_a_state_of_another_world_is_loaded_as_a_universal_one():
    run = RECIPES["tiny"]("base", "pairs")
    seen = deepspeed_config(run, universal=True)
    assert seen == {**deepspeed_config(run), "checkpoint": {"load_universal": True}}


@pytest.mark.parametrize("kind", ["linear", "cosine", "constant"])
@pytest.mark.parametrize("warmup", [0.0, 0.05, 0.5])
def test_a_schedule_rises_to_one_then_never_rises_again(kind, warmup):
    factor = schedule(kind, 40, warmup)
    rates = [factor(step) for step in range(40)]
    top = rates.index(max(rates))
    assert max(rates) == pytest.approx(1)
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert all(rate > 0 for rate in rates)


def test_every_weight_is_in_one_group_and_vectors_do_not_decay(config):
    model = RewardModel.create(config)
    groups = parameter_groups(model, replace(config.optimizer, lr=1.0, head_lr=2.0))
    held = [id(weight) for group in groups for weight in group["params"]]
    assert sorted(held) == sorted(id(weight) for weight in model.parameters())
    for group in groups:
        in_head = {id(weight) for weight in model.head.parameters()}
        assert all((id(w) in in_head) == (group["lr"] == 2.0) for w in group["params"])
        assert group["weight_decay"] == 0 or all(w.ndim > 1 for w in group["params"])
    free = next(g for g in groups if g["lr"] == 2.0 and not g["weight_decay"])
    assert any(weight is model.head.query for weight in free["params"])
