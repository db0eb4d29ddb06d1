"""Label Studio's export files: whose they are, and their labels, in one reading where possible."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from annotation.ahead import tasks_of
from annotation.export import (
    carried_source,
    checked_source,
    read_export,
    stable_fact,
    strange_source,
)
from annotation.judgement import Context
from annotation.payload import Annotation, raw_annotations, read_annotation
from flows.ingest import Ingested, ingest
from flows.labelling import DEFAULT_DIMENSIONS, Labelling, known_labelling, project_rows
from warehouse.errors import AnnotationError
from warehouse.store import Store

COMPARED = 2000  # tasks whose annotations are looked up to recognise a project
DESIGN_K = 3

Json = dict[str, Any]


@dataclass(frozen=True)
class Whose:
    """What has to be known of an export before its labels can be read."""

    source: str
    sure: bool
    """True: given, or recognised by its annotations; what the tasks carry is not asked."""
    design_k: int


def ingest_export(
    store: Store,
    path: Path,
    *,
    source: str | None = None,
    labelling: Labelling | None = None,
    design_k: int | None = None,
    dry_run: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> Ingested:
    """Take in a Label Studio JSON export, without a server.

    A file cut short commits nothing. The export of a project that Soli made is read once; a
    stranger's twice, first for who it is and how many people judged each item.
    source: UUID of the project; else the one whose annotations these are, else the one that the
        tasks carry, else a name made of the project's oldest task, the same in all its exports.
    labelling: how answers are read; what it leaves empty is as the source was read before, else
        the default dimensions.
    design_k: design labels of an item that does not say; default: 3 in an export whose tasks say,
        else the largest number of people who judged one item, so that every first answer counts.
    progress: called with the tasks read so far; their number is not known before the end (0).
    Raises: AnnotationError for a file that is no such export.
    """
    if not dry_run:
        store.make_home()  # a home that cannot be one is named before anything is read
    whose = survey(store, path, source, design_k)
    before = known_labelling(project_rows(store, whose.source)) or Labelling(DEFAULT_DIMENSIONS)

    @contextmanager
    def opened(context: Context) -> Iterator[Iterator[Any]]:
        with tasks_of(path, context, None if whose.sure else whose.source) as tasks:
            yield _counted(tasks, progress)

    return ingest(
        store,
        opened,
        source=whose.source,
        labelling=labelling.over(before) if labelling else before,
        design_k=whose.design_k,
        dry_run=dry_run,
    )


def survey(store: Store, path: Path, given: str | None, design_k: int | None) -> Whose:
    """Whose export this is, and how many design labels an item of it is to get."""
    head = list(islice(read_export(path), COMPARED))
    name = checked_source(given) if given else _recognised(store, head)
    sure = name is not None
    name = name or next(filter(None, map(carried_source, head)), None)
    says = any(_design_k(task) is not None for task in head)
    if name is not None and (design_k is not None or says):
        return Whose(name, sure, design_k or DESIGN_K)
    most, oldest = 1, None
    for task in read_export(path):
        most = max(most, _people(task))
        fact = stable_fact(task)
        oldest = fact if oldest is None else min(oldest, fact)
    return Whose(name or strange_source(oldest), sure, design_k or (DESIGN_K if says else most))


def _counted(tasks: Iterable[Any], progress: Callable[[int, int], None]) -> Iterator[Any]:
    for number, task in enumerate(tasks, start=1):
        if number % COMPARED == 0:
            progress(number, 0)
        yield task


def _recognised(store: Store, tasks: Iterable[Json]) -> str | None:
    """The source that already holds annotations of these tasks; None where none does.

    Raises: AnnotationError where several do.
    """
    read = (read_annotation(raw) for task in tasks for raw in raw_annotations(task))
    known = [found for found in read if isinstance(found, Annotation)]
    rows = store.query(
        "SELECT DISTINCT source FROM label_events WHERE (annotation_id, annotation_created_at) IN"
        " (SELECT (unnest($ids::BIGINT[]), unnest($times::TIMESTAMPTZ[]))) ORDER BY source",
        {"ids": [a.id for a in known], "times": [a.created_at for a in known]},
    )
    sources = [str(source) for source in rows["source"].to_pylist()]
    if len(sources) > 1:
        raise AnnotationError(
            f"export: its annotations match {len(sources)} sources ({', '.join(sources)}); name"
            " the right one with --source"
        )
    return sources[0] if sources else None


def _design_k(task: Json) -> int | None:
    data = task["data"]
    value = data.get("design_k") if isinstance(data, Mapping) else None
    return value if isinstance(value, int) else None


def _people(task: Json) -> int:
    """How many people judged a task."""
    found = raw_annotations(task)
    return len({str(each.get("completed_by")) for each in found if isinstance(each, Mapping)})
