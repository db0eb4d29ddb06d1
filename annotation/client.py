"""The few Label Studio calls that Soli makes, and what their failures mean.

The SDK's transport carries the token and retries what is safe to repeat. Its typed calls are not
used: they turn an answer of the wrong shape into an empty list, and a 404 in the middle of a list
into its end.
"""

from __future__ import annotations

import json
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import httpx
from label_studio_sdk import LabelStudio as Sdk
from label_studio_sdk.core.api_error import ApiError
from label_studio_sdk.core.request_options import RequestOptions

from annotation.labeling import config_source
from annotation.payload import User
from warehouse.errors import AnnotationError

TIMEOUT_SECONDS = 60.0
PAGE = 500  # tasks a page; 1,000 with all annotations came close to the server's time limit
IMPORT_BATCH = 1_000  # tasks an import call
RETRIES = 2  # of reads; writes are never repeated blindly
CONNECTIONS = 32

Json = dict[str, Any]


@dataclass(frozen=True)
class Project:
    """A labelling project, as far as we look at it."""

    id: int
    title: str
    config: str
    description: str

    @property
    def source(self) -> str | None:
        """UUID that Soli stored in it; None in a project that was never adopted."""
        return config_source(self.config) or config_source(self.description)


class Client:
    """A user's access to one server. Safe to share among threads."""

    def __init__(self, url: str, token: str, timeout: float = TIMEOUT_SECONDS) -> None:
        """Keep address and token; nothing is sent.

        url: of the server, without a path.
        token: a legacy token or a personal access token.
        Raises: AnnotationError where the address is no http(s) URL or the token cannot be one.
        """
        self.url = _checked_url(url)
        loopback = urlsplit(self.url).hostname in {"127.0.0.1", "localhost", "::1"}
        self._http = httpx.Client(
            timeout=timeout,
            follow_redirects=False,  # a redirect to the log-in page is no answer
            limits=httpx.Limits(max_connections=CONNECTIONS),
            trust_env=not loopback,  # no proxy between us and this machine
        )
        weakref.finalize(self, self._http.close)  # no socket outlives its client
        try:
            sdk: Any = Sdk(  # type: ignore[no-untyped-call]
                base_url=self.url, api_key=_checked_token(token), httpx_client=self._http
            )
        except ApiError as error:
            raise self._wrong_token() from error
        # Its typed calls hide wrong shapes; the transport below them is what we need.
        self._transport = sdk._client_wrapper.httpx_client  # noqa: SLF001

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def whoami(self) -> User:
        """User that the token belongs to."""
        return User.model_validate(self._mapping("GET", "api/current-user/whoami"))

    def users(self) -> dict[int, User]:
        """Members by id."""
        found = (User.model_validate(row) for row in self._list("GET", "api/users"))
        return {user.id: user for user in found}

    def projects(self) -> list[Project]:
        """Projects that the token's user sees."""
        rows: list[Json] = []
        page = 1
        while True:
            params = {"page": page, "page_size": 100}
            answer = self._mapping("GET", "api/projects", params=params)
            rows += self._results(answer, "api/projects")
            if not answer.get("next"):
                return [_project(row) for row in rows]
            page += 1

    def project(self, project_id: int) -> Project:
        """One project.

        Raises: AnnotationError where there is none, naming those there are.
        """
        response = self._send("GET", f"api/projects/{project_id}")
        if response.status_code == HTTPStatus.NOT_FOUND:
            there = ", ".join(f"{p.id} ({p.title})" for p in self.projects()[:10]) or "none"
            raise AnnotationError(
                f"Label Studio at {self.url} has no project {project_id}; there are: {there}"
            )
        return _project(self._object(response, "api/projects"))

    def find_project(self, source: str) -> Project | None:
        """Project that carries this source UUID."""
        return next((found for found in self.projects() if found.source == source.lower()), None)

    def create_project(self, settings: Mapping[str, Any]) -> Project:
        """Make a project with these fields of Label Studio's API."""
        return _project(self._mapping("POST", "api/projects", body=dict(settings)))

    def update_project(self, project_id: int, settings: Mapping[str, Any]) -> Project:
        """Change fields of a project."""
        path = f"api/projects/{project_id}"
        return _project(self._mapping("PATCH", path, body=dict(settings)))

    def import_tasks(self, project_id: int, tasks: Sequence[Mapping[str, Any]]) -> int:
        """Add tasks in one call, never repeated: the server does not recognise duplicates.

        Returns: how many the server says it made.
        """
        path = f"api/projects/{project_id}/import"
        answer = self._mapping("POST", path, body=list(tasks))
        return int(answer.get("task_count", 0))

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
        last = -1
        while True:
            items = [*filters, _after(last)]
            found, total = self.ordered(project_id, ["tasks:id"], page_size, items, fields)
            yield found, total
            if len(found) >= total:
                return
            last = self._last_id(found, last)

    def ordered(
        self,
        project_id: int,
        ordering: Sequence[str],
        page_size: int,
        filters: Sequence[Mapping[str, Any]] = (),
        fields: str = "task_only",
    ) -> tuple[list[Json], int]:
        """Return the first page of tasks in an order, with the number of all that match."""
        query = {
            "filters": {"conjunction": "and", "items": list(filters)},
            "ordering": list(ordering),
        }
        params = {
            "project": project_id,
            "query": json.dumps(query),
            "fields": fields,
            "page": 1,
            "page_size": page_size,
            "resolve_uri": "false",  # else presigned URLs make every task look edited
        }
        answer = self._mapping("GET", "api/tasks", params=params)
        found, total = answer.get("tasks"), answer.get("total")
        if not isinstance(found, list) or not isinstance(total, int):
            raise self._shape("api/tasks", "no list of tasks with a total")
        return found, total

    def _last_id(self, page: Sequence[Any], before: int) -> int:
        ids = [task.get("id") for task in page if isinstance(task, dict)]
        numbers = [number for number in ids if isinstance(number, int)]
        if not numbers or max(numbers) <= before:
            raise self._shape("api/tasks", "a page that does not go on")
        return max(numbers)

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
        return int(answer.get("created", 0))

    def call(self, method: str, path: str, **fields: Any) -> Any:
        """Any other call; returns its JSON."""
        return self._json(self._checked(self._send(method, path, **fields), path), path)

    def _mapping(self, method: str, path: str, **fields: Any) -> Json:
        return self._object(self._send(method, path, **fields), path)

    def _list(self, method: str, path: str) -> list[Any]:
        found = self.call(method, path)
        if not isinstance(found, list):
            raise self._shape(path, "no list")
        return found

    def _results(self, answer: Json, path: str) -> list[Json]:
        rows = answer.get("results")
        if not isinstance(rows, list):
            raise self._shape(path, "no list of results")
        return rows

    def _object(self, response: httpx.Response, path: str) -> Json:
        found = self._json(self._checked(response, path), path)
        if not isinstance(found, dict):
            raise self._shape(path, "no object")
        return found

    def _json(self, response: httpx.Response, path: str) -> Any:
        try:
            return response.json() if response.content else None
        except (ValueError, RecursionError) as error:
            raise self._shape(path, "no JSON (a web page?)") from error

    def _send(
        self, method: str, path: str, *, params: Json | None = None, body: Any = None
    ) -> httpx.Response:
        """One request; reads are repeated on a broken connection or a busy server."""
        retries = RETRIES if method == "GET" else 0
        try:
            response = self._transport.request(
                path, method=method, params=params, json=body, request_options=_retried(retries)
            )
        except httpx.TimeoutException as error:
            raise AnnotationError(
                f"Label Studio at {self.url} did not answer in time ({path}); look at its log, then"
                " run again"
            ) from error
        except httpx.HTTPError as error:
            raise AnnotationError(
                f"no Label Studio answers at {self.url} ({type(error).__name__}); start one with"
                " `soli annotate server` or correct LABEL_STUDIO_URL"
            ) from error
        except ApiError as error:  # the refresh of a personal access token was refused
            raise self._wrong_token() from error
        assert isinstance(response, httpx.Response)
        return response

    def _checked(self, response: httpx.Response, path: str) -> httpx.Response:
        status = response.status_code
        if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise self._wrong_token()
        if not response.is_success:
            raise AnnotationError(
                f"Label Studio at {self.url} answered {status} to {path}: {_reason(response)}"
            )
        return response

    def _wrong_token(self) -> AnnotationError:
        return AnnotationError(
            f"Label Studio at {self.url} refuses the token; set LABEL_STUDIO_API_KEY to the one on"
            " its page Account & Settings"
        )

    def _shape(self, path: str, what: str) -> AnnotationError:
        return AnnotationError(
            f"Label Studio at {self.url} answered {path} with {what}; is this address right?"
        )


def _retried(times: int) -> RequestOptions:
    return {"max_retries": times}


def _after(task_id: int) -> Json:
    return {
        "filter": "filter:tasks:id",
        "operator": "greater",
        "type": "Number",
        "value": task_id,
    }


def _project(row: Json) -> Project:
    return Project(
        id=int(row["id"]),
        title=str(row.get("title") or ""),
        config=str(row.get("label_config") or ""),
        description=str(row.get("description") or ""),
    )


def _reason(response: httpx.Response) -> str:
    """What the server says, in one short line."""
    try:
        answer = response.json()
    except ValueError:
        return "no reason given (a web page?); look at the server's log"
    words = answer.get("validation_errors") or answer.get("detail") if _is_dict(answer) else answer
    return " ".join(str(words or answer).split())[:300]


def _is_dict(value: Any) -> bool:
    return isinstance(value, dict)


def _checked_url(url: str) -> str:
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == -1:
        raise AnnotationError(
            f"{parts.hostname or url!r} is no address of a Label Studio server; set"
            " LABEL_STUDIO_URL to one like http://127.0.0.1:8080"
        )
    if parts.username or parts.password:
        raise AnnotationError(
            f"the address of {parts.hostname} carries a name or password; remove them from"
            " LABEL_STUDIO_URL"
        )
    return url.rstrip("/")


def _checked_token(token: str) -> str:
    sound = token.strip()
    if not sound or not sound.isascii() or any(letter.isspace() for letter in sound):
        raise AnnotationError(
            "the Label Studio token is empty or malformed; set LABEL_STUDIO_API_KEY"
        )
    return sound
