"""Items of a file: into the warehouse and, as tasks, into a project of Label Studio."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from annotation.client import Client, Project
from annotation.items import Items, Refused, read_items
from annotation.media import is_remote
from annotation.projects import Imported, import_items, item_tasks, project_source
from annotation.serving import check_served, serve_media, served_folders
from flows.additions import Additions, additions, known_items, known_prompts
from flows.settings import Settings
from warehouse.face import publish
from warehouse.forgotten import forgotten
from warehouse.lease import lease
from warehouse.store import Store


@dataclass(frozen=True)
class ItemsAdded:
    """What came of an items file."""

    items: int
    """New items."""
    known: int
    """Items that were known already, those of which more is known now among them."""
    media: int
    """Known items of which more is known now, or whose video was found somewhere else."""
    prompts: int
    """New prompts."""
    kept: int
    """Prompts that keep the attributes they came with, though the file says others."""
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
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> ItemsAdded:
    """Probe the items of a file, store them, and make tasks of them where a project is given.

    Running it again adds nothing; a bad row is refused alone, with its reason.
    Raises: AnnotationError where the file cannot be read, or the project's server cannot serve a
        folder that a video lies in: then nothing is written at all.
    """
    store = settings.store
    roots = settings.media_roots or (settings.media_root, path.absolute().parent)
    found = read_items(path, roots, design_k, partial(known_items, store), progress)
    folders: list[Path] = []
    if client and project:
        project_source(project)
        folders = served_folders(_local(found), settings.media_root)
        check_served(client, project.id, folders)
    with store.batch("add items", dry_run=dry_run) as batch:
        added = _beside_known(store, found)
        for name in ("prompts", "items", "media"):
            batch.add(name, getattr(added, name))
    if batch.added and not dry_run:
        publish(store)
    tasks = None
    if client and project:
        tasks = _tasks(settings, client, project, added, folders, dry_run=dry_run)
    return ItemsAdded(
        items=added.items.num_rows,
        known=added.every.num_rows - added.items.num_rows,
        media=added.media.num_rows,
        prompts=batch.added.get("prompts", 0),
        kept=added.kept,
        refused=added.refused,
        tasks=tasks,
    )


def _beside_known(store: Store, found: Items) -> Additions:
    items = known_items(store, found.items["item_id"].to_pylist())
    prompts = known_prompts(store, found.prompts["prompt_id"].to_pylist())
    return additions(found, items, prompts, forgotten(store))


def _tasks(
    settings: Settings,
    client: Client,
    project: Project,
    added: Additions,
    folders: Sequence[Path],
    *,
    dry_run: bool,
) -> Imported:
    """Tasks of the items that are none yet. Two imports at once would make them twice."""
    if dry_run:
        there = item_tasks(client, project.id).keys() & set(added.every["item_id"].to_pylist())
        return Imported(added.every.num_rows - len(there), len(there))
    with lease(settings.store.home / "tasks.lock", "make tasks"):
        for folder in folders:
            serve_media(client, project.id, folder)
        return import_items(client, project, added.every, added.prompts, settings.media_root)


def _local(found: Items) -> Sequence[Path]:
    return [Path(uri) for uri in found.items["uri"].to_pylist() if not is_remote(uri)]
