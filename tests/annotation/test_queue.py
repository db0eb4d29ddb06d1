"""The queue of a real Label Studio: paused, resumed, asked for one more label."""

from http import HTTPStatus

import pytest

from annotation.projects import item_tasks
from annotation.queue import (
    NEXT,
    Asked,
    QueueConfig,
    Wave,
    ask_again,
    is_random,
    pause,
    paused_overlap,
    resume,
    serve_next,
    served_order,
)
from warehouse.errors import AnnotationError, SettingsError

NAMES = [f"clip_{number:04}" for number in range(500)]


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


@pytest.mark.server
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


@pytest.mark.server
def test_a_pause_that_was_killed_halfway_ends_at_the_right_overlap(admin, make_project):
    project, _ = make_project()
    pause(admin, project, "why")
    admin.update_project(
        project.id, {"maximum_annotations": 3}
    )  # as if the second step had not come
    assert resume(admin, admin.project(project.id)) == 3


@pytest.mark.server
def test_a_paused_project_keeps_its_source(admin, make_project):
    project, _ = make_project()
    pause(admin, project, "why")
    assert admin.project(project.id).source == project.source


@pytest.mark.server
def test_one_more_label_is_asked_for_the_chosen_items_alone(admin, labelled, annotators):
    project, tasks = labelled
    assert ask_again(admin, project, ["v2", "nowhere"]) == Asked(1, 0, 1)
    assert served(annotators["Ana"], project) == tasks["v2"]
    assert ask_again(admin, project, ["v2"]) == Asked(0, 1, 0)
    annotators["Ana"].annotate(tasks["v2"], {"result": []})
    assert served(annotators["Ben"], project) is None


@pytest.mark.server
def test_a_paused_project_is_asked_nothing(admin, labelled):
    project, _ = labelled
    pause(admin, project, "why")
    with pytest.raises(AnnotationError, match=r"is paused; let it go on first with"):
        ask_again(admin, admin.project(project.id), ["v1"])


@pytest.mark.server
def test_a_wave_is_served_first_in_its_order_and_replaced_by_the_next(admin, make_project):
    project, _ = make_project()
    project = admin.update_project(project.id, {"maximum_annotations": 1})
    tasks = item_tasks(admin, project.id)
    two = QueueConfig(wave=2)
    assert serve_next(admin, project, ["v2", "nowhere", "v0", "v1"], two) == Wave(2, 2, 4)
    assert serve_next(admin, project, ["v2", "v0", "v1"], two) == Wave(0, 2, 4)
    assert served(admin, project) == tasks["v2"]
    admin.annotate(tasks["v2"], {"result": []})
    assert served(admin, project) == tasks["v0"]
    assert serve_next(admin, project, ["v2", "v3", "v1"], two) == Wave(2, 2, 3)
    assert [name[: len(NEXT)] for name in admin.model_versions(project.id)] == [NEXT]
    shown = admin.call("GET", f"api/projects/{project.id}")
    assert (shown["sampling"], shown["show_collab_predictions"]) == ("Uncertainty sampling", False)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 1.0])
def test_any_beginning_of_the_order_holds_its_random_share(share):
    config = QueueConfig(random_share=share, seed=3)
    order = served_order(NAMES, config)
    assert sorted(order) == NAMES
    chance = [is_random(name, config) for name in order]
    assert sum(chance) == pytest.approx(500 * share, abs=40)
    for count in (10, 50, 200):
        assert abs(sum(chance[:count]) - count * share) < 1


def test_the_random_part_is_the_same_whatever_is_useful():
    config = QueueConfig()

    def drawn(names):
        return [name for name in served_order(names, config) if is_random(name, config)]

    assert drawn(NAMES) == drawn(NAMES[::-1])
    assert set(drawn(NAMES)) != {name for name in NAMES if is_random(name, QueueConfig(seed=1))}
    assert drawn(NAMES[:100]) == [name for name in drawn(NAMES) if name in NAMES[:100]]


def test_what_had_its_labels_and_is_asked_again_uses_up_no_random_place():
    again = {name for name in NAMES if is_random(name, QueueConfig())}
    assert served_order(NAMES, QueueConfig(), again) == NAMES


def test_the_chosen_part_keeps_the_useful_order():
    order = served_order(NAMES[::-1], QueueConfig())
    chosen = [name for name in order if not is_random(name, QueueConfig())]
    assert chosen == sorted(chosen, reverse=True)


@pytest.mark.parametrize("values", [{"random_share": 1.5}, {"random_share": -0.1}, {"wave": 0}])
def test_a_share_or_wave_that_makes_no_sense_is_refused(values):
    with pytest.raises(SettingsError, match="queue"):
        QueueConfig(**values)
