import json
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from annotation.client import Project
from annotation.paging import Page
from annotation.spool import Spool, Start, clear
from warehouse.errors import AnnotationError, StoreError

MOMENT = datetime(2026, 11, 20, 10, 0, 0, 123456, tzinfo=UTC)
PROJECT = Project(5, "Clips", "<View/>", "soli-source: 11111111-1111-4111-8111-111111111111")


def start(**changes):
    fields = {"source": PROJECT.source, "project": PROJECT, "since": None, "watermark": MOMENT}
    return Start(**{**fields, **changes})


def page(*ids):
    tasks = [{"id": number, "data": {"prompt": "Bälle"}} for number in ids]
    body = json.dumps({"tasks": tasks, "total": len(ids)}).encode()
    return Page(tasks, len(ids), body, MOMENT)


@pytest.fixture
def spool(tmp_path):
    """Two pages."""
    made = Spool.begin(tmp_path / "spool", start())
    made.add(page(1, 2))
    made.add(page(5, 9))
    return made


def ids(spool):
    return [task["id"] for task in spool.tasks()]


def test_tasks_come_back_as_they_were_received_as_often_as_asked(spool):
    assert list(spool.tasks()) == page(1, 2, 5, 9).tasks
    assert ids(spool) == [1, 2, 5, 9]
    assert (spool.count, spool.last, spool.ids()) == (4, 9, {1, 2, 5, 9})


def test_a_killed_full_pull_goes_on_behind_its_last_page(spool):
    later = start(watermark=datetime(2026, 12, 1, tzinfo=UTC))
    resumed = Spool.resume(spool.folder, later)
    assert ids(resumed) == [1, 2, 5, 9]
    assert resumed.start == start()  # the older watermark: its pages were read after that
    resumed.add(page(10))
    assert ids(Spool.resume(spool.folder, later)) == [1, 2, 5, 9, 10]


@pytest.mark.parametrize(
    "changes",
    [
        {"source": "22222222-2222-4222-8222-222222222222"},
        {"project": Project(6, "Clips", "<View/>", "")},
        {"project": Project(5, "Clips", "<View><Choices/></View>", PROJECT.description)},
        {"since": MOMENT},
    ],
)
def test_another_project_another_configuration_or_only_changes_begin_anew(spool, changes):
    assert Spool.resume(spool.folder, start(**changes)) is None


def test_a_pull_of_changes_is_never_gone_on_with(tmp_path):
    made = Spool.begin(tmp_path, start(since=MOMENT))
    made.add(page(1))
    assert Spool.resume(tmp_path, start()) is None


def test_beginning_removes_what_another_pull_left(spool):
    fresh = Spool.begin(spool.folder, start())
    assert (fresh.count, fresh.last, ids(fresh)) == (0, -1, [])
    assert [path.name for path in spool.folder.iterdir()] == ["start.json"]


def torn_line(folder):
    index = folder / "pages.jsonl"
    index.write_bytes(index.read_bytes()[:-20])


def torn_page(folder):
    (folder / "000002.json").write_bytes(b'{"tasks": [')


def changed_page(folder):
    path = folder / "000002.json"
    path.write_bytes(path.read_bytes().replace(b"9", b"8"))


def missing_page(folder):
    (folder / "000002.json").unlink()


@pytest.mark.parametrize("damage", [torn_line, torn_page, changed_page, missing_page])
def test_a_damaged_page_and_all_behind_it_are_read_again(spool, damage):
    spool.add(page(11))
    damage(spool.folder)
    if damage is torn_line:
        assert ids(Spool.resume(spool.folder, start())) == [1, 2, 5, 9]
        return
    with pytest.raises(AnnotationError, match=r"000002\.json: the page is not as it was written"):
        ids(spool)
    resumed = Spool.resume(spool.folder, start())
    assert ids(resumed) == [1, 2]
    resumed.add(page(5, 9))
    assert ids(Spool.resume(spool.folder, start())) == [1, 2, 5, 9]


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"format": 0}', '{"format": 1}'])
def test_a_start_that_cannot_be_read_is_no_spool(spool, content):
    (spool.folder / "start.json").write_text(content)
    assert Spool.resume(spool.folder, start()) is None


def test_nothing_to_go_on_with_is_no_spool(tmp_path):
    assert Spool.resume(tmp_path / "none", start()) is None
    Spool.begin(tmp_path, start())
    assert Spool.resume(tmp_path, start()) is None


def test_pages_are_their_owners_alone_and_gone_when_cleared(spool):
    assert stat.S_IMODE((spool.folder / "000001.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(spool.folder.stat().st_mode) == 0o700
    (spool.folder / "lock").touch()
    clear(spool.folder)
    assert [path.name for path in spool.folder.iterdir()] == ["lock"]


def test_a_full_disk_is_told_with_the_next_step(spool, monkeypatch):
    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StoreError, match="No space left on device"):
        spool.add(page(12))
    monkeypatch.undo()
    assert ids(Spool.resume(spool.folder, start())) == [1, 2, 5, 9]
