"""A clip in, a few small RGB frames and their times out.

Shapes: T frames, H x W pixels, 3 channels. PyAV gets an open file, never a URL, and only demuxers
of container formats: a playlist under a video's name is refused.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from training.video.policy import FramePolicy, choose
from training.video.size import frame_size
from warehouse.errors import TrainingError

Frames = NDArray[np.uint8]  # (T, H, W, 3), RGB

DEMUXERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,gif,ogg"
SHOW_FRAME = 0x10  # of a VP8 frame's first byte; RFC 6386, section 9.1
QUARTER = 90  # degrees


@dataclass(frozen=True)
class Clip:
    """What the model sees of a clip."""

    frames: Frames
    """uint8 (T, H, W, 3)."""
    seconds: tuple[float, ...]
    """(T,) when each frame is on the screen, in seconds from the clip's first frame."""

    @property
    def spacing(self) -> float:
        """Mean distance of two frames in seconds; 0 for a single frame."""
        return spacing(self.seconds)


def spacing(seconds: Sequence[float]) -> float:
    """Mean distance of times, at least one, from each to the next; 0 for a single one.

    >>> spacing([0.0, 0.5, 2.0])
    1.0
    """
    return (seconds[-1] - seconds[0]) / max(len(seconds) - 1, 1)


def decode(path: str | Path, policy: FramePolicy) -> Clip:
    """Frames of a clip under a policy, as decoded; upright as players show it, without alpha.

    Raises: TrainingError, naming the file, where it is missing, empty, no video, cut or damaged.
    Cost: one decode from the first frame to the last, no seek; memory for the chosen frames only.
    """
    with opened(path) as file, _decoding(path):
        times = _times(file, path)
        wanted, seconds = choose(times, policy)
        frames = _decode(file, path, set(wanted), len(times), policy)
    return Clip(np.stack([frames[index] for index in wanted]), tuple(seconds))


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file's bytes. Raises: TrainingError where it cannot be read."""
    with opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def opened(path: str | Path) -> Iterator[BufferedReader]:
    """A video's file. Raises: TrainingError where it cannot be opened or is empty."""
    try:
        with Path(path).open("rb") as file:
            if not os.fstat(file.fileno()).st_size:
                raise TrainingError(f"video {path} is empty (0 bytes); fetch it again")
            yield file
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise TrainingError(
            f"video {path} cannot be opened ({reason}); check the item's uri"
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


def _times(file: BufferedReader, path: str | Path) -> list[float]:
    """When each frame appears, in seconds from the first, by the file's packets.

    The times of all packets are sorted, whichever packet says which: AVI numbers them wrongly
    where frames are stored out of order. More frames declared than held means the file was cut.
    """
    with _container(file) as container:
        stream = _stream(container, path)
        packets = [packet for packet in container.demux(stream) if packet.size]
        if len(packets) < stream.frames:
            raise _cut(path, len(packets), stream.frames)
        shown = [packet for packet in packets if _is_shown(packet, stream)]
        stamps = [packet.dts if packet.pts is None else packet.pts for packet in shown]
        unit = float(stream.time_base)
    if not stamps:
        raise TrainingError(f"video {path} holds no frame; generate it again")
    if None in stamps:
        raise TrainingError(f"video {path}: frame {stamps.index(None)} has no time; encode it anew")
    stamps.sort()
    return [(stamp - stamps[0]) * unit for stamp in stamps]


def _is_shown(packet: Any, stream: Any) -> bool:
    """Whether a frame comes of a packet: not where an edit list or VP8 itself hides it."""
    hidden = stream.codec_context.name == "vp8" and not bytes(packet)[0] & SHOW_FRAME
    return not (packet.is_discard or hidden)


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
                image = _upright(frame)
                height, width = image.shape[:2]
                frames[index] = resize(image, *frame_size(height, width, policy))
    if seen < total:
        raise _cut(path, seen, total)
    return frames


def _cut(path: str | Path, held: int, declared: int) -> TrainingError:
    return TrainingError(
        f"video {path} is cut or damaged: {held} of {declared} frames decode; fetch it again"
    )


def _upright(frame: Any) -> Frames:
    """RGB (H, W, 3) turned as the file's display matrix says, to the nearest quarter."""
    image: Frames = frame.to_ndarray(format="rgb24")
    return np.rot90(image, round(frame.rotation / QUARTER))


def resize(image: Frames, height: int, width: int) -> Frames:
    """One (H, W, 3) image at a size: bicubic with antialias, as the image processors."""
    pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
    if tuple(pixels.shape[2:]) != (height, width):
        pixels = interpolate(pixels, size=(height, width), mode="bicubic", antialias=True)
    result: Frames = pixels[0].permute(1, 2, 0).contiguous().numpy()
    return result
