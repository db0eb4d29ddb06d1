"""The file of an item's clip, if it lies where clips may lie.

An address names an item, never a path: what is served is the warehouse's path of that item, with
links and dots resolved, below a configured root, a regular file with the ending of a video.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from stat import S_ISREG

from annotation.media import inside, is_remote
from flows.web.answers import NotFound
from warehouse.errors import AnnotationError

TYPES = {
    ".m4v": "video/mp4",
    ".mkv": "video/x-matroska",
    ".mov": "video/quicktime",
    ".mp4": "video/mp4",
    ".ogv": "video/ogg",
    ".webm": "video/webm",
}
"""Endings of what browsers play, and what they are told it is; they are told not to guess."""


def clip_file(uri: str, roots: Sequence[Path]) -> tuple[Path, str]:
    """File and media type of a clip.

    uri: of the item; a relative path starts at the first root.
    Raises: AnnotationError for a path that leaves every root, or is no video's; NotFound where
        there is no such file here.
    """
    if is_remote(uri):
        raise NotFound("the clip lies at a URL, and this page fetches nothing from elsewhere")
    if "\0" in uri:
        raise AnnotationError("the path of the clip holds a NUL; correct the item's uri")
    real = inside(roots[0] / uri, roots)
    if real.suffix.lower() not in TYPES:
        raise AnnotationError(f"a clip ends in {', '.join(TYPES)}; this file does not")
    try:
        if not S_ISREG(real.stat().st_mode):
            raise AnnotationError("the clip is no regular file")
    except OSError as error:
        raise NotFound(f"the clip's file cannot be read ({error.strerror})") from error
    return real, TYPES[real.suffix.lower()]
