import json
import uuid

import pytest

from annotation import export
from annotation.events import Known, to_events
from annotation.export import carried_source, read_export, stable_fact, strange_source
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


def test_the_source_that_tasks_carry_is_read_in_its_normal_form(tasks):
    assert carried_source(tasks[0]) is None
    assert carried_source({"data": {"soli_source": SOURCES[0].upper()}}) == SOURCES[0]
    with pytest.raises(AnnotationError, match="no UUID"):
        carried_source({"data": {"soli_source": "my project"}})


def test_a_stranger_gets_the_same_name_every_time(tasks):
    name = strange_source(min(map(stable_fact, tasks)))
    assert uuid.UUID(name)
    assert strange_source(min(map(stable_fact, reversed(tasks)))) == name
    assert strange_source(min(stable_fact({**task, "project": 9}) for task in tasks)) != name
    assert strange_source(None) != name


def test_an_export_becomes_events_like_a_pull(tmp_path, tasks, studio):
    path = write(tmp_path / "e.json", json.dumps(tasks))
    pulled = to_events(tasks, Known(), studio.context())
    assert to_events(read_export(path), studio.known(pulled), studio.context()).rows == 0


def test_nesting_without_end_is_refused_before_it_fills_the_memory(tmp_path, tasks):
    deep = json.dumps(tasks[:1])[:-1] + ', {"id": 2, "data": ' + "[" * 100_000
    with pytest.raises(AnnotationError, match=r"nested too deep after task 1"):
        list(read_export(write(tmp_path / "deep.json", deep)))


def test_a_task_larger_than_what_is_read_at_once_is_read_whole(tmp_path, tasks, monkeypatch):
    monkeypatch.setattr(export, "_CHUNK", 7)
    path = write(tmp_path / "e.json", json.dumps(tasks, indent=1, ensure_ascii=False))
    assert list(read_export(path)) == tasks


def test_a_task_without_end_is_refused_before_it_fills_the_memory(tmp_path, tasks, monkeypatch):
    monkeypatch.setattr(export, "LARGEST_TASK", 1 << 22)
    text = json.dumps(tasks[:1])[:-1] + ', {"id": "' + "x" * (1 << 24)
    with pytest.raises(AnnotationError, match=r"after task 1: more than 4194304 characters"):
        list(read_export(write(tmp_path / "long.json", text)))


def test_integers_of_any_size_and_floats_are_read_exactly(tmp_path, tasks):
    tasks[0]["annotations"][0] |= {"completed_by": 2**63, "lead_time": 1.1}
    tasks[1]["data"]["design_k"] = 10**30
    read = list(read_export(write(tmp_path / "e.json", json.dumps(tasks))))
    assert read == tasks
    assert isinstance(read[0]["annotations"][0]["lead_time"], float)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        ("NaN", "after task 1: NaN is no JSON number"),
        ("Infinity", "after task 1: Infinity"),
        ("-Infinity", "after task 1: -Infinity"),
        ("1e999", "1e999"),
        ("9" * 5000, "Exceeds the limit (4300"),
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
