from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pairing.deck import diagonal, diagonal_card, round_robin, round_robin_card

SIDES = [(w, n) for w in range(1, 10) for n in range(1, 10)]


def balanced(uses, size):
    """Whether after every prefix no two counts differ by more than 1. uses: (cards, per card)."""
    counts = np.zeros(size, dtype=int)
    for card in uses:
        np.add.at(counts, card, 1)
        if np.ptp(counts) > 1:
            return False
    return True


@pytest.mark.parametrize(("winners", "losers"), SIDES)
def test_the_diagonal_deck_holds_every_pair_once_and_every_prefix_is_balanced(winners, losers):
    first, second = diagonal(np.arange(winners * losers), winners, losers)
    assert len(set(zip(first.tolist(), second.tolist(), strict=True))) == winners * losers
    assert balanced(first[:, None], winners)
    assert balanced(second[:, None], losers)


@pytest.mark.parametrize("players", range(2, 26))
def test_the_round_robin_holds_every_pair_once_and_every_prefix_is_balanced(players):
    first, second = round_robin(np.arange(comb(players, 2)), players)
    pairs = {frozenset(pair) for pair in zip(first.tolist(), second.tolist(), strict=True)}
    assert pairs == {frozenset((a, b)) for a in range(players) for b in range(a)}
    assert balanced(np.stack([first, second], axis=1), players)


@given(winners=st.integers(1, 10**6), losers=st.integers(1, 10**6), data=st.data())
def test_a_card_of_the_diagonal_is_found_from_its_pair(winners, losers, data):
    card = data.draw(st.integers(0, winners * losers - 1))
    first, second = diagonal([card], winners, losers)
    assert 0 <= first[0] < winners
    assert 0 <= second[0] < losers
    assert diagonal_card(first, second, winners, losers).tolist() == [card]


@given(players=st.integers(2, 10**6), data=st.data())
def test_a_card_of_the_round_robin_is_found_from_its_pair(players, data):
    card = data.draw(st.integers(0, comb(players, 2) - 1))
    first, second = round_robin([card], players)
    assert first[0] != second[0]
    assert round_robin_card(first, second, players).tolist() == [card]
    assert round_robin_card(second, first, players).tolist() == [card]


def test_decks_of_many_sizes_are_dealt_side_by_side():
    sizes = np.array([2, 3, 6, 7])
    cards = np.array([0, 2, 14, 20])
    alone = [round_robin([c], n) for c, n in zip(cards, sizes, strict=True)]
    first, second = round_robin(cards, sizes)
    assert first.tolist() == [pair[0][0] for pair in alone]
    assert second.tolist() == [pair[1][0] for pair in alone]
