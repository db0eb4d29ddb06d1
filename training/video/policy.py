"""Which frames of a clip are taken: by number, or by the clip's own time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import floor
from typing import Literal

NEARLY_HALF = 0.49  # of the shortest gap: midway between two frames it is the earlier one's turn


@dataclass(frozen=True)
class FramePolicy:
    """Which frames of a clip are taken, and at which size. Stored with the checkpoint."""

    count: int
    """uniform: frames taken; short clips repeat some. fps: frames taken at most."""
    height: int | None
    """Pixels; None: by the clip, as `frame_size` says."""
    width: int | None
    """Pixels; None: by the clip."""
    sampling: Literal["uniform", "fps"] = "uniform"
    """As training.config.FrameConfig says."""
    fps: float | None = None
    """Frames a second of the clip's own time, where sampling is fps."""
    store: Literal["raw", "jpeg"] = "raw"
    """As training.config.FrameConfig says."""
    least_pixels: int | None = None
    """Of a frame whose size goes by the clip: height times width at least."""
    most_pixels: int | None = None
    """Height times width at most."""
    multiple: int | None = None
    """What divides height and width."""


def choose(times: Sequence[float], policy: FramePolicy) -> tuple[list[int], list[float]]:
    """Which of a clip's frames a policy takes.

    times: when each frame appears, in seconds from the first, ascending; at least one.
    Returns: numbers of the frames, ascending, and the second of the clip that each stands for.

    >>> choose([0.0, 0.1, 0.2, 0.3], FramePolicy(2, 4, 4))
    ([0, 3], [0.0, 0.3])
    >>> choose([0.0, 0.1, 0.2, 1.7], FramePolicy(8, 4, 4, "fps", 2.0))  # a long third frame
    ([0, 2, 2, 2], [0.0, 0.5, 1.0, 1.5])
    """
    if policy.sampling == "uniform":
        indices = frame_indices(len(times), policy.count)
        return indices, [times[index] for index in indices]
    assert policy.fps is not None
    gaps = [after - before for before, after in pairwise(times) if after > before]
    slack = NEARLY_HALF * min(gaps, default=0.0)
    ticks = _ticks(times[-1], policy.fps, min(policy.count, len(times)), slack)
    return [bisect_right(times, tick + slack) - 1 for tick in ticks], ticks


def frame_indices(total: int, count: int) -> list[int]:
    """Which of `total` frames are taken: equal distances, the first and the last among them.

    A single frame is taken from the middle. With fewer frames than asked for, frames repeat.

    >>> frame_indices(120, 8)
    [0, 17, 34, 51, 68, 85, 102, 119]
    >>> frame_indices(2, 4), frame_indices(9, 1)
    ([0, 0, 1, 1], [4])
    """
    if count == 1:
        return [(total - 1) // 2]
    return [round(i * (total - 1) / (count - 1)) for i in range(count)]


def _ticks(span: float, fps: float, most: int, slack: float) -> list[float]:
    """Seconds to look at: `fps` a second from 0 on; where those are too many, `most` over the span.

    span: when the last frame appears. slack: containers round times, so a tick may lie that much
    behind the last frame.

    >>> _ticks(2.0, 1.0, 8, 0.01), _ticks(2.0, 30.0, 5, 0.01)
    ([0.0, 1.0, 2.0], [0.0, 0.5, 1.0, 1.5, 2.0])
    """
    periods = (span + slack) * fps
    if periods < most:
        return [number / fps for number in range(floor(periods) + 1)]
    if most == 1:
        return [span / 2]
    return [span * number / (most - 1) for number in range(most)]
