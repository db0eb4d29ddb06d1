"""A Label Studio in memory, behind httpx: what the real one was measured to do, without its time.

Only what Soli's client calls is here. Its clock stands still between requests; every change moves
it on a little. Bulk imports take the highest id that exists plus one, so ids of deleted things come
back; single annotations take the highest id ever used plus one (both read in the server's source).
"""

import json
import re
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import httpx

URL = "http://127.0.0.1:1"  # nobody listens there
TOKEN = "0" * 40
START = datetime(2026, 1, 5, 9, tzinfo=UTC)
STEP = timedelta(milliseconds=7)  # between one change and the next
IMPORT_DELAY = timedelta(milliseconds=230)  # imported annotations are younger than their task


class Refused(Exception):
    """An answer other than 2xx."""

    def __init__(self, status, reason):
        super().__init__(reason)
        self.status = status


class LabelStudio(httpx.BaseTransport):
    """One server with its projects, tasks and annotations.

    users: e-mails of its members by id; the first one holds the token.
    lag: how far behind the clock the next stamps lie, as in a transaction that takes its time.
    """

    def __init__(self, users):
        self.clock = START
        self.lag = timedelta()
        self.users = dict(users)
        self.projects = {}
        self.tasks = {}
        self.annotations = {}
        self.used = 0  # highest annotation id ever: SQLite's AUTOINCREMENT
        self.requests = 0

    def handle_request(self, request):
        self.requests += 1
        try:
            status, answer = HTTPStatus.OK, self._answer(request)
        except Refused as refusal:
            status, answer = refusal.status, {"detail": str(refusal)}
        date = self.clock.strftime("%a, %d %b %Y %H:%M:%S GMT")
        return httpx.Response(status, json=answer, headers={"Date": date}, request=request)

    def _answer(self, request):
        path = request.url.path.strip("/")
        body = json.loads(request.content) if request.content else None
        for method, pattern, answer in ROUTES:
            match = re.fullmatch(pattern, path)
            if match and method == request.method:
                ids = [int(number) for number in match.groups()]
                return answer(self, *ids, body=body, params=dict(request.url.params))
        raise Refused(HTTPStatus.NOT_FOUND, f"{request.method} {path} is not modelled")

    def wait(self, seconds):
        """Let time pass."""
        self.clock += timedelta(seconds=seconds)

    def _stamp(self):
        self.clock += STEP
        return self.clock - self.lag

    # Users and projects

    def whoami(self, **_):
        return self.list_users()[0]

    def list_users(self, **_):
        return [{"id": user, "email": email} for user, email in self.users.items()]

    def list_projects(self, **_):
        return {"count": len(self.projects), "next": None, "results": [*self.projects.values()]}

    def create_project(self, body, **_):
        number = max(self.projects, default=0) + 1
        self.projects[number] = {"title": "", "label_config": "", **body, "id": number}
        return self.projects[number]

    def one_project(self, project, **_):
        return {**_found(self.projects, project), "task_number": len(self._of(project))}

    def change_project(self, project, body, **_):
        _found(self.projects, project).update(body)  # no task moves: drift shows nowhere
        return self.projects[project]

    # Tasks

    def _of(self, project):
        return [task for task in self.tasks.values() if task["project"] == project]

    def list_tasks(self, params, **_):
        """Filters, order and pages of the data manager."""
        query = json.loads(params.get("query", "{}"))
        filters = query.get("filters", {})
        tasks = [
            task
            for task in self._of(int(params["project"]))
            if _holds(filters.get("conjunction", "and"), filters.get("items", []), task)
        ]
        for name in reversed(query.get("ordering") or ["tasks:id"]):
            field = name.lstrip("-").removeprefix("tasks:")
            tasks.sort(key=lambda task, f=field: task[f], reverse=name.startswith("-"))
        size, page = int(params.get("page_size", 100)), int(params.get("page", 1))
        start = size * (page - 1)
        if start and start >= len(tasks):
            raise Refused(HTTPStatus.NOT_FOUND, "Invalid page.")
        whole = params.get("fields") == "all"
        shown = [self._shown(task, whole) for task in tasks[start : start + size]]
        count = sum(len(self._on(task["id"])) for task in tasks)
        return {"tasks": shown, "total": len(tasks), "total_annotations": count}

    def _on(self, task):
        return [a for a in self.annotations.values() if a["task"] == task]

    def _shown(self, task, whole):
        moments = {name: _text(task[name]) for name in ("created_at", "updated_at")}
        shown = {**task, **moments, "total_annotations": len(self._on(task["id"]))}
        if whole:
            annotations = [_annotation_shown(a) for a in self._on(task["id"])]
            shown |= {"annotations": annotations, "predictions": []}
        return shown

    def one_task(self, task, **_):
        return self._shown(_found(self.tasks, task), whole=True)

    def export(self, project, **_):
        return [self._shown(task, whole=True) for task in self._of(project)]

    def change_task(self, task, body, **_):
        _found(self.tasks, task).update({k: v for k, v in body.items() if k == "data"})
        self._touch(task)
        return self.one_task(task)

    def delete_task(self, task, **_):
        _found(self.tasks, task)
        del self.tasks[task]
        self.annotations = {n: a for n, a in self.annotations.items() if a["task"] != task}

    def import_tasks(self, project, body, **_):
        _found(self.projects, project)
        for raw in body:
            for annotation in raw.get("annotations", []):
                if annotation.get("completed_by") not in self.users:
                    raise Refused(HTTPStatus.BAD_REQUEST, "completed_by is no member")
        now = self._stamp()
        for raw in body:
            number = max(self.tasks, default=0) + 1
            task = {"id": number, "project": project, "data": dict(raw["data"])}
            self.tasks[number] = task | {"created_at": now, "updated_at": now}
            for annotation in raw.get("annotations", []):
                self._import_annotation(number, annotation, now)
        self.clock += IMPORT_DELAY
        return {"task_count": len(body)}

    def _import_annotation(self, task, raw, now):
        number = max(self.annotations, default=0) + 1
        self.used = max(self.used, number)
        self.annotations[number] = {
            "id": number,
            "task": task,
            "completed_by": raw["completed_by"],
            "result": raw["result"],
            "was_cancelled": raw.get("was_cancelled", False),
            "ground_truth": raw.get("ground_truth", True),
            "lead_time": raw.get("lead_time"),
            "created_at": now + IMPORT_DELAY,
            "updated_at": now + IMPORT_DELAY,
        }

    def _touch(self, task):
        self.tasks[task]["updated_at"] = self._stamp()

    # Annotations

    def annotate(self, task, body, **_):
        _found(self.tasks, task)
        self.used += 1
        now = self._stamp()
        self.annotations[self.used] = {
            "id": self.used,
            "task": task,
            "completed_by": body.get("completed_by", min(self.users)),
            "result": body["result"],
            "was_cancelled": body.get("was_cancelled", False),
            "ground_truth": body.get("ground_truth", False),
            "lead_time": body.get("lead_time"),
            "created_at": now,
            "updated_at": now,
        }
        self._one_truth(self.used, body)
        self._touch(task)
        return _annotation_shown(self.annotations[self.used])

    def change_annotation(self, annotation, body, **_):
        found = _found(self.annotations, annotation)
        names = ("result", "was_cancelled", "ground_truth", "lead_time")
        found.update({name: body[name] for name in names if name in body})
        self._one_truth(annotation, body)
        found["updated_at"] = self._stamp()
        self._touch(found["task"])
        return _annotation_shown(found)

    def _one_truth(self, annotation, body):
        """A task has one ground truth: setting another takes the flag from the first."""
        if body.get("ground_truth"):
            for other in self._on(self.annotations[annotation]["task"]):
                other["ground_truth"] = other["id"] == annotation

    def delete_annotation(self, annotation, **_):
        task = _found(self.annotations, annotation)["task"]
        del self.annotations[annotation]
        self._touch(task)


ROUTES = (
    ("GET", "api/current-user/whoami", LabelStudio.whoami),
    ("GET", "api/users", LabelStudio.list_users),
    ("GET", "api/projects", LabelStudio.list_projects),
    ("POST", "api/projects", LabelStudio.create_project),
    ("GET", r"api/projects/(\d+)", LabelStudio.one_project),
    ("PATCH", r"api/projects/(\d+)", LabelStudio.change_project),
    ("POST", r"api/projects/(\d+)/import", LabelStudio.import_tasks),
    ("GET", r"api/projects/(\d+)/export", LabelStudio.export),
    ("GET", "api/tasks", LabelStudio.list_tasks),
    ("GET", r"api/tasks/(\d+)", LabelStudio.one_task),
    ("PATCH", r"api/tasks/(\d+)", LabelStudio.change_task),
    ("DELETE", r"api/tasks/(\d+)", LabelStudio.delete_task),
    ("POST", r"api/tasks/(\d+)/annotations", LabelStudio.annotate),
    ("PATCH", r"api/annotations/(\d+)", LabelStudio.change_annotation),
    ("DELETE", r"api/annotations/(\d+)", LabelStudio.delete_annotation),
)


def _found(things, number):
    if number not in things:
        raise Refused(HTTPStatus.NOT_FOUND, f"no {number} here")
    return things[number]


def _text(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _annotation_shown(annotation):
    moments = {name: _text(annotation[name]) for name in ("created_at", "updated_at")}
    return {**annotation, **moments}


def _holds(conjunction, items, task):
    checks = [_check(item, task) for item in items]
    return all(checks) if conjunction == "and" else any(checks) or not checks


def _check(item, task):
    field = item["filter"].removeprefix("filter:tasks:")
    if field not in task:
        raise Refused(HTTPStatus.INTERNAL_SERVER_ERROR, f"unknown field {field}")
    value, mine = item["value"], task[field]
    if isinstance(value, dict):
        low, high = (_typed(value[end], item["type"]) for end in ("min", "max"))
        return low <= mine <= high
    value = _typed(value, item["type"])
    match item["operator"]:
        case "greater":
            return mine > value
        case "greater_or_equal":
            return mine >= value
        case "less":
            return mine < value
        case "less_or_equal":
            return mine <= value
        case "not_equal":
            return mine != value
    return mine == value  # an operator unknown to the server is taken for equality


def _typed(value, kind):
    if kind != "Datetime":
        return value
    try:
        return datetime.strptime(value, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise Refused(HTTPStatus.INTERNAL_SERVER_ERROR, f"no time: {value}") from error
