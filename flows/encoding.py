"""Frames as a short H.264 file with the same bytes on every run.

Colours are converted to YUV here, in integers, because swscale's result depends on the processor.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Frames = NDArray[np.uint8]


def to_yuv420(frames: Frames) -> Frames:
    """RGB frames (F, H, W, 3) as planar limited-range BT.601 4:2:0, (F, H * 3 / 2, W).

    Chroma is the mean of each 2 x 2 block. Integers throughout.
    Source: ITU-R BT.601-7, 8-bit quantisation, coefficients times 65536.

    >>> to_yuv420(np.full((1, 2, 2, 3), 255, np.uint8))[0].tolist()
    [[235, 235], [235, 235], [128, 128]]
    """
    count, height, width = frames.shape[:3]
    rgb = frames.astype(np.int32)
    luma = rgb @ np.array([16829, 33039, 6416], np.int32)
    blocks = rgb.reshape(count, height // 2, 2, width // 2, 2, 3).sum(axis=(2, 4), dtype=np.int32)
    blue = blocks @ np.array([-9714, -19071, 28784], np.int32)  # they sum to -1: grey has no colour
    red = blocks @ np.array([28784, -24103, -4681], np.int32)
    planes = [
        ((luma + 32768) >> 16) + 16,
        ((blue + 131072) >> 18) + 128,
        ((red + 131072) >> 18) + 128,
    ]
    flat = [plane.reshape(count, -1).astype(np.uint8) for plane in planes]
    packed: Frames = np.concatenate(flat, axis=1).reshape(count, -1, width)
    return packed


# The macroblock tree reads uninitialised memory in frames narrower than 128 pixels: half of the
# clips came out differently under another MALLOC_PERTURB_, none without it (measured, PyAV 18.1).
X264: Final = "mbtree=0:bframes=0:colormatrix=smpte170m:colorprim=smpte170m:transfer=smpte170m"


def write_clip(path: Path, frames: Frames, fps: int) -> None:
    """H.264 in an mp4 that a browser can start before it has it all; the bytes are reproducible.

    One thread, because x264's output depends on their number; no dates, no library versions.
    """
    import av

    movflags = {"movflags": "+faststart", "fflags": "+bitexact"}
    with av.open(str(path), "w", format="mp4", container_options=movflags) as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.time_base = Fraction(1, fps)
        stream.options = {
            "threads": "1",
            "preset": "veryfast",
            "crf": "18",
            "x264-params": X264,
        }
        for pts, picture in enumerate(to_yuv420(frames)):
            frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            frame.pts = pts
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
