import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.config import FrameConfig
from training.config_json import read_fields
from training.model import RewardModel, read_spec
from training.video import FramePolicy, choose, frame_indices
from warehouse.errors import TrainingError

RATES = st.sampled_from([1.0, 2.0, 7.5, 8.0, 23.976, 24.0, 25.0, 29.97, 30.0, 60.0])
LENGTHS = st.integers(1, 400)
UNEVEN = st.lists(st.integers(1, 900), max_size=40).map(
    lambda gaps: [0.0, *(np.cumsum(gaps) / 300).tolist()]
)


def by_rate(fps, count=10_000):
    return FramePolicy(count, 4, 4, "fps", fps)


def even(rate, length):
    return [number / rate for number in range(length)]


@pytest.mark.parametrize("total", [1, 2, 8, 49, 120])
@pytest.mark.parametrize("count", [2, 3, 8, 16])
def test_the_first_and_the_last_frame_are_always_taken(total, count):
    indices = frame_indices(total, count)
    assert (indices[0], indices[-1], len(indices)) == (0, total - 1, count)
    assert indices == sorted(indices)


@given(RATES, LENGTHS)
def test_at_the_clips_own_rate_every_frame_is_taken_once(rate, length):
    assert choose(even(rate, length), by_rate(rate))[0] == list(range(length))


@given(RATES, LENGTHS)
def test_times_rounded_to_milliseconds_as_in_matroska_change_nothing(rate, length):
    rounded = [round(time, 3) for time in even(rate, length)]
    assert choose(rounded, by_rate(rate))[0] == list(range(length))


@pytest.mark.parametrize(("rate", "length"), [(24, 120), (30, 152), (16, 60), (24, 126)])
def test_two_a_second_are_those_nearest_to_every_half_second(rate, length):
    indices, seconds = choose(even(rate, length), by_rate(2.0))
    assert seconds == [tick / 2 for tick in range(-(-2 * length // rate))]
    for index, second in zip(indices, seconds, strict=True):
        assert abs(index / rate - second) <= 0.5 / rate


@given(UNEVEN, st.floats(0.1, 100), st.integers(1, 64))
def test_a_policy_by_time_never_takes_more_than_it_may_and_at_least_one(times, fps, count):
    indices, seconds = choose(times, by_rate(fps, count))
    assert 1 <= len(indices) <= min(count, len(times))
    assert len(indices) - 1 <= (times[-1] + 0.5 * min(np.diff(times), default=0)) * fps
    assert indices == sorted(indices)
    assert seconds == sorted(seconds)
    assert 0 <= seconds[0] <= seconds[-1]


@given(UNEVEN, st.floats(0.1, 100), st.integers(1, 64))
def test_every_tick_takes_the_frame_on_the_screen(times, fps, count):
    """By looking at all frames, give or take half of the shortest one."""
    slack = 0.5 * min(np.diff(times), default=0) + 1e-9
    for index, second in zip(*choose(times, by_rate(fps, count)), strict=True):
        assert times[index] <= second + slack
        assert all(second <= later + 1e-9 for later in times[index + 1 :])


@given(UNEVEN.filter(lambda times: len(times) > 1), st.integers(2, 64))
def test_of_a_clip_that_is_too_long_the_first_and_the_last_frame_stay(times, count):
    indices, _ = choose(times, by_rate(1e6, count))
    assert (indices[0], indices[-1]) == (0, len(times) - 1)


def test_a_held_frame_is_taken_as_often_as_it_is_on_the_screen():
    indices, seconds = choose([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 4.0], by_rate(1.0))
    assert (indices, seconds) == ([0, 5, 5, 5, 6], [0.0, 1.0, 2.0, 3.0, 4.0])


def test_a_single_frame_of_a_long_clip_is_the_middle_one():
    assert choose(even(10, 41), by_rate(2.0, count=1)) == ([20], [2.0])


def test_equal_distances_tell_the_frames_own_times():
    assert choose([0.0, 0.5, 3.0], FramePolicy(2, 4, 4)) == ([0, 2], [0.0, 3.0])


@pytest.mark.parametrize("values", [{"sampling": "fps"}, {"fps": 2.0}, {"count": 0}])
def test_a_sampling_that_does_not_hold_together_is_refused(values):
    with pytest.raises(TrainingError, match=r"frames\."):
        FrameConfig(**values)


def test_the_policy_is_in_the_checkpoint_and_read_from_it(config, tmp_path):
    frames = FrameConfig(sampling="fps", fps=2.5, count=5, store="jpeg")
    RewardModel.create(replace(config, frames=frames)).save_pretrained(tmp_path)
    written = json.loads((tmp_path / "soli.json").read_text())["frames"]
    kept = read_spec(tmp_path).frames
    assert written == asdict(kept)
    assert (kept.sampling, kept.fps, kept.count, kept.store) == ("fps", 2.5, 5, "jpeg")
    assert read_fields(FramePolicy, written, "frames") == kept
