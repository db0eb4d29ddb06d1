"""A batch of videos in, their rewards out: stored ones at once, the rest from the model."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from annotation.media import inside, is_remote
from flows.rewards_server.stored import Stored, is_same
from flows.rewards_server.worker import Job, Worker, check_file
from flows.score_journal import Key, Rewards
from flows.score_output import standing
from warehouse.errors import PlatformError, TrainingError

if TYPE_CHECKING:
    from training.reference import Reference

Answer = dict[str, Any]
MOST_ITEMS = 1000
LONGEST = 20_000  # characters of a prompt


class Item(BaseModel):
    """What a reward is asked for: an item of the warehouse, or a video with its prompt."""

    model_config = ConfigDict(extra="forbid")

    item_id: str | None = Field(None, min_length=1, max_length=1000)
    """With a video, what the answer calls it; alone, an item of the warehouse."""
    video_path: str | None = Field(None, min_length=1, max_length=4096)
    """Relative to the first media root, or absolute inside one."""
    prompt: str = Field("", max_length=LONGEST)
    """Text that the video was generated from."""


class Batch(BaseModel):
    """Body of POST /rewards."""

    model_config = ConfigDict(extra="forbid")

    items: list[Item] = Field(min_length=1, max_length=MOST_ITEMS)


@dataclass(frozen=True)
class Asked:
    """An item that was understood: a row of what is stored, or a video for the model."""

    name: str | None
    row: int | None
    key: Key | None


@dataclass(frozen=True)
class Rewarder:
    """Answers batches for one model."""

    roots: tuple[Path, ...]
    """Folders that videos must lie in."""
    worker: Worker | None
    """None: stored rewards are all there is."""
    dimensions: tuple[str, ...]
    """Of the worker's model, in its order."""
    reference: Reference | None
    seconds: float = 120.0
    """That a batch may wait for the model."""

    async def answer(self, items: Sequence[Item], stored: Stored) -> list[Answer]:
        """One answer for each item, in their order: its rewards, or `error` with the reason.

        Raises: Full where the queue has no room for what the model must score.
        """
        if any(item.video_path for item in items):  # files are looked at
            asked = await asyncio.to_thread(self._understood, items, stored)
        else:
            asked = self._understood(items, stored)
        keys = [each.key for each in asked if isinstance(each, Asked) and each.key]
        scored = await self._scored(keys)
        return [self._one(each, stored, scored) for each in asked]

    def _understood(self, items: Sequence[Item], stored: Stored) -> list[Asked | str]:
        return [self._look_up(item, stored) for item in items]

    def _look_up(self, item: Item, stored: Stored) -> Asked | str:
        """What an item is; a text: why it has no reward."""
        if item.video_path is None:
            if item.item_id is None:
                return "an item needs item_id or video_path"
            row = stored.rows.get(item.item_id)
            if row is None:
                return (
                    f"model {stored.model_id[:16]} has no stored reward of item"
                    f" {item.item_id!r}; run `soli score`, or send its video_path and prompt"
                )
            return Asked(item.item_id, row, None)
        try:
            path = self._place(item.video_path)
            check_file(path)
        except PlatformError as error:
            return str(error)
        row = stored.of_video(path, item.prompt)
        if row is not None and is_same(path, stored.digests[row]):
            return Asked(item.item_id, row, None)
        if self.worker is None:
            return (
                f"no stored reward of video {item.video_path!r} under this prompt, and no model to"
                " score it; start `soli serve` with --model or --checkpoint"
            )
        return Asked(item.item_id, None, (path, item.prompt))

    def _place(self, path: str) -> str:
        """Where a video lies, links resolved.

        Raises: PlatformError for a URL, a path outside the roots, or none at all.
        """
        if "\0" in path or is_remote(path) or "://" in path:
            raise TrainingError(
                f"video {path!r} is no path of a local file; copy it to this server"
            )
        if not self.roots:
            raise TrainingError("this server has no media root; start it with --media-root")
        return str(inside(self.roots[0] / path, self.roots))

    async def _scored(self, keys: Sequence[Key]) -> Mapping[Key, Rewards | str]:
        """Rewards of videos by the model, or why there are none."""
        if not keys or self.worker is None:
            return {}
        jobs = await asyncio.to_thread(self.worker.ask, keys)
        try:
            coming = [asyncio.wrap_future(job.rewards) for job in jobs.values()]
            for each in coming:  # asked for below; one that comes too late is nobody's
                each.add_done_callback(lambda done: done.cancelled() or done.exception())
            await asyncio.wait(coming, timeout=self.seconds)
            return {key: self._outcome(job) for key, job in jobs.items()}
        finally:
            self.worker.leave(jobs.values())

    def _outcome(self, job: Job) -> Rewards | str:
        if not job.rewards.done():
            return f"not scored within {self.seconds:g} s; ask again"
        error = job.rewards.exception()
        return str(error) if error else job.rewards.result()

    def _one(
        self, asked: Asked | str, stored: Stored, scored: Mapping[Key, Rewards | str]
    ) -> Answer:
        if isinstance(asked, str):
            return {"error": asked}
        name = {} if asked.name is None else {"item_id": asked.name}
        if asked.row is not None:
            rewards = stored.rewards[asked.row].tolist()
            return name | self._said("stored", stored.dimensions, rewards)
        assert asked.key is not None
        found = scored[asked.key]
        if isinstance(found, str):
            return name | {"error": found}
        return name | self._said("scored", self.dimensions, found)

    def _said(self, source: str, dimensions: Sequence[str], rewards: Sequence[float]) -> Answer:
        pairs = zip(dimensions, rewards, strict=True)
        found = {name: standing(name, float(reward), self.reference) for name, reward in pairs}
        return {"source": source, "rewards": found}
