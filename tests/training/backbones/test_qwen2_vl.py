"""Qwen2-VL's preprocessing and inputs beside transformers' own."""

import json
import shutil
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from training.backbones import CLIP, load_backbone
from training.backbones.qwen2_vl import Qwen2VL
from training.config import FrameConfig
from training.model import RewardModel
from training.video import FramePolicy
from warehouse.errors import TrainingError


@pytest.fixture
def folder(checkpoint_of):
    return checkpoint_of("qwen2-vl")


@pytest.fixture
def backbone(folder):
    return Qwen2VL.from_pretrained(folder).eval()


def random_clip(frames, height=16, width=24, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (frames, height, width, 3), generator=generator).byte()


def patches_one_by_one(clip, numbers):
    """The documented order, patch by patch: tokens by time, row, column; four patches a token."""
    levels = clip.numpy().astype(np.float64) / 255
    levels = (levels - np.array(numbers["image_mean"])) / np.array(numbers["image_std"])
    patch, merge, depth = (
        numbers[name] for name in ("patch_size", "merge_size", "temporal_patch_size")
    )
    if len(levels) % depth:
        levels = np.concatenate([levels, levels[-1:]])
    side = patch * merge
    found = []
    for t, row, column, down, right in product(
        range(0, len(levels), depth),
        range(0, levels.shape[1], side),
        range(0, levels.shape[2], side),
        range(0, side, patch),
        range(0, side, patch),
    ):
        top, left = row + down, column + right
        cube = levels[t : t + depth, top : top + patch, left : left + patch]
        found.append(np.moveaxis(cube, 3, 0).ravel())  # channel, time, row, column
    return np.stack(found)


@pytest.mark.parametrize("frames", [1, 2, 3, 4])
def test_patches_are_the_documented_ones_and_an_odd_frame_out_counts_twice(
    backbone, folder, frames
):
    numbers = json.loads((folder / "preprocessor_config.json").read_text())
    clip = random_clip(frames)
    ours = backbone.pixels.patches(clip)
    np.testing.assert_allclose(ours, patches_one_by_one(clip, numbers), rtol=0, atol=1e-5)
    assert len(ours) == np.prod(backbone.pixels.grid(tuple(clip.shape[:3])))


def test_a_still_is_cut_up_as_by_transformers_image_processor(backbone, folder):
    still = random_clip(1, 12 * 8, 15 * 8)[0]
    processor = Qwen2VLImageProcessorPil.from_pretrained(folder)
    theirs = processor(Image.fromarray(still.numpy()), do_resize=False, return_tensors="pt")
    ours = backbone.pixels.patches(torch.stack([still, still]))
    torch.testing.assert_close(ours, theirs["pixel_values"], rtol=0, atol=1e-5)
    assert theirs["image_grid_thw"].tolist() == [list(backbone.pixels.grid((2, 96, 120)))]


def test_a_batch_of_different_clips_is_read_as_by_transformers_itself(backbone, folder):
    """The whole model with language-model head, given its documented inputs item by item."""
    whole = AutoModelForImageTextToText.from_pretrained(folder).eval()
    numbers = json.loads((folder / "preprocessor_config.json").read_text())
    clips = [random_clip(3, 16, 24), random_clip(4, 24, 8, seed=1)]
    tokenizer, prompts = backbone.tokenizer, ("a red ball falls", "a star")
    rows = [
        backbone.tokens(["see ", CLIP, prompt], tuple(clip.shape[:3]), "")
        for prompt, clip in zip(prompts, clips, strict=True)
    ]
    ids, mask = backbone.collate(rows)
    with torch.no_grad():
        _, last = backbone(ids, mask, clips, ())
    for number, (prompt, clip) in enumerate(zip(prompts, clips, strict=True)):
        grid = [-(-len(clip) // 2), clip.shape[1] // 4, clip.shape[2] // 4]
        pads = "<|video_pad|>" * (np.prod(grid) // 4)
        text = f"see <|vision_start|>{pads}<|vision_end|>{prompt}"
        single = tokenizer(text, return_tensors="pt")["input_ids"]
        pad = tokenizer.convert_tokens_to_ids("<|video_pad|>")
        with torch.no_grad():
            theirs = whole(
                input_ids=single,
                mm_token_type_ids=torch.where(single == pad, 2, 0),
                pixel_values_videos=torch.tensor(patches_one_by_one(clip, numbers)).float(),
                video_grid_thw=torch.tensor([grid]),
                output_hidden_states=True,
            )
        ours = last[number, mask[number]]
        torch.testing.assert_close(ours, theirs.hidden_states[-1][0], rtol=0, atol=1e-5)


def test_frames_keep_their_ratio_within_the_checkpoints_numbers(backbone):
    plain = FramePolicy(8, None, None, least_pixels=64, most_pixels=256, multiple=8)
    assert backbone.policy(FrameConfig()) == plain
    wished = backbone.policy(FrameConfig(most_pixels=128))
    assert wished == replace(plain, most_pixels=128)
    assert backbone.policy(FrameConfig(most_pixels=32)).least_pixels == 32


def test_pixel_numbers_of_the_newer_form_are_read_alike(backbone, folder, tmp_path):
    path = shutil.copytree(folder, tmp_path / "newer") / "preprocessor_config.json"
    numbers = json.loads(path.read_text())
    edges = (
        ("shortest_edge", numbers.pop("min_pixels")),
        ("longest_edge", numbers.pop("max_pixels")),
    )
    path.write_text(json.dumps({**numbers, "size": dict(edges), "rescale_factor": 1 / 255}))
    assert load_backbone(path.parent).pixels == backbone.pixels


def test_a_checkpoint_as_released_is_loaded(backbone, folder, tmp_path):
    """Flat config, `model.layers` and `visual` side by side, as on the day of release."""
    released = shutil.copytree(folder, tmp_path / "released")
    values = json.loads((folder / "config.json").read_text())
    text, vision = values.pop("text_config"), values["vision_config"]
    rotary = text.pop("rope_parameters")
    mrope = {"type": "mrope", "mrope_section": rotary["mrope_section"]}
    flat = {**text, "rope_theta": rotary["rope_theta"], "rope_scaling": mrope}
    vision["model_type"] = "qwen2_vl"
    (released / "config.json").write_text(json.dumps({**flat, **values}))
    weights = load_file(released / "model.safetensors")
    assert {"visual.patch_embed.proj.weight", "model.norm.weight"} <= weights.keys()
    again = load_backbone(released)
    mine = backbone.base.state_dict()
    assert all(torch.equal(weight, mine[n]) for n, weight in again.base.state_dict().items())
    clip = random_clip(2)
    ids, mask = again.collate([again.tokens([CLIP, "a star"], (2, 16, 24), "")])
    with torch.no_grad():
        assert torch.equal(
            again.eval()(ids, mask, [clip], ())[1], backbone(ids, mask, [clip], ())[1]
        )


def test_a_text_before_each_frame_is_refused_before_anything_is_decoded(config, folder):
    with pytest.raises(TrainingError, match=r"frame_text is 'Frame'; .*set frame_text to ''"):
        RewardModel.create(replace(config, base_model=str(folder), frame_text="Frame"))


def test_frames_that_cannot_be_cut_up_are_named(backbone):
    with pytest.raises(TrainingError, match=r"18 x 16 pixels .* multiples of 8"):
        backbone.tokens([CLIP], (2, 16, 18), "")
