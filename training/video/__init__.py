"""Clips as the model sees them: which frames, decoded how, kept where."""

from __future__ import annotations

from training.video.cache import FrameCache, Kept, read_clip
from training.video.decode import Clip, Frames, decode, file_digest, resize
from training.video.filling import cores, fill
from training.video.policy import FramePolicy, choose, frame_indices
from training.video.size import frame_size

__all__ = [
    "Clip",
    "FrameCache",
    "FramePolicy",
    "Frames",
    "Kept",
    "choose",
    "cores",
    "decode",
    "file_digest",
    "fill",
    "frame_indices",
    "frame_size",
    "read_clip",
    "resize",
]
