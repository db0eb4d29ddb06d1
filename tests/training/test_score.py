from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import torch

from training.model import RewardModel
from training.score import (
    Scorer,
    Video,
    item_rewards,
    score,
    score_items,
    stream,
)
from training.video import read_clip
from warehouse.contracts import SCORES
from warehouse.errors import TrainingError

REAL = sorted((Path(__file__).parents[1] / "data" / "videos").glob("*.mp4"))


@pytest.fixture(scope="module")
def checkpoint(config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    RewardModel.create(replace(config, dimensions=("one", "two"))).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def scorer(checkpoint):
    return Scorer.load(checkpoint)


def test_every_item_has_a_reward_in_every_dimension(checkpoint, media):
    table = score(checkpoint, media)
    seen = list(zip(table["item_id"].to_pylist(), table["dimension"].to_pylist(), strict=True))
    assert seen == [
        (item, d) for item in sorted(media["item_id"].to_pylist()) for d in ("one", "two")
    ]
    for field in table.schema:
        assert field == SCORES.schema.field(field.name)


@pytest.mark.slow
def test_scores_are_the_same_twice_in_any_order_and_from_the_cache(checkpoint, media, tmp_path):
    first = score(checkpoint, media)
    backwards = media.take(pa.array(range(media.num_rows - 1, -1, -1)))
    assert score(checkpoint, backwards) == first
    assert score(checkpoint, media, frame_cache=tmp_path) == first
    assert score(checkpoint, media, frame_cache=tmp_path) == first


@pytest.mark.slow
def test_the_real_clips_are_scored(checkpoint):
    table = pa.table(
        {
            "item_id": [path.stem for path in REAL],
            "path": [str(path) for path in REAL],
            "prompt": ["a person walks along a street"] * len(REAL),
        }
    )
    rewards = score(checkpoint, table)["reward"].to_pylist()
    assert len(rewards) == 8
    assert len(set(rewards)) > 4


def with_bad_clip(media, tmp_path):
    rows = media.slice(0, 3).to_pylist()
    (tmp_path / "empty.mp4").touch()
    rows[1]["path"] = str(tmp_path / "empty.mp4")
    return pa.Table.from_pylist(rows, media.schema)


def test_a_bad_clip_ends_the_simple_way(checkpoint, media, tmp_path):
    with pytest.raises(TrainingError, match=r"empty\.mp4 is empty"):
        score(checkpoint, with_bad_clip(media, tmp_path))


def test_a_bad_clip_can_be_reported_and_loses_no_other(scorer, media, tmp_path):
    rewards, bad = score_items(scorer.model, with_bad_clip(media, tmp_path))
    assert set(rewards["item_id"].to_pylist()) == {"item_00", "item_02"}
    assert bad["item_id"].to_pylist() == ["item_01"]
    assert "is empty (0 bytes)" in bad["reason"][0].as_py()


def test_a_reward_does_not_depend_on_the_other_items(scorer, media):
    """To the last bit: prompts of other lengths, other clips and other orders beside it."""
    longer = media.to_pylist()
    for number, row in enumerate(longer):
        row["prompt"] += " again" * (number % 3)
    whole, _ = score_items(scorer.model, pa.Table.from_pylist(longer))
    for row in longer[::4]:
        alone, _ = score_items(scorer.model, pa.Table.from_pylist([row]))
        kept = whole.filter(pc.field("item_id") == row["item_id"])
        assert kept["reward"].to_pylist() == alone["reward"].to_pylist()


def test_a_batch_of_our_own_differs_in_the_last_digits_only(scorer, media):
    """Training and evaluation encode several items at once, padded to the longest."""
    rows = media.slice(0, 6).to_pylist()
    prompts = [row["prompt"] + " again" * (number % 3) for number, row in enumerate(rows)]
    clips = [read_clip(row["path"], scorer.model.spec.frames) for row in rows]
    together = scorer.model.rewards(prompts, [torch.from_numpy(np.array(c.frames)) for c in clips])
    alone = [item_rewards(scorer.model, *each) for each in zip(prompts, clips, strict=True)]
    assert np.abs(together.numpy() - np.stack(alone)).max() < 1e-5


def test_a_clip_is_decoded_once_for_all_its_prompts(scorer, media, monkeypatch):
    decoded = []
    monkeypatch.setattr(
        "training.score.read_clip",
        lambda path, policy: decoded.append(path) or read_clip(path, policy),
    )
    paths = media["path"].to_pylist()[:3]
    found = list(stream(scorer.model, [Video(path, ("a", "b")) for path in paths], workers=2))
    assert sorted(decoded) == sorted(paths)
    assert [each.rewards.shape for each in found] == [(2, 2)] * 3
    assert all((each.rewards[0] != each.rewards[1]).all() for each in found)


def test_a_model_of_nan_is_told_apart_from_a_bad_reward(checkpoint, media):
    broken = Scorer.load(checkpoint).model
    with torch.no_grad():
        broken.head.query.fill_(float("nan"))
    rewards, bad = score_items(broken, media.slice(0, 1))
    assert rewards.num_rows == 0
    assert "the reward in one is nan" in bad["reason"][0].as_py()


def test_other_weights_than_those_recorded_are_refused(checkpoint):
    with pytest.raises(TrainingError, match="the weights are not those that training wrote"):
        Scorer.load(checkpoint, weights_sha256="ab" * 32)


def test_nothing_to_score_is_an_empty_table(checkpoint, media):
    assert score(checkpoint, media.slice(0, 0)).num_rows == 0


def test_an_item_given_twice_is_named(checkpoint, media):
    with pytest.raises(TrainingError, match="item item_00 stands twice"):
        score(checkpoint, pa.concat_tables([media.slice(0, 1), media.slice(0, 1)]))


def test_progress_reaches_the_end(checkpoint, media):
    seen = []
    score(checkpoint, media, lambda done, total, _note: seen.append((done, total)))
    assert seen[-1] == (20, 20)
