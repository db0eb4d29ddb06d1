"""Files of a job's folder: what goes in, what comes out, and whether it is finished.

config.json and media.parquet go in; the names in OUTPUTS come out, done.json last.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from training.config import TrainConfig
from training.config_json import to_json
from training.video import file_digest
from warehouse.digest import value_digest
from warehouse.errors import TrainingError

OUTPUTS = ("checkpoint", "checkpoint.part", "curve.jsonl", "metrics.json", "done.json")
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
    """What the result depends on: config, media table, pair set (by their files)."""
    pair_set = Path(config.pair_set)
    files = (job / "media.parquet", pair_set / "items.parquet", pair_set / "pairs.parquet")
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


def clear(job: Path) -> None:
    """Remove what an earlier or a killed run left; done.json first."""
    for name in reversed(OUTPUTS):
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
    part = path.with_suffix(".part")
    part.write_text(json.dumps(value, indent=2) + "\n")
    part.replace(path)
