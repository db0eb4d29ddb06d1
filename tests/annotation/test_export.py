import json
import uuid

import pytest

from annotation.events import Known, to_events
from annotation.export import export_source, read_export
from annotation.payload import Annotation
from warehouse.errors import AnnotationError

SOURCES = [str(uuid.UUID(int=n)) for n in (1, 2)]


@pytest.fixture
def tasks(studio):
    values = {"motion": "Pass", "shape": "Fail"}
    return [studio.task(n, studio.annotation(n + 6, **values)) for n in range(1, 4)]


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_an_export_gives_its_tasks_one_by_one(tmp_path, tasks):
    path = write(tmp_path / "e.json", json.dumps(tasks))
    assert list(read_export(path)) == tasks
    marked = write(tmp_path / "bom.json", b"\xef\xbb\xbf" + json.dumps(tasks).encode())
    assert list(read_export(marked)) == tasks
    assert list(read_export(write(tmp_path / "none.json", "[]"))) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "the file is empty"),
        ("   \n", "the file is empty"),
        ("<!DOCTYPE html><html>Log in</html>", "a web page"),
        ("id,video\n1,a.mp4\n", "no JSON (it begins 'id,video"),
        ('{"detail": "no"}', "one JSON object"),
        ("[1, 2]", "entry 1 is no task"),
        ('[{"video": "a", "motion": "Pass", "annotation_id": 3}]', "JSON_MIN"),
        ('[{"id": 1, "data": {}, "annotations": []}, oops]', "after task 1"),
        ("[1, 2", "entry 1 is no task"),
        (b"\xff\xfe\x00\x01", "no JSON"),
        (b'[{"id": 1, "data": {"a": "\xff"}, "annotations": []}]', "after task 0"),
    ],
)
def test_what_is_no_export_ends_in_one_line_with_the_next_step(tmp_path, content, words):
    path = write(tmp_path / "bad.json", content)
    with pytest.raises(AnnotationError) as caught:
        list(read_export(path))
    message = str(caught.value)
    assert words in message
    assert "\n" not in message
    assert str(path) in message
    assert "xport" in message.rpartition(";")[2] + message.rpartition(":")[2]


def test_a_missing_export_is_named(tmp_path):
    with pytest.raises(AnnotationError, match="no such file"):
        list(read_export(tmp_path / "nowhere.json"))


def test_an_export_cut_at_any_byte_is_never_taken_for_whole(tmp_path, tasks):
    whole = json.dumps(tasks[:2])
    for length in range(1, len(whole)):
        path = write(tmp_path / "cut.json", whole[:length])
        with pytest.raises(AnnotationError, match=r"cut short|no JSON"):
            list(read_export(path))


def test_the_source_is_the_one_given_else_the_one_the_tasks_carry(tasks):
    carrying = [{**task, "data": {**task["data"], "soli_source": SOURCES[0]}} for task in tasks]
    assert export_source(carrying, {}) == SOURCES[0]
    assert export_source(carrying, {}, SOURCES[1].upper()) == SOURCES[1]


def test_the_source_is_recognised_by_its_annotations(tasks):
    read = Annotation.model_validate(tasks[0]["annotations"][0])
    assert export_source(tasks, {(read.id, read.created_at): SOURCES[1]}) == SOURCES[1]


def test_a_stranger_gets_the_same_name_every_time(tasks):
    name = export_source(tasks, {})
    assert uuid.UUID(name)
    assert export_source(reversed(tasks), {}) == name
    other = [{**task, "project": 9} for task in tasks]
    assert export_source(other, {}) != name


def test_two_sources_in_one_export_are_not_guessed_between(tasks):
    mixed = [
        {**task, "data": {"soli_source": source}}
        for task, source in zip(tasks, SOURCES, strict=False)
    ]
    with pytest.raises(AnnotationError, match="--source"):
        export_source(mixed, {})
    with pytest.raises(AnnotationError, match="no UUID"):
        export_source(tasks, {}, "my project")


def test_an_export_becomes_events_like_a_pull(tmp_path, tasks, studio):
    path = write(tmp_path / "e.json", json.dumps(tasks))
    pulled = to_events(tasks, Known(), studio.context())
    assert to_events(read_export(path), studio.known(pulled), studio.context()).rows == 0


def test_nesting_without_end_is_refused_before_it_fills_the_memory(tmp_path, tasks):
    deep = json.dumps(tasks[:1])[:-1] + ', {"id": 2, "data": ' + "[" * 100_000
    with pytest.raises(AnnotationError, match=r"after task 1: nested more than 100 levels"):
        list(read_export(write(tmp_path / "deep.json", deep)))


def test_integers_of_any_size_and_floats_are_read_exactly(tmp_path, tasks):
    tasks[0]["annotations"][0] |= {"completed_by": 2**63, "lead_time": 1.1}
    tasks[1]["data"]["design_k"] = 10**30
    read = list(read_export(write(tmp_path / "e.json", json.dumps(tasks))))
    assert read == tasks
    assert isinstance(read[0]["annotations"][0]["lead_time"], float)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        ("NaN", "NaN after task 1"),
        ("Infinity", "Infinity after task 1"),
        ("-Infinity", "-Infinity after task 1"),
        ("1e999", "1e999"),
        ("9" * 5000, "Unexpected symbol '9999"),
    ],
)
def test_a_number_that_cannot_be_read_is_named_and_not_called_a_cut(tmp_path, tasks, number, words):
    tasks[1]["annotations"][0]["lead_time"] = "HERE"
    text = json.dumps(tasks).replace('"HERE"', number)
    with pytest.raises(AnnotationError) as caught:
        list(read_export(write(tmp_path / "e.json", text)))
    message = str(caught.value)
    assert words in message
    assert "cut short" not in message
    assert "\n" not in message
