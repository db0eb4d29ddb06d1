"""One worker that scores videos with a model: a bounded queue before it, what it made beside it.

The model runs in one thread, so two clients never share its memory. A video is decoded once for
all prompts that wait for it, whoever asked.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from flows.score_journal import Key, Rewards, Stamp, stamp
from warehouse.errors import PlatformError, TrainingError

if TYPE_CHECKING:
    from training.model import RewardModel

Score = Callable[[str, Sequence[str]], Mapping[str, Rewards | TrainingError]]
"""Path of a video and its prompts -> rewards by prompt, or why that prompt has none. Raises:
TrainingError for a video that cannot be read."""

MOST_BYTES = 2**30  # of a video file
log = logging.getLogger(__name__)


class Full(PlatformError):
    """The queue has no room; nothing was taken."""


@dataclass
class Job:
    """A video and prompt on its way."""

    key: Key
    rewards: Future[Rewards] = field(default_factory=Future)
    waiting: int = 0
    """Requests that want it."""


class Worker:
    """Scores what is put into its queue, until it is closed.

    score: what the model makes of a video.
    places: videos and prompts that may wait.
    kept: rewards that are remembered, the last used ones; a file that changed is scored again.
    """

    def __init__(self, score: Score, *, places: int = 256, kept: int = 100_000) -> None:
        self._score, self._places, self._most_kept = score, places, kept
        self._jobs: OrderedDict[str, dict[str, Job]] = OrderedDict()  # path -> prompt -> job
        self._kept: OrderedDict[tuple[Key, tuple[int, ...]], Rewards] = OrderedDict()
        self._running: dict[Key, Job] = {}
        self._changed = threading.Condition()
        self._open = True
        self._thread = threading.Thread(target=self._run, name="score", daemon=True)
        self._thread.start()

    def ask(self, keys: Iterable[Key]) -> dict[Key, Job]:
        """Jobs of these videos and prompts, each put into the queue where nobody did before.

        Give each back with `leave`. Raises: Full where they have no room; then none is taken.
        """
        distinct = list(dict.fromkeys(keys))
        seen = {path: stamp(path) for path, _ in distinct}
        with self._changed:
            jobs = {key: self._known(key, seen[key[0]]) for key in distinct}
            new = [key for key, job in jobs.items() if job is None]
            waiting = sum(map(len, self._jobs.values()))
            if waiting + len(new) > self._places:
                raise Full(
                    f"{waiting} videos wait to be scored and {self._places} may: no room for"
                    f" {len(new)} more; ask again later, or send fewer at once"
                )
            found = {key: job or self._put(key) for key, job in jobs.items()}
            for job in found.values():
                job.waiting += 1
            self._changed.notify()
            return found

    def leave(self, jobs: Iterable[Job]) -> None:
        """Want these no more: what nobody wants is not scored."""
        with self._changed:
            for job in jobs:
                job.waiting -= 1

    def close(self) -> None:
        """Stop after the video at hand; what waits is not scored."""
        with self._changed:
            self._open = False
            self._changed.notify()
        self._thread.join()

    def _known(self, key: Key, seen: Stamp) -> Job | None:
        path, prompt = key
        waiting = self._jobs.get(path, {}).get(prompt) or self._running.get(key)
        rewards = self._kept.get((key, tuple(seen or ())))
        if waiting or rewards is None:
            return waiting
        self._kept.move_to_end((key, tuple(seen or ())))
        done = Job(key)
        done.rewards.set_result(rewards)
        return done

    def _put(self, key: Key) -> Job:
        path, prompt = key
        job = Job(key)
        self._jobs.setdefault(path, {})[prompt] = job
        return job

    def _run(self) -> None:
        while (taken := self._next()) is not None:
            path, jobs = taken
            try:
                self._fill(path, jobs)
            except PlatformError as error:
                _fail(jobs, error)
            except Exception as error:  # whatever a file does to a decoder, the next one is scored
                log.exception("a video could not be scored")
                words = f"unexpected {type(error).__name__}; the server's log says more"
                _fail(jobs, TrainingError(f"video {path} could not be scored ({words})"))
            finally:
                with self._changed:
                    self._running = {}

    def _next(self) -> tuple[str, list[Job]] | None:
        """The video that waits longest, with the jobs that somebody wants; None: it is over."""
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._jobs or not self._open)
                if not self._open:
                    return None
                path, by_prompt = self._jobs.popitem(last=False)
                wanted = [job for job in by_prompt.values() if job.waiting > 0]
                self._running = {job.key: job for job in wanted}
                if wanted:
                    return path, wanted

    def _fill(self, path: str, jobs: Sequence[Job]) -> None:
        seen = stamp(path)  # before it is read: a later change will be seen
        check_file(path)
        found = self._score(path, [job.key[1] for job in jobs])
        for job in jobs:
            rewards = found[job.key[1]]
            if isinstance(rewards, TrainingError):
                job.rewards.set_exception(rewards)
            else:
                self._keep(job.key, seen, rewards)
                job.rewards.set_result(rewards)

    def _keep(self, key: Key, seen: Stamp, rewards: Rewards) -> None:
        with self._changed:
            self._kept[key, tuple(seen or ())] = rewards
            if len(self._kept) > self._most_kept:
                self._kept.popitem(last=False)


def _fail(jobs: Sequence[Job], error: PlatformError) -> None:
    for job in jobs:
        if not job.rewards.done():
            job.rewards.set_exception(error)


def check_file(path: str) -> None:
    """Refuse what is no ordinary file (a pipe would never end), and what is too large to decode.

    Raises: TrainingError.
    """
    try:
        file = Path(path)
        if not file.is_file():
            raise TrainingError(f"video {path} does not exist, or is no file; correct the path")
        size = file.stat().st_size
    except OSError as error:
        raise TrainingError(f"video {path} cannot be read ({error.strerror})") from error
    if size > MOST_BYTES:
        raise TrainingError(f"video {path} holds {size >> 20} MiB; {MOST_BYTES >> 20} are the most")


def scoring(model: RewardModel) -> Score:
    """What a model makes of a video: decoded once, each prompt by itself."""
    from training.score import item_rewards
    from training.video import read_clip

    def score(path: str, prompts: Sequence[str]) -> dict[str, Rewards | TrainingError]:
        clip = read_clip(path, model.spec.frames)

        def of(prompt: str) -> Rewards | TrainingError:
            try:
                return tuple(item_rewards(model, prompt, clip).tolist())
            except TrainingError as error:
                return error

        return {prompt: of(prompt) for prompt in prompts}

    return score
