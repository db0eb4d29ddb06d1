"""Folders that appear whole or not at all, whoever is killed while writing them."""

import os
import socket
import subprocess
import sys

import pytest

from warehouse.disk import partial_folder, put

WRITER = """
import sys, time
from pathlib import Path
from warehouse.disk import partial_folder
with partial_folder(Path(sys.argv[1])) as partial:
    (partial / "half").write_text("written")
    print("writing", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def writer(tmp_path):
    """Another process in the midst of writing `tmp_path / "set"`."""
    arguments = [sys.executable, "-c", WRITER, str(tmp_path / "set")]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"writing\n"
        yield process
        process.kill()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def write(folder):
    with partial_folder(folder) as partial:
        (partial / "below").mkdir()
        (partial / "below" / "file").write_text("whole")
        put(partial, folder)


def test_a_folder_appears_with_all_its_files_and_nothing_is_left_beside_it(tmp_path):
    write(tmp_path / "new" / "set")
    assert (tmp_path / "new" / "set" / "below" / "file").read_text() == "whole"
    assert names(tmp_path / "new") == ["set"]


def write_half(folder):
    (folder / "file").write_text("half")
    raise OSError(28, "No space left on device")


def test_a_failure_leaves_nothing(tmp_path):
    with pytest.raises(OSError, match="No space"), partial_folder(tmp_path / "set") as partial:
        write_half(partial)
    assert names(tmp_path) == []


def test_what_stands_in_the_place_stays(tmp_path):
    write(tmp_path / "set")
    with pytest.raises(OSError, match="set"):
        write(tmp_path / "set")
    assert names(tmp_path) == ["set"]


def test_what_a_killed_writer_left_is_removed_by_the_next_one_of_that_name(writer, tmp_path):
    writer.kill()
    writer.wait()
    (left,) = names(tmp_path)
    write(tmp_path / "another")
    assert names(tmp_path) == [left, "another"]
    write(tmp_path / "set")
    assert names(tmp_path) == ["another", "set"]


def test_the_work_of_a_writer_that_is_alive_is_left_alone(writer, tmp_path):
    (theirs,) = names(tmp_path)
    write(tmp_path / "set")
    assert names(tmp_path) == [theirs, "set"]
    assert (tmp_path / theirs / "half").read_text() == "written"


def test_a_folder_of_an_earlier_process_with_our_own_pid_is_in_nobody_s_way(tmp_path):
    left = tmp_path / f".set.{socket.gethostname()}.{os.getpid()}.partial"
    left.mkdir()
    (left / "old").write_text("left")
    write(tmp_path / "set")
    assert names(tmp_path) == ["set"]
    assert names(tmp_path / "set") == ["below"]


def test_folders_of_other_hosts_and_other_names_are_left_alone(tmp_path):
    """Nothing tells here whether a process elsewhere is alive."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    others = [
        f".set.elsewhere.{gone.pid}.partial",
        f".set.{socket.gethostname()}.notes.partial",
        f".set.{socket.gethostname()}.{2**80}.partial",
        f".set.more.{socket.gethostname()}.{gone.pid}.partial",
    ]
    for name in others:
        (tmp_path / name).mkdir()
    write(tmp_path / "set")
    assert names(tmp_path) == sorted([*others, "set"])
