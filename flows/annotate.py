"""Label Studio's side: the server, a project, labels out, rewards back."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from annotation import server as servers
from annotation.client import Client, Project
from annotation.labeling import DEFAULT_DIMENSIONS, Dimension, config_dimensions
from annotation.projects import (
    adopt_project,
    distinct_sources,
    ensure_project,
    project_source,
    push_predictions,
)
from annotation.pull import Observed, gone_ids, pull, pulling, unchanged_tasks
from flows.idle import recall, remember
from flows.ingest import Ingested, Origin, ingest
from flows.known import LastPull, last_pull, live_tasks
from flows.labelling import Labelling, known_labelling, project_rows
from flows.logs import machine
from flows.settings import CONFIG_FILE, Settings, owned
from flows.train import newest_model
from warehouse.errors import AnnotationError, SettingsError

Progress = Callable[[int, int], None]


def _silent(_done: int, _total: int) -> None:
    """Show no progress."""


def start_server(
    settings: Settings, port: int | None = None, waited: Callable[[float], None] = lambda _: None
) -> servers.LabelStudio:
    """Start the Label Studio of this home, or find it running."""
    settings.media_root.mkdir(parents=True, exist_ok=True)
    return servers.start(
        settings.server_home,
        settings.server_binary,
        settings.media_root,
        port=port,
        template=settings.server_template,
        progress=waited,
    )


@contextmanager
def connect(settings: Settings) -> Iterator[Client]:
    """Client, for the block, of the server that the settings name, else of this home's own.

    Raises: AnnotationError where there is neither, or a token is missing.
    """
    client = Client(*_access(settings))
    try:
        yield client
    finally:
        client.close()


def _access(settings: Settings) -> tuple[str, str]:
    """Address and token."""
    url, key = settings.label_studio_url, token_of(settings)
    if url is not None and key is not None:
        return url, key
    if url is not None:
        raise AnnotationError(
            f"no token for Label Studio at {url}; put it in LABEL_STUDIO_API_KEY (or .env)"
        )
    local = servers.running(settings.server_home)
    if local is None:
        raise AnnotationError(
            "no Label Studio: LABEL_STUDIO_URL is not set and no server runs in"
            f" {settings.server_home}; start one with `soli annotate server`"
        )
    return local.url, local.token


def token_of(settings: Settings) -> str | None:
    """The token that is set, else the one in the Prefect Secret block that is named.

    Raises: SettingsError where that block cannot be read.
    """
    key, block = settings.label_studio_api_key, settings.label_studio_api_key_block
    if key is not None:
        return key.get_secret_value()
    if block is None or settings.label_studio_url is None:
        return None
    from flows.prefect_server import secret  # Prefect takes more than a second

    found = secret(block)
    if log := machine():
        log.known.add(found)
    return found


def dimensions_of(settings: Settings) -> tuple[Dimension, ...]:
    """Dimensions of soli.toml, else the default three."""
    named = [owned(Dimension, "dimensions", section) for section in settings.dimensions]
    return tuple(named) or DEFAULT_DIMENSIONS


def template_of(settings: Settings) -> tuple[Dimension, ...]:
    """Dimensions to ask about in a new project.

    Raises: SettingsError where soli.toml maps choices of, or gates, a dimension that neither this
        project nor one that was pulled asks about.
    """
    dimensions = dimensions_of(settings)
    pulled = settings.store.query("SELECT DISTINCT dimensions FROM projects").to_pylist()
    asked = {dimension.name for dimension in dimensions}
    asked |= {name for row in pulled for name in json.loads(row["dimensions"])}
    gated = {str(gate.get("dimension", "all")) for gate in settings.gates} - {"all"}
    for section, names in (("mapping", set(settings.mapping)), ("gates", gated)):
        for name in sorted(names - asked):
            raise SettingsError(
                f"{CONFIG_FILE}, section {section}: nobody is asked about dimension {name!r}; the"
                f" dimensions are {', '.join(sorted(asked))}"
            )
    return dimensions


def create_project(
    settings: Settings, client: Client, title: str, *, source: str | None = None, overlap: int = 3
) -> Project:
    """Make the labelling project, with a source of its own stored in it."""
    return ensure_project(
        client, source or str(uuid.uuid4()), title, template_of(settings), overlap
    )


def adopt(client: Client, project_id: int, *, anew: bool = False) -> Project:
    """Give a project that Soli did not make a source, so that it can be ingested.

    anew: give it another one, as a duplicate of a project needs.
    """
    return adopt_project(client, project_id, str(uuid.uuid4()), anew=anew)


def projects_of(client: Client, project_id: int | None = None) -> list[Project]:
    """The project asked for, else every project that carries a source.

    Raises: AnnotationError where there is none, or two carry the same source.
    """
    there = client.projects()
    if project_id is not None:
        wanted = client.project(project_id)
        distinct_sources(each for each in there if each.source == wanted.source)
        return [wanted]
    found = distinct_sources(there)
    if not found:
        raise AnnotationError(
            f"Label Studio at {client.url} has no project of Soli; make one with"
            " `soli annotate project create`, or adopt one with `soli annotate project update`"
        )
    return found


@dataclass(frozen=True)
class Pulled:
    """A project, read completely from its server; nothing of it is in the warehouse yet."""

    observed: Observed
    before: LastPull | None
    """The last pull in the warehouse, with what was read since without news."""
    present: frozenset[int] | None
    """Ids of all tasks in the project, where they were looked at: others are gone."""

    @property
    def source(self) -> str:
        """UUID of the project."""
        return self.observed.source

    @property
    def origin(self) -> Origin:
        """What the server said beside the tasks."""
        return Origin(
            project=self.observed.project.id,
            users=self.observed.users,
            present=self.present,
            whole=self.observed.full,
            since=self.before.watermark if self.before else None,
            watermark=self.observed.watermark,
            clock=self.observed.clock,
            seconds=self.observed.seconds,
        )


def ingest_server(
    settings: Settings,
    *,
    project: int | None = None,
    full: bool = False,
    dry_run: bool = False,
    progress: Progress = _silent,
) -> list[Ingested]:
    """Pull label events of the projects on the server."""
    with connect(settings) as client:
        return [
            ingest_project(settings, client, found, full=full, dry_run=dry_run, progress=progress)
            for found in projects_of(client, project)
        ]


def ingest_project(
    settings: Settings,
    client: Client,
    project: Project,
    *,
    full: bool = False,
    dry_run: bool = False,
    progress: Progress = _silent,
) -> Ingested:
    """Pull one project: what changed since the last pull, or everything.

    One pull of a project at a time; a pull that goes on where a killed one was is followed by
    another, for what changed in between.
    """
    with reading(settings, project, dry_run=dry_run) as spool:
        pulled = read_project(settings, client, project, spool, full=full, progress=progress)
        result = commit_pull(settings, pulled, dry_run=dry_run)
        if pulled.observed.resumed and not dry_run:
            pulled = read_project(settings, client, project, spool, progress=progress)
            result += commit_pull(settings, pulled)
    return result


@contextmanager
def reading(settings: Settings, project: Project, *, dry_run: bool = False) -> Iterator[Path]:
    """Folder for the pages of a project; other pulls of it are kept out for the block."""
    if dry_run:  # nothing is written, so nobody is in the way, and nothing is left behind
        with TemporaryDirectory(prefix="soli-pull-") as temporary:
            yield Path(temporary)
        return
    source = project_source(project)
    settings.store.make_home()
    folder = settings.home.absolute() / "pulls" / source
    with pulling(folder, source):
        yield folder


def read_project(
    settings: Settings,
    client: Client,
    project: Project,
    spool: Path,
    *,
    full: bool = False,
    progress: Progress = _silent,
) -> Pulled:
    """Read what changed in a project; the only step of a pull that needs the network.

    spool: folder given by `reading`.
    """
    store, source = settings.store, project_source(project)
    before = last_pull(store, source)
    if before:
        before = replace(before, watermark=recall(spool, before.pull_id) or before.watermark)
    again = full or before is None or _read_otherwise(settings, project, before)
    since = before.watermark if before and not again else None
    known = live_tasks(store, source)
    observed = pull(client, project, since, spool=spool, progress=progress)
    if _missed(client, known, observed):
        observed = pull(client, project, None, spool=spool, progress=progress)
    return Pulled(observed, before, _present(client, known, observed))


def commit_pull(settings: Settings, pulled: Pulled, *, dry_run: bool = False) -> Ingested:
    """Take in what was read, and forget the pages."""
    observed, source = pulled.observed, pulled.source
    result = ingest(
        settings.store,
        observed.tasks(),
        source=source,
        labelling=labelling_of(settings, observed.project, project_rows(settings.store, source)),
        origin=pulled.origin,
        dry_run=dry_run,
    )
    if pulled.before and observed.watermark and not result.written and not dry_run:
        remember(observed.spool.folder, pulled.before.pull_id, observed.watermark)
    observed.discard()
    return result


def labelling_of(settings: Settings, project: Project, rows: list[dict[str, Any]]) -> Labelling:
    """How a project is read now; what the settings leave out is as it was.

    rows: the versions of its labelling.
    """
    asked = Labelling(
        tuple(config_dimensions(project.config)),
        project.config,
        settings.mapping,
        settings.reviewers,
    )
    before = known_labelling(rows)
    return asked.over(before) if before else asked


def _read_otherwise(settings: Settings, project: Project, before: LastPull) -> bool:
    """Whether the mapping changed since the last pull: then all answers are read again."""
    rows = project_rows(settings.store, project_source(project))
    asked = labelling_of(settings, project, rows)
    known = known_labelling([row for row in rows if row["observed_at"] <= before.observed_at])
    return known is not None and known.content["mapping"] != asked.content["mapping"]


def _missed(client: Client, known: set[int], observed: Observed) -> bool:
    """Whether the server holds tasks that we should know for long, but do not.

    So it is after its clock stood behind for a while, or where it was restored from a backup.
    """
    if observed.since is None or observed.in_project <= len(known | observed.ids()):
        return False
    unchanged = unchanged_tasks(client, observed.project.id, observed.since)
    return unchanged > len(known - observed.ids())


def _present(client: Client, known: set[int], observed: Observed) -> frozenset[int] | None:
    """Ids of all tasks in the project where some are gone; None where none is.

    A deleted task leaves no trace but the server's count: only where that is too small, one looks
    which it is.
    """
    read = observed.ids()
    if len(known | read) <= observed.in_project:
        return None
    if observed.full:  # what was not read is not there
        return frozenset(read)
    return frozenset(known | read) - gone_ids(client, observed.project.id, known | read)


def push_scores(settings: Settings, model: str | None = None) -> int:
    """Store each item's mean reward over dimensions as a prediction; returns how many are new.

    Predictions are hidden from annotators.
    """
    store = settings.store
    run = newest_model(store, model)
    rows: list[dict[str, Any]] = store.query(
        "SELECT item_id, avg(reward) AS reward FROM scores WHERE model_id = $m"
        " GROUP BY item_id ORDER BY item_id",
        {"m": run["model_id"]},
    ).to_pylist()
    rewards = {str(row["item_id"]): float(row["reward"]) for row in rows}
    version = version_of(run["model_id"])
    with connect(settings) as client:
        return sum(
            push_predictions(client, project, rewards, version).made
            for project in projects_of(client)
        )


def version_of(model_id: str) -> str:
    """Name of a model in Label Studio.

    >>> version_of("0123456789abcdef")
    'soli-0123456789ab'
    """
    return f"soli-{model_id[:12]}"
