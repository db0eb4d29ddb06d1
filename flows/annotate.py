"""Label Studio's side: the server, a project, items in, labels out, rewards back."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotation import server as servers
from annotation.client import Client, Project
from annotation.items import Refused, read_items
from annotation.labeling import DEFAULT_DIMENSIONS, Dimension, config_dimensions
from annotation.media import is_remote
from annotation.projects import (
    Imported,
    adopt_project,
    ensure_project,
    import_items,
    project_source,
    push_predictions,
    serve_media,
)
from annotation.pull import Observed, pull, task_ids
from flows.additions import addable, rows_by_id
from flows.ingest import Ingested, Labelling, ingest, watermark_of
from flows.settings import Settings, owned
from flows.train import newest_model
from warehouse.errors import AnnotationError
from warehouse.face import publish

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
    url, key = settings.label_studio_url, settings.label_studio_api_key
    if url is not None and key is not None:
        return url, key.get_secret_value()
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


def dimensions_of(settings: Settings) -> tuple[Dimension, ...]:
    """Dimensions of soli.toml, else the default three."""
    named = [owned(Dimension, "dimensions", section) for section in settings.dimensions]
    return tuple(named) or DEFAULT_DIMENSIONS


def create_project(
    settings: Settings, client: Client, title: str, *, source: str | None = None, overlap: int = 3
) -> Project:
    """Make the labelling project, with a source of its own stored in it."""
    return ensure_project(
        client, source or str(uuid.uuid4()), title, dimensions_of(settings), overlap
    )


def adopt(client: Client, project_id: int) -> Project:
    """Give a project that Soli did not make a source, so that it can be ingested."""
    return adopt_project(client, project_id, str(uuid.uuid4()))


def projects_of(client: Client, project_id: int | None = None) -> list[Project]:
    """The project asked for, else every project that carries a source.

    Raises: AnnotationError where there is none.
    """
    if project_id is not None:
        return [client.project(project_id)]
    found = [project for project in client.projects() if project.source]
    if not found:
        raise AnnotationError(
            f"Label Studio at {client.url} has no project of Soli; make one with"
            " `soli annotate project create`, or adopt one with `soli annotate project update`"
        )
    return found


@dataclass(frozen=True)
class ItemsAdded:
    """What came of an items file."""

    items: int
    prompts: int
    refused: list[Refused]
    tasks: Imported | None


def add_items(
    settings: Settings,
    path: Path,
    *,
    client: Client | None = None,
    project: Project | None = None,
    design_k: int = 3,
    dry_run: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> ItemsAdded:
    """Probe the items of a file, store them, and make tasks of them where a project is given.

    Running it again adds nothing; a bad row is refused alone, with its reason.
    """
    store = settings.store
    roots = settings.media_roots or (settings.media_root, path.absolute().parent)
    items, prompts = rows_by_id(store, "items"), rows_by_id(store, "prompts")
    found = addable(read_items(path, roots, design_k, progress), items, prompts)
    if dry_run:
        new = set(found.items["item_id"].to_pylist()) - set(items)
        texts = set(found.prompts["prompt_id"].to_pylist()) - set(prompts)
        return ItemsAdded(len(new), len(texts), found.refused, None)
    with store.writing("add items"):
        new_prompts = store.append("prompts", found.prompts)
        new_items = store.append("items", found.items)
        if new_prompts or new_items:
            publish(store)
    tasks = None
    if client and project:
        local = [uri for uri in found.items["uri"].to_pylist() if not is_remote(uri)]
        for folder in sorted({Path(uri).parent for uri in local}):
            serve_media(client, project.id, folder)
        tasks = import_items(client, project, found.items, found.prompts, settings.media_root)
    return ItemsAdded(new_items, new_prompts, found.refused, tasks)


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
    """Pull one project: what changed since the last pull, or everything."""
    store = settings.store
    source = project_source(project)
    watermark = None if full else watermark_of(store, source)
    observed = pull(client, project, watermark, progress=progress)
    return ingest(
        store,
        observed.tasks,
        source=source,
        origin="server",
        labelling=_labelling(settings, project),
        users=observed.users,
        present=_present(client, observed),
        watermark=observed.watermark,
        dry_run=dry_run,
    )


def _labelling(settings: Settings, project: Project) -> Labelling:
    return Labelling(
        tuple(config_dimensions(project.config)),
        project.config,
        settings.mapping,
        settings.reviewers,
    )


def _present(client: Client, observed: Observed) -> list[int] | None:
    """Ids of all tasks after a full pull; None where only changes were read."""
    return sorted(task_ids(client, observed.project.id)) if observed.full else None


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
    version = f"soli-{run['model_id'][:12]}"
    with connect(settings) as client:
        return sum(
            push_predictions(client, project, rewards, version).made
            for project in projects_of(client)
        )
