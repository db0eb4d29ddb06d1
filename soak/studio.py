"""A project on the real Label Studio that changes in every way that a pull must see."""

from __future__ import annotations

import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from annotation.client import IMPORT_BATCH, Client, Project
from annotation.labeling import DEFAULT_DIMENSIONS, OBJECT
from annotation.projects import ensure_project

DIMENSIONS = tuple(dimension.name for dimension in DEFAULT_DIMENSIONS)
LABELS = {"Pass": "pass", "Fail": "fail"}


def answers(choices: Sequence[str]) -> list[dict[str, Any]]:
    """Result of an annotation: a choice for each dimension."""
    return [
        {
            "from_name": name,
            "to_name": OBJECT,
            "type": "choices",
            "value": {"choices": [choice]},
        }
        for name, choice in zip(DIMENSIONS, choices, strict=True)
    ]


@dataclass
class Studio:
    """One project, and the seeded dice that change it."""

    client: Client
    project: Project
    users: list[int]
    dice: random.Random
    items: int = 0
    done: dict[str, int] = field(default_factory=dict)
    """How many changes of each kind were made."""

    @classmethod
    def make(cls, client: Client, dice: random.Random) -> Studio:
        """A new project with three people."""
        project = ensure_project(client, str(uuid.uuid4()), "Kills", DEFAULT_DIMENSIONS)
        mark = uuid.uuid4().hex[:8]
        names = [f"{name}-{mark}@kills.example" for name in ("ana", "ben", "eva")]
        people = [
            client.call("POST", "api/users", body={"email": name, "username": name})["id"]
            for name in names
        ]
        return cls(client, project, people, dice)

    def add(self, count: int) -> None:
        """New tasks of new items, each with two or three annotations, some skipped."""
        tasks = [self._task() for _ in range(count)]
        for start in range(0, count, IMPORT_BATCH):
            self.client.import_tasks(self.project.id, tasks[start : start + IMPORT_BATCH])

    def _task(self) -> dict[str, Any]:
        self.items += 1
        people = self.dice.sample(self.users, self.dice.choice([2, 3]))
        data = {
            "item_id": f"clip_{self.items:06d}",
            "prompt": f"a ball on slope {self.items // 2}",
            "video": "https://clips.example/ball.mp4",
            "generator": ("north", "south")[self.items % 2],
        }
        return {"data": data, "annotations": [self._annotation(user) for user in people]}

    def _annotation(self, user: int) -> dict[str, Any]:
        skipped = self.dice.random() < 0.05
        result = [] if skipped else answers(self._choices())
        fields = {"completed_by": user, "result": result, "was_cancelled": skipped}
        return fields | {"ground_truth": False, "lead_time": 4.0}

    def _choices(self) -> list[str]:
        return [self.dice.choice(["Pass", "Fail"]) for _ in DIMENSIONS]

    def tasks(self) -> list[dict[str, Any]]:
        """Everything on the server."""
        return [task for page, _ in self.client.tasks(self.project.id) for task in page]

    def change(self, count: int) -> None:
        """Change some tasks and annotations, each in another way, and add a few tasks."""
        kinds = (
            self._correct,
            self._skip,
            self._withdraw,
            self._odd,
            self._gold,
            self._again,
            self._delete,
        )
        for task in self.dice.sample(self._some(), count):
            kind = self.dice.choice(kinds)
            if task["annotations"]:
                kind(task, self.dice.choice(task["annotations"])["id"])
                name = kind.__name__.strip("_")
                self.done[name] = self.done.get(name, 0) + 1
        self.add(2)

    def _some(self) -> list[dict[str, Any]]:
        """Tasks to choose from: the oldest hundred behind a place drawn."""
        rows = [{"filter": "filter:tasks:id", "operator": "greater", "type": "Number"}]
        newest, oldest = (
            self.client.page(self.project.id, [order], 1).ids[0]
            for order in ("-tasks:id", "tasks:id")
        )
        place = self.dice.randint(oldest - 1, max(oldest - 1, newest - 100))
        items = [row | {"value": place} for row in rows]
        return self.client.page(self.project.id, ["tasks:id"], 100, items, "all").tasks

    def _correct(self, _task: dict[str, Any], number: int) -> None:
        self.client.correct(number, {"result": answers(self._choices()), "was_cancelled": False})

    def _skip(self, _task: dict[str, Any], number: int) -> None:
        self.client.correct(number, {"result": [], "was_cancelled": True})

    def _withdraw(self, _task: dict[str, Any], number: int) -> None:
        self.client.withdraw(number)

    def _odd(self, _task: dict[str, Any], number: int) -> None:
        odd = [*self._choices()[1:], "Unsure"]
        self.client.correct(number, {"result": answers(odd), "was_cancelled": False})

    def _gold(self, _task: dict[str, Any], number: int) -> None:
        self.client.correct(number, {"ground_truth": self.dice.random() < 0.5})

    def _again(self, task: dict[str, Any], _number: int) -> None:
        self.client.annotate(task["id"], self._annotation(self.dice.choice(self.users)))

    def _delete(self, task: dict[str, Any], _number: int) -> None:
        self.client.call("DELETE", f"api/tasks/{task['id']}")

    def truth(self) -> dict[tuple[int, str, str], str]:
        """What stands on the server: (annotation, created_at, dimension) -> pass or fail."""
        return {
            (annotation["id"], annotation["created_at"], entry["from_name"]): LABELS[choice]
            for task in self.tasks()
            for annotation in task["annotations"]
            if not annotation["was_cancelled"]
            for entry in annotation["result"]
            if (choice := entry["value"]["choices"][0]) in LABELS
        }
