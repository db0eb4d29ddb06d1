from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pairing import Recipe, build_pairs
from pairing.stream import stream
from warehouse.errors import PairingError

COUNTS = {"win_lose": {"train": "all"}, "win_tie": {"train": "up to 200"}}


def recipe(**more):
    return Recipe(("looks",), counts=COUNTS, strategy="any-prompt", **more)


@pytest.fixture(scope="module", params=product([False, True], ["win_lose", "win_tie"]), ids=str)
def rows_and_stream(world, request):
    """The pairs of one kind as a built set has them, and as a stream."""
    soft, kind = request.param
    tables, made = world(seed=3), recipe(soft=soft)
    rows = [r for r in build_pairs(*tables, made).pairs.to_pylist() if r["kind"] == kind]
    return rows, stream(*tables, made, dimension="looks", kind=kind)


@given(data=st.data())
def test_a_pair_has_its_number_in_the_file(rows_and_stream, data):
    rows, pairs = rows_and_stream
    assert len(pairs) == len(rows)
    numbers = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=9))
    block = pairs[numbers]
    assert block.winner.tolist() == [rows[n]["winner"] for n in numbers]
    assert block.other.tolist() == [rows[n]["other"] for n in numbers]
    mu = np.broadcast_to(block.mu, len(numbers)).tolist()
    assert mu == [rows[n]["mu"] for n in numbers]


@pytest.mark.parametrize("shuffle", [None, 7])
def test_an_epoch_holds_every_pair_once(world, shuffle):
    pairs = stream(*world(), recipe(), dimension="looks")
    blocks = list(pairs.epoch(32, shuffle))
    assert max(map(len, blocks)) == 32
    seen = [pair for b in blocks for pair in zip(b.winner.tolist(), b.other.tolist(), strict=True)]
    whole = pairs[range(len(pairs))]
    assert sorted(seen) == sorted(zip(whole.winner.tolist(), whole.other.tolist(), strict=True))
    assert (seen[0] == (whole.winner[0], whole.other[0])) is (shuffle is None)


@pytest.mark.parametrize("number", [-1, 10**9])
def test_a_number_outside_is_refused(world, number):
    with pytest.raises(PairingError, match="numbers go from 0 to"):
        stream(*world(), recipe(), dimension="looks")[number]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strategy": "cross-prompt"}, "strategy cross-prompt skips pairs"),
        ({"max_per_item": 3}, "max_per_item skips pairs"),
        ({"quotas": {"by": "generator"}}, "quotas skips pairs"),
    ],
)
def test_a_deck_that_skips_pairs_cannot_be_entered(world, changes, message):
    made = Recipe.from_dict(recipe().to_dict() | changes)
    with pytest.raises(PairingError, match=message):
        stream(*world(), made, dimension="looks")


def test_pairs_that_the_recipe_does_not_ask_for_are_not_there(world):
    with pytest.raises(PairingError, match="no pairs in looks, test, win_lose"):
        stream(*world(), recipe(), dimension="looks", split="test")
