import pytest

from annotation.judge import perform
from annotation.labeling import config_dimensions
from warehouse.errors import AnnotationError

pytestmark = pytest.mark.server


@pytest.fixture
def plan(make_project, annotators, act):
    project, _ = make_project()
    names = config_dimensions(project.config)
    first = [
        act("label", who, f"v{n}", dict.fromkeys(names, "pass" if n else "fail"))
        for who in annotators
        for n in range(3)
    ] + [act("skip", "Ben", "v3", {})]
    second = [
        act("correct", "Ana", "v0", dict.fromkeys(names, "pass")),
        act("withdraw", "Ben", "v1", {}),
    ]
    return project, first, second


def held(admin, project):
    """What the server holds: (item, user id, skipped) → values."""
    return {
        (task["data"]["item_id"], found["completed_by"], found["was_cancelled"]): tuple(
            entry["value"]["choices"][0] for entry in found["result"]
        )
        for page, _ in admin.tasks(project.id)
        for task in page
        for found in task["annotations"]
    }


def test_acts_are_done_by_the_annotators_themselves_with_their_time(admin, plan, annotators):
    project, first, _ = plan
    steps = []
    done = perform(first, annotators, project.id, progress=lambda n, of: steps.append((n, of)))
    assert done == {"there": 0, "label": 6, "skip": 1}
    assert steps == [(n, 7) for n in range(1, 8)]
    ana, ben = (annotators[name].whoami().id for name in ("Ana", "Ben"))
    found = held(admin, project)
    assert found["v0", ana, False] == ("Fail",) * 3
    assert found["v2", ben, False] == ("Pass",) * 3
    assert found["v3", ben, True] == ()
    (page, _), *_ = admin.tasks(project.id)
    assert {a["lead_time"] for task in page for a in task["annotations"]} == {3.5}


@pytest.mark.parametrize("kept", [0, 3, 7])
def test_a_plan_killed_anywhere_and_given_again_ends_the_same(admin, plan, annotators, kept):
    project, first, second = plan
    perform(first[:kept], annotators, project.id)
    done = perform(first, annotators, project.id)
    assert done["there"] == kept
    assert sum(done.values()) == 7
    perform(second[:1], annotators, project.id)
    assert perform(second, annotators, project.id) == {"there": 1, "withdraw": 1}
    assert perform(second, annotators, project.id) == {"there": 2}
    assert len(held(admin, project)) == 6


def test_a_write_that_fails_is_looked_up_before_it_is_tried_again(
    admin, plan, annotators, monkeypatch
):
    """The first answer is lost after the server stored it: nothing may be doubled."""
    project, first, _ = plan
    whole = annotators["Ana"].annotate
    failures = []

    def lossy(task_id, annotation):
        answer = whole(task_id, annotation)
        if not failures:
            failures.append(answer)
            raise AnnotationError("connection lost")
        return answer

    monkeypatch.setattr(annotators["Ana"], "annotate", lossy)
    perform(first, annotators, project.id)
    assert failures
    (page, _), *_ = admin.tasks(project.id)
    assert sum(len(task["annotations"]) for task in page) == 7


def test_a_write_that_keeps_failing_is_told(plan, annotators, monkeypatch):
    project, first, _ = plan

    def refuse(task_id, annotation):
        raise AnnotationError("the disk of the server is full")

    monkeypatch.setattr(annotators["Ana"], "annotate", refuse)
    with pytest.raises(AnnotationError, match="disk of the server"):
        perform(first, annotators, project.id)


def test_an_item_without_a_task_and_a_correction_of_nothing_are_told(plan, annotators, act):
    project, _, second = plan
    with pytest.raises(AnnotationError, match="nowhere has no task"):
        perform([act("label", "Ana", "nowhere", {})], annotators, project.id)
    with pytest.raises(AnnotationError, match="cannot correct item v0"):
        perform(second, annotators, project.id)
    with pytest.raises(AnnotationError, match="'dance' is no act"):
        perform([act("dance", "Ana", "v0", {})], annotators, project.id)
    assert perform([], annotators, project.id) == {}
