import copy
from dataclasses import replace

import pytest
import torch

from training.config import HeadConfig, LoraConfig, TuningConfig
from training.engine import parameter_groups
from training.model import RewardModel, weights_digest
from training.run import train
from training.tuning import merged, tune

LORA = LoraConfig(rank=4, alpha=8, dropout=0.1)


class Stop:
    """Somebody stops the run after its third step."""

    def on_line(self, line):
        if line["step"] == 3:
            raise KeyboardInterrupt

    def on_end(self, result):
        raise AssertionError(result)


def stopped_and_whole(run, write_job):
    """Model of a run that was stopped and went on, whose weights are those of one in peace."""
    whole = train(write_job(run, "whole"), quiet=True)
    job = write_job(run)
    with pytest.raises(KeyboardInterrupt):
        train(job, quiet=True, callbacks=[Stop()])
    assert train(job, quiet=True)["weights_sha256"] == whole["weights_sha256"]
    model = RewardModel.from_pretrained(job / "checkpoint")
    assert weights_digest(model) == whole["weights_sha256"]
    return model


def learning(model):
    return {name for name, weight in model.named_parameters() if weight.requires_grad}


def test_the_parts_of_a_backbone_are_all_of_its_weights_once(config):
    model = RewardModel.create(config)
    parts = [id(w) for part in model.backbone.parts().values() for w in part.parameters()]
    assert sorted(parts) == sorted(id(w) for w in model.backbone.parameters())


@pytest.mark.parametrize("part", ["vision", "projector", "language"])
def test_a_frozen_part_stays_as_it_is_and_the_rest_learns(config, write_job, part):
    before = RewardModel.create(config)
    job = write_job(replace(config, tuning=TuningConfig(frozen=(part,))))
    train(job, quiet=True)
    after = RewardModel.from_pretrained(job / "checkpoint")
    for name, module in before.backbone.parts().items():
        pairs = zip(module.parameters(), after.backbone.parts()[name].parameters(), strict=True)
        changed = [not torch.equal(one, two) for one, two in pairs]
        assert any(changed) == (name != part)


def test_adapters_start_at_nothing_and_alone_learn_of_the_language_model(config):
    model = RewardModel.create(config).eval()
    batch = ["a ball"], [torch.zeros(3, 16, 16, 3, dtype=torch.uint8)]
    before = model.rewards(*batch)
    tune(model, TuningConfig(lora=LORA), seed=0)
    model.eval()
    assert torch.equal(model.rewards(*batch), before)
    language = {name for name in learning(model) if "language_model" in name}
    assert language
    assert all("lora_" in name for name in language)
    assert {w.dtype for w in model.parameters()} == {torch.float32}
    held = {id(w) for group in parameter_groups(model, config.optimizer) for w in group["params"]}
    assert held == {id(w) for w in model.parameters() if w.requires_grad}
    again = RewardModel.create(config)
    tune(again, TuningConfig(lora=LORA), seed=0)
    assert weights_digest(again) == weights_digest(model)


def test_merging_gives_the_same_rewards_and_leaves_the_run_untouched(config):
    model = RewardModel.create(config)
    names = set(model.state_dict())
    tune(model, TuningConfig(lora=LORA), seed=0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.1)
    model.eval()
    batch = ["a ball"], [torch.zeros(3, 16, 16, 3, dtype=torch.uint8)]
    adapted, before = model.rewards(*batch), copy.deepcopy(model.state_dict())
    with merged(model) as plain:
        assert set(plain.state_dict()) == names
        assert torch.allclose(plain.rewards(*batch), adapted, atol=1e-5)
    assert not torch.allclose(adapted, RewardModel.create(config).eval().rewards(*batch), atol=1e-5)
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")  # of what DeepSpeed imports
@pytest.mark.filterwarnings("ignore::FutureWarning:torch")  # of what ZeRO-3 calls
@pytest.mark.parametrize("stage", [0, 3])
def test_a_run_with_adapters_exports_a_plain_model_and_goes_on_exactly(config, write_job, stage):
    run = replace(
        config,
        tuning=TuningConfig(frozen=("vision",), lora=LORA),
        engine=replace(config.engine, zero_stage=stage, checkpointing=True),
        save_every=2,
        log_every=1,
        evaluate_every=1,
    )

    model = stopped_and_whole(run, write_job)
    assert not any("lora" in name for name in model.state_dict())
    start = RewardModel.create(config)
    moved = [
        name
        for name, weight in start.state_dict().items()
        if not torch.equal(weight, model.state_dict()[name])
    ]
    assert any("q_proj.weight" in name for name in moved)
    assert not any("vision_tower" in name or "embed_tokens" in name for name in moved)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")  # of what DeepSpeed imports
@pytest.mark.filterwarnings("ignore::FutureWarning:torch")  # of what ZeRO-3 calls
@pytest.mark.parametrize("stage", [0, 3])
def test_special_tokens_learn_beside_adapters_and_no_other_embedding_does(config, write_job, stage):
    run = replace(
        config,
        head=HeadConfig("special-token"),
        tuning=TuningConfig(lora=LORA),
        engine=replace(config.engine, zero_stage=stage, checkpointing=True),
        save_every=2,
        evaluate_every=1,
    )
    start, after = RewardModel.create(run), stopped_and_whole(run, write_job)
    assert bool((start.head.inputs() != after.head.inputs()).all())
    tables = (model.backbone.base.get_input_embeddings().weight for model in (start, after))
    assert torch.equal(*tables)
