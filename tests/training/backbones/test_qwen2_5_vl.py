from dataclasses import replace

import pytest
import torch

from training.backbones import CLIP
from training.backbones.qwen2_5_vl import Qwen25VL
from training.model import RewardModel


@pytest.fixture
def backbone(checkpoint_of):
    return Qwen25VL.from_pretrained(checkpoint_of("qwen2.5-vl")).eval()


def last_state(backbone, frames, seconds):
    generator = torch.Generator().manual_seed(0)
    clips = torch.randint(0, 256, (2, frames, 16, 16, 3), generator=generator).byte()
    rows = [
        backbone.tokens([CLIP, text], (frames, 16, 16), "") for text in ("a star", "a red ball")
    ]
    with torch.no_grad():
        return backbone(*backbone.collate(rows), list(clips), (), seconds)[1]


@pytest.mark.parametrize(
    ("seconds", "patch"), [(None, (1, 1)), ((0.5, 0.5), (1, 1)), ((2.0, 0.125), (4, 0.25))]
)
def test_positions_along_time_are_seconds_of_each_clip(backbone, monkeypatch, seconds, patch):
    """Two frames a patch, tokens_per_second positions a second: transformers' own arithmetic."""
    seen, plain = [], backbone.base.get_rope_index

    def get_rope_index(*args, **inputs):
        seen.append(plain(*args, **inputs))
        return seen[0]

    monkeypatch.setattr(backbone.base, "get_rope_index", get_rope_index)
    last_state(backbone, 6, seconds)
    pace = backbone.base.config.vision_config.tokens_per_second
    first = 1  # after vision_start
    for item in range(2):
        steps = [first + int(pace * patch[item] * step) for step in range(3) for _ in range(4)]
        assert seen[0][0][0, item, 1:13].tolist() == steps


def test_the_frame_policys_frames_a_second_reach_the_model(config, checkpoint_of, monkeypatch):
    frames = replace(config.frames, sampling="fps", fps=8.0)
    settings = replace(config, base_model=str(checkpoint_of("qwen2.5-vl")), frame_text="")
    clip = torch.arange(6 * 16 * 16 * 3).reshape(6, 16, 16, 3).byte()
    rewards = []
    for changed in (frames, replace(frames, fps=0.5)):
        model = RewardModel.create(replace(settings, frames=changed)).eval()
        rewards.append(model.rewards(["a star"], [clip]))
    assert not torch.equal(*rewards)


def test_windows_and_full_attention_see_different_things(backbone):
    """The tiny model has both kinds of vision layers, as the released ones."""
    vision = backbone.base.config.vision_config
    assert list(vision.fullatt_block_indexes) == [vision.depth - 1]
    assert vision.depth > 1
