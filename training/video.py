"""A clip in, a few small RGB frames out; decoded once per clip and policy, kept on disk.

Shapes: T frames, H x W pixels, 3 channels. PyAV gets an open file, never a URL, and only demuxers
of container formats: a playlist under a video's name is refused.
"""

from __future__ import annotations

import hashlib
import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from warehouse.digest import value_digest
from warehouse.errors import TrainingError

Frames = NDArray[np.uint8]  # (T, H, W, 3), RGB

NARROWEST = 200  # ratio of a frame's sides, as transformers' Qwen2-VL processor refuses beyond it
DEMUXERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,gif,ogg"


@dataclass(frozen=True)
class FramePolicy:
    """Which frames of a clip are taken, and at which size. Stored with the checkpoint."""

    count: int
    """Frames at equal distances, first and last of the clip included; short clips repeat some."""
    height: int | None
    """Pixels; None: by the clip, as `frame_size` says."""
    width: int | None
    """Pixels; None: by the clip."""
    sampling: Literal["uniform", "fps"] = "uniform"
    """As training.config.FrameConfig says."""
    fps: float | None = None
    """Frames a second of the clip's own time, where sampling is fps."""
    least_pixels: int | None = None
    """Of a frame whose size goes by the clip: height times width at least."""
    most_pixels: int | None = None
    """Height times width at most."""
    multiple: int | None = None
    """What divides height and width."""


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


def read_frames(path: str | Path, policy: FramePolicy) -> Frames:
    """Frames of a clip under a policy.

    Returns: uint8 (T, H, W, 3).
    Raises: TrainingError, naming the file, where it is missing, empty, no video, cut or damaged.
    Cost: one decode from the first frame to the last, no seek; memory for the chosen frames only.
    """
    with _opened(path) as file, _decoding(path):
        total = _count_frames(file, path)
        wanted = frame_indices(total, policy.count)
        frames = _decode(file, path, set(wanted), total, policy)
    return np.stack([frames[index] for index in wanted])


@contextmanager
def _opened(path: str | Path) -> Iterator[BufferedReader]:
    try:
        with Path(path).open("rb") as file:
            if not os.fstat(file.fileno()).st_size:
                raise TrainingError(f"video {path} is empty (0 bytes); fetch it again")
            yield file
    except OSError as error:
        raise TrainingError(
            f"video {path} cannot be opened ({error.strerror}); check the item's uri"
        ) from error


@contextmanager
def _decoding(path: str | Path) -> Iterator[None]:
    """FFmpeg's complaints become one error that names the file."""
    try:
        yield
    except (av.FFmpegError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise TrainingError(
            f"video {path} cannot be decoded ({reason}); it is cut, damaged or no video"
        ) from error


def _container(file: BufferedReader) -> Any:
    file.seek(0)
    return av.open(file, mode="r", container_options={"format_whitelist": DEMUXERS})


def _stream(container: Any, path: str | Path) -> Any:
    if not container.streams.video:
        raise TrainingError(f"video {path} holds no video stream; check the item's uri")
    stream = container.streams.video[0]
    stream.codec_context.thread_count = 1  # the same frames on any machine
    stream.codec_context.options = {"err_detect": "explode"}
    return stream


def _count_frames(file: BufferedReader, path: str | Path) -> int:
    """Frames the file holds, by its packets; more declared than held means it was cut."""
    with _container(file) as container:
        stream = _stream(container, path)
        shown = [not packet.is_discard for packet in container.demux(stream) if packet.size]
        if len(shown) < stream.frames:
            raise _cut(path, len(shown), stream.frames)
    if not any(shown):
        raise TrainingError(f"video {path} holds no frame; generate it again")
    return sum(shown)


def _decode(
    file: BufferedReader, path: str | Path, wanted: set[int], total: int, policy: FramePolicy
) -> dict[int, Frames]:
    frames, seen = {}, 0
    with _container(file) as container:
        for index, frame in enumerate(container.decode(_stream(container, path))):
            seen = index + 1
            if frame.is_corrupt:
                raise TrainingError(f"video {path}: frame {index} is damaged; fetch it again")
            if index in wanted:
                frames[index] = resize(frame.to_ndarray(format="rgb24"), policy)
    if not wanted <= frames.keys():
        raise _cut(path, seen, total)
    return frames


def _cut(path: str | Path, held: int, declared: int) -> TrainingError:
    return TrainingError(
        f"video {path} is cut or damaged: {held} of {declared} frames decode; fetch it again"
    )


def resize(image: Frames, policy: FramePolicy) -> Frames:
    """One (H, W, 3) image at the policy's size: bicubic with antialias, as the image processors."""
    pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
    size = frame_size(image.shape[0], image.shape[1], policy)
    if tuple(pixels.shape[2:]) != size:
        pixels = interpolate(pixels, size=size, mode="bicubic", antialias=True)
    result: Frames = pixels[0].permute(1, 2, 0).contiguous().numpy()
    return result


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file's bytes. Raises: TrainingError where it cannot be read."""
    with _opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class FrameCache:
    """Decoded frames on disk, one uint8 .npy per (media digest, policy); safe to share and kill.

    A clip replaced under the same name has another digest and is decoded anew.
    """

    def __init__(self, folder: str | Path, policy: FramePolicy) -> None:
        self.folder = Path(folder)
        self.policy = policy

    def frames(self, path: str | Path, media_sha256: str | None = None) -> Frames:
        """Frames of a clip, memory-mapped; decoded first where the cache does not have them.

        media_sha256: what the file's digest was when the item was imported; None: as it is now.
        Raises: TrainingError as `read_frames`, and where the file was changed since.
        """
        target = self._target(media_sha256 or file_digest(path))
        if not target.exists():
            if media_sha256 and file_digest(path) != media_sha256:
                raise TrainingError(f"video {path} was changed since it was imported; restore it")
            _write_atomically(target, read_frames(path, self.policy))
        mapped: Frames = np.load(target, mmap_mode="r", allow_pickle=False)
        return mapped

    def _target(self, digest: str) -> Path:
        key = value_digest({"media": digest, "policy": asdict(self.policy)})
        return self.folder / key[:2] / f"{key}.npy"


def _write_atomically(target: Path, frames: Frames) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=target.parent, suffix=".part", delete=False) as file:
        np.save(file, frames, allow_pickle=False)
    Path(file.name).replace(target)
