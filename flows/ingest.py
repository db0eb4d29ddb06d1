"""Labels in: from a server or from an export file, through the same path, into the warehouse."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from annotation.events import Events, Known, gone_tasks, to_events
from annotation.export import export_source, read_export
from annotation.judgement import Context
from annotation.payload import User
from warehouse.digest import canonical_json, text_digest
from warehouse.errors import AnnotationError
from warehouse.face import publish
from warehouse.store import Store

CHUNK = 2000  # tasks turned into events at a time
# In this order: what others refer to comes first, and the pull's own row closes the batch.
ORDER = ("people", "prompts", "items", "projects", "task_events", "quarantine", "label_events")
DEFAULT_DIMENSIONS = ("physical_plausibility", "subject_deformity", "semantic_alignment")


@dataclass(frozen=True)
class Labelling:
    """How a project's answers are read."""

    dimensions: tuple[str, ...]
    config: str = ""
    mapping: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    reviewers: tuple[str, ...] = ()

    def over(self, before: Labelling) -> Labelling:
        """This one where it says something, the earlier one elsewhere."""
        return Labelling(
            self.dimensions or before.dimensions,
            self.config or before.config,
            self.mapping or before.mapping,
            self.reviewers or before.reviewers,
        )


@dataclass(frozen=True)
class Ingested:
    """What one ingest found and added."""

    source: str
    origin: str
    tasks: int
    annotations: int
    events: dict[str, int]
    quarantined: dict[str, int]
    items: int
    written: bool

    @property
    def added(self) -> int:
        """Label events added."""
        return sum(self.events.values())


def ingest_export(
    store: Store,
    path: Path,
    *,
    source: str | None = None,
    labelling: Labelling | None = None,
    design_k: int | None = None,
    dry_run: bool = False,
) -> Ingested:
    """Take in a Label Studio JSON export, without a server.

    The file is read twice: once to see that it is whole and whose it is, once for its labels, so
    that a file cut short commits nothing.
    labelling: how answers are read; what it leaves empty is as the source was read before, else
        the default dimensions.
    design_k: design labels of an item that does not say; default: the largest number of people
        who judged one item of this file, so that every first answer counts.
    Raises: AnnotationError for a file that is no such export.
    """
    survey = _Survey()
    name = export_source(survey.watch(read_export(path)), _annotation_sources(store), source)
    before = known_labelling(store, name) or Labelling(DEFAULT_DIMENSIONS)
    return ingest(
        store,
        read_export(path),
        source=name,
        origin="export",
        labelling=labelling.over(before) if labelling else before,
        design_k=design_k or survey.most_annotators,
        dry_run=dry_run,
    )


def ingest(
    store: Store,
    tasks: Iterable[Any],
    *,
    source: str,
    origin: str,
    labelling: Labelling,
    design_k: int = 3,
    users: Mapping[int, User] | None = None,
    present: Sequence[int] | None = None,
    watermark: datetime | None = None,
    dry_run: bool = False,
) -> Ingested:
    """Events of fully read tasks, committed with everything they refer to.

    present: ids of all tasks in the project, where they were listed: others are gone.
    Nothing new: nothing is committed, not even a row in pulls.
    """
    started = time.monotonic()
    with store.writing("ingest", dry_run=dry_run):
        version, projects = _project(store, source, labelling)
        context = Context(
            source=source,
            pull_id=uuid.uuid4().hex,
            dimensions=labelling.dimensions,
            now=datetime.now(UTC),
            mapping=labelling.mapping,
            project_version=version,
            design_k=design_k,
            users=users or {},
        )
        known = known_of(store, source)
        events = _collect(tasks, known, context)
        if present is not None:
            events = _joined([events, gone_tasks(known, present, context)])
        found = replace(events, tables=events.tables | {"projects": projects})
        news = bool(events.rows or (projects.num_rows and events.counts.get("tasks")))
        result = _summary(found, source, origin, written=news and not dry_run)
        if result.written:
            for table in ORDER:
                store.append(table, found.tables[table])
            seconds = time.monotonic() - started
            store.append("pulls", _pull_row(context, result, watermark, seconds))
            publish(store)
    return result


def known_of(store: Store, source: str) -> Known:
    """What the warehouse knows of a source, in its newest revisions."""
    return Known(
        labels=_newest(store, "label_events", source),
        tasks=_newest(store, "task_events", source),
        people=store.read("people"),
        quarantine_ids=_ids(store, "quarantine", "quarantine_id"),
        item_prompts=_prompts_of(store.query("SELECT item_id, prompt_id FROM items")),
        prompt_ids=_ids(store, "prompts", "prompt_id"),
    )


def known_labelling(store: Store, source: str) -> Labelling | None:
    """How a source was read last; None for a source never seen."""
    import json

    rows = store.query(
        "FROM projects WHERE source = $s ORDER BY version DESC LIMIT 1", {"s": source}
    ).to_pylist()
    if not rows:
        return None
    row = rows[0]
    return Labelling(
        tuple(json.loads(row["dimensions"])),
        row["config"],
        json.loads(row["mapping"]),
        tuple(json.loads(row["reviewers"])),
    )


class _Survey:
    """Counts people per item while somebody else reads the tasks."""

    def __init__(self) -> None:
        self.most_annotators = 1

    def watch(self, tasks: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for task in tasks:
            annotations = task.get("annotations")
            if isinstance(annotations, list):
                people = {str(a.get("completed_by")) for a in annotations if isinstance(a, Mapping)}
                self.most_annotators = max(self.most_annotators, len(people))
            yield task


def _collect(tasks: Iterable[Any], known: Known, context: Context) -> Events:
    """Events of any number of tasks, a chunk at a time; each chunk knows the people before it."""
    parts: list[Events] = []
    iterator = iter(tasks)
    while chunk := list(islice(iterator, CHUNK)):
        events = to_events(chunk, known, context)
        known = _learned(known, events)
        parts.append(events)
    return _joined(parts or [to_events([], known, context)])


def _learned(known: Known, events: Events) -> Known:
    def more(ids: frozenset[str], table: str, key: str) -> frozenset[str]:
        return ids | frozenset(events.tables[table][key].to_pylist())

    names = events.tables["people"].column_names
    return replace(
        known,
        people=pa.concat_tables([known.people.select(names), events.tables["people"]]),
        quarantine_ids=more(known.quarantine_ids, "quarantine", "quarantine_id"),
        item_prompts={**known.item_prompts, **_prompts_of(events.tables["items"])},
        prompt_ids=more(known.prompt_ids, "prompts", "prompt_id"),
        task_times=events.task_times,
    )


def _joined(parts: Sequence[Events]) -> Events:
    tables = {
        name: pa.concat_tables([part.tables[name] for part in parts]) for name in parts[0].tables
    }
    counts: Counter[str] = Counter()
    for part in parts:
        counts.update(part.counts)
    return Events(tables, dict(counts))


def _summary(events: Events, source: str, origin: str, *, written: bool) -> Ingested:
    return Ingested(
        source=source,
        origin=origin,
        tasks=events.counts.get("tasks", 0),
        annotations=events.counts.get("annotations", 0),
        events=_counts(events.tables["label_events"], "event"),
        quarantined=_counts(events.tables["quarantine"], "reason"),
        items=events.tables["items"].num_rows,
        written=written,
    )


def _counts(table: pa.Table, column: str) -> dict[str, int]:
    counted = pc.value_counts(table[column].combine_chunks())
    return {str(row["values"]): int(row["counts"]) for row in counted.to_pylist()}


def _project(store: Store, source: str, labelling: Labelling) -> tuple[int, pa.Table]:
    """Version of the labelling configuration in force, and the row to add where it is new."""
    content = {
        "config": labelling.config,
        "dimensions": canonical_json(list(labelling.dimensions)),
        "mapping": canonical_json({k: dict(v) for k, v in labelling.mapping.items()}),
        "reviewers": canonical_json(sorted(labelling.reviewers)),
    }
    rows = store.query(
        "FROM projects WHERE source = $s ORDER BY version DESC LIMIT 1", {"s": source}
    ).to_pylist()
    last = rows[0] if rows else {"version": 0}
    unchanged = rows and all(last[name] == value for name, value in content.items())
    version = last["version"] + (not unchanged)
    digest = text_digest(labelling.config)
    row = {"source": source, "version": version, "config_digest": digest, **content}
    schema = store.read("projects").drop_columns(["observed_at"]).schema
    return version, pa.Table.from_pylist([] if unchanged else [row], schema=schema)


def _pull_row(
    context: Context, result: Ingested, watermark: datetime | None, seconds: float
) -> pa.Table:
    columns = {
        "pull_id": context.pull_id,
        "source": result.source,
        "origin": result.origin,
        "watermark": watermark,
        "tasks": result.tasks,
        "annotations": result.annotations,
        "events": result.added,
        "quarantined": sum(result.quarantined.values()),
        "seconds": seconds,
    }
    return pa.table({name: [value] for name, value in columns.items()})


def _newest(store: Store, table: str, source: str) -> pa.Table:
    """Newest revision of each unit of a source."""
    key = (
        "annotation_id, annotation_created_at, dimension"
        if table == "label_events"
        else "task_id, task_created_at"
    )
    return store.query(
        f"SELECT * FROM {table} WHERE source = $s"
        f" QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY revision DESC) = 1",
        {"s": source},
    )


def _prompts_of(items: pa.Table) -> dict[str, str]:
    return dict(zip(items["item_id"].to_pylist(), items["prompt_id"].to_pylist(), strict=True))


def _ids(store: Store, table: str, key: str) -> frozenset[str]:
    return frozenset(store.query(f"SELECT {key} FROM {table}")[key].to_pylist())


def _annotation_sources(store: Store) -> dict[tuple[int, datetime], str]:
    """Which source each known annotation is of."""
    rows = store.query(
        "SELECT DISTINCT annotation_id, annotation_created_at, source FROM label_events"
    ).to_pylist()
    return {(row["annotation_id"], row["annotation_created_at"]): row["source"] for row in rows}


def watermark_of(store: Store, source: str) -> datetime | None:
    """Newest change seen by an earlier pull of the source."""
    found = store.query(
        "SELECT max(watermark) AS w FROM pulls WHERE source = $s AND origin = 'server'",
        {"s": source},
    )["w"][0].as_py()
    if found is not None and not isinstance(found, datetime):
        raise AnnotationError(f"pulls: watermark {found!r} is no time; rebuild the warehouse")
    return found
