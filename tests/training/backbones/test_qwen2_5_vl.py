import pytest
import torch

from training.backbones import CLIP
from training.backbones.qwen2_5_vl import Qwen25VL


@pytest.fixture
def backbone(checkpoint_of):
    return Qwen25VL.from_pretrained(checkpoint_of("qwen2.5-vl")).eval()


def last_state(backbone, frames, fps):
    generator = torch.Generator().manual_seed(0)
    clips = torch.randint(0, 256, (2, frames, 16, 16, 3), generator=generator).byte()
    rows = [
        backbone.tokens([CLIP, text], (frames, 16, 16), "") for text in ("a star", "a red ball")
    ]
    with torch.no_grad():
        return backbone(*backbone.collate(rows), list(clips), (), fps)[1]


@pytest.mark.parametrize(("fps", "seconds"), [(None, 1.0), (2.0, 1.0), (0.5, 4.0), (8.0, 0.25)])
def test_positions_along_time_follow_the_policys_frames_a_second(
    backbone, monkeypatch, fps, seconds
):
    """Two frames a patch, tokens_per_second positions a second: transformers' own arithmetic."""
    seen, plain = [], backbone.base.get_rope_index

    def get_rope_index(*args, **inputs):
        seen.append(plain(*args, **inputs))
        return seen[0]

    monkeypatch.setattr(backbone.base, "get_rope_index", get_rope_index)
    last_state(backbone, 6, fps)
    pace = backbone.base.config.vision_config.tokens_per_second
    first = 1  # after vision_start
    expected = [first + int(pace * seconds * step) for step in range(3) for _ in range(4)]
    for item in range(2):
        assert seen[0][0][0, item, 1:13].tolist() == expected


def test_slow_frames_are_not_read_as_fast_ones(backbone):
    slow, fast = (last_state(backbone, 6, fps) for fps in (1.0, 4.0))
    assert not torch.allclose(slow, fast)


def test_windows_and_full_attention_see_different_things(backbone):
    """The tiny model has both kinds of vision layers, as the released ones."""
    vision = backbone.base.config.vision_config
    assert list(vision.fullatt_block_indexes) == [vision.depth - 1]
    assert vision.depth > 1
