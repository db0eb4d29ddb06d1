import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from training.reference import FILE, Reference, Spread, read_reference, write_reference
from warehouse.errors import TrainingError

rewards = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60)
few_levels = st.lists(st.integers(0, 3).map(float), min_size=1, max_size=60)


@given(rewards | few_levels, rewards)
def test_a_higher_reward_never_has_a_lower_percentile(known, asked):
    found = Spread.of(known).percentile(sorted(asked))
    assert (np.diff(found) >= 0).all()
    assert (found >= 0).all()
    assert (found <= 100).all()


@settings(max_examples=20)
@given(st.lists(st.integers(0, 10**6), min_size=101, max_size=130, unique=True))
def test_a_percentile_is_the_share_of_the_set_below(known):
    """To a hundredth, half a step of the quantiles on each side."""
    spread = Spread.of(known)
    below = np.argsort(np.argsort(known)) / len(known)
    assert np.abs(spread.percentile(known) / 100 - below).max() <= 0.02


@given(arrays(float, 20, elements=st.floats(-100, 100)))
def test_standardised_rewards_of_the_set_have_mean_0_and_deviation_1(known):
    spread = Spread.of(known)
    found = spread.standardised(known)
    if spread.std > 1e-6:
        assert abs(found.mean()) < 1e-6
        assert abs(found.std() - 1) < 1e-6
    elif spread.std == 0:
        assert np.isnan(found).all()


@given(rewards, st.integers(0, 10))
def test_the_order_of_the_set_does_not_matter(known, seed):
    mixed = np.random.default_rng(seed).permutation(known)
    one, two = Spread.of(known), Spread.of(mixed)
    assert one.quantiles == two.quantiles
    assert np.isclose(one.mean, two.mean)


REFERENCE = Reference.build("abcd", "validation", {"one": [1.0, 2.0, 4.0], "two": [0.0, 0.5]})


def test_written_and_read_it_is_the_same(tmp_path):
    write_reference(tmp_path, REFERENCE)
    assert read_reference(tmp_path, "abcd") == REFERENCE
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_a_model_without_one_has_none(tmp_path):
    assert read_reference(tmp_path, "abcd") is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        (json.dumps({"format": 9}), "format 9"),
        (json.dumps({"format": 1, "model_id": "abcd"}), "soli score --reference"),
    ],
)
def test_a_broken_one_is_named(tmp_path, text, words):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(TrainingError, match=words):
        read_reference(tmp_path, "abcd")


def test_that_of_another_model_is_refused(tmp_path):
    write_reference(tmp_path, REFERENCE)
    with pytest.raises(TrainingError, match="is of model abcd, not of ef01"):
        read_reference(tmp_path, "ef01")


@pytest.mark.parametrize("values", [[], [1.0, float("nan")]])
def test_no_reference_is_made_of_nothing_or_of_nan(values):
    with pytest.raises(TrainingError, match="must be a finite number"):
        Reference.build("abcd", "a list", {"one": values})
