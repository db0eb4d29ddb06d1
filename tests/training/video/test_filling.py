import sys

import numpy as np
import pytest

from training.video import FrameCache, FramePolicy, Kept, file_digest, fill, worker
from warehouse.errors import TrainingError

POLICY = FramePolicy(4, 16, 16)
FRAGILE = """
import json, os, sys
if "--deaf" in sys.argv: sys.exit(7)
sys.stdin.readline()
print("ready", flush=True)
for line in sys.stdin:
    path, digest = json.loads(line)
    if "deadly" in path: os._exit(9)
    kept = {"media_sha256": path, "shape": [os.getpid(), 1, 1], "seconds": [0.0]}
    print(json.dumps({"kept": kept}), flush=True)
"""


@pytest.fixture
def clips(tmp_path, moving_square, write_clip):
    names = ["a", "b\n'\"é🎬,", "c", "d", "e", "f"]
    made = [write_clip(tmp_path / f"{n}.mp4", moving_square(i)) for i, n in enumerate(names)]
    return [(str(path), file_digest(path) if n % 2 else None) for n, path in enumerate(made)]


@pytest.fixture
def at_once(monkeypatch):
    """Processes are started whatever they cost."""
    monkeypatch.setattr("training.video.filling.WORTH_SECONDS", 0.0)
    monkeypatch.setattr("training.video.filling.TRIED", 1)


def test_what_is_kept_of_each_clip_comes_in_the_order_of_the_clips(tmp_path, clips):
    cache = FrameCache(tmp_path / "cache", POLICY)
    found = fill(cache, clips, workers=1)
    assert [kept.media_sha256 for kept in found] == [file_digest(path) for path, _ in clips]
    assert {kept.shape for kept in found} == {(4, 16, 16)}
    assert fill(cache, clips[::-1], workers=1, first=3) == found[::-1]


def test_a_bad_clip_is_one_outcome_and_loses_no_other(tmp_path, clips):
    (tmp_path / "empty.mp4").touch()
    mixed = [clips[0], (str(tmp_path / "empty.mp4"), None), ("missing.mp4", "0" * 64), clips[1]]
    found = fill(FrameCache(tmp_path / "cache", POLICY), mixed, workers=1)
    assert [type(outcome) for outcome in found] == [Kept, TrainingError, TrainingError, Kept]
    assert "empty.mp4 is empty" in str(found[1])
    assert "missing.mp4 cannot be opened" in str(found[2])


def test_what_is_there_is_only_looked_up_and_progress_ends_at_all(tmp_path, clips):
    cache, said = FrameCache(tmp_path / "cache", POLICY), []
    known = [(path, file_digest(path)) for path, _ in clips]
    fill(cache, known[:4], workers=1)
    for path in tmp_path.glob("[ac]*.mp4"):
        path.unlink()
    fill(cache, known, lambda done, total, _: said.append((done, total)), workers=1)
    assert said == [(4, 6), (5, 6), (6, 6)]
    assert fill(cache, [], workers=1) == []


@pytest.mark.slow
def test_processes_leave_the_same_files_as_one(tmp_path, clips, at_once):
    bad = [*clips, (str(tmp_path / "no\nne.mp4"), None)]
    alone = fill(FrameCache(tmp_path / "one", POLICY), bad, workers=1)
    together = fill(FrameCache(tmp_path / "two", POLICY), bad, workers=2)
    assert together[:-1] == alone[:-1]
    assert str(together[-1]) == str(alone[-1])
    one, two = (
        {path.name: path.read_bytes() for path in (tmp_path / side).rglob("*.safetensors")}
        for side in ("one", "two")
    )
    assert one == two


def test_a_clip_that_brings_its_process_down_is_named_and_the_others_are_read(
    tmp_path, clips, at_once, monkeypatch
):
    monkeypatch.setattr(worker, "COMMAND", (sys.executable, "-c", FRAGILE))
    sources = [clips[0], ("x", None), ("deadly", None), ("y", None), ("z", None)]
    found = fill(FrameCache(tmp_path / "cache", POLICY), sources, workers=2)
    assert "video deadly: the process that decoded it died (exit code 9)" in str(found[2])
    assert [kept.media_sha256 for kept in np.delete(found, 2)[1:]] == ["x", "y", "z"]


def test_where_no_process_can_start_that_is_said_at_once(tmp_path, clips, at_once, monkeypatch):
    monkeypatch.setattr(worker, "COMMAND", (sys.executable, "-c", FRAGILE, "--deaf"))
    with pytest.raises(TrainingError, match=r"could be started \(exit code 7\)"):
        fill(FrameCache(tmp_path / "cache", POLICY), clips, workers=2)


def test_no_process_is_started_for_a_few_quick_clips(tmp_path, clips, monkeypatch):
    monkeypatch.setattr(worker, "COMMAND", ("/nowhere/python",))
    found = fill(FrameCache(tmp_path / "cache", POLICY), clips)
    assert all(isinstance(kept, Kept) for kept in found)
