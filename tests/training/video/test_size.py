"""Sizes of frames that go by the clip, beside transformers' own rule."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

from training.video import FramePolicy, frame_size, read_clip
from warehouse.errors import TrainingError

SIDES = st.integers(8, 4000)


@given(SIDES, SIDES, st.sampled_from([8, 28, 32]), st.integers(1, 400), st.integers(1, 400))
def test_a_size_is_the_one_that_transformers_takes(height, width, step, some, more):
    least = some * step**2
    most = least + more * step**2
    policy = FramePolicy(8, None, None, least_pixels=least, most_pixels=most, multiple=step)
    try:
        theirs = smart_resize(height, width, step, least, most)
    except ValueError:
        with pytest.raises(TrainingError, match="too narrow"):
            frame_size(height, width, policy)
        return
    assert frame_size(height, width, policy) == theirs


@given(SIDES, SIDES)
def test_a_fixed_size_is_taken_whatever_the_clip(height, width):
    assert frame_size(height, width, FramePolicy(8, 448, 448)) == (448, 448)


def test_a_clip_is_read_at_its_own_ratio(tmp_path, write_clip):
    wide = np.full((4, 48, 96, 3), 120, np.uint8)
    path = write_clip(tmp_path / "wide.mp4", wide)
    policy = FramePolicy(3, None, None, least_pixels=64, most_pixels=24 * 48, multiple=8)
    assert read_clip(path, policy).frames.shape == (3, 24, 48, 3)
