import json

import pytest

from annotation.events import Known, gone_tasks, to_events
from annotation.export import export_source, read_export
from annotation.judge import perform
from annotation.labeling import config_dimensions
from annotation.pull import pull, task_ids
from warehouse.errors import AnnotationError

pytestmark = pytest.mark.server


@pytest.fixture
def labelled(admin, make_project, annotators, act, studio):
    """Project in which two annotators judged two of the four clips, and one skipped a third."""
    project, _ = make_project()
    names = config_dimensions(project.config)
    acts = [
        act("label", who, f"v{n}", dict.fromkeys(names, "pass"))
        for who in annotators
        for n in (0, 1)
    ]
    acts.append(act("skip", "Ana", "v2", {}))
    perform(acts, annotators, project.id)

    def context(**changes):
        fields = {"source": project.source, "dimensions": tuple(names), "users": admin.users()}
        return studio.context(**{**fields, "now": pull(admin, project).watermark, **changes})

    return project, names, context


def labels(events):
    rows = events.tables["label_events"].to_pylist()
    return sorted((row["item_id"], row["dimension"], row["event"], row["value"]) for row in rows)


def test_a_first_pull_sees_everything_and_a_second_nothing_new(admin, labelled, studio):
    project, names, context = labelled
    observed = pull(admin, project)
    assert observed.full
    assert len(observed.tasks) == observed.in_project == 4
    first = to_events(observed.tasks, Known(), context())
    assert first.counts["seen"] == 2 * 2 * len(names)
    assert first.counts["skipped"] == len(names)
    assert first.counts["quarantined"] == 0
    assert set(first.tables["people"]["email"].to_pylist()) == {
        "ana@annotators.example",
        "ben@annotators.example",
    }
    again = pull(admin, project, observed.watermark)
    assert not again.full
    assert to_events(again.tasks, studio.known(first), context()).rows == 0


def test_corrections_withdrawals_and_gone_tasks_show_in_the_next_pull(
    admin, labelled, annotators, act, studio
):
    project, names, context = labelled
    observed = pull(admin, project)
    first = to_events(observed.tasks, Known(), context())
    acts = [act("correct", "Ana", "v0", {names[0]: "fail"}), act("withdraw", "Ben", "v1", {})]
    assert perform(acts, annotators, project.id) == {"there": 0, "correct": 1, "withdraw": 1}
    changed = pull(admin, project, observed.watermark)
    second = to_events(changed.tasks, studio.known(first), context())
    assert labels(second) == [
        ("v0", names[0], "changed", "fail"),
        *sorted(("v1", name, "withdrawn", None) for name in names),
    ]
    v0 = next(t["id"] for t in observed.tasks if t["data"]["item_id"] == "v0")
    admin.call("DELETE", f"api/tasks/{v0}")
    left = task_ids(admin, project.id)
    assert pull(admin, project).in_project == len(left) == 3
    third = gone_tasks(studio.known(first, second), left, context())
    assert third.counts["task_gone"] == 1
    assert {row[0] for row in labels(third)} == {"v0"}


def test_the_export_of_a_project_already_pulled_adds_no_event(admin, labelled, studio, tmp_path):
    project, _, context = labelled
    first = to_events(pull(admin, project).tasks, Known(), context())
    options = {"exportType": "JSON", "download_all_tasks": "true"}
    exported = admin.call("GET", f"api/projects/{project.id}/export", params=options)
    path = tmp_path / "export.json"
    path.write_text(json.dumps(exported))
    assert export_source(read_export(path), {}) == project.source
    assert to_events(read_export(path), studio.known(first), context()).rows == 0
    alone = to_events(read_export(path), Known(), context())
    assert labels(alone) == labels(first)


def test_what_the_server_accepts_and_we_do_not_is_quarantined(admin, labelled, annotators, studio):
    """Unknown choice, missing dimension, two results: all 201 for Label Studio."""
    project, names, context = labelled
    first = to_events(pull(admin, project).tasks, Known(), context())
    task = next(iter(task_ids(admin, project.id)))
    twice = [studio.answer(names[2], "Pass"), studio.answer(names[2], "Fail")]
    result = [studio.answer(names[0], "Unsure"), *twice, studio.answer("comment", "Pass")]
    annotators["Ben"].annotate(task, {"result": result, "lead_time": 1.0})
    found = to_events(pull(admin, project).tasks, studio.known(first), context())
    reasons = sorted(row["reason"] for row in found.tables["quarantine"].to_pylist())
    assert reasons == ["contradictory", "missing_dimension", "unknown_choice", "unknown_control"]
    assert found.counts["events"] == 0


def test_a_pull_in_which_the_server_leaves_out_a_task_is_an_error(admin, labelled, monkeypatch):
    project, _, _ = labelled
    whole = admin.ordered

    def losing(project_id, ordering, page_size, filters=(), fields="task_only"):
        tasks, total = whole(project_id, ordering, page_size, filters, fields)
        return (tasks[:1] + tasks[2:], total) if fields == "all" else (tasks, total)

    monkeypatch.setattr(admin, "ordered", losing)
    with pytest.raises(AnnotationError, match="gave 3 of 4 tasks"):
        pull(admin, project)


def test_a_page_cut_short_is_taken_up_where_it_ended(admin, labelled, monkeypatch):
    project, _, _ = labelled
    whole = admin.ordered

    def short(project_id, ordering, page_size, filters=(), fields="task_only"):
        tasks, total = whole(project_id, ordering, page_size, filters, fields)
        return (tasks[:1], total) if fields == "all" else (tasks, total)

    monkeypatch.setattr(admin, "ordered", short)
    assert len(pull(admin, project).tasks) == 4
