"""Decoded clips on disk, one file per media digest and policy; safe to share and to kill."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path

from training.video.decode import Clip, decode, file_digest, spacing
from training.video.policy import FramePolicy
from training.video.stored import Shape, Tensors, pack, read, shape_of, unpack, write
from warehouse.digest import value_digest
from warehouse.errors import TrainingError

SWEPT = 0.9  # share of the largest size that a sweep leaves
UNSWEPT = 0.05  # share of it that may be written between two sweeps
OURS = ("[0-9a-f]" * 2 + "/*.safetensors", "[0-9a-f]" * 2 + "/*.part")
STALE_SECONDS = 3600.0  # after which a half-written file is a killed process's


@dataclass(frozen=True)
class Kept:
    """What is known of a clip in the cache without looking at its pixels."""

    media_sha256: str
    shape: Shape
    seconds: tuple[float, ...]
    """As `Clip.seconds`."""

    @property
    def spacing(self) -> float:
        """As `Clip.spacing`."""
        return spacing(self.seconds)


class FrameCache:
    """Clips under one policy, in a folder that others may share.

    A clip replaced under the same name has another digest and is decoded anew.
    most_bytes: above that, clips that were not used for longest are removed, those of other
        policies among them. Whoever has one open keeps it; whoever needs it again decodes it again.
    """

    def __init__(
        self, folder: str | Path, policy: FramePolicy, *, most_bytes: int | None = None
    ) -> None:
        self.folder = Path(folder)
        self.policy = policy
        self.most_bytes = most_bytes
        self._unswept: float = most_bytes or 0

    def clip(self, path: str | Path, media_sha256: str | None = None) -> Clip:
        """A clip, memory-mapped where it is raw; decoded first where the cache does not have it.

        media_sha256: what the file's digest was when the item was imported; None: as it is now.
        Raises: TrainingError as `decode`, and where the file was changed since.
        """
        return unpack(self._tensors(path, media_sha256 or file_digest(path), media_sha256))

    def keep(self, path: str | Path, media_sha256: str | None = None) -> Kept:
        """Have a clip in the cache. Raises: TrainingError as `clip`."""
        digest = media_sha256 or file_digest(path)
        return _kept(digest, self._tensors(path, digest, media_sha256))

    def kept(self, media_sha256: str) -> Kept | None:
        """What the cache has of a clip, if it has it."""
        tensors = self._read(self._target(media_sha256))
        return None if tensors is None else _kept(media_sha256, tensors)

    def _tensors(self, path: str | Path, digest: str, expected: str | None) -> Tensors:
        target = self._target(digest)
        tensors = self._read(target)
        if tensors is None:
            if expected and file_digest(path) != expected:
                raise TrainingError(f"video {path} was changed since it was imported; restore it")
            tensors = pack(decode(path, self.policy), self.policy.store)
            self._write(target, tensors)
        return tensors

    def _target(self, digest: str) -> Path:
        key = value_digest({"media": digest, "policy": asdict(self.policy)})
        return self.folder / key[:2] / f"{key}.safetensors"

    def _read(self, target: Path) -> Tensors | None:
        tensors = read(target)
        if tensors is not None and self.most_bytes is not None:
            _touch(target)
        return tensors

    def _write(self, target: Path, tensors: Tensors) -> None:
        try:
            self._unswept += write(target, tensors)
        except OSError as error:
            raise TrainingError(
                f"frame cache {self.folder} cannot be written ({error.strerror}); make room there,"
                " or lower frame_cache_bytes"
            ) from error
        if self.most_bytes is not None and self._unswept > UNSWEPT * self.most_bytes:
            sweep(self.folder, self.most_bytes)
            self._unswept = 0


def read_clip(path: str | Path, policy: FramePolicy) -> Clip:
    """A clip as the model sees it, whether it comes through a cache or not.

    Raises: TrainingError as `decode`.
    """
    return unpack(pack(decode(path, policy), policy.store))


def sweep(folder: Path, most_bytes: int) -> None:
    """Remove what killed processes left half-written, then what was not used for longest."""
    files = []
    for path in chain.from_iterable(map(folder.glob, OURS)):
        try:
            facts = path.stat()
        except FileNotFoundError:  # somebody else's sweep
            continue
        if path.suffix != ".part":
            files.append((facts.st_mtime_ns, facts.st_size, path))
        elif facts.st_mtime < time.time() - STALE_SECONDS:
            path.unlink(missing_ok=True)
    total = sum(size for _, size, _ in files)
    if total <= most_bytes:
        return
    for _, size, path in sorted(files):
        if total <= SWEPT * most_bytes:
            return
        path.unlink(missing_ok=True)
        total -= size


def _touch(path: Path) -> None:
    try:
        os.utime(path)
    except FileNotFoundError:  # swept meanwhile; what is mapped stays readable
        return


def _kept(digest: str, tensors: Tensors) -> Kept:
    return Kept(digest, shape_of(tensors), tuple(tensors["seconds"].tolist()))
