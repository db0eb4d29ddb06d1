import json
import shutil
from dataclasses import replace

import pytest
import torch

from training.model import RewardModel, model_id, weights_digest
from warehouse.errors import TrainingError


@pytest.fixture(scope="module")
def model(config):
    return RewardModel.create(config).eval()


def clips(count, frames=3):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, frames, 16, 16, 3), generator=generator).byte()


PROMPTS = ["a red ball falls", "a star", "a green ring swings on and on over the floor"]


def test_a_saved_model_comes_back_with_the_same_rewards_to_the_last_bit(model, tmp_path):
    model.save_pretrained(tmp_path)
    again = RewardModel.from_pretrained(tmp_path)
    assert torch.equal(again.rewards(PROMPTS, clips(3)), model.rewards(PROMPTS, clips(3)))
    assert weights_digest(again) == weights_digest(model)
    assert again.spec == model.spec


def test_only_safetensors_and_json_are_written(model, tmp_path):
    model.save_pretrained(tmp_path)
    kinds = {path.suffix for path in tmp_path.rglob("*") if path.is_file()}
    assert kinds == {".safetensors", ".json"}


def test_neither_batch_nor_padding_changes_a_reward(model):
    frames = clips(3)
    together = model.rewards(PROMPTS, frames)
    for number, prompt in enumerate(PROMPTS):
        alone = model.rewards([prompt], frames[number : number + 1])
        torch.testing.assert_close(alone[0], together[number], rtol=0, atol=1e-5)


def test_the_template_places_the_prompt_before_or_after_the_frames(config):
    image, seen = "<img>", []
    for template in ("{prompt}{video}", "{video}{prompt}"):
        model = RewardModel.create(replace(config, prompt_template=template, frame_text=""))
        tokens = model.tokens("a red ball", (1, 16, 16))
        seen.append((tokens.index(model.backbone.tokenizer.convert_tokens_to_ids(image)), tokens))
    (before, one), (after, two) = seen
    assert before > 0
    assert after == 0
    assert sorted(one) == sorted(two)


def test_a_reward_depends_on_the_prompt_and_on_the_frames(model):
    frames = clips(2)
    one, two = model.rewards(["a ball", "a star"], frames[:1].repeat(2, 1, 1, 1, 1))
    assert not torch.equal(one, two)
    one, two = model.rewards(["a ball", "a ball"], frames)
    assert not torch.equal(one, two)


def test_the_head_depends_on_the_seed_and_on_nothing_else(config):
    torch.manual_seed(1)
    one = RewardModel.create(config)
    torch.manual_seed(2)
    two = RewardModel.create(config)
    other = RewardModel.create(replace(config, seed=config.seed + 1))
    assert weights_digest(one) == weights_digest(two) != weights_digest(other)


def test_the_model_id_sees_weights_and_use_but_no_path(model):
    weights = weights_digest(model)
    same = model_id(weights, model.spec)
    assert same == model_id(weights, replace(model.spec))
    assert same != model_id(weights, replace(model.spec, prompt_template="{prompt}{video}"))
    assert len(same) == 16


def test_a_layer_out_of_range_is_named(config):
    wrong = replace(config, head=replace(config.head, layers=(1, 4)))
    with pytest.raises(TrainingError, match=r"index 4 is out of range.*the highest is 3"):
        RewardModel.create(wrong)


@pytest.fixture
def checkpoint(model, tmp_path):
    folder = tmp_path / "checkpoint"
    model.save_pretrained(folder)
    return folder


def test_a_folder_without_soli_json_is_named(tmp_path):
    with pytest.raises(TrainingError, match=r"soli\.json: no checkpoint of Soli"):
        RewardModel.from_pretrained(tmp_path)


def test_a_checkpoint_of_another_format_is_named(checkpoint):
    path = checkpoint / "soli.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    with pytest.raises(TrainingError, match="has format 99; this is format 1"):
        RewardModel.from_pretrained(checkpoint)


@pytest.mark.parametrize("damage", ["missing", "cut", "pickle", "other"])
def test_a_head_that_does_not_fit_is_named(checkpoint, damage, config, tmp_path):
    path = checkpoint / "head.safetensors"
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:100])
    elif damage == "pickle":
        torch.save({"query": torch.zeros(1)}, path)
    else:
        fewer = replace(config, dimensions=config.dimensions[:2])
        RewardModel.create(fewer).save_pretrained(tmp_path / "fewer")
        shutil.copyfile(tmp_path / "fewer" / "head.safetensors", path)
    with pytest.raises(TrainingError, match=r"head\.safetensors: not the head of this model"):
        RewardModel.from_pretrained(checkpoint)
