from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from training.canaries import (
    CORNERS,
    backwards,
    blurred,
    brightened,
    canary_rewards,
    changes,
    frozen,
    shuffled,
    swapped_prompts,
    watermarked,
)
from training.canary_verdicts import SAID, judge, mean_interval
from training.model import RewardModel
from warehouse.errors import TrainingError

clips = st.tuples(st.integers(1, 4), st.integers(4, 12), st.integers(4, 12)).flatmap(
    lambda shape: arrays(np.uint8, (*shape, 3))
)


@given(clips, st.sampled_from(sorted(changes())), st.integers(0, 9))
def test_a_change_keeps_shape_and_type_and_leaves_its_clip_alone(clip, name, seed):
    before = clip.copy()
    first, second = (changes()[name](clip, np.random.default_rng(seed)) for _ in range(2))
    assert first.shape == clip.shape
    assert first.dtype == np.uint8
    assert (first == second).all()
    assert (clip == before).all()


@given(clips)
def test_what_moves_frames_keeps_each_as_it_is(clip):
    assert (backwards(backwards(clip)) == clip).all()
    mixed = shuffled(clip, np.random.default_rng(0))
    assert sorted(map(bytes, mixed)) == sorted(map(bytes, clip))
    assert all((image == clip[0]).all() for image in frozen(clip))


@given(st.integers(2, 20), st.integers(0, 99))
def test_shuffled_frames_stand_in_another_order(count, seed):
    clip = np.arange(count, dtype=np.uint8).reshape(-1, 1, 1, 1).repeat(3, 3)
    assert shuffled(clip, np.random.default_rng(seed)).tolist() != clip.tolist()


@given(clips)
def test_brightness_rises_everywhere_and_never_wraps(clip):
    assert (brightened(clip) >= clip).all()


@settings(max_examples=30)
@given(clips)
def test_blur_stays_between_the_darkest_and_the_brightest(clip):
    found = blurred(clip)
    assert found.min() >= clip.min()
    assert found.max() <= clip.max()


def test_blur_takes_detail_away():
    noise = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), dtype=np.uint8)
    assert blurred(noise).std() < noise.std() / 2


@pytest.mark.parametrize("corner", CORNERS)
def test_a_mark_stands_in_its_corner_and_nowhere_else(corner):
    clip = np.full((2, 20, 30, 3), 100, np.uint8)
    rows, columns = np.nonzero((watermarked(clip, corner) != clip).any(axis=(0, 3)))
    assert rows.min() == (0 if "top" in corner else 16)
    assert columns.min() == (0 if "left" in corner else 26)
    assert len(rows) == 4 * 4


@given(
    st.lists(st.sampled_from("abcde\U0001f388"), min_size=2).filter(
        lambda texts: len(set(texts)) > 1
    ),
    st.integers(0, 9),
)
def test_every_prompt_is_swapped_with_another_and_each_is_taken_once(prompts, seed):
    found = swapped_prompts(prompts, seed)
    assert all(one != other for one, other in found.items())
    assert sorted(found.values()) == sorted(set(prompts))
    assert found == swapped_prompts(prompts[::-1], seed)


def test_a_single_prompt_is_not_swapped():
    assert swapped_prompts(["a", "a"], 0) == {}


# Rewards


@pytest.fixture(scope="module")
def model(config):
    return RewardModel.create(replace(config, dimensions=("one",))).eval()


def test_what_happens_to_an_item_depends_on_no_other(model, media, tmp_path):
    """Prompts apart: whom it is swapped with depends on whom there is."""
    rows = media.slice(0, 5).to_pylist()
    (tmp_path / "empty.mp4").touch()
    rows[2]["path"] = str(tmp_path / "empty.mp4")
    found = canary_rewards(model, pa.Table.from_pylist(rows[::-1]))
    fewer = canary_rewards(model, pa.Table.from_pylist([rows[0], rows[1]]))
    assert found.item_ids == ["item_00", "item_01", "item_03", "item_04"]
    assert "is empty" in found.unreadable["item_02"]
    assert set(found.after) == set(SAID)
    assert (found.before[:2] == fewer.before).all()
    assert (found.after["shuffled"][:2] == fewer.after["shuffled"]).all()


def test_clips_that_are_all_bad_end_it(model, media, tmp_path):
    rows = [row | {"path": str(tmp_path / "gone.mp4")} for row in media.slice(0, 2).to_pylist()]
    with pytest.raises(TrainingError, match=r"none of 2 items can be read; .*gone\.mp4"):
        canary_rewards(model, pa.Table.from_pylist(rows))


# Verdicts

PROMPTS = [f"p{n // 2}" for n in range(40)]
PASSED = [n % 2 == 0 for n in range(40)]
NOISE = np.random.default_rng(0).normal(size=40)


def verdict(change, *, notices=False, std=1.0, before=NOISE):
    return judge(
        "watermarked", "one", before, before + change,
        prompts=PROMPTS, passed=PASSED, std=std, notices=notices,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (1.0, "raises"),
        (-1.0, "lowers"),
        (0.1, "insensitive"),
        (np.where(np.arange(40) % 2, 0.4, -0.4), "steady"),
        (np.where(np.arange(40) % 4 < 2, 3.0, -3.0), "unclear"),
    ],
)
def test_the_interval_of_the_mean_decides(change, said):
    found = verdict(change)
    assert found.verdict == said
    assert found.flagged == (said == "raises")


def test_only_a_dimension_that_has_to_notice_is_blamed_for_not_noticing():
    assert not verdict(0.0).flagged
    found = verdict(0.0, notices=True)
    assert found.flagged
    assert "though this dimension has to notice it" in found.reason


def test_effects_are_measured_in_deviations_of_the_reference():
    assert verdict(1.0, std=10.0).verdict == "insensitive"
    assert verdict(1.0, std=2.0).effect == pytest.approx(0.5)


def test_a_mark_on_every_fail_clip_turns_the_order_around():
    before = np.where(PASSED, 1.0, 0.0)
    found = verdict(np.where(PASSED, 0.0, 2.0), before=before)
    assert (found.acc, found.acc_after, found.acc_attacked) == (1.0, 0.0, 0.0)
    assert found.raised_share == 0.5


@settings(max_examples=20)
@given(arrays(float, 12, elements=st.floats(-5, 5)), st.floats(-3, 3), st.integers(0, 5))
def test_an_interval_moves_with_its_values_and_spans_them(values, shift, seed):
    prompts = [str(n // 3) for n in range(12)]
    low, high = mean_interval(values, prompts, seed)
    assert values.min() - 1e-9 <= low <= high <= values.max() + 1e-9
    moved = mean_interval(values + shift, prompts, seed)
    assert np.allclose(moved, (low + shift, high + shift))


def test_items_of_one_prompt_have_no_interval():
    assert mean_interval([1.0, 2.0], ["a", "a"], 0) == (None, None)


def test_a_model_with_one_reward_for_all_cannot_be_judged():
    with pytest.raises(TrainingError, match=r"reference std 0\.0"):
        verdict(1.0, std=0.0)
