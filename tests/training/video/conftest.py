"""Files of every kind, written on the spot."""

import struct
from fractions import Fraction

import av
import numpy as np
import pytest


def encode(path, frames, codec="libx264", pix_fmt="yuv420p", **more):
    """A clip of uint8 (T, H, W, 3 or 4) frames; more: milliseconds of each frame, options."""
    times, options = more.get("times"), more.get("options", {})
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=8, options=options)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pix_fmt
        if times:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number, image in enumerate(frames):
            kind = "rgba" if image.shape[2] == 4 else "rgb24"
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format=kind)
            frame = frame.reformat(format=pix_fmt)
            if times:
                frame.pts, frame.time_base = times[number], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="session")
def encoded():
    return encode


@pytest.fixture(scope="session")
def quarters():
    """Function: frames that are red, green, blue and white in their quarters."""

    def draw(frames=4, height=32, width=48):
        image = np.zeros((height, width, 3), np.uint8)
        image[: height // 2, : width // 2, 0] = 250
        image[: height // 2, width // 2 :, 1] = 250
        image[height // 2 :, : width // 2, 2] = 250
        image[height // 2 :, width // 2 :] = 250
        return np.repeat(image[None], frames, axis=0)

    return draw


@pytest.fixture(scope="session")
def steps():
    """Function: frames whose brightness says their number: 0, 20, 40, …"""

    def draw(frames, size=32):
        return np.repeat(np.arange(frames, dtype=np.uint8) * 20, 3 * size * size).reshape(
            frames, size, size, 3
        )

    return draw


@pytest.fixture(scope="session")
def turned():
    """Function: an mp4's display matrix set so that players turn it clockwise by quarters."""
    one = 1 << 16
    matrices = {1: (0, one, -one, 0), 2: (-one, 0, 0, -one), 3: (0, -one, one, 0)}

    def turn(path, quarters):
        a, b, c, d = matrices[quarters]
        data = bytearray(path.read_bytes())
        start = data.index(b"tkhd") + 44  # ISO/IEC 14496-12, 8.3.2: version 0, matrix
        data[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
        path.write_bytes(data)
        return path

    return turn
