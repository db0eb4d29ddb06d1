"""What somebody changed in a project by hand, and what that does to the labels taken from it.

Label Studio has no roles: every member can change the labelling configuration and the settings of
a project, and neither is remembered. Nothing here changes anything.
"""

from __future__ import annotations

import difflib
import re
import xml.etree.ElementTree as ET  # entities are refused first: see _lines
from collections.abc import Mapping
from dataclasses import dataclass
from html import unescape
from typing import Any

from annotation.client import Client, Project
from annotation.labeling import config_choices, config_problems
from annotation.projects import SETTINGS
from annotation.queue import paused_overlap


@dataclass(frozen=True)
class Wanted:
    """A project as it should be."""

    config: str
    """Labelling configuration; empty: none is known, and it is not compared."""
    dimensions: tuple[str, ...]
    mapping: Mapping[str, Mapping[str, str]]
    """Dimension → choice → pass or fail, beyond Pass and Fail."""
    instructions: str | None
    """HTML for annotators; None: theirs are not ours, and are not compared."""
    labels: int | None
    """Labels that most items are to get; None: not known."""


@dataclass(frozen=True)
class Difference:
    """One thing that is not as it should be."""

    what: str
    is_now: str
    should_be: str
    effect: str


def settings_of(client: Client, project_id: int) -> Mapping[str, Any]:
    """Settings of a project that Soli cares about."""
    fields = ",".join([*SETTINGS, "expert_instruction"])
    found: Mapping[str, Any] = client.call(
        "GET", f"api/projects/{project_id}", params={"include": fields}
    )
    return found


def differences(project: Project, settings: Mapping[str, Any], wanted: Wanted) -> list[Difference]:
    """Everything that is not as it should be, what ingestion would misread first.

    settings: as `settings_of` gives them.
    Raises: AnnotationError for a labelling configuration that is no XML.
    """
    return [
        *_source(project),
        *_config(project.config, wanted),
        *_settings(settings, wanted),
        *overlap_differences(project, wanted.labels),
    ]


def config_diff(before: str, after: str) -> list[str]:
    """Lines of a labelling configuration taken out (-) and put in (+).

    >>> config_diff("<View><A b='1'/></View>", '<View>\\n<A  b="2" /></View>')
    ['-<A b="1" />', '+<A b="2" />']
    """
    found = difflib.unified_diff(_lines(before), _lines(after), n=0, lineterm="")
    return [line for line in found if not line.startswith(("---", "+++", "@@"))]


def _lines(config: str) -> list[str]:
    """Configuration with a tag on each line, however it was written down."""
    config_choices(config)  # refuses what must not reach the parser
    root = ET.fromstring(config)  # noqa: S314 - see the line above
    ET.indent(root, "")
    lines = (line.strip() for line in ET.tostring(root, encoding="unicode").splitlines())
    return [line for line in lines if line]


def _source(project: Project) -> list[Difference]:
    if project.source is not None:
        return []
    effect = "it cannot be ingested; `soli annotate project update` gives it another one"
    return [Difference("source", "none", "a UUID in configuration or description", effect)]


def _config(config: str, wanted: Wanted) -> list[Difference]:
    problems = config_problems(config, wanted.dimensions, wanted.mapping)
    if problems:
        effect = "answers are quarantined, or missing"
        return [
            Difference("labelling", found, "Pass or Fail, required", effect) for found in problems
        ]
    if not wanted.config or not config_diff(wanted.config, config):
        return []
    effect = "people see other words, keys or fields than those before them"
    return [Difference("labelling", "changed", "as below", effect)]


def _settings(settings: Mapping[str, Any], wanted: Wanted) -> list[Difference]:
    found = [
        Difference(name, _words(settings.get(name)), _words(value), effect)
        for name, (value, effect) in SETTINGS.items()
        if settings.get(name) != value
    ]
    told = settings.get("expert_instruction") or ""
    if wanted.instructions is not None and _text(told) != _text(wanted.instructions):
        effect = "people are told other rules than those before them"
        found.append(Difference("instructions", "changed", "the guidelines", effect))
    return found


def overlap_differences(project: Project, labels: int | None) -> list[Difference]:
    """Whether the queue serves a task until it has so many labels; a pause keeps the number.

    labels: None where it is not known how many there are to be; then there is no difference.
    """
    paused = paused_overlap(project)
    overlap = project.overlap if paused is None else paused
    if labels is None or overlap == labels:
        return []
    effect = (
        f"the queue stops {labels - overlap} short of the labels wanted"
        if overlap < labels
        else f"the queue asks for {overlap - labels} more; beyond the design labels none counts for"
        " agreement"
    )
    return [Difference("maximum_annotations", str(overlap), str(labels), effect)]


def _words(value: object) -> str:
    """A setting as Label Studio's API spells it.

    >>> _words(False), _words(None)
    ('false', 'not set')
    """
    return (
        "not set" if value is None else str(value).lower() if value in (True, False) else str(value)
    )


def _text(html: str) -> list[str]:
    """Words of instructions: the server rewrites tags and entities as it likes."""
    return unescape(re.sub(r"<[^>]*>", " ", html)).split()
