"""Reading a project: complete, or an error. What it means is `annotation.events`' business."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from annotation.client import PAGE, Client, Project
from annotation.paging import Json, Page, between, since
from annotation.payload import User
from annotation.projects import project_source
from annotation.spool import Spool, Start, clear
from warehouse.errors import AnnotationError
from warehouse.lease import lease

OVERLAP = timedelta(seconds=30)
"""Times are stamped before they are committed: a task may turn up with a time this long past."""
TICK = timedelta(seconds=1)  # resolution of the server's clock as it tells it
IDS_PAGE = 1_000  # tasks a page where only ids are wanted; larger pages take longer in all
COUNTED = 100  # tasks whose ids take no longer than counting them twice more
GONE_SHARE = 0.0005  # of a range: with more gone, counting its parts takes longer than listing it

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Observed:
    """Tasks as the server gave them, each with all its annotations; they lie in a spool."""

    source: str
    project: Project
    """With the labelling configuration in force at the watermark or later."""
    users: dict[int, User]
    """Members of the server by id, where any task was read."""
    watermark: datetime | None
    """Where the next pull begins: whatever is stamped earlier has been read."""
    full: bool
    """True: all tasks of the project, so that a task not here is gone."""
    reason: str | None
    """Why everything was read although only changes were asked for."""
    resumed: bool
    """True: some pages were read by a killed pull; pull once more for what changed since."""
    in_project: int
    """Tasks that the project holds by the server's count."""
    seconds: float
    spool: Spool

    @property
    def since(self) -> datetime | None:
        """Only tasks changed at or after this moment were read; None: all."""
        return self.spool.start.since

    @property
    def clock(self) -> datetime | None:
        """Server's time at which the project had been read; None where it tells no time."""
        return self.spool.start.clock

    @property
    def read(self) -> int:
        """Number of tasks read."""
        return self.spool.count

    def tasks(self) -> Iterator[Json]:
        """Tasks read, by rising id; can be asked for again until they are discarded."""
        return self.spool.tasks()

    def ids(self) -> set[int]:
        """Ids of the tasks read."""
        return self.spool.ids()

    def discard(self) -> None:
        """Forget the tasks: they were taken in, or will not be."""
        clear(self.spool.folder)


@contextmanager
def pulling(folder: Path, source: str, wait: float = 60.0) -> Iterator[None]:
    """Keep other pulls of the source out for the block: reading and taking in, both.

    folder: the source's own, where its spool lies.
    Raises: StoreError naming who pulls, after `wait` seconds.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # pages name people
    with lease(folder / "lock", f"pull of {source}", wait):
        yield


def pull(
    client: Client,
    project: Project,
    watermark: datetime | None = None,
    *,
    spool: Path,
    overlap: timedelta = OVERLAP,
    page_size: int = PAGE,
    progress: Progress = lambda _done, _of: None,
) -> Observed:
    """Tasks changed since the watermark, or all of them.

    watermark: of the pull before; None reads the whole project, going on where a killed pull of
        the whole project was. So does a watermark that the server's clock has not reached.
    spool: folder of this source alone; see `pulling`.
    overlap: how long the server may take to make a stamped change visible.
    progress: called with tasks read and their number.
    Raises: AnnotationError where the server fails or the count does not come out: nothing of an
        incomplete pull may be used. `transport.Unreachable` where a later try may do better.
    """
    begin = time.monotonic()
    newest = client.page(project.id, ["-tasks:updated_at"], 1)
    start, reason = _start(client, project, watermark, newest, overlap)
    resumed = Spool.resume(spool, start)
    pages = resumed or Spool.begin(spool, start)
    if not _is_idle(client, newest, start.since):
        _read(client, pages, page_size, progress)
    return Observed(
        source=start.source,
        project=start.project,
        users=client.users() if pages.count else {},
        watermark=pages.start.watermark,
        full=start.since is None,
        reason=reason,
        resumed=resumed is not None,
        in_project=_count(client, project.id, []) if pages.count else newest.total,
        seconds=time.monotonic() - begin,
        spool=pages,
    )


def task_ids(client: Client, project_id: int, filters: Sequence[Json] = ()) -> set[int]:
    """Ids of all tasks now in the project: a deleted task shows nowhere else.

    Cost: measured 0.6 to 0.9 ms a task, data included: Label Studio lists no bare ids.
    """
    pages = client.tasks(project_id, filters=filters, fields="task_only", page_size=IDS_PAGE)
    return {task["id"] for page, _ in pages for task in page}


def gone_ids(client: Client, project_id: int, known: Iterable[int]) -> set[int]:
    """Which of these tasks the project holds no more.

    The server counts ranges of ids; only ranges with too few tasks are looked into. A range that
    holds unknown tasks instead of known ones passes for complete: pull what is new first.
    Cost: about log2(n / 100) counts of 0.07 s for each task gone, and never much above `task_ids`.
    """
    ids = sorted(set(known))
    return _gone(client, project_id, ids)


def unchanged_tasks(client: Client, project_id: int, moment: datetime) -> int:
    """How many tasks of a project were last changed before a moment.

    In this order a task that comes in between can only make the number smaller.
    """
    total = _count(client, project_id, [])
    return total - _count(client, project_id, [since(moment)])


def _gone(client: Client, project_id: int, ids: Sequence[int]) -> set[int]:
    if not ids:
        return set()
    inside = [between(ids[0], ids[-1])]
    there = _count(client, project_id, inside)
    if there == len(ids):
        return set()
    if len(ids) <= COUNTED or there < len(ids) * (1 - GONE_SHARE):
        return set(ids) - task_ids(client, project_id, inside)
    middle = len(ids) // 2
    return _gone(client, project_id, ids[:middle]) | _gone(client, project_id, ids[middle:])


def _start(
    client: Client,
    project: Project,
    watermark: datetime | None,
    newest: Page,
    overlap: timedelta,
) -> tuple[Start, str | None]:
    """What to read, and why it is everything where that was not asked for.

    The order matters: first the newest change, then the configuration, then the tasks.
    """
    current = client.project(project.id)
    told = client.server_time
    source = project_source(current)
    if source != project_source(project):
        raise AnnotationError(
            f"project {project.id} now carries source {source}, not {project.source}; run again"
        )
    back = watermark is not None and told is not None and told + TICK < watermark
    reason = f"the server's clock went back behind {watermark}" if back else None
    begin = None if back else watermark
    onwards = _next(client, newest, overlap) or begin
    return Start(source, current, begin, onwards, told and told + TICK), reason


def _is_idle(client: Client, newest: Page, begin: datetime | None) -> bool:
    """Whether nothing changed since then, so that no task need be asked for."""
    if begin is None:
        return False
    return not newest.tasks or _updated(client, newest.tasks[0]) < begin


def _next(client: Client, newest: Page, overlap: timedelta) -> datetime | None:
    """Where the next pull begins.

    Behind the newest change, but not within the overlap before now: there, changes may turn up
    with a time already past. Nor later than now: a task stamped in the future would hide all
    changes until then.
    """
    if not newest.tasks:
        return None
    changed = _updated(client, newest.tasks[0])
    if newest.server_time is None:
        return changed - overlap
    return min(changed + timedelta.resolution, newest.server_time - overlap)


def _updated(client: Client, task: Json) -> datetime:
    try:
        moment = datetime.fromisoformat(task["updated_at"])
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise AnnotationError(
            f"Label Studio at {client.url} gives task {task['id']} no time of its last change; is"
            " this address right?"
        ) from error


def _read(client: Client, pages: Spool, page_size: int, progress: Progress) -> None:
    """Read the pages that are missing; the next is on its way while one is put on disk."""
    project, begin = pages.start.project.id, pages.start.since
    filters = [] if begin is None else [since(begin)]
    ask = partial(client.page_after, project_id=project, filters=filters, page_size=page_size)
    coming = _Coming(partial(ask, pages.last))
    while True:
        page = coming.result()
        if not page.is_last:
            coming = _Coming(partial(ask, page.ids[-1]))
        if page.tasks:
            pages.add(page)
        progress(pages.count, max(pages.announced, pages.count))
        if page.is_last:
            break
    if pages.count < pages.announced:
        _recount(client, pages, filters)


class _Coming:
    """A page on its way. Its thread keeps nobody from ending the program."""

    def __init__(self, ask: Callable[[], Page]) -> None:
        self._answer: queue.SimpleQueue[Page | Exception] = queue.SimpleQueue()
        threading.Thread(target=self._fetch, args=(ask,), daemon=True).start()

    def _fetch(self, ask: Callable[[], Page]) -> None:
        try:
            self._answer.put(ask())
        except Exception as error:  # noqa: BLE001 - raised again where it is waited for
            self._answer.put(error)

    def result(self) -> Page:
        answer = self._answer.get()
        if isinstance(answer, Exception):
            raise answer
        return answer


def _count(client: Client, project_id: int, filters: Sequence[Json]) -> int:
    return client.page(project_id, ["tasks:id"], 1, filters).total


def _recount(client: Client, pages: Spool, filters: Sequence[Json]) -> None:
    """Fewer tasks than announced are right only if that many are left on the server.

    Else one of the pages lacks a task, and none of them is kept.
    """
    project, read = pages.start.project.id, pages.count
    left = _count(client, project, filters)
    if left > read:
        clear(pages.folder)
        raise AnnotationError(
            f"Label Studio at {client.url} gave {read} of {left} tasks of project {project};"
            " nothing was taken in: run the pull again"
        )
