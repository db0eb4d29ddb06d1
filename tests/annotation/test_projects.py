import stat

import httpx
import pytest

from annotation.client import Client
from annotation.labeling import DEFAULT_DIMENSIONS
from annotation.members import members_among, sign_up
from annotation.projects import (
    adopt_project,
    distinct_sources,
    ensure_project,
    import_items,
    item_tasks,
    predicted_tasks,
    project_source,
    push_predictions,
    video_url,
)
from annotation.serving import serve_media
from warehouse.errors import AnnotationError

pytestmark = pytest.mark.server


def test_a_project_is_made_once(admin, make_project):
    project, _ = make_project()
    again = ensure_project(admin, project.source, "Another title", DEFAULT_DIMENSIONS)
    assert again == project


def test_a_stranger_is_adopted_once_and_keeps_its_description(admin):
    made = admin.create_project({"title": "Strange", "description": "Our clips"})
    with pytest.raises(AnnotationError, match="carries no source"):
        project_source(made)
    source = "22222222-2222-4222-8222-222222222222"
    adopted = adopt_project(admin, made.id, source)
    assert adopted.source == source
    assert adopted.description.startswith("Our clips")
    assert adopt_project(admin, made.id, "33333333-3333-4333-8333-333333333333") == adopted
    admin.call("DELETE", f"api/projects/{made.id}")


def test_a_duplicate_is_told_from_its_original_and_gets_a_source_of_its_own(admin, make_project):
    """Label Studio's copy of a project carries the configuration, and with it the source."""
    project, _ = make_project()
    copy = {"title": "Copy", "description": "Again", "label_config": project.config}
    twin = admin.create_project(copy)
    assert twin.source == project.source
    with pytest.raises(AnnotationError) as caught:
        distinct_sources(map(admin.project, (project.id, twin.id)))
    for part in (f"projects {project.id} ", f" {twin.id} ", project.source, "--new-source"):
        assert part in str(caught.value)
    source = "44444444-4444-4444-8444-444444444444"
    assert adopt_project(admin, twin.id, source).source == project.source
    anew = adopt_project(admin, twin.id, source, anew=True)
    assert (anew.source, anew.config) == (source, project.config)
    assert anew.description == f"Again\nsoli-source: {source}"
    assert {project.source, source} <= {
        p.source for p in distinct_sources(map(admin.project, (project.id, twin.id)))
    }
    other = "55555555-5555-4555-8555-555555555555"
    assert adopt_project(admin, twin.id, other, anew=True).description.count("soli-source") == 1
    admin.call("DELETE", f"api/projects/{twin.id}")


def test_items_become_tasks_once_with_all_that_an_export_needs(admin, make_project, media_root):
    project, found = make_project()
    again = import_items(admin, project, found.items, found.prompts, media_root)
    assert (again.made, again.there) == (0, 4)
    (page, _), *_ = admin.tasks(project.id)
    data = page[0]["data"]
    assert data["soli_source"] == project.source
    assert data["item_id"] == "v0"
    assert data["video"] == "/data/local-files/?d=clips/example_1_A.mp4"


def test_the_server_hands_out_a_clip_in_ranges_to_its_users_alone(
    admin, make_project, label_studio, media_root
):
    project, _ = make_project()
    serve_media(admin, project.id, media_root / "clips")  # a second time: nothing happens
    storages = admin.call("GET", "api/storages/localfiles", params={"project": project.id})
    assert len(storages) == 1
    url = label_studio.url + video_url(str(media_root / "clips" / "example_1_A.mp4"), media_root)
    headers = {"Authorization": f"Token {label_studio.token}", "Range": "bytes=0-99"}
    answer = httpx.get(url, headers=headers)
    assert answer.status_code == 206
    assert answer.content == (media_root / "clips" / "example_1_A.mp4").read_bytes()[:100]
    assert httpx.get(url).status_code == 401


def test_a_folder_outside_the_media_root_is_refused(admin, make_project, tmp_path):
    project, _ = make_project()
    with pytest.raises(AnnotationError, match="api/storages/localfiles"):
        serve_media(admin, project.id, tmp_path)
    with pytest.raises(AnnotationError, match="outside"):
        video_url(str(tmp_path / "a.mp4"), tmp_path / "root")


def test_rewards_become_hidden_predictions_once_per_model(admin, make_project):
    project, _ = make_project()
    rewards = {"v0": -2.5, "v1": 0.0, "v2": 7.0, "v3": 1000.0, "unknown": 1.0}
    assert push_predictions(admin, project, rewards, "model-a").made == 4
    assert push_predictions(admin, project, rewards, "model-a").there == 4
    assert push_predictions(admin, project, {"v0": 1.0}, "model-b").made == 1
    (page, _), *_ = admin.tasks(project.id)
    scores = [p["score"] for task in page for p in task["predictions"] if "a" in p["model_version"]]
    assert scores == sorted(scores)
    assert len(predicted_tasks(admin, project.id, "model-b")) == 1
    hidden = admin.call("GET", f"api/projects/{project.id}")["show_collab_predictions"]
    assert hidden is False
    with pytest.raises(AnnotationError, match="v1 is nan"):
        push_predictions(admin, project, {"v1": float("nan")}, "model-c")


def test_annotators_sign_up_once_and_each_acts_as_themselves(admin, annotators, label_studio):
    secrets = label_studio.home / "annotators.json"
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o600
    emails = {name: f"{name.lower()}@annotators.example" for name in annotators}
    before = len(admin.users())
    again = sign_up(admin, emails, secrets)
    assert len(admin.users()) == before
    for name, client in again.items():
        assert client.whoami() == annotators[name].whoami()
        assert client.whoami().email == emails[name]


def test_who_is_a_member_already_is_known_in_capitals_or_not(admin, annotators):
    emails = {"Ana@annotators.example", "nobody@annotators.example"}
    assert members_among(admin, emails) == {"Ana@annotators.example"}


def test_an_annotator_whose_sign_up_was_killed_halfway_gets_in(admin, label_studio, tmp_path):
    secrets = tmp_path / "secrets.json"
    first = sign_up(admin, {"Eve": "eve@annotators.example"}, secrets)
    held = secrets.read_text()
    secrets.write_text(held.split(', "token"')[0] + "}}")  # signed up, token not yet noted
    again = sign_up(admin, {"Eve": "eve@annotators.example"}, secrets)
    assert again["Eve"].whoami() == first["Eve"].whoami()


def test_an_email_that_is_taken_is_told_without_naming_it(admin, annotators, tmp_path):
    with pytest.raises(AnnotationError) as caught:
        sign_up(admin, {"Mal": "ana@annotators.example"}, tmp_path / "secrets.json")
    assert "taken" in str(caught.value)
    assert "ana@" not in str(caught.value)


def test_what_is_no_email_is_refused_before_a_password_is_kept(admin, tmp_path):
    with pytest.raises(AnnotationError, match="is no e-mail"):
        sign_up(admin, {"bob": "bob"}, tmp_path / "secrets.json")
    assert not (tmp_path / "secrets.json").exists()


def test_items_without_a_task_are_nowhere(admin, make_project):
    project, _ = make_project()
    assert sorted(item_tasks(admin, project.id)) == ["v0", "v1", "v2", "v3"]
    assert isinstance(admin, Client)
