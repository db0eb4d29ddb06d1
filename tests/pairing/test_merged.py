import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pairing.merged import Capped, Merged, Part
from pairing.sampler import Dealt

SHARES = st.lists(st.integers(1, 9), min_size=1, max_size=5)


def deck(winners, losers, start=0):
    """A deck without constraints, whose positions begin at `start` on either side."""
    sides = np.zeros(winners, dtype=np.int64), np.zeros(losers, dtype=np.int64)
    sampler = Dealt(*sides, apart=False)
    return sampler, np.arange(winners) + start, np.arange(losers) + start


def merged(weights, sizes):
    parts = [
        Part(f"part {n}", *_with_share(deck(*size, start=100 * n), weight / sum(weights)))
        for n, (weight, size) in enumerate(zip(weights, sizes, strict=True))
    ]
    return Merged(tuple(parts))


def _with_share(made, share):
    sampler, first, second = made
    return sampler, share, first, second


@given(weights=SHARES, data=st.data())
def test_a_prefix_is_a_prefix_and_shares_hold_to_within_two_pairs(weights, data):
    sizes = [data.draw(st.tuples(st.integers(1, 9), st.integers(1, 9))) for _ in weights]
    decks = merged(weights, sizes)
    whole = np.stack(decks.take(decks.available))
    assert len({tuple(pair) for pair in whole.T.tolist()}) == decks.available
    number = data.draw(st.integers(0, decks.available))
    some = np.stack(decks.take(number))
    assert np.array_equal(some, whole[:, :number])
    given_by = np.bincount(some[0] // 100, minlength=len(weights))
    asked = number * np.array(weights) / sum(weights)
    assert np.abs(given_by - asked).max(initial=0.0) <= 2


@given(weights=SHARES, data=st.data())
def test_every_deck_but_the_scarcest_could_go_on(weights, data):
    sizes = [data.draw(st.tuples(st.integers(0, 5), st.integers(1, 5))) for _ in weights]
    decks = merged(weights, sizes)
    first, _ = decks.take(decks.available)
    used = np.bincount(first // 100, minlength=len(weights))
    have = np.array([one * two for one, two in sizes])
    assert (used <= have).all()
    scarcest = decks.parts.index(decks.scarcest)
    assert used[scarcest] == have[scarcest]


@given(
    codes=st.lists(st.integers(0, 5), min_size=2, max_size=30),
    cap=st.integers(1, 4),
    ties=st.booleans(),
)
def test_a_cap_keeps_what_one_after_the_other_would_keep(codes, cap, ties):
    half = len(codes) // 2
    first = np.array(codes if ties else codes[:half], dtype=np.int64)
    second = None if ties else np.array(codes[half:], dtype=np.int64)
    base = Dealt(first, second, apart=True)
    left, kept = dict.fromkeys(codes, cap), []
    for one, two in zip(*(side.tolist() for side in base.take(base.available)), strict=True):
        pair = {int(first[one]), int((first if second is None else second)[two])}
        if all(left[code] for code in pair):
            kept.append((one, two))
            for code in pair:
                left[code] -= 1
    capped = Capped(base, first, second, cap)
    assert capped.available == len(kept)
    found = [side.tolist() for side in capped.take(capped.available)]
    assert list(zip(*found, strict=True)) == kept


def test_a_pair_inside_a_code_counts_once():
    same = np.zeros(4, dtype=np.int64)
    capped = Capped(Dealt(same, None, apart=False), same, None, cap=3)
    assert capped.available == 3


@pytest.mark.parametrize("cap", [1, 3])
def test_a_cap_on_a_vast_deck_is_met_without_dealing_it(cap):
    side = np.repeat(np.arange(50), 2_000)  # ten milliard pairs
    capped = Capped(Dealt(side, side, apart=True), side, side, cap)
    assert capped.available >= 0.9 * 50 * cap / 2
