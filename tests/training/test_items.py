from contextlib import closing
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch

from training.config import FrameConfig
from training.items import ItemSource, augmented
from training.model import RewardModel
from training.progress import silent
from training.video import FrameCache, read_clip
from training.video.cache import sweep
from warehouse.errors import TrainingError

PLAN = [np.array([3, 1]), np.array([0]), np.array([2, 3, 4])]


@pytest.fixture(scope="module")
def model(config):
    frames = FrameConfig(sampling="fps", fps=4.0, count=16)
    return RewardModel.create(replace(config, frames=frames))


@pytest.fixture
def source(model, media, tmp_path):
    cache = FrameCache(tmp_path / "frames", model.spec.frames)
    return ItemSource.build(model, media.slice(0, 5), cache, silent)


def test_a_batch_holds_the_frames_of_its_items_and_their_tokens(model, media, source):
    ids, mask, clips, seconds = source.batch(model, PLAN[2])
    assert (len(ids), len(mask), len(clips)) == (3, 3, 3)
    for row, clip, item in zip(zip(ids, mask, strict=True), clips, PLAN[2], strict=True):
        path, prompt = media["path"][item].as_py(), media["prompt"][item].as_py()
        assert np.array_equal(clip.numpy(), read_clip(path, model.spec.frames).frames)
        assert row[0][row[1]].tolist() == model.tokens(prompt, tuple(clip.shape[:3]))
    assert source.kept[0].seconds == (0.0, 0.25, 0.5, 0.75)
    assert seconds == [0.25] * 3


def test_prepared_batches_are_those_made_one_by_one(model, source):
    with closing(source.batches(model, PLAN)) as batches:
        for (ids, mask, clips, seconds), items in zip(batches, PLAN, strict=True):
            plain = source.batch(model, items)
            assert torch.equal(ids, plain[0])
            assert torch.equal(mask, plain[1])
            assert seconds == plain[3]
            assert all(torch.equal(a, b) for a, b in zip(clips, plain[2], strict=True))


def test_a_clip_removed_from_the_cache_is_decoded_again(model, source):
    before = source.batch(model, PLAN[0])[2]
    sweep(source.cache.folder, 1)
    after = source.batch(model, PLAN[0])[2]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_a_clip_that_is_gone_for_good_ends_the_loop_at_its_batch(model, source):
    broken = replace(source, paths=[*source.paths[:2], "gone.mp4", *source.paths[3:]])
    removed = source.cache._target(source.kept[2].media_sha256)
    removed.unlink()
    seen = []
    with (
        closing(broken.batches(model, PLAN)) as batches,
        pytest.raises(TrainingError, match=r"gone\.mp4 cannot be opened"),
    ):
        seen.extend(batches)
    assert len(seen) == 2


def test_bad_clips_are_named_once_the_others_are_kept(model, media, tmp_path):
    rows = media.slice(0, 5).to_pylist()
    for number in (1, 3):
        rows[number]["path"] = str(tmp_path / f"gone_{number}.mp4")
    cache = FrameCache(tmp_path / "frames", model.spec.frames)
    with pytest.raises(TrainingError, match=r"^2 of 5 clips cannot .*gone_1\.mp4.*gone_3\.mp4"):
        ItemSource.build(model, pa.Table.from_pylist(rows, media.schema), cache, silent)
    assert len(list(cache.folder.rglob("*.safetensors"))) == 3


@pytest.mark.parametrize("place", ["0", "1", "2"])
def test_processes_that_share_a_cache_begin_at_places_of_their_own(
    model, media, tmp_path, monkeypatch, place
):
    monkeypatch.setenv("LOCAL_RANK", place)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    begun = []
    monkeypatch.setattr("training.items.fill", lambda *_, first, **__: begun.append(first) or [])
    with pytest.raises(ValueError, match="zip"):
        ItemSource.build(model, media, FrameCache(tmp_path, model.spec.frames), silent)
    assert begun == [20 * int(place) // 3]


def test_the_same_draw_mirrors_and_moves_the_same_clips(source, model):
    config = FrameConfig(shift=2, mirror=0.5)
    clips = source.batch(model, PLAN[2])[2]
    first, again = (augmented(clips, config, np.random.default_rng(7)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(first, clips, strict=True))
