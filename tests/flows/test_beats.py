"""Heartbeats: who lives, who died, and who gives no sign."""

import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from flows import beats as module
from flows.beats import FOLDER, PATIENCE, beating, beats, forget, home_tag, tell_once
from flows.console import progress, say

CHECKOUT = Path(__file__).parents[2]
DYING = """
import os, sys
from pathlib import Path
from flows.beats import beating
with beating(Path(sys.argv[1]), "soli-ingest", "one"):
    os.kill(os.getpid(), 9)
"""


def test_a_run_is_alive_within_its_block_and_leaves_nothing(tmp_path):
    with beating(tmp_path, "soli-ingest", "one"):
        (beat,) = beats(tmp_path)
        assert (beat.run_id, beat.flow, beat.pid) == ("one", "soli-ingest", os.getpid())
        assert beat.alive
        assert not beat.hangs
    assert beats(tmp_path) == []
    assert list((tmp_path / FOLDER).iterdir()) == []


def test_a_killed_run_is_known_as_dead_at_once(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-c", DYING, tmp_path], cwd=CHECKOUT, check=False, capture_output=True
    )
    assert ended.returncode == -9, ended.stderr
    (beat,) = beats(tmp_path)
    assert not beat.alive
    assert not beat.hangs
    forget(tmp_path, "one")
    assert beats(tmp_path) == []


def old(path, seconds):
    moment = time.time() - seconds
    os.utime(path, (moment, moment))


@pytest.mark.parametrize("sign", ["say", "progress"])
def test_each_sign_of_progress_keeps_a_run_from_hanging(tmp_path, sign):
    with beating(tmp_path, "soli-ingest", "one"), progress("reading") as advance:
        path = tmp_path / FOLDER / "one.lock"
        old(path, 3600)
        assert beats(tmp_path)[0].hangs
        if sign == "say":
            say("going on")
        else:
            advance(1, 100)
        assert not beats(tmp_path)[0].hangs


def test_the_files_of_a_training_are_its_signs(tmp_path):
    with beating(tmp_path, "soli-train", "one"):
        old(tmp_path / FOLDER / "one.lock", 2 * PATIENCE["soli-train"].total_seconds())
        assert beats(tmp_path)[0].hangs
        (tmp_path / "runs" / "a").mkdir(parents=True)
        (tmp_path / "runs" / "a" / "curve.jsonl").write_text("{}\n")
        assert beats(tmp_path)[0].silent < timedelta(minutes=1)


def test_a_silence_is_told_once_and_the_next_one_again(tmp_path):
    with beating(tmp_path, "soli-ingest", "one"):
        path = tmp_path / FOLDER / "one.lock"
        old(path, 3600)
        assert tell_once(tmp_path, beats(tmp_path)[0])
        assert not tell_once(tmp_path, beats(tmp_path)[0])
        old(tmp_path / FOLDER / "one.told", 3500)
        old(path, 1000)  # there was a sign since
        assert tell_once(tmp_path, beats(tmp_path)[0])


def test_every_flow_that_is_deployed_has_a_patience():
    from flows.deployments import DEPLOYMENTS

    assert {each.flow.name for each in DEPLOYMENTS.values()} <= set(PATIENCE)
    assert max(PATIENCE.values()) <= module.LONGEST


def test_a_home_keeps_its_tag_and_two_homes_have_two(tmp_path):
    first = home_tag(tmp_path / "a")
    assert home_tag(tmp_path / "a") == first
    assert home_tag(tmp_path / "b") != first
