"""The real Label Studio behind a faulty proxy: clear errors, nothing half taken in, none lost."""

import importlib.util
import os
import signal
import uuid
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

import annotation.connection
import flows.annotate
from annotation import server
from annotation.client import Client
from annotation.labeling import DEFAULT_DIMENSIONS, OBJECT
from annotation.projects import ensure_project
from annotation.pull import pull
from annotation.transport import Unreachable
from flows.annotate import ingest_project
from flows.settings import Settings
from warehouse.errors import AnnotationError

spec = importlib.util.spec_from_file_location("soli_proxy", Path(__file__).parents[1] / "proxy.py")
faults = importlib.util.module_from_spec(spec)
spec.loader.exec_module(faults)

pytestmark = pytest.mark.server

TASKS, PAGE_SIZE = 60, 20
TABLES = ("label_events", "task_events", "quarantine", "items", "prompts")
PAGE_OF_HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"


@pytest.fixture(autouse=True)
def small_and_quick(monkeypatch):
    """Three pages a project, and no waiting between tries."""
    monkeypatch.setattr(flows.annotate, "pull", partial(pull, page_size=PAGE_SIZE))
    monkeypatch.setattr(annotation.connection, "PAUSES", (0.01, 0.01))


def labelled_task(number, users):
    def answer(dimension, user):
        choice = "Fail" if (number + user + len(dimension.name)) % 3 == 0 else "Pass"
        value = {"choices": [choice]}
        names = {"from_name": dimension.name, "to_name": OBJECT}
        return {**names, "type": "choices", "value": value}

    return {
        "data": {
            "item_id": f"clip_{number:03d}",
            "prompt": f"a ball {number}",
            "video": f"https://clips.example/{number}.mp4",
            "generator": "g",
        },
        "annotations": [
            {
                "completed_by": user,
                "ground_truth": False,
                "lead_time": 3.5,
                "result": [answer(dimension, user) for dimension in DEFAULT_DIMENSIONS],
            }
            for user in users
        ],
    }


def filled(client):
    """A project of its own with 60 tasks of two annotations."""
    project = ensure_project(client, str(uuid.uuid4()), "Faults", DEFAULT_DIMENSIONS)
    body = {"email": f"{uuid.uuid4().hex}@annotators.example", "username": uuid.uuid4().hex}
    users = [client.whoami().id, client.call("POST", "api/users", body=body)["id"]]
    client.import_tasks(project.id, [labelled_task(number, users) for number in range(TASKS)])
    return project


@pytest.fixture(scope="module")
def project(admin):
    return filled(admin)


def digests(home):
    store = Settings(home=home).store
    return {name: store.digest(name) for name in TABLES}


def ingest_through(url, token, project, home, timeout=30.0):
    """Pull into the home; returns the digests of what it holds then."""
    client = Client(url, token, timeout)
    try:
        ingest_project(Settings(home=home), client, client.project(project.id))
    finally:
        client.close()
    return digests(home)


@pytest.fixture(scope="module")
def undisturbed(label_studio, project, tmp_path_factory):
    home = tmp_path_factory.mktemp("undisturbed")
    return ingest_through(label_studio.url, label_studio.token, project, home)


@pytest.fixture
def proxy(label_studio):
    with faults.Proxy(label_studio.url) as proxy:
        yield proxy


@pytest.fixture
def through(proxy, label_studio, project, tmp_path):
    """Pull through the proxy into one home."""
    return partial(ingest_through, proxy.url, label_studio.token, project, tmp_path)


def without_ids(page):
    return {**page, "tasks": [{"data": task["data"]} for task in page["tasks"]]}


def one_lost(page):
    return {**page, "tasks": page["tasks"][:-1] if page["total"] <= PAGE_SIZE else page["tasks"]}


def last_again(page):
    return {**page, "tasks": page["tasks"][:-1] + page["tasks"][:1]}


WRONG_SHAPES = {
    "no object": faults.says(200, b"[]"),
    "nothing": faults.says(200, b""),
    "no list": faults.shaped(lambda page: {**page, "tasks": {}}),
    "no ids": faults.shaped(without_ids),
    "total as text": faults.shaped(lambda page: {**page, "total": str(page["total"])}),
    "total missing": faults.shaped(lambda page: {"tasks": page["tasks"]}),
    "total too small": faults.shaped(lambda page: {**page, "total": 3}),
    "an empty page": faults.shaped(lambda page: {**page, "tasks": []}),
    "not in order": faults.shaped(last_again),
}
ADDRESS = "is this address right"
REFUSALS = {
    "401": (faults.says(401, b'{"detail": "Invalid token."}'), "LABEL_STUDIO_API_KEY"),
    "403": (faults.says(403), "LABEL_STUDIO_API_KEY"),
    "404": (faults.says(404, b'{"detail": "Not found."}'), "answered 404 to api/tasks: Not found"),
    "html": (faults.says(200, PAGE_OF_HTML, Content_Type="text/html"), ADDRESS),
    "wrong shape": (WRONG_SHAPES["no ids"], ADDRESS),
}
TROUBLES = {
    "429 for ever": (faults.says(429, Retry_After="0"), "answered 429 to api/tasks"),
    "500": (faults.says(500, b'{"detail": "database is locked"}'), "500 .* database is locked"),
    "502": (faults.says(502, PAGE_OF_HTML), "502 .*web page"),
    "cut": (faults.cut, "RemoteProtocolError"),
    "trickle": (faults.trickle, "did not answer in time"),
    "trickling body": (faults.trickle_body, "did not answer in time"),
}


@pytest.mark.parametrize("name", [*REFUSALS, *TROUBLES])
def test_a_fault_is_told_and_the_next_pull_goes_on_where_it_struck(
    name, proxy, through, undisturbed, tmp_path
):
    fault, words = (REFUSALS | TROUBLES)[name]
    proxy.strike(fault)
    with pytest.raises(AnnotationError, match=words) as caught:
        through(timeout=1.5 if "trickl" in name else 30.0)
    assert isinstance(caught.value, Unreachable) == (name in TROUBLES)
    assert "\n" not in str(caught.value)
    assert Settings(home=tmp_path).store.read("label_events").num_rows == 0
    proxy.strike(None)
    assert through() == undisturbed
    first, second, *_ = proxy.asked
    assert -1 < first < second  # then, from the beginning, what changed meanwhile


def test_no_wrong_shape_is_taken_for_a_page(proxy, through, undisturbed):
    for fault in WRONG_SHAPES.values():
        proxy.strike(fault, page=1)
        with pytest.raises(AnnotationError, match=ADDRESS):
            through()
    proxy.strike(None)
    assert through() == undisturbed


def test_a_task_that_the_server_leaves_out_is_missed_and_not_taken_for_deleted(
    proxy, through, undisturbed
):
    """It says 20 and gives 19, and then says that there are no more."""
    proxy.strike(faults.shaped(lambda page: {**page, "tasks": page["tasks"][1:]}), page=3)
    with pytest.raises(AnnotationError, match="gave 59 of 60 tasks"):
        through()
    proxy.strike(None)
    assert through() == undisturbed
    assert proxy.asked[0] == -1  # which page lacks it is not known


PASSING = {
    "429": (faults.says(429, Retry_After="1"), 1),
    "502": (faults.says(502, PAGE_OF_HTML), 2),
    "503": (faults.says(503, Retry_After="0"), 2),
    "cut": (faults.cut, 2),
    "broken": (faults.calls(lambda: None), 1),
}


@pytest.mark.parametrize("name", PASSING)
def test_a_fault_that_passes_is_sat_out(name, proxy, through, undisturbed):
    fault, times = PASSING[name]
    proxy.strike(fault, times=times)
    assert through() == undisturbed
    assert len(proxy.asked) == 3 + times


def test_no_server_at_all_is_worth_another_try(label_studio, proxy, project, tmp_path):
    client = Client("http://127.0.0.1:9", label_studio.token)
    with pytest.raises(Unreachable, match="soli annotate server"):
        ingest_project(Settings(home=tmp_path), client, project)


def test_a_server_whose_clock_is_behind_loses_nothing(label_studio, admin, tmp_path):
    """All times that we see are five hours old; so is what we ask for."""
    project = filled(admin)
    home = tmp_path / "followed"
    with faults.Proxy(label_studio.url, timedelta(hours=-5)) as proxy:
        through = partial(ingest_through, proxy.url, label_studio.token, project, home)
        first = through()
        (tasks, _), *_ = admin.tasks(project.id)
        for task in tasks[:2]:
            admin.correct(task["annotations"][0]["id"], {"was_cancelled": True, "result": []})
        followed = through()
        assert followed != first
        sql = "SELECT count(*) AS n FROM label_events WHERE event = 'skipped'"
        found = Settings(home=home).store.query(sql)["n"].to_pylist()
        assert found == [2 * len(DEFAULT_DIMENSIONS)]
        assert through() == followed


def test_a_server_killed_in_the_middle_and_restarted_elsewhere_is_read_to_the_end(
    label_studio_binary, label_studio_template, media_root, tmp_path
):
    start = partial(
        server.start,
        tmp_path / "server",
        label_studio_binary,
        media_root,
        template=label_studio_template,
    )
    with start() as first:
        project = filled(Client(first.url, first.token))
        home = tmp_path / "home"
        with faults.Proxy(first.url) as proxy:
            proxy.strike(faults.calls(partial(os.kill, first.pid, signal.SIGKILL)))
            with pytest.raises(Unreachable):
                ingest_through(proxy.url, first.token, project, home)
        with start() as again:
            assert again.pid != first.pid
            found = ingest_through(again.url, again.token, project, home)
            fresh = ingest_through(again.url, again.token, project, tmp_path / "fresh")
            assert found == fresh
