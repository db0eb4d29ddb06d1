"""Closed forms for two decks of pairs, at random access: card number -> pair, and back.

A deck lists every pair once, in an order in which every prefix uses each item equally often:
the counts of two items on one side never differ by more than 1. All functions work on arrays of
card numbers, and on arrays of sizes beside them (one deck per prompt).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from pairing.words import Ints


def diagonal(card: ArrayLike, winners: ArrayLike, losers: ArrayLike) -> tuple[Ints, Ints]:
    """Pair number `card` of winners x losers, walked along diagonals.

    card: 0 <= card < winners * losers. A lap of lcm(winners, losers) cards meets a pair at most
        once (Chinese remainder theorem); each next lap starts one loser further on.
    Returns: number of the winner and of the loser.

    >>> [tuple(map(int, pair)) for pair in zip(*diagonal(range(6), 3, 2))]
    [(0, 0), (1, 1), (2, 0), (0, 1), (1, 0), (2, 1)]
    """
    number, ones, twos = (np.asarray(each, dtype=np.int64) for each in (card, winners, losers))
    lap = number // np.lcm(ones, twos)
    return number % ones, (number + lap) % twos


def diagonal_card(winner: ArrayLike, loser: ArrayLike, winners: int, losers: int) -> Ints:
    """Card of a pair in `diagonal`.

    >>> diagonal_card(*diagonal(range(6), 3, 2), 3, 2).tolist()
    [0, 1, 2, 3, 4, 5]
    """
    first, second = np.asarray(winner, dtype=np.int64), np.asarray(loser, dtype=np.int64)
    common = int(np.gcd(winners, losers))
    reduced = losers // common
    lap = (second - first) % common
    inverse = pow(winners // common, -1, reduced) if reduced > 1 else 0
    turns = (second - lap - first) // common % reduced * inverse % reduced
    return lap * (winners * reduced) + first + winners * turns


def round_robin(card: ArrayLike, players: ArrayLike) -> tuple[Ints, Ints]:
    """Pair number `card` out of all unordered pairs of `players`.

    card: 0 <= card < players * (players - 1) / 2.
    Even numbers: the circle method, one perfect matching after the other. Odd numbers: Walecki's
    Hamiltonian cycles, each played as a matching, its closing edge, and the other matching; rounds
    with a bye, the usual way, would let counts differ by 2.
    Source: Kirkman (1847) for the circle; Walecki in Lucas, Recreations mathematiques II (1892).

    >>> [tuple(map(int, pair)) for pair in zip(*round_robin(range(6), 4))]
    [(3, 0), (1, 2), (3, 1), (2, 0), (3, 2), (0, 1)]
    """
    number, count = np.broadcast_arrays(np.asarray(card, np.int64), np.asarray(players, np.int64))
    even = count % 2 == 0
    if even.all():
        return _circle(number, count)
    if not even.any():
        return _walecki(number, count)
    first, second = np.empty_like(number), np.empty_like(number)
    first[even], second[even] = _circle(number[even], count[even])
    first[~even], second[~even] = _walecki(number[~even], count[~even])
    return first, second


def round_robin_card(first: ArrayLike, second: ArrayLike, players: int) -> Ints:
    """Card of an unordered pair in `round_robin`.

    >>> round_robin_card(*round_robin(range(10), 5), 5).tolist()
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    """
    one, two = np.asarray(first, dtype=np.int64), np.asarray(second, dtype=np.int64)
    low, high = np.minimum(one, two), np.maximum(one, two)
    return _circle_card(low, high, players) if players % 2 == 0 else _cycle_card(low, high, players)


def _circle(card: Ints, players: Ints) -> tuple[Ints, Ints]:
    """Round r: the last player meets r; r + k meets r - k on the circle of the others."""
    circle = players - 1
    turn, seat = np.divmod(card, players // 2)
    first = np.where(seat == 0, circle, (turn + seat) % circle)
    return first, (turn - seat) % circle


def _circle_card(low: Ints, high: Ints, players: int) -> Ints:
    circle = players - 1
    turn = np.where(high == circle, low, (low + high) * (players // 2) % circle)
    step = (low - turn) % circle
    seat = np.where(high == circle, 0, np.minimum(step, circle - step))
    return np.asarray(turn * (players // 2) + seat)


def _walecki(card: Ints, players: Ints) -> tuple[Ints, Ints]:
    """Cycle c: a hub, then the zigzag c, c+1, c-1, c+2, ... on the others, and back to the hub."""
    cycle, place = np.divmod(card, players)
    half = players // 2
    edge = np.where(place < half, 2 * place, 2 * (place - half) - 1)
    edge = np.where(place == half, players - 1, edge)
    return _stop(cycle, edge, players), _stop(cycle, edge + 1, players)


def _stop(cycle: Ints, place: Ints, players: Ints) -> Ints:
    """Player at a place of a cycle. Place 0, and again place `players`, is the hub."""
    step = place - 1
    zigzag = np.where(step % 2 == 1, (step + 1) // 2, -(step // 2))
    return np.where(place % players == 0, players - 1, (cycle + zigzag) % (players - 1))


def _cycle_card(low: Ints, high: Ints, players: int) -> Ints:
    ring, half = players - 1, players // 2
    to_hub = high == ring
    cycle = np.where(to_hub, low % half, (low + high) % ring // 2)
    places = [_place((player - cycle) % ring, half) for player in (low, high)]
    inner = np.minimum(*places)
    edge = np.where(to_hub, np.where(low < half, 0, players - 1), inner)
    place = np.where(edge % 2 == 0, edge // 2, (edge + 1) // 2 + half)
    return np.asarray(cycle * players + np.where(edge == players - 1, half, place))


def _place(ahead: Ints, half: int) -> Ints:
    """Place on the zigzag of the player that many seats ahead of its start."""
    ring = 2 * half
    return np.where(ahead <= half, np.maximum(2 * ahead, 1), 2 * (ring - ahead) + 1)
