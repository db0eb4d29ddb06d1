"""A clip as the tensors of a safetensors file: pixels as they are, or as JPEG images.

raw: frames, uint8 (T, H, W, 3). jpeg: images, uint8, T JPEG files one after the other, and ends,
int64 (T,), where each of them ends. Both: seconds, float64 (T,).
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Literal
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from training.video.decode import Clip, Frames

QUALITY = 95

Tensors = dict[str, NDArray[np.generic]]
Shape = tuple[int, int, int]
"""(T, H, W)."""


def pack(clip: Clip, store: Literal["raw", "jpeg"]) -> Tensors:
    """Tensors of a clip."""
    seconds = np.array(clip.seconds, dtype=np.float64)
    if store == "raw":
        return {"frames": np.ascontiguousarray(clip.frames), "seconds": seconds}
    images = [_jpeg(frame) for frame in clip.frames]
    ends = np.cumsum([len(image) for image in images], dtype=np.int64)
    whole = np.frombuffer(b"".join(images), dtype=np.uint8)
    return {"images": whole, "ends": ends, "seconds": seconds}


def unpack(tensors: Tensors) -> Clip:
    """The clip that tensors hold."""
    seconds = tuple(tensors["seconds"].tolist())
    if "frames" in tensors:
        frames: Frames = tensors["frames"].view(np.uint8)
        return Clip(frames, seconds)
    return Clip(np.stack([np.asarray(image) for image in _images(tensors)]), seconds)


def shape_of(tensors: Tensors) -> Shape:
    """Shape of the frames that tensors hold; of JPEGs only a header is read."""
    if "frames" in tensors:
        count, height, width, _ = tensors["frames"].shape
    else:
        count, (width, height) = len(tensors["ends"]), next(_images(tensors)).size
    return count, height, width


def write(target: Path, tensors: Tensors) -> int:
    """Put tensors into a file, whole or not at all, whatever is killed; returns its size in bytes.

    Raises: OSError where the folder cannot be written or the disk is full.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{uuid4().hex}.part")
    try:
        with part.open("xb") as file:
            size = file.write(save(tensors))
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return size


def read(target: Path) -> Tensors | None:
    """Tensors of a file, memory-mapped: they stay readable where the file is removed meanwhile.

    Returns: None where there is no such file, or no whole one (a disk that lost power).
    """
    try:
        with safe_open(target, framework="pt") as file:
            return {name: file.get_tensor(name).numpy() for name in sorted(file.keys())}
    except (FileNotFoundError, SafetensorError):
        return None


def _jpeg(frame: Frames) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def _images(tensors: Tensors) -> Iterator[Image.Image]:
    whole = tensors["images"].view(np.uint8)
    for start, end in pairwise([0, *tensors["ends"].tolist()]):
        yield Image.open(io.BytesIO(whole[start:end].tobytes()), formats=["JPEG"])
