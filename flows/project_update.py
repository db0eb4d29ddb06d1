"""A labelling project brought to what soli.toml asks, without breaking labels already given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from annotation.client import Client, Project
from annotation.drift import (
    Difference,
    config_diff,
    differences,
    overlap_differences,
    settings_of,
)
from annotation.labeling import config_dimensions, config_source, labeling_config
from annotation.projects import SETTINGS
from annotation.queue import refuse_paused
from flows.annotate import Progress, adopt, ingest_project, projects_of, template_of
from flows.drift import wanted_of
from flows.labelling import project_rows
from flows.settings import Settings
from warehouse.errors import AnnotationError


@dataclass(frozen=True)
class Updated:
    """A project, and what was changed in it, or would be."""

    id: int
    title: str
    source: str | None
    new_source: bool
    changes: list[Difference]
    labelling: list[str]
    """Lines of the labelling configuration taken out (-) and put in (+)."""
    version: int | None
    """Newest version of its labelling in the warehouse; None for a project never pulled."""


def update_project(
    settings: Settings,
    client: Client,
    project_id: int,
    *,
    anew: bool = False,
    overlap: int | None = None,
    dry_run: bool = False,
    progress: Progress = lambda _done, _total: None,
) -> Updated:
    """Give a project a source where it has none, else what soli.toml asks where Soli made it.

    anew: give it another source and nothing else, as a duplicate of a project needs.
    overlap: labels that the queue is to ask for on each task; None: as many as now.
    Raises: AnnotationError where a dimension would go that people have answered, or for an overlap
        of a paused project.
    """
    project = client.project(project_id)
    served = _overlap_changes(project, overlap)
    changes: list[Difference] = []
    labelling: list[str] = []
    gets = anew or project.source is None
    if gets:
        project = project if dry_run else adopt(client, project_id, anew=anew)
    else:
        changes, fields = _plan(settings, client, project)
        labelling = config_diff(project.config, fields.get("label_config", project.config))
        _refuse_loss(client, project, fields.get("label_config", project.config))
        if fields and not dry_run:
            _apply(settings, client, project, fields, progress)
    if served and not dry_run:
        client.update_project(project.id, {"maximum_annotations": overlap})
    rows = project_rows(settings.store, project.source or "")
    version = rows[-1]["version"] if rows else None
    changes = [*changes, *served]
    return Updated(project.id, project.title, project.source, gets, changes, labelling, version)


def _plan(
    settings: Settings, client: Client, project: Project
) -> tuple[list[Difference], dict[str, Any]]:
    """What is not as it should be, and the fields of the project that put it right.

    Nothing of an adopted project. The overlap stays, unless it is asked for by name: the queue and
    a pause set it, too.
    """
    if project.source is None or not config_source(project.config):
        return [], {}
    wanted = replace(wanted_of(settings, project), labels=None)
    right: dict[str, tuple[str, Any]] = {
        "labelling": ("label_config", labeling_config(template_of(settings), project.source)),
        "instructions": ("expert_instruction", wanted.instructions),
        **{name: (name, value) for name, (value, _) in SETTINGS.items()},
    }
    found = differences(project, settings_of(client, project.id), wanted)
    return found, dict(right[row.what] for row in found)


def _overlap_changes(project: Project, overlap: int | None) -> list[Difference]:
    """Whether the queue asks for another number of labels than it is to."""
    if overlap is not None:
        refuse_paused(project)
    return overlap_differences(project, overlap)


def _apply(
    settings: Settings,
    client: Client,
    project: Project,
    fields: dict[str, Any],
    progress: Progress,
) -> None:
    """Change a project; where its labelling changes, pull it before and after.

    So what was answered until then is stored under the version it was answered in, and the
    warehouse knows between which two moments of the server the versions changed.
    """
    if "label_config" not in fields:
        client.update_project(project.id, fields)
        return
    projects_of(client, project.id)  # refuses two that carry the same source
    ingest_project(settings, client, project, progress=progress)
    changed = client.update_project(project.id, fields)
    ingest_project(settings, client, changed, progress=progress)


def _refuse_loss(client: Client, project: Project, config: str) -> None:
    """Raise where people have answered a dimension that the configuration no longer asks.

    Their page would show such an annotation without the answer, and the next correction lose it.
    """
    gone = set(config_dimensions(project.config)) - set(config_dimensions(config))
    given = answered(client, project.id, gone) if gone else Counter()
    for name in sorted(given):
        raise AnnotationError(
            f"project {project.id}: dimension {name} has answers ({given[name]}), but is no longer"
            " in soli.toml; put it back there, or make a new project"
        )


def answered(client: Client, project_id: int, dimensions: Iterable[str]) -> Counter[str]:
    """How many answers people have given to each of these dimensions."""
    asked = frozenset(dimensions)
    return Counter(
        answer.get("from_name")
        for tasks, _ in client.tasks(project_id)
        for task in tasks
        for annotation in task.get("annotations") or ()
        for answer in annotation.get("result") or ()
        if answer.get("from_name") in asked
    )
