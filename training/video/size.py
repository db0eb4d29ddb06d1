"""At which size a clip's frames are seen: the checkpoint's, or one that goes by the clip."""

from __future__ import annotations

import math

from training.video.policy import FramePolicy
from warehouse.errors import TrainingError

NARROWEST = 200  # ratio of a frame's sides, as transformers' Qwen2-VL processor refuses beyond it


def frame_size(height: int, width: int, policy: FramePolicy) -> tuple[int, int]:
    """Height and width at which a clip of height x width pixels is seen under a policy.

    By the clip: both sides are multiples, the ratio is kept as nearly as that allows, and the area
    lies between least and most.
    Raises: TrainingError for a clip so narrow that no such size is near its ratio.
    Source: the rule of transformers' Qwen2-VL image processor (`smart_resize`).

    >>> rule = FramePolicy(8, None, None, least_pixels=56 * 56, most_pixels=448 * 448, multiple=28)
    >>> frame_size(720, 1280, rule), frame_size(30, 40, rule)
    ((336, 588), (56, 84))
    """
    if policy.height is not None and policy.width is not None:
        return policy.height, policy.width
    least, most, step = policy.least_pixels, policy.most_pixels, policy.multiple
    assert least is not None
    assert most is not None
    assert step is not None
    if max(height, width) > NARROWEST * min(height, width):
        raise TrainingError(
            f"frames of {width} x {height} pixels are too narrow (1:{NARROWEST} at most); crop them"
        )
    high, wide = (round(side / step) * step for side in (height, width))
    if high * wide > most:
        shrink = math.sqrt(height * width / most)
        high, wide = (max(step, int(side / shrink / step) * step) for side in (height, width))
    elif high * wide < least:
        grow = math.sqrt(least / (height * width))
        high, wide = (math.ceil(side * grow / step) * step for side in (height, width))
    return high, wide
