from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pairing.groups import deal_groups, pairs_of
from pairing.plan import plan_batches
from warehouse.errors import PairingError

pair_sets = st.lists(
    st.tuples(st.integers(0, 14), st.integers(0, 14)).filter(lambda pair: pair[0] != pair[1]),
    max_size=40,
)
limits = st.integers(2, 9)


def columns(pairs):
    table = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def batches_of(plan):
    return [set(part.tolist()) for part in np.split(plan.items, plan.start[1:-1])]


def components(pairs):
    """Items that hang together, by merging sets."""
    found = []
    for pair in pairs:
        touched = [part for part in found if part & set(pair)]
        found = [part for part in found if not part & set(pair)]
        found.append(set(pair).union(*touched))
    return found


def cheapest(pairs, limit):
    """Fewest encodings over all ways to spread the pairs over batches, by brute force."""
    best = 2 * len(pairs)

    def place(number, parts):
        nonlocal best
        cost = sum(map(len, parts))
        if cost >= best:
            return
        if number == len(pairs):
            best = cost
            return
        pair = set(pairs[number])
        for index, part in enumerate(parts):
            if len(part | pair) <= limit:
                place(number + 1, [*parts[:index], part | pair, *parts[index + 1 :]])
        place(number + 1, [*parts, pair])

    place(0, [])
    return best


def group_pairs(*, items, size, number=None, prompts=10**6):
    """Pairs of dealt groups in a random order, and how many groups there are."""
    rng = np.random.default_rng(0)
    names = [f"v{number}" for number in range(items)]
    sides = np.split(np.arange(items), [items // 2])
    groups = deal_groups(names, rng.integers(0, prompts, items), *sides, size=size, number=number)
    winner, other = map(np.concatenate, zip(*pairs_of(groups), strict=True))
    order = rng.permutation(len(winner))
    return winner[order], other[order], len(groups)


@given(pairs=pair_sets, limit=limits)
def test_every_pair_is_in_one_batch_that_holds_both_its_items(pairs, limit):
    plan = plan_batches(*columns(pairs), limit)
    batches = batches_of(plan)
    assert len(plan.batch) == len(pairs)
    for pair, batch in zip(pairs, plan.batch.tolist(), strict=True):
        assert set(pair) <= batches[batch]


@pytest.mark.slow
@given(pairs=pair_sets, limit=limits)
def test_a_batch_holds_the_items_of_its_pairs_in_order_and_never_too_many(pairs, limit):
    plan = plan_batches(*columns(pairs), limit)
    for number, (start, end) in enumerate(zip(plan.start, plan.start[1:], strict=False)):
        here = [pair for pair, batch in zip(pairs, plan.batch, strict=True) if batch == number]
        assert plan.items[start:end].tolist() == sorted(set().union(*here))
        assert 2 <= end - start <= limit
    assert plan.start[0] == 0
    assert plan.start[-1] == plan.encodings == len(plan.items)


@given(pairs=pair_sets, limit=limits, order=st.randoms(use_true_random=False))
def test_neither_the_order_of_the_pairs_nor_that_within_a_pair_changes_the_batches(
    pairs, limit, order
):
    moved = list(range(len(pairs)))
    order.shuffle(moved)
    turned = [pairs[row][:: order.choice([1, -1])] for row in moved]
    one, two = (plan_batches(*columns(each), limit) for each in (pairs, turned))
    assert np.array_equal(one.items, two.items)
    assert np.array_equal(one.start, two.start)
    assert np.array_equal(one.batch[moved], two.batch)


@given(pairs=pair_sets, limit=limits)
def test_the_numbers_of_the_items_may_have_gaps(pairs, limit):
    winner, other = columns(pairs)
    near, far = (plan_batches(winner * by + 3, other * by + 3, limit) for by in (1, 10**9))
    assert np.array_equal(near.batch, far.batch)


@given(pairs=pair_sets, limit=limits)
def test_what_hangs_together_and_fits_is_encoded_once(pairs, limit):
    plan = plan_batches(*columns(pairs), limit)
    for part in components(pairs):
        if len(part) <= limit:
            assert np.isin(plan.items, list(part)).sum() == len(part)


@given(pairs=pair_sets.filter(len), limit=limits)
def test_a_pair_never_costs_more_than_its_two_items(pairs, limit):
    assert plan_batches(*columns(pairs), limit).encodings <= 2 * len(set(map(frozenset, pairs)))


@given(pairs=pair_sets)
def test_pairs_of_the_same_two_items_share_a_batch(pairs):
    batch = plan_batches(*columns(pairs + pairs), 3).batch
    assert np.array_equal(batch[: len(pairs)], batch[len(pairs) :])


def test_small_sets_come_close_to_the_best_that_brute_force_finds():
    rng = np.random.default_rng(0)
    ours, best = 0, 0
    for _ in range(60):
        pairs = [pair for pair in combinations(range(rng.integers(4, 7)), 2) if rng.random() < 0.7][
            :9
        ]
        limit = int(rng.integers(2, 6))
        ours += plan_batches(*columns(pairs), limit).encodings
        best += cheapest(pairs, limit)
    assert best <= ours <= 1.04 * best


@pytest.mark.parametrize("limit", [7, 8, 13, 64, 1000])
def test_groups_that_share_no_item_are_encoded_once(limit):
    winner, other, groups = group_pairs(items=700, size=(3, 4))
    plan = plan_batches(winner, other, limit)
    assert plan.encodings == 7 * groups
    assert len(batches_of(plan)) == -(-groups // (limit // 7))


@pytest.mark.parametrize("limit", [8, 16, 64])
def test_groups_that_share_items_cost_no_more_than_one_encoding_an_item_and_group(limit):
    winner, other, groups = group_pairs(items=4000, size=(4, 4), number=1500, prompts=600)
    assert plan_batches(winner, other, limit).encodings <= 8 * groups


def test_all_pairs_of_a_small_pool_cost_less_than_half_an_encoding_each():
    pairs = list(product(range(60), range(60, 120)))
    shuffled = np.random.default_rng(0).permutation(pairs)
    # 8 x 8 items serve 64 pairs: 0.25 at best
    assert plan_batches(*columns(shuffled), 16).encodings <= 0.36 * len(pairs)


def test_one_item_in_all_pairs_is_encoded_once_a_batch():
    plan = plan_batches(np.zeros(3000, np.int64), np.arange(1, 3001), 16)
    assert plan.encodings == 3000 + 3000 // 15


def test_an_item_with_more_pairs_than_are_looked_at_stays_whole_where_it_fits():
    plan = plan_batches(np.zeros(500, np.int64), np.arange(1, 501), 501)
    assert plan.encodings == 501


def test_no_pairs_make_no_batch():
    plan = plan_batches([], [], 8)
    assert (plan.batch.tolist(), plan.items.tolist(), plan.start.tolist()) == ([], [], [0])


@pytest.mark.parametrize("limit", [1, 0, -3])
def test_a_batch_too_small_for_a_pair_is_refused(limit):
    with pytest.raises(PairingError, match=f"items_per_batch is {limit}"):
        plan_batches([1], [2], limit)


def test_a_pair_of_an_item_with_itself_is_refused():
    with pytest.raises(PairingError, match=r"1 pair is .*row 1, item 3"):
        plan_batches([1, 3], [2, 3], 4)


def test_columns_of_different_lengths_are_refused():
    with pytest.raises(PairingError, match=r"\(2,\) and other \(1,\)"):
        plan_batches([1, 3], [2], 4)
