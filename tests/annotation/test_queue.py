"""The queue of a real Label Studio: paused, resumed, asked for one more label."""

from http import HTTPStatus

import pytest

from annotation.projects import item_tasks
from annotation.queue import Asked, ask_again, pause, paused_overlap, resume
from warehouse.errors import AnnotationError

pytestmark = pytest.mark.server


def served(client, project):
    """Id of the task that the queue serves next; None where it serves none."""
    response = client._send("GET", f"api/projects/{project.id}/next")
    return None if response.status_code == HTTPStatus.NOT_FOUND else response.json()["id"]


@pytest.fixture
def labelled(admin, make_project, annotators):
    """A project that wants one label of each task, and has it."""
    project, _ = make_project()
    project = admin.update_project(project.id, {"maximum_annotations": 1})
    tasks = item_tasks(admin, project.id)
    for task in tasks.values():
        admin.annotate(task, {"result": []})
    assert served(annotators["Ana"], project) is None
    return project, tasks


def test_a_paused_queue_serves_nothing_until_it_goes_on(admin, make_project, annotators):
    project, _ = make_project()
    assert pause(admin, project, "shape: the gate says stop [alpha]")
    paused = admin.project(project.id)
    assert paused_overlap(paused) == 3
    assert paused.description.endswith(
        "[paused by Soli, overlap 3: shape: the gate says stop (alpha)]"
    )
    assert served(annotators["Ana"], project) is None
    assert not pause(admin, paused, "again")
    assert resume(admin, paused) == 3
    assert admin.project(project.id) == project
    assert served(annotators["Ana"], project)
    assert resume(admin, project) is None


def test_a_pause_that_was_killed_halfway_ends_at_the_right_overlap(admin, make_project):
    project, _ = make_project()
    pause(admin, project, "why")
    admin.update_project(
        project.id, {"maximum_annotations": 3}
    )  # as if the second step had not come
    assert resume(admin, admin.project(project.id)) == 3


def test_a_paused_project_keeps_its_source(admin, make_project):
    project, _ = make_project()
    pause(admin, project, "why")
    assert admin.project(project.id).source == project.source


def test_one_more_label_is_asked_for_the_chosen_items_alone(admin, labelled, annotators):
    project, tasks = labelled
    assert ask_again(admin, project, ["v2", "nowhere"]) == Asked(1, 0, 1)
    assert served(annotators["Ana"], project) == tasks["v2"]
    assert ask_again(admin, project, ["v2"]) == Asked(0, 1, 0)
    annotators["Ana"].annotate(tasks["v2"], {"result": []})
    assert served(annotators["Ben"], project) is None


def test_a_paused_project_is_asked_nothing(admin, labelled):
    project, _ = labelled
    pause(admin, project, "why")
    with pytest.raises(AnnotationError, match=r"is paused; let it go on first with"):
        ask_again(admin, admin.project(project.id), ["v1"])
