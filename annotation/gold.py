"""Gold labels: answers known to be right, stored as ground truth of whoever owns the token.

Label Studio Community has no button for ground truth; its API takes the flag from any member.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from annotation.client import Client, Project
from annotation.fields import shown, text_of
from annotation.items import Refused
from annotation.labeling import CHOICES, config_choices, config_objects
from annotation.paging import Json
from annotation.payload import Annotation, Answer, read_answer
from annotation.projects import item_tasks
from annotation.rows import raw_rows
from warehouse.errors import AnnotationError

ITEM = "item_id"
LABELS = tuple(choice.lower() for choice in CHOICES)

Outcome = Literal["made", "changed", "there"]


@dataclass(frozen=True)
class Gold:
    """What is known to be right of one item."""

    row: int
    """1 for the first row of the file."""
    item_id: str
    values: Mapping[str, str]
    """Dimension → pass or fail."""


@dataclass
class GoldStored:
    """What came of a file of gold labels, in items."""

    made: int = 0
    """The token's owner had no annotation on the task."""
    changed: int = 0
    """Theirs said something else, was skipped, or was no ground truth."""
    there: int = 0
    """Theirs was right already, and stays as it is."""
    refused: list[Refused] = field(default_factory=list)


@dataclass(frozen=True)
class Page:
    """How a project's page spells answers."""

    choices: Mapping[str, Mapping[str, str]]
    """Dimension → pass or fail → the choice that says so."""
    objects: Mapping[str, str]
    """Dimension → the tag that its answers are about."""

    def result(self, gold: Gold) -> list[Json]:
        """Label Studio's result for these answers, in the order of the page."""
        return [
            {
                "from_name": dimension,
                "to_name": self.objects[dimension],
                "type": "choices",
                "value": {"choices": [choices[gold.values[dimension]]]},
            }
            for dimension, choices in self.choices.items()
        ]


def page_of(project: Project, mapping: Mapping[str, Mapping[str, str]]) -> Page:
    """How the page of a project spells Pass and Fail.

    mapping: dimension → choice → 'pass' or 'fail', beyond Pass and Fail.
    Raises: AnnotationError where it has no dimension, or one that cannot be answered with both.
    """
    offered = config_choices(project.config)
    if not offered:
        raise AnnotationError(f"project {project.id} ({project.title}) asks about no dimension")
    choices = {
        dimension: {
            mapping.get(dimension, {}).get(text, text.lower()): text for text in texts[::-1]
        }
        for dimension, texts in offered.items()
    }
    for dimension, spelled in choices.items():
        if not spelled.keys() >= set(LABELS):
            raise AnnotationError(
                f"project {project.id} ({project.title}): {dimension} offers"
                f" {list(offered[dimension])}, not Pass and Fail; name its choices in the"
                " dimension's mapping, or put them right with"
                f" `soli annotate project update --project {project.id}`"
            )
    return Page(choices, config_objects(project.config))


def read_gold(path: Path, dimensions: Sequence[str]) -> tuple[list[Gold], list[Refused]]:
    """Gold labels of a JSONL, CSV or Parquet file: item_id, and Pass or Fail in each dimension.

    Returns: one of each item, in the order of the file; and the rows refused, each with its reason.
    Raises: AnnotationError where the file cannot be read, or a table lacks a column.
    """
    found: dict[str, list[Gold]] = {}
    refused = []
    for number, raw in enumerate(raw_rows(path, (ITEM, *dimensions)), start=1):
        item = None
        try:
            item = _item(raw)
            gold = Gold(number, item, _values(raw, dimensions))
        except AnnotationError as error:
            refused.append(Refused(number, item, str(error)))
        else:
            found.setdefault(item, []).append(gold)
    refused += [each for rows in found.values() for each in _contradictory(rows)]
    sound = [rows[0] for rows in found.values() if not _contradictory(rows)]
    return sound, refused


def _item(raw: Any) -> str:
    if not isinstance(raw, Mapping):
        raise AnnotationError(f"row {shown(raw)} is no object with {ITEM} and the dimensions")
    item = text_of(raw.get(ITEM), ITEM)
    if item is None:
        raise AnnotationError(f"row has no {ITEM}; name the item that it is about")
    return item


def _values(raw: Mapping[str, Any], dimensions: Sequence[str]) -> dict[str, str]:
    for name, value in raw.items():
        if name not in (ITEM, *dimensions) and value not in (None, ""):
            raise AnnotationError(
                f"column {name!r} is no dimension of the project; those are {', '.join(dimensions)}"
            )
    return {dimension: _label(raw.get(dimension), dimension) for dimension in dimensions}


def _label(value: Any, dimension: str) -> str:
    """Pass or fail, in lower case."""
    if value is None or value == "":
        raise AnnotationError(f"{dimension} is not answered; write Pass or Fail")
    label = value.strip().lower() if isinstance(value, str) else None
    if label not in LABELS:
        raise AnnotationError(f"{dimension} says {shown(value)}; write Pass or Fail")
    return label


def _contradictory(rows: Sequence[Gold]) -> list[Refused]:
    """All rows of an item that is answered in two ways; none where they agree."""
    if all(gold.values == rows[0].values for gold in rows):
        return []
    numbers = ", ".join(str(gold.row) for gold in rows)
    reason = f"item stands in rows {numbers} with different answers; keep the right one"
    return [Refused(gold.row, gold.item_id, reason) for gold in rows]


def store_gold(
    client: Client,
    project: Project,
    file: Path,
    page: Page,
    *,
    dry_run: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> GoldStored:
    """Store the gold labels of a file, as `read_gold` takes it, on the tasks of their items.

    What is right already is left alone: a run that was killed is taken up by the next.
    """
    found, refused = read_gold(file, list(page.choices))
    stored = GoldStored(refused=refused)
    owner, tasks = client.whoami().id, item_tasks(client, project.id)
    for number, gold in enumerate(found, start=1):
        task = tasks.get(gold.item_id)
        mine = [] if task is None else _of_owner(client, task, owner)
        problem = _problem(task, mine, project)
        if problem or task is None:
            stored.refused.append(Refused(gold.row, gold.item_id, problem))
        else:
            outcome = _settle(client, task, mine, page.result(gold), dry_run=dry_run)
            setattr(stored, outcome, getattr(stored, outcome) + 1)
        progress(number, len(found))
    stored.refused.sort(key=lambda each: each.row)
    return stored


def _of_owner(client: Client, task: int, owner: int) -> list[Annotation]:
    """The owner's annotations of a task that answer; where none does, their first skip."""
    users = [(each, each.user) for each in client.annotations(task)]
    mine = [each for each, user in users if user is not None and user.id == owner]
    return [each for each in mine if not each.was_cancelled] or mine[:1]


def _problem(task: int | None, mine: Sequence[Annotation], project: Project) -> str:
    """Why an item can have no gold label of the owner's; empty where it can.

    A task has one ground truth in Label Studio, and of several answers of one person the warehouse
    counts the earliest ordinary one.
    """
    if task is None:
        return f"item has no task in project {project.id}; add it with `soli annotate items`"
    if len(mine) > 1:
        numbers = " and ".join(str(each.id) for each in mine)
        return (
            f"the token's owner has judged task {task} more than once (annotations {numbers}), and"
            " only one of them can be ground truth; delete the others in Label Studio"
        )
    return ""


def _settle(
    client: Client, task: int, mine: Sequence[Annotation], wanted: list[Json], *, dry_run: bool
) -> Outcome:
    """Make the owner's annotation of a task, one or none, say what is wanted as ground truth."""
    wrong = [each for each in mine if not _is_gold(each, wanted)]
    gold = {"ground_truth": True, "was_cancelled": False}
    if not dry_run:
        if not mine:
            client.annotate(task, {"result": wanted, **gold})
        for each in wrong:
            client.correct(each.id, {"result": _beside(each, wanted) + wanted, **gold})
    return "made" if not mine else "changed" if wrong else "there"


def _is_gold(annotation: Annotation, wanted: Sequence[Json]) -> bool:
    """Whether an annotation is ground truth and answers so already."""
    asked = {entry["from_name"] for entry in wanted}
    answers = [read_answer(raw) for raw in annotation.result]
    said = [(a.from_name, a.choices) for a in answers if isinstance(a, Answer)]
    right = [(entry["from_name"], entry["value"]["choices"]) for entry in wanted]
    agree = sorted((each for each in said if each[0] in asked), key=repr) == sorted(right, key=repr)
    return annotation.ground_truth and not annotation.was_cancelled and agree


def _beside(annotation: Annotation, wanted: Sequence[Json]) -> list[Any]:
    """What an annotation holds beside answers to these dimensions: texts, regions, ratings."""
    asked = {entry["from_name"] for entry in wanted}
    names = (raw.get("from_name") if isinstance(raw, dict) else None for raw in annotation.result)
    return [raw for raw, name in zip(annotation.result, names, strict=True) if name not in asked]
