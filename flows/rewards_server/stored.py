"""Rewards that the warehouse holds of one model, in memory: asked by item, or by video and prompt.

Shapes: N items, Q dimensions.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from flows.score_journal import stamp
from warehouse.errors import ContractError, PlatformError
from warehouse.identity import prompt_id
from warehouse.store import Store

Floats = NDArray[np.float64]

HELD = """
SELECT s.item_id, c.uri, c.prompt_id, c.media_sha256, s.dimension, s.reward
FROM scores s JOIN clips c USING (item_id)
WHERE s.model_id = $m ORDER BY s.item_id, s.dimension
"""
LINK = "warehouse.duckdb"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stored:
    """One model's rewards of items."""

    model_id: str
    dimensions: tuple[str, ...]
    rewards: Floats
    """(N, Q)."""
    rows: dict[str, int]
    """Item -> its row."""
    videos: dict[tuple[str, str], int]
    """(path, prompt_id) -> row."""
    digests: Sequence[str | None]
    """(N,) SHA-256 of the file that was scored."""

    def of_video(self, path: str, prompt: str) -> int | None:
        """Row of a video under a prompt; None where it was never scored."""
        try:
            return self.videos.get((path, prompt_id(prompt)))
        except ContractError:  # no item has an empty prompt
            return None


def nothing(model_id: str, dimensions: Sequence[str]) -> Stored:
    """No rewards, of a model."""
    return Stored(model_id, tuple(dimensions), np.zeros((0, len(dimensions))), {}, {}, ())


def stored_rewards(store: Store, model_id: str) -> Stored:
    """What the warehouse holds of a model; an item that lacks a dimension is left out."""
    found = store.query(HELD, {"m": model_id})
    dimensions = tuple(sorted(set(found["dimension"].to_pylist())))
    whole = _whole(found, len(dimensions))
    each = whole.take(pa.array(np.arange(0, whole.num_rows, max(1, len(dimensions)))))
    items, paths = each["item_id"].to_pylist(), each["uri"].to_pylist()
    keys = zip(paths, each["prompt_id"].to_pylist(), strict=True)
    return Stored(
        model_id,
        dimensions,
        whole["reward"].to_numpy().reshape(-1, len(dimensions)) if items else np.zeros((0, 0)),
        {item: row for row, item in enumerate(items)},
        {key: row for row, key in enumerate(keys)},
        each["media_sha256"].to_pylist(),
    )


def _whole(found: pa.Table, dimensions: int) -> pa.Table:
    """Rows of the items that have a reward in every dimension."""
    counts = found.group_by("item_id").aggregate([([], "count_all")])
    whole = counts.filter(pc.equal(counts["count_all"], dimensions))
    return found.filter(pc.is_in(found["item_id"], whole["item_id"].combine_chunks()))


class Shelf:
    """The stored rewards as the warehouse has them now.

    A commit publishes a new face: seeing its name costs microseconds. What it holds is read by a
    thread, and until that is done the rewards of before are given.
    """

    def __init__(self, store: Store, model_id: str) -> None:
        self._store, self._model_id = store, model_id
        self._seen = self._face()
        self._reading = threading.Lock()
        self.now = stored_rewards(store, model_id)

    def look(self) -> Stored:
        """What is known now; starts to read what is new."""
        if self._face() != self._seen and self._reading.acquire(blocking=False):
            threading.Thread(target=self._read, name="read scores", daemon=True).start()
        return self.now

    def _read(self) -> None:
        try:
            face = self._face()
            self.now = stored_rewards(self._store, self._model_id)
            self._seen = face
        except PlatformError as error:  # whoever asks next tries again
            log.warning("the warehouse cannot be read: %s", error)
        finally:
            self._reading.release()

    def _face(self) -> str:
        link = self._store.home / LINK
        return str(link.readlink()) if link.is_symlink() else ""


def is_same(path: str, digest: str | None) -> bool:
    """Whether a file is still the one that was scored; read once for each of its states."""
    seen = stamp(path)
    return digest is None or (seen is not None and _digest(path, tuple(seen)) == digest)


@lru_cache(100_000)
def _digest(path: str, _seen: tuple[int, ...]) -> str | None:
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
