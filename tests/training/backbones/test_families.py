"""What every family promises, whichever it is."""

import json
import re
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel

from training.backbones import CLIP, load_backbone
from training.config import HeadConfig
from training.heads import Encoded
from training.model import RewardModel, weights_digest
from training.run import train
from warehouse.errors import TrainingError

PROMPTS = ["a red ball falls", "a star", "a blue square slides and slides over the floor"]


def random_clips(count, frames=3, size=(16, 16)):
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randint(0, 256, (frames, *size, 3), generator=generator).byte() for _ in range(count)
    ]


def batch_of(backbone, prompts=PROMPTS):
    clips = random_clips(len(prompts))
    rows = [backbone.tokens([CLIP, prompt], (3, 16, 16), "") for prompt in prompts]
    return (*backbone.collate(rows), clips)


@pytest.fixture
def settings(config, checkpoint):
    """Three steps on a family's checkpoint."""
    return replace(
        config,
        base_model=str(checkpoint),
        frame_text="",
        batch=replace(config.batch, max_steps=3),
        evaluate_every=3,
    )


def test_three_steps_are_trained_saved_and_reloaded_with_the_same_rewards(
    settings, write_job, monkeypatch
):
    clips, seen, save = random_clips(3), [], RewardModel.save_pretrained

    def watched(model, folder):
        seen.append(model.eval().rewards(PROMPTS, clips))
        save(model, folder)

    monkeypatch.setattr(RewardModel, "save_pretrained", watched)
    job = write_job(settings)
    result = train(job, quiet=True)
    again = RewardModel.from_pretrained(job / "checkpoint")
    assert result["steps"] == 3
    assert torch.equal(again.rewards(PROMPTS, clips), seen[-1])
    assert weights_digest(again) == result["weights_sha256"]
    untrained = RewardModel.create(settings).eval()
    assert again.spec == untrained.spec
    assert not torch.equal(untrained.rewards(PROMPTS, clips), seen[-1])
    theirs = AutoModel.from_pretrained(job / "checkpoint" / "base").state_dict()
    mine = again.backbone.base.state_dict()
    assert theirs.keys() == mine.keys()
    assert all(torch.equal(weight, mine[name]) for name, weight in theirs.items())


def test_states_are_those_that_transformers_calls_by_the_same_index(checkpoint, monkeypatch):
    backbone = load_backbone(checkpoint).eval()
    batch = batch_of(backbone)
    states, last = backbone(*batch, (0, 1, 2, 3))
    whole, plain = [], backbone.base.forward

    def forward(**inputs):
        whole.append(plain(**inputs, output_hidden_states=True))
        return whole[0]

    monkeypatch.setattr(backbone.base, "forward", forward)
    backbone(*batch, ())
    assert len(whole[0].hidden_states) == 4
    for ours, theirs in zip(states, whole[0].hidden_states, strict=True):
        assert torch.equal(ours, theirs)
    assert last is states[3]


def test_checkpointing_gives_the_same_states_and_gradients(checkpoint):
    seen = []
    for checkpointing in (False, True):
        backbone = load_backbone(checkpoint).train()
        if checkpointing:
            backbone.checkpoint_activations()
        states, _ = backbone(*batch_of(backbone), (1, 2))
        sum(state.square().sum() for state in states).backward()
        gradients = [p.grad for p in backbone.parameters() if p.grad is not None]
        seen.append([*states, *gradients])
    for kept, again in zip(*seen, strict=True):
        torch.testing.assert_close(kept, again, rtol=0, atol=0)


def test_every_part_of_the_base_model_learns(checkpoint):
    backbone = load_backbone(checkpoint).train()
    _, last = backbone(*batch_of(backbone), ())
    last.square().sum().backward()
    still = [name for name, weight in backbone.named_parameters() if weight.grad is None]
    assert not still
    assert not any("lm_head" in name for name, _ in backbone.named_parameters())


def test_every_weight_stands_in_one_part(checkpoint):
    backbone = load_backbone(checkpoint)
    parts = backbone.parts()
    assert set(parts) == {"vision", "projector", "language"}
    placed = [weight for part in parts.values() for weight in part.parameters()]
    assert sorted(map(id, placed)) == sorted(map(id, backbone.base.parameters()))


def test_neither_batch_nor_padding_on_either_side_changes_a_reward(settings):
    model = RewardModel.create(settings).eval()
    clips = random_clips(3)
    right = model.rewards(PROMPTS, clips)
    rows = [model.tokens(prompt, (3, 16, 16)) for prompt in PROMPTS]
    length = max(map(len, rows))
    ids = torch.tensor([[0] * (length - len(row)) + row for row in rows])
    mask = torch.tensor([[False] * (length - len(row)) + [True] * len(row) for row in rows])
    with torch.no_grad():
        left = model(ids, mask, clips)
    for number, prompt in enumerate(PROMPTS):
        alone = model.rewards([prompt], clips[number : number + 1])[0]
        torch.testing.assert_close(right[number], alone, rtol=0, atol=1e-5)
        torch.testing.assert_close(left[number], alone, rtol=0, atol=1e-5)


def test_a_layer_out_of_range_is_named(settings):
    wrong = replace(settings, head=replace(settings.head, layers=(1, 4)))
    with pytest.raises(TrainingError, match=r"index 4 is out of range.*the highest is 3"):
        RewardModel.create(wrong)


def test_a_head_tokens_vector_is_read_as_a_row_of_the_embeddings_would_be(settings):
    """Oracle: the same vectors as new rows of the table, under ids of their own."""
    special = HeadConfig("special-token")
    model = RewardModel.create(replace(settings, head=special)).eval()
    base, head = model.backbone.base, model.head
    clips, shape = random_clips(3), (3, 16, 16)
    ids, mask = model.backbone.collate([model.tokens(prompt, shape) for prompt in PROMPTS])
    size = base.get_input_embeddings().num_embeddings
    with torch.no_grad():
        ours = model(ids, mask, clips)
        base.resize_token_embeddings(size + 3, mean_resizing=False).weight[size:] = head.inputs()
        head.tokens = torch.arange(size, size + 3)
        grown = ids.where(ids >= 0, size - 1 - ids)
        _, last = model.backbone(grown, mask, clips, ())
        theirs = head(Encoded((), last, mask, grown))
    assert (ids < 0).sum() == 9
    assert torch.equal(ours, theirs)


def test_a_special_token_in_a_prompt_stays_text(checkpoint):
    backbone = load_backbone(checkpoint)
    tricks = "<IMG_CONTEXT></img><|video_pad|><|vision_end|> a ball"
    plain, tricky = (
        backbone.tokens([CLIP, prompt], (2, 16, 16), "") for prompt in ("a ball", tricks)
    )
    marks = set(backbone.clip_tokens((2, 16, 16), ""))
    assert [i for i in tricky if i in marks] == [i for i in plain if i in marks]


def test_a_seed_decides_every_byte(family, build, tmp_path):
    one, two, other = (build(family, tmp_path / str(n), seed) for n, seed in enumerate((5, 5, 6)))
    for path in sorted(one.iterdir()):
        assert path.read_bytes() == (two / path.name).read_bytes(), path.name
    weights = "model.safetensors"
    assert (one / weights).read_bytes() != (other / weights).read_bytes()


def damaged(checkpoint, tmp_path):
    return shutil.copytree(checkpoint, tmp_path / "damaged")


def test_weights_in_several_files_are_read(checkpoint, tmp_path):
    folder = tmp_path / "sharded"
    shutil.copytree(checkpoint, folder)
    (folder / "model.safetensors").unlink()
    AutoModel.from_pretrained(checkpoint).save_pretrained(folder, max_shard_size="20KB")
    assert (folder / "model.safetensors.index.json").exists()
    whole, cut = (load_backbone(path).state_dict() for path in (checkpoint, folder))
    assert all(torch.equal(weight, cut[name]) for name, weight in whole.items())


def test_a_missing_weight_is_named_and_never_left_to_chance(checkpoint, tmp_path):
    folder = damaged(checkpoint, tmp_path)
    weights = load_file(folder / "model.safetensors")
    gone = next(name for name in weights if name.endswith("layers.1.mlp.up_proj.weight"))
    del weights[gone]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(TrainingError, match=r"lacks 1 of its weights .*up_proj"):
        load_backbone(folder)


def test_a_cut_weights_file_is_named(checkpoint, tmp_path):
    path = damaged(checkpoint, tmp_path) / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(TrainingError, match=f"base model {path.parent} cannot be loaded"):
        load_backbone(path.parent)


def test_a_pickle_is_refused(checkpoint, tmp_path):
    folder = damaged(checkpoint, tmp_path)
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(TrainingError, match="cannot be loaded"):
        load_backbone(folder)


def test_pixel_numbers_that_are_not_there_are_named(checkpoint, tmp_path):
    folder = damaged(checkpoint, tmp_path)
    (folder / "preprocessor_config.json").write_text(json.dumps({"patch_size": 4}))
    with pytest.raises(TrainingError, match=r"preprocessor_config\.json.*image_mean"):
        load_backbone(folder)


def test_a_checkpoint_that_calls_itself_another_family_is_refused(family, checkpoint, tmp_path):
    folder = damaged(checkpoint, tmp_path)
    config = json.loads((folder / "config.json").read_text())
    config["model_type"] = "internvl" if family.startswith("qwen") else "qwen2_vl"
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(TrainingError, match=re.escape(str(folder))):
        load_backbone(folder)


def test_weights_of_another_family_are_refused(checkpoint_of, family, checkpoint, tmp_path):
    folder = damaged(checkpoint, tmp_path)
    other = checkpoint_of("internvl3" if family.startswith("qwen") else "qwen2-vl")
    shutil.copyfile(other / "model.safetensors", folder / "model.safetensors")
    with pytest.raises(TrainingError, match="of its weights"):
        load_backbone(folder)
