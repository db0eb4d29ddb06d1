"""The ML backend, asked as Label Studio asks, and by a real Label Studio."""

import json
import uuid

import pytest

from annotation.labeling import DEFAULT_DIMENSIONS, OBJECT
from annotation.projects import ensure_project, item_tasks, score


def task(number, item):
    """A task as `TaskSimpleSerializer` of Label Studio 1.23.2 sends it."""
    return {
        "id": number,
        "data": {"item_id": item, "prompt": "a ball", OBJECT: "/data/local-files/?d=a.mp4"},
        "meta": {},
        "created_at": "2026-01-01T00:00:00.000000Z",
        "updated_at": "2026-01-01T00:00:00.000000Z",
        "inner_id": number,
        "project": 1,
        "updated_by": None,
        "annotations": [],
        "predictions": [],
    }


SETUP = {
    "project": "1.1763700000",
    "schema": "<View></View>",
    "hostname": "http://127.0.0.1:8080",
    "access_token": "a" * 40,
    "extra_params": None,
}
PREDICT = {
    "tasks": [task(1, "v1"), task(2, "unknown"), task(3, 'v"2\n🎈'), task(4, None)],
    "project": "1.1763700000",
    "label_config": "<View></View>",
    "params": {"login": None, "password": None, "context": None},
}


def test_setup_names_the_model_and_forgets_the_token(make, caplog):
    caplog.set_level(0)
    client = make()
    assert client.get("/health").json()["status"] == "UP"
    assert client.post("/setup", SETUP).json() == {"model_version": "soli-0123456789ab"}
    assert client.get("/versions").json() == {"versions": ["soli-0123456789ab"]}
    assert SETUP["access_token"] not in caplog.text


def test_each_task_has_its_prediction_and_an_unknown_one_has_none(make):
    first, nobody, second, nameless = make().post("/predict", PREDICT).json()["results"]
    assert first == {"result": [], "score": score(1.5), "model_version": "soli-0123456789ab"}
    assert second["score"] == score(-1.25)
    assert [nobody, nameless] == [[], []]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"tasks": None}, 400),
        ({"tasks": [{"data": []}]}, 400),
        ({"tasks": [{}] * 1001}, 413),
    ],
)
def test_a_prediction_of_nonsense_is_refused(make, body, status):
    answer = make().post("/predict", body)
    assert (answer.status_code, list(answer.json())) == (status, ["error"])


def test_what_happens_in_a_project_is_taken_note_of(make):
    assert make().post("/webhook", {"action": "ANNOTATION_CREATED"}).status_code == 200


@pytest.mark.server
def test_a_real_label_studio_connects_and_stores_our_predictions(make, served, admin):
    project = ensure_project(admin, str(uuid.uuid4()), "Backend", DEFAULT_DIMENSIONS, 1)
    data = [{"data": {"item_id": i, "prompt": "p", OBJECT: "x.mp4"}} for i in ("v1", "other")]
    admin.import_tasks(project.id, data)
    tasks = item_tasks(admin, project.id)
    with served(make(token="s" * 20).app) as url:
        backend = {"project": project.id, "url": url, "title": "soli"}
        backend |= {"auth_method": "BASIC_AUTH", "basic_auth_user": "soli"}
        refused = admin._send("POST", "api/ml", body=backend | {"basic_auth_pass": "wrong"})
        assert refused.status_code == 400
        # It is connected; then Label Studio 1.23 makes a webhook for it, which it refuses to do for
        # an address of this machine, and says 403.
        made = admin._send("POST", "api/ml", body=backend | {"basic_auth_pass": "s" * 20})
        assert made.status_code == 403
        shown = admin.call("GET", "api/ml", params={"project": project.id})
        body = {"selectedItems": {"all": True, "excluded": []}, "project": project.id}
        admin.call(
            "POST", "api/dm/actions",
            params={"id": "retrieve_tasks_predictions", "project": project.id}, body=body,
        )  # fmt: skip
        assert [each["readable_state"] for each in shown] == ["Connected"]
        assert shown[0]["model_version"] == "soli-0123456789ab"
        assert shown[0]["url"] == url
    pages = [page for page, _ in admin.tasks(project.id)]
    predictions = {each["id"]: each["predictions"] for page in pages for each in page}
    assert [p["score"] for p in predictions[tasks["v1"]]] == pytest.approx([score(1.5)])
    assert predictions[tasks["other"]] == []
    assert "s" * 20 not in json.dumps(shown)
