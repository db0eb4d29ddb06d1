"""Makes the demo's world: a folder of short clips whose right and wrong are known.

clips/*.mp4, items.jsonl (what an annotator may know), truth.parquet (what only the simulated
annotators and the report's second column may know), clips.sha256 (which clips are complete;
`sha256sum -c` reads it) and spec.json. Everything is a function of the `WorldSpec`; a run that was
interrupted goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import TYPE_CHECKING, Final

import pyarrow.compute as pc
import pyarrow.parquet as pq

from flows.drawing import GENERATORS, draw
from flows.encoding import write_clip
from flows.world_plan import (
    CALIBRATION_K,
    DIMENSIONS,
    FULL,
    TINY,
    Clip,
    WorldSpec,
    items_jsonl,
    plan_world,
    truth_table,
)
from warehouse.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pyarrow as pa

    Progress = Callable[[int, int], None]

__all__ = ["FULL", "TINY", "WORLDS", "WorldSpec", "WorldSummary", "make_world"]

SUMS: Final = "clips.sha256"
WORLDS: Final = {"full": FULL, "tiny": TINY}
DRAWING_VERSION: Final = 1  # raise it when the same spec is drawn in another way
POOL_FROM: Final = 100  # fewer clips are drawn sooner than a second process starts
CHUNK: Final = 16  # clips per task of the pool


@dataclass(frozen=True)
class WorldSummary:
    """What `make_world` made, and how much of it was there already."""

    folder: Path
    items: int
    prompts: int
    ood_items: int
    calibration_items: int
    drawn: int
    kept: int
    pass_share: dict[str, float]
    """Per dimension, share of the items that are right."""


def _draw_chunk(folder: Path, spec: WorldSpec, clips: list[Clip]) -> list[tuple[str, str]]:
    """Draws clips into the folder; (path inside the folder, SHA-256) of each."""
    return [(clip.media, _draw_clip(folder / clip.media, spec, clip)) for clip in clips]


def _draw_clip(target: Path, spec: WorldSpec, clip: Clip) -> str:
    unfinished = target.with_suffix(f".{os.getpid()}.part")
    write_clip(unfinished, draw(clip.scene, spec.size, spec.frames), spec.fps)
    digest = _sha256(unfinished)
    unfinished.replace(target)
    return digest


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _leave_with_parent() -> None:
    """Ends a worker when its parent is gone: after kill -9 it would wait for work for ever."""
    parent = parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    Thread(target=watch, daemon=True).start()


def _drawn(
    folder: Path, spec: WorldSpec, clips: list[Clip], workers: int
) -> Iterator[list[tuple[str, str]]]:
    """Chunks of finished clips, as they are finished."""
    chunks = [clips[i : i + CHUNK] for i in range(0, len(clips), CHUNK)]
    if workers < 2 or len(clips) < POOL_FROM:  # noqa: PLR2004
        yield from (_draw_chunk(folder, spec, chunk) for chunk in chunks)
        return
    spawn = get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn, initializer=_leave_with_parent) as pool:
        waiting = [pool.submit(_draw_chunk, folder, spec, chunk) for chunk in chunks]
        try:
            yield from (done.result() for done in waiting)
        finally:
            pool.shutdown(cancel_futures=True)


def _recorded(sums: Path) -> dict[str, str]:
    """Complete lines of clips.sha256: path inside the folder -> digest."""
    if not sums.exists():
        return {}
    rows = [line.split("  ") for line in sums.read_text().splitlines()]
    return {row[1]: row[0] for row in rows if len(row) == 2 and len(row[0]) == 64}  # noqa: PLR2004


def _is_kept(folder: Path, clip: Clip, recorded: dict[str, str]) -> bool:
    path = folder / clip.media
    return path.is_file() and recorded.get(clip.media) == _sha256(path)


def _write(path: Path, text: str) -> None:
    unfinished = path.with_suffix(".part")
    unfinished.write_text(text)
    unfinished.replace(path)


def _claim(folder: Path, spec: WorldSpec) -> None:
    """Claim the folder for this world.

    Raises: SettingsError when it holds another world: mixing two would go unnoticed.
    """
    path = folder / "spec.json"
    wanted = json.dumps({**asdict(spec), "drawing_version": DRAWING_VERSION}, indent=1) + "\n"
    if path.exists() and path.read_text() != wanted:
        raise SettingsError(
            f"world: {folder} holds a world of another spec; delete it or choose another folder"
        )
    (folder / "clips").mkdir(parents=True, exist_ok=True)
    for torn in (folder / "clips").glob("*.part"):
        torn.unlink()
    _write(path, wanted)


def make_world(
    folder: Path, spec: WorldSpec = FULL, progress: Progress | None = None, workers: int = 2
) -> WorldSummary:
    """Draws a world into `folder`, or what is missing of it.

    progress: called with (clips done, all clips) after each chunk.
    workers: processes that draw; the bytes do not depend on their number.
    Raises: SettingsError when the folder holds a world of another spec or cannot be written.
    """
    clips = plan_world(spec)
    truth = truth_table(clips, spec.frames)
    try:
        _claim(folder, spec)
        missing = _missing(folder, clips)
        done = len(clips) - len(missing)
        for chunk in _drawn(folder, spec, missing, workers):
            _record(folder, chunk)
            done += len(chunk)
            if progress is not None:
                progress(done, len(clips))
        _write_tables(folder, clips, truth)
    except OSError as error:
        raise SettingsError(
            f"world: {folder} cannot be written ({error.strerror or error}); choose another folder"
        ) from error
    return _summary(folder, clips, truth, len(missing))


def _missing(folder: Path, clips: list[Clip]) -> list[Clip]:
    """Clips that are not there as recorded; rewrites the record without them."""
    recorded = _recorded(folder / SUMS)
    missing = [clip for clip in clips if not _is_kept(folder, clip, recorded)]
    for clip in missing:
        recorded.pop(clip.media, None)
    _write(folder / SUMS, "".join(f"{digest}  {media}\n" for media, digest in recorded.items()))
    return missing


def _record(folder: Path, chunk: list[tuple[str, str]]) -> None:
    with (folder / SUMS).open("a") as sums:
        sums.writelines(f"{digest}  {media}\n" for media, digest in chunk)


def _write_tables(folder: Path, clips: list[Clip], truth: pa.Table) -> None:
    _write(folder / "items.jsonl", items_jsonl(clips))
    unfinished = folder / "truth.part"
    pq.write_table(truth, unfinished)
    unfinished.replace(folder / "truth.parquet")


def _summary(folder: Path, clips: list[Clip], truth: pa.Table, drawn: int) -> WorldSummary:
    right = {
        dimension: truth.filter(
            (pc.field("dimension") == dimension) & (pc.field("label") == "pass")
        )
        for dimension in DIMENSIONS
    }
    return WorldSummary(
        folder=folder,
        items=len(clips),
        prompts=len({clip.prompt for clip in clips}),
        ood_items=sum(clip.scene.generator != GENERATORS[0] for clip in clips),
        calibration_items=sum(clip.design_k == CALIBRATION_K for clip in clips),
        drawn=drawn,
        kept=len(clips) - drawn,
        pass_share={name: rows.num_rows / len(clips) for name, rows in right.items()},
    )
