import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from training.video import Clip, FrameCache, FramePolicy, file_digest, read_clip
from training.video.cache import sweep
from warehouse.errors import TrainingError

POLICY = FramePolicy(4, 16, 16)
JPEG = FramePolicy(4, 16, 16, store="jpeg")
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def clips(tmp_path_factory, moving_square, write_clip):
    folder = tmp_path_factory.mktemp("clips")
    return [write_clip(folder / f"{n}.mp4", moving_square(n)) for n in range(8)]


def same(one: Clip, two: Clip):
    return np.array_equal(one.frames, two.frames) and one.seconds == two.seconds


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("policy", [POLICY, JPEG], ids=["raw", "jpeg"])
def test_a_cached_clip_is_not_decoded_again_and_is_the_same(tmp_path, clips, policy):
    source = Path(shutil.copy(clips[1], tmp_path))
    cache = FrameCache(tmp_path / "cache", policy)
    first = cache.clip(source)
    assert same(first, read_clip(source, policy))
    digest = file_digest(source)
    source.unlink()
    assert same(cache.clip(source, digest), first)
    kept = cache.kept(digest)
    assert (kept.media_sha256, kept.shape, kept.seconds) == (digest, (4, 16, 16), first.seconds)


def test_a_file_changed_since_its_import_is_named(tmp_path, clips):
    with pytest.raises(TrainingError, match=r"1\.mp4 was changed since it was imported"):
        FrameCache(tmp_path, POLICY).clip(clips[1], "0" * 64)


def test_the_cache_tells_policies_and_replaced_files_apart(tmp_path, clips):
    path, folder = Path(shutil.copy(clips[1], tmp_path)), tmp_path / "cache"
    one = FrameCache(folder, POLICY).clip(path)
    assert FrameCache(folder, FramePolicy(2, 16, 16)).clip(path).frames.shape == (2, 16, 16, 3)
    assert not same(FrameCache(folder, JPEG).clip(path), one)
    shutil.copyfile(clips[2], path)
    assert not same(FrameCache(folder, POLICY).clip(path), one)
    assert len(files(folder)) == 4


@pytest.mark.parametrize("left", [0, 5, 100, -1])
def test_a_file_torn_by_a_power_cut_is_decoded_anew(tmp_path, clips, left):
    cache = FrameCache(tmp_path, POLICY)
    whole = cache.clip(clips[0])
    [kept] = files(tmp_path)
    kept.write_bytes(kept.read_bytes()[:left])
    assert same(cache.clip(clips[0]), whole)
    assert cache.kept(file_digest(clips[0])) is not None


def test_a_folder_that_cannot_be_written_is_named(tmp_path, clips):
    (tmp_path / "file").touch()
    with pytest.raises(TrainingError, match=r"frame cache .*file cannot be written"):
        FrameCache(tmp_path / "file", POLICY).clip(clips[0])


def test_above_its_size_the_clips_not_used_for_longest_go(tmp_path, clips):
    FrameCache(tmp_path, POLICY).clip(clips[0])
    size = files(tmp_path)[0].stat().st_size
    cache = FrameCache(tmp_path, POLICY, most_bytes=5 * size)
    digests = [file_digest(clip) for clip in clips]
    for number, clip in enumerate(clips[:5]):
        cache.clip(clip, digests[number])
        time.sleep(0.01)
    cache.clip(clips[0], digests[0])  # used again
    cache.clip(clips[5], digests[5])
    assert [cache.kept(digest) is not None for digest in digests] == [
        *(True, False, False, True, True, True),
        *(False, False),
    ]
    for clip in clips:
        cache.clip(clip)
        assert sum(path.stat().st_size for path in files(tmp_path)) <= 5 * size


def test_a_removed_clip_stays_readable_to_who_has_it_and_is_decoded_again(tmp_path, clips):
    cache = FrameCache(tmp_path, POLICY)
    cache.keep(clips[0])
    held, plain = cache.clip(clips[0]), read_clip(clips[0], POLICY)
    sweep(tmp_path, 1)
    assert files(tmp_path) == []
    assert same(held, plain)
    assert same(cache.clip(clips[0]), plain)


def test_a_sweep_takes_only_what_is_the_caches_own_and_what_killed_processes_left(tmp_path):
    for name in ("ab/notes.txt", "photos/cat.safetensors", "ab/new.part", "ab/old.part"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x" * 100)
    os.utime(tmp_path / "ab/old.part", (0, 0))
    sweep(tmp_path, 1)
    left = {str(path.relative_to(tmp_path)) for path in files(tmp_path)}
    assert left == {"ab/notes.txt", "photos/cat.safetensors", "ab/new.part"}


@pytest.mark.slow
def test_killed_anywhere_it_goes_on_and_no_torn_file_is_read(tmp_path, clips):
    """Some process fills a cache of many policies over and over; it is killed at seeded moments."""
    code = (
        "import sys; from training.video import FrameCache, FramePolicy\n"
        "print('ready', flush=True)\n"
        "for count in range(1, 400):\n"
        "    cache = FrameCache(sys.argv[1], FramePolicy(count, 16, 16))\n"
        "    for clip in sys.argv[2:]: cache.clip(clip)"
    )
    command = [sys.executable, "-c", code, str(tmp_path), *map(str, clips)]
    for seconds in (0.05, 0.4):
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            time.sleep(seconds)
            process.send_signal(signal.SIGKILL)
    assert [path for path in files(tmp_path) if path.suffix == ".safetensors"]
    for count in (1, 2, 3):
        policy = FramePolicy(count, 16, 16)
        for clip in clips:
            assert same(FrameCache(tmp_path, policy).clip(clip), read_clip(clip, policy))
