"""Files of a job's folder: what goes in, what comes out, and whether it is finished.

config.json, media.parquet and, where batch.kind is planned, plan.parquet go in; the names in
OUTPUTS come out, done.json last.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError

from training.config import TrainConfig
from training.config_json import to_json
from training.video import file_digest
from warehouse.digest import value_digest
from warehouse.errors import TrainingError

ENDS = ("checkpoint", "checkpoint.part", "checkpoint.old", "best.part", "metrics.json", "done.json")
OUTPUTS = ("states", "tensorboard", "curve.jsonl", "best", "best.old", *ENDS)
TORCH_WRITES = ("PytorchStreamWriter", "inline_container", "unexpected pos")  # words of its errors
MEDIA_COLUMNS = ("item_id", "path", "prompt", "media_sha256")


def read_media(path: Path) -> pa.Table:
    """Media table with item_id, path, prompt and media_sha256 (null where unknown).

    Raises: TrainingError where the file or a column is missing.
    """
    try:
        return pq.read_table(path, columns=list(MEDIA_COLUMNS))
    except (OSError, pa.ArrowException) as error:
        raise TrainingError(
            f"{path} cannot be read ({error}); it needs columns {', '.join(MEDIA_COLUMNS)}"
        ) from error


def input_digest(job: Path, config: TrainConfig) -> str:
    """What the result depends on: config, media table, pair set, plan (by their files)."""
    pair_set = Path(config.pair_set)
    files = [job / "media.parquet", pair_set / "items.parquet", pair_set / "pairs.parquet"]
    files += [job / "plan.parquet"] * (config.batch.kind == "planned")
    used = to_json(config) | {"frame_cache_bytes": None}  # decides how long it takes, no more
    return value_digest([used, [_digest_of(path) for path in files]])


def _digest_of(path: Path) -> str:
    if not path.is_file():
        raise TrainingError(f"{path} is not there; build the pair set and the media table first")
    return file_digest(path)


def finished(job: Path, inputs: str) -> dict[str, Any] | None:
    """Result of an earlier run of these very inputs."""
    path = job / "done.json"
    result: dict[str, Any] = read_json(path) if path.exists() else {}
    return result if result.get("inputs") == inputs else None


def clear(job: Path, names: tuple[str, ...] = OUTPUTS) -> None:
    """Remove what an earlier or a killed run left; done.json first."""
    for name in reversed(names):
        path = job / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def read_json(path: Path) -> Any:
    """Values of a JSON file. Raises: TrainingError where it is missing or torn."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise TrainingError(f"{path} cannot be read as JSON: {error}") from error


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write under another name first: the file is there whole or not at all."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """As `write_json`."""
    part = path.with_suffix(".part")
    part.write_text(text)
    part.replace(path)


def put_in_place(part: Path, folder: Path) -> None:
    """Rename a folder that is complete, in the place of an older one."""
    sync_tree(part)
    old = folder.with_suffix(".old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.replace(old)
    part.replace(folder)
    sync_tree(folder.parent, deep=False)
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def room_for(part: Path, stands: str) -> Iterator[None]:
    """Where the disk is full, remove what was begun and say so in one sentence.

    Raises: TrainingError for whatever the system, torch or safetensors say of a failed write.
    """
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        words = str(error).splitlines()[0] if str(error) else type(error).__name__
        if isinstance(error, RuntimeError) and not any(sign in words for sign in TORCH_WRITES):
            raise
        shutil.rmtree(part, ignore_errors=True)
        raise TrainingError(
            f"{part} cannot be written ({words}); {stands}: make room and run the same command"
            " again"
        ) from error


def sync_tree(folder: Path, *, deep: bool = True) -> None:
    """Have the disk hold a folder, and what is in it where deep."""
    for path in [*(folder.rglob("*") if deep else ()), folder]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
