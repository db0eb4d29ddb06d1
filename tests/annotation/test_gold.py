"""Gold labels: rows of a file, and ground truth in a real Label Studio."""

import json
import uuid

import pytest

from annotation.client import Project
from annotation.gold import Gold, page_of, read_gold, store_gold
from annotation.judge import result
from annotation.labeling import Dimension
from annotation.projects import ensure_project, item_tasks
from warehouse.errors import AnnotationError

NAMES = ("motion", "shape")
ODD = 'a "quoted" 🎈, and\na line'


@pytest.fixture
def gold_file(tmp_path):
    """Function that writes rows as JSONL."""

    def write(*rows):
        path = tmp_path / "truth.jsonl"
        path.write_text("\n".join(map(json.dumps, rows)))
        return path

    return write


def row(item, motion="Pass", shape="Pass", **more):
    return {"item_id": item, "motion": motion, "shape": shape, **more}


def test_pass_and_fail_are_read_in_any_case_and_empty_columns_are_nothing(gold_file):
    found, refused = read_gold(gold_file(row("a", " PASS ", "fail", note=None)), NAMES)
    assert found == [Gold(1, "a", {"motion": "pass", "shape": "fail"})]
    assert refused == []


def test_a_csv_file_holds_the_same(tmp_path):
    path = tmp_path / "truth.csv"
    quoted = ODD.replace('"', '""')
    path.write_text(f'shape,item_id,motion,note\nPass,"{quoted}",fail,\nPass,7,,\nPass,8,pass,x\n')
    found, refused = read_gold(path, NAMES)
    assert found == [Gold(1, ODD, {"motion": "fail", "shape": "pass"})]
    assert [(each.row, each.item_id) for each in refused] == [(2, "7"), (3, "8")]


def test_a_table_without_a_dimension_is_refused_whole(tmp_path):
    path = tmp_path / "truth.csv"
    path.write_text("item_id,motion\na,Pass\n")
    with pytest.raises(AnnotationError, match="no column shape"):
        read_gold(path, NAMES)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (row("a", "maybe"), "motion says 'maybe'; write Pass or Fail"),
        (row("a", True), "motion says True"),
        (row("a", ""), "motion is not answered"),
        ({"item_id": "a", "motion": "Pass"}, "shape is not answered"),
        (row("a", note="sure"), "column 'note' is no dimension of the project; those are motion"),
        (row(None), "no item_id"),
        (row(1.5), "item_id 1.5 is no text"),
        ([1], "no object"),
    ],
)
def test_a_bad_row_is_refused_alone_with_its_reason(gold_file, bad, words):
    found, (refused,) = read_gold(gold_file(row("b"), bad, row("c")), NAMES)
    assert [gold.item_id for gold in found] == ["b", "c"]
    assert refused.row == 2
    assert words in refused.reason


def test_an_item_may_stand_twice_but_not_with_different_answers(gold_file):
    found, refused = read_gold(
        gold_file(row("a"), row("b"), row("a", "pass"), row("b", "Fail"), row("b")), NAMES
    )
    assert [gold.item_id for gold in found] == ["a"]
    assert [each.row for each in refused] == [2, 4, 5]
    assert "rows 2, 4, 5 with different answers" in refused[0].reason


CONFIG = (
    '<View><Image name="picture" value="$x"/><Choices name="motion" toName="picture">'
    '<Choice value="Fine"/><Choice value="Great"/><Choice value="Fail"/></Choices></View>'
)


def test_answers_are_spelled_as_the_page_of_an_adopted_project_spells_them():
    project = Project(1, "Adopted", CONFIG, "")
    page = page_of(project, {"motion": {"Fine": "pass", "Great": "pass"}})
    (entry,) = page.result(Gold(1, "a", {"motion": "pass"}))
    assert (entry["to_name"], entry["value"]) == ("picture", {"choices": ["Fine"]})
    with pytest.raises(AnnotationError, match=r"motion offers \['Fine', 'Great', 'Fail'\]"):
        page_of(project, {})
    with pytest.raises(AnnotationError, match="no dimension"):
        page_of(Project(1, "Empty", "<View/>", ""), {})


@pytest.fixture
def project(admin):
    """A project that asks about two dimensions, with tasks a to d."""
    dimensions = [Dimension(name, f"{name}?", ("Look.",)) for name in NAMES]
    made = ensure_project(admin, str(uuid.uuid4()), "Gold", dimensions)
    tasks = [{"data": {"item_id": name, "prompt": "p", "video": "x.mp4"}} for name in "abcd"]
    admin.import_tasks(made.id, tasks)
    return made


@pytest.fixture
def store(admin, project, gold_file):
    """Function that stores rows in the project; returns how many were made, changed and there."""

    def call(*rows, client=admin, **options):
        found = store_gold(client, project, gold_file(*rows), page_of(project, {}), **options)
        return found.made, found.changed, found.there

    return call


def held(client, project, item):
    """(user, ground truth, skipped, answers) of each annotation of an item."""
    return [
        (
            each.user.id,
            each.ground_truth,
            each.was_cancelled,
            {a["from_name"]: a["value"]["choices"][0] for a in each.result},
        )
        for each in client.annotations(item_tasks(client, project.id)[item])
    ]


BOTH = {"motion": "Pass", "shape": "Fail"}


@pytest.mark.server
def test_gold_is_made_changed_or_left_alone_beside_what_others_said(
    admin, annotators, project, store
):
    tasks = item_tasks(admin, project.id)
    ana = annotators["Ana"]
    ana.annotate(tasks["a"], {"result": result(BOTH)})
    admin.annotate(tasks["b"], {"result": result(BOTH)})  # right, but no ground truth
    admin.annotate(tasks["c"], {"result": result(dict.fromkeys(NAMES, "pass"))})
    admin.annotate(tasks["d"], {"result": [], "was_cancelled": True})
    rows = [row(name, "pass", "fail") for name in "abcd"]
    steps = []
    assert store(*rows, dry_run=True) == (1, 3, 0)
    assert store(*rows, progress=lambda *step: steps.append(step)) == (1, 3, 0)
    assert steps == [(number, 4) for number in range(1, 5)]
    me = admin.whoami().id
    theirs = (ana.whoami().id, False, False, BOTH)
    assert held(admin, project, "a") == [theirs, (me, True, False, BOTH)]
    for name in "bcd":
        assert held(admin, project, name) == [(me, True, False, BOTH)]
    before = [admin.annotations(task) for task in tasks.values()]
    assert store(*rows) == (0, 0, 4)
    assert [admin.annotations(task) for task in tasks.values()] == before


@pytest.mark.server
def test_what_stands_beside_the_answers_stays(admin, project, store):
    task = item_tasks(admin, project.id)["a"]
    beside = {"from_name": "note", "to_name": "video", "type": "textarea", "value": {"text": ["x"]}}
    admin.annotate(task, {"result": [beside, *result({"motion": "fail", "shape": "pass"})]})
    assert store(row("a", "pass", "fail")) == (0, 1, 0)
    (found,) = admin.annotations(task)
    assert found.result[0]["value"] == {"text": ["x"]}
    assert [entry["value"]["choices"] for entry in found.result[1:]] == [["Pass"], ["Fail"]]
    assert store(row("a", "pass", "fail")) == (0, 0, 1)


@pytest.mark.server
def test_whoever_judged_a_task_twice_is_told_and_nothing_is_changed(admin, project, gold_file):
    """Label Studio keeps one ground truth a task, so the other answer would be the one to count."""
    task = item_tasks(admin, project.id)["a"]
    admin.annotate(task, {"result": result(BOTH)})
    admin.annotate(task, {"result": result(BOTH), "ground_truth": True})
    before = admin.annotations(task)
    found = store_gold(admin, project, gold_file(row("a")), page_of(project, {}))
    assert "more than once" in found.refused[0].reason
    assert all(str(each.id) in found.refused[0].reason for each in before)
    assert admin.annotations(task) == before


@pytest.mark.server
def test_a_task_has_one_ground_truth_so_another_person_s_loses_its_mark(
    admin, annotators, project, store
):
    annotators["Ana"].annotate(
        item_tasks(admin, project.id)["a"], {"result": result(BOTH), "ground_truth": True}
    )
    assert store(row("a")) == (1, 0, 0)
    assert [gold for _, gold, *_ in held(admin, project, "a")] == [False, True]


@pytest.mark.server
def test_a_run_that_was_killed_midway_is_taken_up_by_the_next(admin, project, store, monkeypatch):
    annotate, written = admin.annotate, []

    def dying(*arguments):
        written.append(annotate(*arguments))
        if len(written) == 2:
            raise KeyboardInterrupt  # the answer is stored, and nobody hears of it

    with monkeypatch.context() as patch:
        patch.setattr(admin, "annotate", dying)
        with pytest.raises(KeyboardInterrupt):
            store(*map(row, "abcd"))
    assert store(*map(row, "abcd")) == (2, 0, 2)
    said = dict.fromkeys(NAMES, "Pass")
    for name in "abcd":
        assert held(admin, project, name) == [(admin.whoami().id, True, False, said)]
