"""What could not be stored: looked at, and read again under a better mapping."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from annotation.judgement import Context
from annotation.replay import Replayed
from annotation.replay import replay as reread
from annotation.versions import read_versions
from flows.ingest import pull_row
from flows.known import Knowledge
from flows.labelling import Labelling, Projects, known_labelling, project_rows, with_labelling
from warehouse.errors import AnnotationError
from warehouse.face import publish
from warehouse.journal import Batch
from warehouse.store import Store

if TYPE_CHECKING:
    from flows.settings import Settings

TABLES = ("quarantine", "resolutions")
_ROWS = """
SELECT q.*, r.outcome, r.observed_at AS resolved_at
FROM quarantine AS q LEFT JOIN resolutions AS r USING (quarantine_id)
WHERE ($all OR r.quarantine_id IS NULL) AND ($reason IS NULL OR q.reason = $reason)
"""
SHORTEST_PREFIX = 4


@dataclass(frozen=True)
class Mended:
    """What a replay of one source came to."""

    source: str
    mended: dict[str, int]
    """Units settled, by reason."""
    left: list[dict[str, Any]]
    """reason, why and count of what stays open."""
    events: int
    """Label events added."""
    written: bool


def quarantined(
    store: Store, *, settled: bool = False, reason: str | None = None, limit: int | None = None
) -> list[dict[str, Any]]:
    """Units that could not be stored, newest first; outcome None: open.

    settled: those that were settled, too.
    """
    rows: list[dict[str, Any]] = store.query(
        f"{_ROWS} ORDER BY q.observed_at DESC, q.quarantine_id LIMIT $n",
        {"all": settled, "reason": reason, "n": limit or 2**62},
    ).to_pylist()
    return rows


def reasons(store: Store) -> list[dict[str, Any]]:
    """How many units each reason holds open and settled, most open ones first."""
    rows: list[dict[str, Any]] = store.query(
        "SELECT reason, count(*) FILTER (r.quarantine_id IS NULL) AS open,"
        " count(r.quarantine_id) AS settled"
        " FROM quarantine AS q LEFT JOIN resolutions AS r USING (quarantine_id)"
        " GROUP BY reason ORDER BY open DESC, reason",
    ).to_pylist()
    return rows


def unit(store: Store, prefix: str) -> dict[str, Any]:
    """The one unit whose quarantine_id begins so.

    Raises: AnnotationError where there is none, or more than one.
    """
    if len(prefix) < SHORTEST_PREFIX:
        raise AnnotationError(
            f"quarantine id {prefix!r} is too short to tell units apart; give {SHORTEST_PREFIX}"
            " characters or more of one that `soli warehouse quarantine list` shows"
        )
    rows = store.query(
        f"{_ROWS} AND starts_with(q.quarantine_id, $prefix) ORDER BY q.quarantine_id LIMIT 2",
        {"all": True, "reason": None, "prefix": prefix},
    ).to_pylist()
    if len(rows) != 1:
        number = "more than one unit" if rows else "no unit"
        raise AnnotationError(
            f"quarantine id {prefix!r} begins {number}; see `soli warehouse quarantine list --all`"
        )
    return dict(rows[0])


def replay(settings: Settings, *, reason: str | None = None, dry_run: bool = False) -> list[Mended]:
    """Read open units again under the dimensions and the mapping of the settings.

    A changed mapping becomes a version of the project, as at the next pull.
    reason: read only units of this reason again.
    Raises: AnnotationError for a reason that no unit has.
    """
    store = settings.store
    _check_reason(store, reason)
    with store.batch("replay the quarantine", dry_run=dry_run) as batch:
        sources = sorted({row["source"] for row in quarantined(store, reason=reason)})
        found = [_replay_source(settings, batch, source, reason) for source in sources]
    written = not dry_run and any(batch.added.values())
    if written:
        publish(store)
    return [
        Mended(
            source,
            replayed.mended,
            [{"reason": r, "why": w, "count": n} for (r, w), n in sorted(replayed.left.items())],
            replayed.events.counts["events"],
            written and replayed.events.rows > 0,
        )
        for source, replayed in zip(sources, found, strict=True)
    ]


def _check_reason(store: Store, reason: str | None) -> None:
    known = [row["reason"] for row in reasons(store)]
    if reason is not None and reason not in known:
        raise AnnotationError(
            f"nothing was quarantined for {reason!r}; the reasons there are:"
            f" {', '.join(known) or 'none'}"
        )


def _replay_source(settings: Settings, batch: Batch, source: str, reason: str | None) -> Replayed:
    """Replay one source into the batch; nothing mended adds nothing."""
    started = time.monotonic()
    store = settings.store
    rows = _open_rows(store, source, reason)
    projects = _projects(settings, source)
    context = Context(
        source=source,
        pull_id=uuid.uuid4().hex,
        versions=read_versions(projects.rows),
        now=datetime.now(UTC),
    )
    known = Knowledge(store, source).of(_as_tasks(rows))
    found = reread(rows, known, context)
    if found.events.rows:
        for name, table in found.events.tables.items():
            batch.add(name, table)
        batch.add("projects", projects.new)
        batch.add("pulls", pull_row(context, "replay", found.events.counts, started))
    return found


def _open_rows(store: Store, source: str, reason: str | None) -> pa.Table:
    return store.query(
        "FROM quarantine ANTI JOIN resolutions USING (quarantine_id)"
        " WHERE source = $s AND ($r IS NULL OR reason = $r) ORDER BY quarantine_id",
        {"s": source, "r": reason},
    )


def _as_tasks(rows: pa.Table) -> list[Mapping[str, Any]]:
    """The tasks of these rows as far as it takes to ask what is known of them."""
    return [
        {"id": row["task_id"], "annotations": [{"id": row["annotation_id"]}]}
        for row in rows.select(["task_id", "annotation_id"]).to_pylist()
    ]


def _projects(settings: Settings, source: str) -> Projects:
    """Versions of a source, with one more where the settings say something new.

    What a project asks for stands in its configuration; the dimensions of the settings are for
    one that has none here, as an export has.
    """
    rows = project_rows(settings.store, source)
    before = known_labelling(rows) or Labelling(())
    named = tuple(str(section.get("name")) for section in settings.dimensions)
    asked = Labelling(
        () if before.config else named, mapping=settings.mapping, reviewers=settings.reviewers
    )
    return with_labelling(rows, source, asked.over(before))
