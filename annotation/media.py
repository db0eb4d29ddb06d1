"""Facts about a video file: found by decoding it, not by believing its name or header."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from warehouse.errors import AnnotationError

REMOTE_SCHEMES = ("http", "https", "s3", "gs", "azure-blob")
ADD_FOLDER = "add its folder to the setting media_roots"
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Media:
    """What a video holds. Sizes in pixels, fps in frames per second, duration in seconds."""

    codec: str
    width: int
    height: int
    fps: float
    frames: int
    duration: float
    media_sha256: str


def is_remote(uri: str) -> bool:
    """True for a URL that Label Studio or the browser fetches; False for a local path.

    >>> is_remote("https://clips.example/a.mp4"), is_remote("clips/a.mp4")
    (True, False)
    >>> is_remote("http://[x/a.mp4")  # no URL that could be fetched, and no path
    True
    """
    try:
        scheme = urlsplit(uri).scheme
    except ValueError:  # it has a scheme, and a host that cannot be read
        scheme = uri.strip().partition(":")[0]
    return scheme.lower() in REMOTE_SCHEMES


def inside(path: Path, roots: Sequence[Path]) -> Path:
    """The path with links and dots resolved.

    Raises: AnnotationError where it ends outside every root: clips come from configured folders.
    """
    try:
        real = path.resolve()
    except (OSError, RuntimeError) as error:  # a name too long, links that go round
        raise AnnotationError(
            f"video {path} cannot be found ({error}); correct its path"
        ) from error
    if not any(real.is_relative_to(root.resolve()) for root in roots):
        folders = ", ".join(str(root) for root in roots) or "none"
        raise AnnotationError(
            f"video {path} lies outside the media folders ({folders}); move it or {ADD_FOLDER}"
        )
    return real


def probe(path: Path, roots: Sequence[Path], known: Media | None = None) -> Media:
    """Decode every frame of a local video once.

    roots: folders the file must lie in, after links are resolved.
    known: facts found earlier; where the file's bytes are still those, nothing is decoded again.
    Raises: AnnotationError for a file that is missing, empty, cut short, no video, or outside.
    Cost: one read for the digest, one decode; memory for one frame.
    """
    real = inside(path, roots)
    try:
        if not real.is_file():
            raise AnnotationError(f"video {path} does not exist; correct the path or drop the item")
        with real.open("rb") as file:
            digest = _sha256(file)
            if known is not None and digest == known.media_sha256:
                return known
            if file.tell() == 0:
                raise AnnotationError(f"video {path} is empty (0 bytes); make or copy it again")
            file.seek(0)
            return _decoded(file, path, digest)
    except OSError as error:  # PyAV's own errors are handled where it is called
        raise AnnotationError(
            f"video {path} cannot be read ({error.strerror}); mend its permissions or its disk"
        ) from error


def _sha256(file: BinaryIO) -> str:
    sha = hashlib.sha256()
    while part := file.read(_CHUNK):
        sha.update(part)
    return sha.hexdigest()


def _decoded(file: BinaryIO, path: Path, digest: str) -> Media:
    """PyAV gets the open file, never a name: no playlist or URL in it is followed."""
    import av  # heavy; only probing needs it

    advice = "make or copy it again"
    try:
        with av.open(file, mode="r", metadata_errors="replace") as container:
            if not container.streams.video:
                raise AnnotationError(f"video {path} holds no video stream; {advice}")
            stream = container.streams.video[0]
            promised = int(stream.frames or 0)
            times = [
                None if frame.time is None else float(frame.time)
                for frame in container.decode(stream)
            ]
            rate = float(stream.average_rate or stream.guessed_rate or 0)
            codec, width, height = stream.codec_context.name, stream.width, stream.height
    except av.FFmpegError as error:
        raise AnnotationError(
            f"video {path} cannot be decoded ({error.strerror}): cut short or no video; {advice}"
        ) from error
    if not times or rate <= 0:
        raise AnnotationError(f"video {path} has no frame that decodes; {advice}")
    if len(times) < promised:
        raise AnnotationError(
            f"video {path} is cut short: {len(times)} of {promised} frames decode; {advice}"
        )
    return Media(codec, width, height, rate, len(times), _duration(times, rate), digest)


def _duration(times: Sequence[float | None], rate: float) -> float:
    """From the first frame's start to the last one's end, rounded to the microsecond."""
    stamps = [time for time in times if time is not None]
    span = max(stamps) - min(stamps) + 1 / rate if stamps else len(times) / rate
    return round(span, 6)
