"""The few Label Studio calls that Soli makes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from pydantic import ValidationError

from annotation.connection import Connection
from annotation.labeling import config_source
from annotation.paging import BEFORE_ALL, Json, Page, after, page_problem, question
from annotation.payload import Annotation, User, raw_annotations, read_annotation
from annotation.transport import server_time
from warehouse.errors import AnnotationError

PAGE = 500  # tasks a page; 1,000 with all annotations came close to the server's time limit
IMPORT_BATCH = 1_000  # tasks an import call
# else it counts all annotations
_FEW_FIELDS = {"include": "id,title,label_config,description,maximum_annotations"}
_TASKS, _PROJECTS, _USERS = "api/tasks", "api/projects", "api/users"


@dataclass(frozen=True)
class Project:
    """A labelling project, as far as we look at it."""

    id: int
    title: str
    config: str
    description: str
    overlap: int = 1
    """Answers that the queue asks for on each task; 0 while it is paused."""

    @property
    def source(self) -> str | None:
        """UUID that Soli stored in it; None in a project that was never adopted.

        The description's comes first: a duplicate of a project carries the configuration of the
        original, and gets a source of its own in its description.
        """
        return config_source(self.description) or config_source(self.config)


class Client(Connection):
    """A user's access to one server. Safe to share among threads."""

    def whoami(self) -> User:
        """User that the token belongs to."""
        return self._user(self._mapping("GET", "api/current-user/whoami"))

    def users(self) -> dict[int, User]:
        """Members by id."""
        found = [self._user(row) for row in self._list("GET", _USERS)]
        return {user.id: user for user in found}

    def projects(self) -> list[Project]:
        """Projects that the token's user sees."""
        found: dict[int, Project] = {}
        page = 1
        while True:
            params = {**_FEW_FIELDS, "page": page, "page_size": 100}
            answer = self._mapping("GET", _PROJECTS, params=params)
            more = [self._project(row) for row in self._results(answer, _PROJECTS)]
            if any(project.id in found for project in more):
                raise self._shape(_PROJECTS, "a page that does not go on")
            found |= {project.id: project for project in more}
            if not answer.get("next"):
                return list(found.values())
            page += 1

    def project(self, project_id: int) -> Project:
        """One project.

        Raises: AnnotationError where there is none, naming those there are.
        """
        response = self._send("GET", f"api/projects/{project_id}", params=_FEW_FIELDS)
        if response.status_code == HTTPStatus.NOT_FOUND:
            there = ", ".join(f"{p.id} ({p.title})" for p in self.projects()[:10]) or "none"
            raise AnnotationError(
                f"Label Studio at {self.url} has no project {project_id}; there are: {there}"
            )
        return self._project(self._object(response, _PROJECTS))

    def find_project(self, source: str) -> Project | None:
        """Project that carries this source UUID."""
        return next((found for found in self.projects() if found.source == source.lower()), None)

    def create_project(self, settings: Mapping[str, Any]) -> Project:
        """Make a project with these fields of Label Studio's API."""
        return self._project(self._mapping("POST", _PROJECTS, body=dict(settings)))

    def update_project(self, project_id: int, settings: Mapping[str, Any]) -> Project:
        """Change fields of a project."""
        path = f"api/projects/{project_id}"
        return self._project(self._mapping("PATCH", path, body=dict(settings)))

    def import_tasks(self, project_id: int, tasks: Sequence[Mapping[str, Any]]) -> int:
        """Add tasks in one call, never repeated: the server does not recognise duplicates.

        Returns: how many the server says it made.
        """
        path = f"api/projects/{project_id}/import"
        answer = self._mapping("POST", path, body=list(tasks))
        return self._number(answer, "task_count", path)

    def tasks(
        self,
        project_id: int,
        *,
        filters: Sequence[Mapping[str, Any]] = (),
        fields: str = "all",
        page_size: int = PAGE,
    ) -> Iterator[tuple[list[Json], int]]:
        """Pages of tasks by rising id, each with the number of tasks from there on.

        filters: of the data manager, all of which must hold.
        fields: 'all' with annotations and predictions, 'task_only' without.
        """
        last = BEFORE_ALL
        while True:
            page = self.page_after(last, project_id, filters, fields, page_size)
            yield page.tasks, page.total
            if page.is_last:
                return
            last = page.ids[-1]

    def page_after(
        self,
        last: int,
        project_id: int,
        filters: Sequence[Mapping[str, Any]] = (),
        fields: str = "all",
        page_size: int = PAGE,
    ) -> Page:
        """First page of the tasks whose ids are larger than `last`, by rising id."""
        items = [*filters, after(last)]
        page = self.page(project_id, ["tasks:id"], page_size, items, fields)
        rising = [last, *page.ids]
        if rising != sorted(set(rising)) or not (page.ids or page.is_last):
            raise self._shape(_TASKS, "a page that does not go on")
        return page

    def page(
        self,
        project_id: int,
        ordering: Sequence[str],
        page_size: int,
        filters: Sequence[Mapping[str, Any]] = (),
        fields: str = "task_only",
    ) -> Page:
        """First page of tasks in an order, with the number of all that match.

        Raises: AnnotationError also where the answer is no such page.
        """
        params = question(project_id, ordering, page_size, filters, fields)
        response = self._send("GET", _TASKS, params=params)
        answer = self._object(response, _TASKS)
        wrong = page_problem(answer)
        if wrong:
            raise self._shape(_TASKS, wrong)
        return Page(answer["tasks"], answer["total"], response.content, server_time(response))

    def update_task(self, task_id: int, changes: Mapping[str, Any]) -> Json:
        """Change fields of a task."""
        return self._mapping("PATCH", f"api/tasks/{task_id}/", body=dict(changes))

    def annotations(self, task_id: int) -> list[Annotation]:
        """Annotations of a task, the oldest first; those that make no sense are left out.

        Of the task itself: Label Studio's list of a task's annotations leaves skips out.
        """
        task = self._mapping("GET", f"api/tasks/{task_id}/")
        found = map(read_annotation, raw_annotations(task))
        sound = [each for each in found if isinstance(each, Annotation)]
        return sorted(sound, key=lambda each: each.key[::-1])

    def annotate(self, task_id: int, annotation: Mapping[str, Any]) -> Json:
        """Store an annotation as the token's user, once."""
        return self._mapping("POST", f"api/tasks/{task_id}/annotations/", body=dict(annotation))

    def correct(self, annotation_id: int, changes: Mapping[str, Any]) -> Json:
        """Change an annotation."""
        return self._mapping("PATCH", f"api/annotations/{annotation_id}/", body=dict(changes))

    def withdraw(self, annotation_id: int) -> None:
        """Delete an annotation; one that is gone already is no error."""
        path = f"api/annotations/{annotation_id}/"
        response = self._send("DELETE", path)
        if response.status_code != HTTPStatus.NOT_FOUND:
            self._checked(response, path)

    def predict(self, project_id: int, predictions: Sequence[Mapping[str, Any]]) -> int:
        """Import predictions in one call, never repeated; returns how many were made."""
        path = f"api/projects/{project_id}/import/predictions"
        answer = self._mapping("POST", path, body=list(predictions))
        return self._number(answer, "created", path)

    def model_versions(self, project_id: int) -> dict[str, int]:
        """Predictions of a project by model version."""
        path = f"api/projects/{project_id}/model-versions/"
        found = self._mapping("GET", path)
        if not all(type(count) is int for count in found.values()):
            raise self._shape(path, "no counts by version")
        return found

    def delete_predictions(self, project_id: int, version: str) -> None:
        """Delete the predictions of a model version."""
        path = f"api/projects/{project_id}/model-versions/"
        self.call("DELETE", path, body={"model_version": version})

    def _user(self, row: Any) -> User:
        try:
            return User.model_validate(row)
        except ValidationError as error:
            raise self._shape(_USERS, "no user") from error

    def _project(self, row: Any) -> Project:
        texts = ("title", "label_config", "description")
        sound = isinstance(row, dict) and type(row.get("id")) is int
        if not (sound and all(isinstance(row.get(name) or "", str) for name in texts)):
            raise self._shape(_PROJECTS, "no project")
        title, config, description = (row.get(name) or "" for name in texts)
        overlap = row.get("maximum_annotations")
        return Project(row["id"], title, config, description, overlap if overlap is not None else 1)
