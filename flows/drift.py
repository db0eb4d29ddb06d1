"""Whether a labelling project still is as it should be, and its labels mean what we read."""

from __future__ import annotations

from dataclasses import dataclass, replace

from annotation.client import Client, Project
from annotation.drift import Difference, Wanted, config_diff, differences, settings_of
from annotation.labeling import (
    config_dimensions,
    config_source,
    instructions,
    labeling_config,
)
from flows.annotate import dimensions_of, projects_of
from flows.labelling import known_labelling, project_rows
from flows.settings import Settings


@dataclass(frozen=True)
class Checked:
    """A project, and what is not as it should be in it."""

    project: int
    title: str
    differences: list[Difference]
    labelling: list[str]
    """Lines of the labelling configuration taken out (-) and put in (+)."""


def check_project(
    settings: Settings, client: Client, project_id: int, *, overlap: int | None = None
) -> Checked:
    """Compare a project with what soli.toml asks, or an adopted one with its last pull.

    overlap: labels that the queue is to ask for; None: the design labels of most items.
    Raises: AnnotationError where there is no such project, or another one carries its source.
    """
    (project,) = projects_of(client, project_id)
    wanted = wanted_of(settings, project)
    wanted = wanted if overlap is None else replace(wanted, labels=overlap)
    found = differences(project, settings_of(client, project.id), wanted)
    changed = config_diff(wanted.config, project.config) if wanted.config else []
    return Checked(project.id, project.title, found, changed)


def wanted_of(settings: Settings, project: Project) -> Wanted:
    """A project as it should be.

    One that carries its source in its configuration was made by Soli: it is held to soli.toml. Any
    other was adopted: it is held to what was read at the last pull, and people's instructions are
    their own.
    """
    labels = _usual_labels(settings)
    source = config_source(project.config)
    if source:
        dimensions = dimensions_of(settings)
        names = tuple(dimension.name for dimension in dimensions)
        config = labeling_config(dimensions, source)
        return Wanted(config, names, {}, instructions(dimensions), labels)
    rows = project_rows(settings.store, project.source or "")
    before = known_labelling(rows)
    config = before.config if before else ""
    names = before.dimensions if before else tuple(config_dimensions(project.config))
    return Wanted(config, names, settings.mapping, None, labels)


def _usual_labels(settings: Settings) -> int | None:
    """Design labels that most items are to get; None where there is no item."""
    rows = settings.store.query(
        "SELECT design_k FROM items GROUP BY design_k ORDER BY count(*) DESC, design_k LIMIT 1"
    ).to_pylist()
    return int(rows[0]["design_k"]) if rows else None
