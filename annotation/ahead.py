"""A large export, read ahead by a process of its own, on another core.

The child reads the file and looks at each task by itself: is it of the usual shape, what do its
annotations say, which item does it describe. What depends on other tasks or on what is known stays
with the parent. A task of another shape travels as its text alone, and is read as ever.
"""

from __future__ import annotations

import gc
import os
import pickle
import subprocess
import sys
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from annotation.export import decoded, read_export, read_texts
from annotation.items import item_rows
from annotation.judgement import Context
from annotation.known import TaskKey
from annotation.moments import Micros, micros
from annotation.payload import ITEM_KEY, PROMPT_KEY, Task
from annotation.sound import Item, Later, Prepared, Sound, sound_annotation, sound_task
from annotation.versions import Choice, Readings, Version
from warehouse.errors import AnnotationError, PlatformError

AHEAD_BYTES = 16 << 20  # a smaller file is read before a child has started
MESSAGE_BYTES = 4 << 20  # of text, about a thousand tasks; two messages wait at most
_HEADER = 8  # bytes: length of a message
# The child finds what its parent finds, and never runs the parent's main module again.
_CHILD = "import sys; sys.path[:] = {path!r}; from annotation.ahead import serve; serve()"


@dataclass(frozen=True)
class Job:
    """What the child has to know."""

    path: Path
    only: str | None
    """The one source that tasks may name; None: it is not asked."""
    versions: tuple[Version, ...]
    now: datetime
    design_k: int


Sent = bytes | tuple[TaskKey, Micros, str, str | None, list[Sound | None], Item, bytes]
"""A task as `received` takes it apart: its text alone, or key, time of change, digest, prompt,
annotations, item and text."""


@contextmanager
def tasks_of(path: Path, context: Context, only: str | None = None) -> Iterator[Iterator[Any]]:
    """Tasks of an export for `to_events`, which makes the same of them as of `read_export`'s.

    A large file is read by a child, which ends with the block, and by itself where the parent dies.
    Raises: AnnotationError, in the loop over the tasks, as `read_export` does, and where the child
        was killed.
    """
    if path.stat().st_size < AHEAD_BYTES:
        yield read_export(path, only)
        return
    job = Job(path, only, context.versions, context.now, context.design_k)
    with _child(job) as process, closing(_chunks(process, path)) as chunks:
        yield (received(sent) for chunk in chunks for sent in chunk)


@contextmanager
def _child(job: Job) -> Iterator[subprocess.Popen[bytes]]:
    """The child, in a session of its own: Ctrl-C is for the parent, which ends it."""
    command = [sys.executable, "-c", _CHILD.format(path=sys.path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, start_new_session=True) as process:
        try:
            assert process.stdin is not None
            with suppress(BrokenPipeError), process.stdin as stdin:  # it is dead: nothing comes
                pickle.dump(job, stdin)
            yield process
        finally:
            process.kill()


def _chunks(process: subprocess.Popen[bytes], path: Path) -> Generator[list[Sent]]:
    """What the child sends; the next chunk is fetched while one is worked on."""
    pipe = process.stdout
    assert pipe is not None
    with ThreadPoolExecutor(max_workers=1) as reader:
        fetched = reader.submit(_frame, pipe)
        try:
            while frame := fetched.result():
                fetched = reader.submit(_frame, pipe)
                message = pickle.loads(frame)  # noqa: S301 our own child wrote it
                if message is None:
                    return
                if isinstance(message, Exception):
                    raise message
                yield message
            raise AnnotationError(
                f"export {path}: the process that reads it was ended (exit code {process.wait()}:"
                " out of memory?); nothing was taken in: run the command again"
            )
        finally:
            process.kill()  # the reader may be waiting for it


def _frame(pipe: IO[bytes]) -> bytes:
    """Next message; empty where no whole one follows."""
    size = int.from_bytes(pipe.read(_HEADER), "big")
    frame = pipe.read(size)
    return frame if len(frame) == size else b""


def received(sent: Sent) -> Any:
    """A task as `to_events` takes it."""
    if isinstance(sent, bytes):
        return decoded(sent)
    key, updated, digest, prompt, sounds, item, text = sent
    data = {ITEM_KEY: item[0]["item_id"], PROMPT_KEY: prompt}  # all that is asked of it from here
    later = Later(text, len(sounds))
    return Prepared(Task(*key, updated, data, later, digest), sounds, item, later)


def serve() -> None:
    """Life of the child: a job from stdin, messages to stdout."""
    gc.disable()  # payloads are trees: they go when the last name of them goes
    job = pickle.load(sys.stdin.buffer)  # noqa: S301 our parent wrote it
    with suppress(BrokenPipeError), os.fdopen(1, "wb", closefd=False) as pipe:
        for message in messages(job):
            frame = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
            pipe.write(len(frame).to_bytes(_HEADER, "big"))
            pipe.write(frame)
            pipe.flush()


def messages(job: Job) -> Iterator[list[Sent] | Exception | None]:
    """What the child says: chunks, and at the end None, or what ended the reading."""
    try:
        yield from _cut(_sent(job))
    except (PlatformError, OSError) as error:
        yield error
    else:
        yield None


def _cut(tasks: Iterator[Sent]) -> Iterator[list[Sent]]:
    """Chunks of a bounded size, however large a task is."""
    chunk: list[Sent] = []
    size = 0
    for sent in tasks:
        chunk.append(sent)
        size += len(sent if isinstance(sent, bytes) else sent[-1])
        if size >= MESSAGE_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _sent(job: Job) -> Iterator[Sent]:
    readings, now = Readings(job.versions), micros(job.now)
    same: dict[Any, dict[str, Choice]] = {}  # what is one object here is sent once a chunk
    for raw, text in read_texts(job.path, job.only):
        task = sound_task(raw)
        item = _item(task, job.design_k) if task else None
        if task is None or item is None:
            yield text.encode()
            continue
        found = (sound_annotation(each, readings, now) for each in task.annotations)
        sounds = [sound and _shared(sound, same) for sound in found]
        prompt = task.text(PROMPT_KEY)
        yield task.key, task.updated_at, task.digest, prompt, sounds, item, text.encode()


def _shared(sound: Sound, same: dict[Any, dict[str, Choice]]) -> Sound:
    key, changed, user, gold, seconds, labels = sound
    return key, changed, user, gold, seconds, same.setdefault(tuple(labels.items()), labels)


def _item(task: Task, design_k: int) -> Item | None:
    """Item and prompt of a task; None where it describes none."""
    item_id = task.text(ITEM_KEY)
    found = None if item_id is None else item_rows(task, item_id, design_k)
    return found if isinstance(found, tuple) else None
