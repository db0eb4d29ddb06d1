import json
import shutil

import pytest
import torch
from transformers import AutoModelForImageTextToText

from training.backbones import CLIP, load_backbone
from training.backbones.internvl import InternVL
from training.config import FRAME_TEXT, FrameConfig
from training.tiny import build_tiny_internvl
from warehouse.errors import TrainingError


@pytest.fixture(scope="module")
def backbone(base_model):
    return InternVL.from_pretrained(base_model).eval()


def inputs(backbone, prompts=("a red ball falls", "a star"), frames=2):
    rows = [backbone.tokens([CLIP, prompt], (frames, 16, 16), FRAME_TEXT) for prompt in prompts]
    ids, mask = backbone.collate(rows)
    torch.manual_seed(0)
    return ids, mask, torch.randint(0, 256, (len(prompts), frames, 16, 16, 3), dtype=torch.uint8)


def test_layer_indices_are_those_of_transformers_hidden_states(backbone):
    """Index 0 the embeddings, i the input of layer i, N the state after the final norm."""
    ids, mask, frames = inputs(backbone)
    states, last = backbone(ids, mask, frames, (0, 1, 2, 3))
    whole = backbone.base(
        input_ids=ids,
        attention_mask=mask.long(),
        pixel_values=backbone.normalised(frames.flatten(0, 1)),
        output_hidden_states=True,
    )
    assert len(whole.hidden_states) == 4
    for ours, theirs in zip(states, whole.hidden_states, strict=True):
        assert torch.equal(ours, theirs)
    assert last is states[3]


def test_gradient_checkpointing_gives_the_same_states_and_gradients(base_model):
    seen = []
    for checkpointing in (False, True):
        backbone = InternVL.from_pretrained(base_model).train()
        if checkpointing:
            backbone.checkpoint_activations()
        states, _ = backbone(*inputs(backbone), (1, 2))
        sum(state.square().sum() for state in states).backward()
        gradients = [p.grad for p in backbone.parameters() if p.grad is not None]
        seen.append([*states, *gradients])
    for plain, again in zip(*seen, strict=True):
        torch.testing.assert_close(plain, again, rtol=0, atol=0)


def test_the_language_model_head_is_never_built(backbone):
    assert not any("lm_head" in name for name, _ in backbone.named_parameters())


def test_a_special_token_inside_a_prompt_stays_text(backbone):
    context = backbone.base.config.image_token_id
    plain, tricky = (
        backbone.tokens([CLIP, prompt], (2, 16, 16), FRAME_TEXT)
        for prompt in ("a ball", "<IMG_CONTEXT></img><img> a ball")
    )
    assert tricky.count(context) == plain.count(context)


def test_pixels_are_normalised_by_the_checkpoints_own_numbers(backbone, base_model):
    numbers = json.loads((base_model / "preprocessor_config.json").read_text())
    frames = torch.full((1, 16, 16, 3), 200, dtype=torch.uint8)
    seen = backbone.normalised(frames)
    for channel in range(3):
        expected = (200 / 255 - numbers["image_mean"][channel]) / numbers["image_std"][channel]
        assert seen[0, channel, 3, 3].item() == pytest.approx(expected, rel=1e-5)


def test_a_saved_backbone_is_a_checkpoint_for_transformers_too(backbone, tmp_path):
    backbone.save_pretrained(tmp_path)
    again = AutoModelForImageTextToText.from_pretrained(tmp_path).model
    mine = backbone.base.state_dict()
    assert all(torch.equal(weight, mine[name]) for name, weight in again.state_dict().items())


def test_the_same_seed_gives_the_same_tiny_model_byte_for_byte(tmp_path):
    for name in ("one", "two"):
        build_tiny_internvl(tmp_path / name, 5, ["a red ball"])
    for path in sorted((tmp_path / "one").iterdir()):
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name


def test_a_folder_that_is_no_checkpoint_is_named(tmp_path):
    with pytest.raises(TrainingError, match=r"has no config\.json"):
        InternVL.from_pretrained(tmp_path)


def test_a_pickle_offered_as_weights_is_refused(base_model, tmp_path):
    folder = shutil.copytree(base_model, tmp_path / "pickled")
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(TrainingError, match="cannot be loaded"):
        InternVL.from_pretrained(folder)


def test_another_kind_of_model_is_named(base_model, tmp_path):
    folder = tmp_path / "qwen"
    load_backbone(base_model).base.language_model.save_pretrained(folder)
    shutil.copyfile(base_model / "tokenizer.json", folder / "tokenizer.json")
    shutil.copyfile(base_model / "tokenizer_config.json", folder / "tokenizer_config.json")
    with pytest.raises(TrainingError, match="'qwen2'; this version trains 'internvl'"):
        load_backbone(folder)


def test_missing_pixel_numbers_are_named(base_model, tmp_path):
    folder = shutil.copytree(base_model, tmp_path / "bare")
    (folder / "preprocessor_config.json").write_text('{"size": {"height": 16}}')
    with pytest.raises(TrainingError, match=r"preprocessor_config\.json.*image_mean"):
        InternVL.from_pretrained(folder)


def test_frames_of_another_size_are_refused(backbone):
    with pytest.raises(
        TrainingError, match=r"frames\.most_pixels is 100; an InternVL model has one"
    ):
        backbone.policy(FrameConfig(most_pixels=100))
