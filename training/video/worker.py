"""A process that decodes clips into a cache: `python -m training.video.worker`, started by `fill`.

In, on stdin: a line of JSON with folder, policy and most_bytes, then one [path, media_sha256] a
line. Out, on stdout: READY, then a line for each, {"kept": …} or {"error": …}. It ends with its
input.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict
from typing import Any, Self

import torch

from training.video.cache import FrameCache, Kept
from training.video.policy import FramePolicy
from warehouse.errors import PlatformError, TrainingError

COMMAND = (sys.executable, "-W", "ignore", "-m", "training.video.worker")
READY = "ready"

Source = tuple[str, str | None]
"""Path of a video, and its digest where that is known."""


class Worker:
    """A decoding process and its successors: a damaged file may bring one down, not us.

    It ends with the `with` block, and by itself where we are killed.
    """

    def __init__(self, cache: FrameCache) -> None:
        self._cache = cache
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process:
            self._process.kill()
            _ended(self._process)

    def keep(self, source: Source) -> Kept | TrainingError:
        """Have a clip decoded; an error where it cannot be, or where the process died of it.

        Raises: TrainingError where no process can be started.
        """
        if self._process is None:
            self._process = _start(self._cache)
        line = _asked(self._process, list(source))
        if not line:
            code, self._process = _ended(self._process), None
            return TrainingError(
                f"video {source[0]}: the process that decoded it died (exit code {code}); run"
                " again, and fetch the video again if it stays so"
            )
        answer = json.loads(line)
        if "error" in answer:
            return TrainingError(answer["error"])
        kept = answer["kept"]
        return Kept(kept["media_sha256"], tuple(kept["shape"]), tuple(kept["seconds"]))


def _start(cache: FrameCache) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        COMMAND,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,  # Ctrl-C is ours: we end it
    )
    settings = {
        "folder": str(cache.folder),
        "policy": asdict(cache.policy),
        "most_bytes": cache.most_bytes,
    }
    if _asked(process, settings).strip() != READY:
        raise TrainingError(
            f"no process to decode with could be started (exit code {_ended(process)}); its own"
            " words stand above"
        )
    return process


def _asked(process: subprocess.Popen[str], value: object) -> str:
    """The line that answers one of ours; empty where the process is gone."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps(value) + "\n")
        process.stdin.flush()
        return process.stdout.readline()
    except (BrokenPipeError, ValueError):  # ValueError: we have closed it
        return ""


def _ended(process: subprocess.Popen[str]) -> int:
    """Exit code of a process that has ended or is about to; its pipes are closed."""
    with suppress(BrokenPipeError), process:
        process.wait()
    return process.wait()


def serve(lines: Iterable[str]) -> Iterator[str]:
    """Answers to the lines of the input."""
    asked = iter(lines)
    settings: dict[str, Any] = json.loads(next(asked))
    policy = FramePolicy(**settings["policy"])
    cache = FrameCache(settings["folder"], policy, most_bytes=settings["most_bytes"])
    yield READY
    for line in asked:
        path, digest = json.loads(line)
        try:
            yield json.dumps({"kept": asdict(cache.keep(path, digest))})
        except PlatformError as error:
            yield json.dumps({"error": str(error)})


if __name__ == "__main__":
    torch.set_num_threads(1)
    for answer in serve(sys.stdin):
        sys.stdout.write(answer + "\n")
        sys.stdout.flush()
