"""Labels in: from a server or from an export file, through the same path, into the warehouse."""

from __future__ import annotations

import gc
import time
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Self

import pyarrow as pa

from annotation.events import gone_tasks, settle_repeated, to_events
from annotation.judgement import Context
from annotation.known import Events, Memory
from annotation.payload import User
from annotation.tables import from_rows
from annotation.versions import read_versions
from flows.known import Knowledge
from flows.labelling import Labelling, project_rows, with_labelling
from warehouse.contracts import EVENTS, OUTCOMES
from warehouse.face import current, publish
from warehouse.forgotten import forgotten
from warehouse.store import Batch, Store

CHUNK = 2000  # tasks turned into events at a time
Opened = Callable[[Context], AbstractContextManager[Iterable[Any]]]
"""Tasks whose reading begins, and ends, with what they are read under."""


@dataclass(frozen=True)
class Origin:
    """Where tasks come from, and what is said beside them. An export file says nothing."""

    project: int | None = None
    """The server's number of the project; None: an export."""
    users: Mapping[int, User] = field(default_factory=dict)
    """Everybody on the server, by id."""
    present: Collection[int] | None = None
    """Ids of all tasks in the project, where they were listed: others are gone."""
    whole: bool = False
    """Whether these are all tasks of the project."""
    since: datetime | None = None
    """Where this pull began, by the server's clock; None: with the oldest task."""
    watermark: datetime | None = None
    """Where the next one will begin."""
    clock: datetime | None = None
    """The server's time at which the labelling was read."""
    seconds: float = 0.0
    """How long it took to read the tasks from the network, before they were taken in."""

    @property
    def live(self) -> bool:
        """Whether a server says so: there is nothing newer."""
        return self.project is not None

    @property
    def name(self) -> str:
        """As `pulls` says it."""
        return "server" if self.live else "export"


EXPORT = Origin()


@dataclass(frozen=True)
class Ingested:
    """What one ingest found and added."""

    source: str
    origin: str
    project: int | None
    """The server's number of the project; None of an export."""
    tasks: int
    annotations: int
    events: dict[str, int]
    """Label events by kind."""
    quarantined: dict[str, int]
    """New rows in quarantine by reason."""
    settled: dict[str, int]
    """Rows in quarantine that were settled, by outcome."""
    items: int
    """New items."""
    gone: int
    """Tasks that left the project."""
    stale: int
    """Tasks of an export that are known in a newer state; they are left alone."""
    forgotten: int
    """Annotations of people and items that were deleted on request: they are left out."""
    seconds: float
    written: bool

    @property
    def added(self) -> int:
        """Label events added."""
        return sum(self.events.values())

    def __add__(self, other: Self) -> Self:
        """Both together, where one pull followed another."""

        def both(name: str) -> dict[str, int]:
            return dict(Counter(getattr(self, name)) + Counter(getattr(other, name)))

        return replace(
            self,
            tasks=self.tasks + other.tasks,
            annotations=self.annotations + other.annotations,
            events=both("events"),
            quarantined=both("quarantined"),
            settled=both("settled"),
            items=self.items + other.items,
            gone=self.gone + other.gone,
            stale=self.stale + other.stale,
            forgotten=self.forgotten + other.forgotten,
            seconds=self.seconds + other.seconds,
            written=self.written or other.written,
        )


def ingest(
    store: Store,
    tasks: Iterable[Any] | Opened,
    *,
    source: str,
    labelling: Labelling,
    design_k: int = 3,
    origin: Origin = EXPORT,
    dry_run: bool = False,
) -> Ingested:
    """Events of fully read tasks, committed as one unit with everything they refer to.

    tasks: any number, a chunk of which is in memory; nothing is committed before the last one.
        Or what opens them, where the reading asks for the context.
    source: UUID of the project that they are of.
    labelling: how their answers are read.
    design_k: design labels of an item whose task does not say.
    Nothing new: nothing is committed, not even a row in pulls.
    """
    started = time.monotonic() - origin.seconds
    with store.batch("ingest", dry_run=dry_run) as batch, _no_collector():
        rows = project_rows(store, source)
        projects = with_labelling(rows, source, labelling, before=origin.since, now=origin.clock)
        context = Context(
            source=source,
            pull_id=uuid.uuid4().hex,
            versions=read_versions(projects.rows),
            now=datetime.now(UTC),
            design_k=design_k,
            users=origin.users,
            live=origin.live,
            forgotten=forgotten(store),
        )
        with tasks(context) if callable(tasks) else nullcontext(tasks) as opened:
            counts = _staged(batch, _read(opened, Knowledge(store, source), context, origin))
        relabelled = projects.new.num_rows and (origin.live or counts["tasks"])
        news = bool(counts["rows"] or relabelled)
        if news:
            batch.add("projects", projects.new)
            batch.add("pulls", pull_row(context, origin.name, counts, started, origin.watermark))
    written = news and not dry_run
    if written or not (dry_run or current(store)):
        publish(store)
    return _summary(source, origin, counts, time.monotonic() - started, written=written)


def _staged(batch: Batch, parts: Iterable[Events]) -> Counter[str]:
    """Stage the parts, each while the next is read; returns what they count together."""
    counts: Counter[str] = Counter()
    with ThreadPoolExecutor(max_workers=1) as stage:
        waiting = None
        for events in parts:
            counts.update(events.counts, rows=events.rows, items=events.tables["items"].num_rows)
            if waiting:
                waiting.result()
            waiting = stage.submit(_stage, batch, events)
        if waiting:
            waiting.result()
    return counts


def _stage(batch: Batch, events: Events) -> None:
    for name, table in events.tables.items():
        batch.add(name, table)


@contextmanager
def _no_collector() -> Iterator[None]:
    """Without the collector of cycles: it would walk the payloads of a chunk again and again.

    Payloads are trees; they go when the last name of them goes.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _read(
    tasks: Iterable[Any], known: Knowledge, context: Context, origin: Origin
) -> Iterator[Events]:
    """Events of the tasks, a chunk at a time; then those of the tasks that are gone."""
    memory = Memory()
    iterator = iter(tasks)
    while chunk := list(islice(iterator, CHUNK)):
        yield to_events(chunk, known.of(chunk), context, memory)
    yield settle_repeated(known.rejected(), memory, context)
    if origin.present is not None:
        # What was read in this batch is judged by it; if it is gone, the next pull will see that.
        there = set(origin.present) | memory.task_times.keys()
        yield gone_tasks(known.without(there), there, context, memory if origin.whole else None)


def pull_row(
    context: Context,
    origin: str,
    counts: Mapping[str, int],
    started: float,
    watermark: datetime | None = None,
) -> pa.Table:
    """The row of `pulls` that says what a batch read and added.

    started: on the monotonic clock, in seconds.
    """
    row = {
        "pull_id": context.pull_id,
        "source": context.source,
        "origin": origin,
        "watermark": watermark,
        "tasks": counts.get("tasks", 0),
        "annotations": counts.get("annotations", 0),
        "events": counts.get("events", 0),
        "quarantined": counts.get("quarantined", 0),
        "seconds": time.monotonic() - started,
    }
    return from_rows("pulls", [row])


def _summary(
    source: str, origin: Origin, counts: Mapping[str, int], seconds: float, *, written: bool
) -> Ingested:
    def those(prefix: str, names: Iterable[str]) -> dict[str, int]:
        return {name: counts[prefix + name] for name in names if counts.get(prefix + name)}

    return Ingested(
        source=source,
        origin=origin.name,
        project=origin.project,
        tasks=counts.get("tasks", 0),
        annotations=counts.get("annotations", 0),
        events=those("", EVENTS),
        quarantined={
            name.removeprefix("quarantined_"): count
            for name, count in sorted(counts.items())
            if name.startswith("quarantined_")
        },
        settled=those("resolved_", OUTCOMES),
        items=counts.get("items", 0),
        gone=counts.get("task_gone", 0),
        stale=counts.get("stale", 0),
        forgotten=counts.get("forgotten", 0),
        seconds=seconds,
        written=written,
    )
