"""Sets of blocks through a recipe: whole groups, found again by the planner."""

from __future__ import annotations

from collections import Counter
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pairing import Recipe, build_pairs
from pairing.plan import plan_batches
from pairing.stream import stream
from warehouse.errors import PairingError

DIMENSIONS = ("looks", "moves")
ALL = {"train": "all", "test": "up to 5"}
EVERY = ("win_lose", "win_tie", "lose_tie")
sizes = st.tuples(st.integers(1, 4), st.integers(2, 4))


def recipe(size, groups=ALL, **changes):
    values = {
        "dimensions": DIMENSIONS,
        "split": {"train": 0.7, "validation": 0.0, "test": 0.3},
        "blocks": {"passes": size[0], "fails": size[1], "groups": groups},
    }
    return Recipe.from_dict(values | changes)


def pairs_in(made, dimension, split):
    """Pairs of a dimension and split as kind -> {items}, and each item's label."""
    here = [row for row in made.items.to_pylist() if row["dimension"] == dimension]
    label = {row["ordinal"]: row["label"] for row in here if row["split"] == split}
    found = {kind: [] for kind in EVERY}
    for row in made.pairs.to_pylist():
        if (row["dimension"], row["split"]) == (dimension, split):
            found[row["kind"]].append((row["winner"], row["other"]))
    return found, label


def planned(found, limit):
    """Items of each batch."""
    table = np.array([pair for pairs in found.values() for pair in pairs]).reshape(-1, 2)
    plan = plan_batches(table[:, 0], table[:, 1], limit)
    return [frozenset(part.tolist()) for part in np.split(plan.items, plan.start[1:-1])]


@pytest.mark.slow
@settings(max_examples=25)
@given(size=sizes, seed=st.integers(0, 99), kinds=st.sampled_from([EVERY[:1], EVERY[:2], EVERY]))
def test_the_planner_finds_whole_groups_again_and_their_pairs_are_the_set(world, size, seed, kinds):
    consensus, items = world(items=90, prompts=40, seed=seed, dimensions=DIMENSIONS)
    made = build_pairs(consensus, items, recipe(size, seed=seed, kinds=kinds))
    columns = made.items.select(["ordinal", "prompt_id"]).to_pydict().values()
    prompts = dict(zip(*columns, strict=True))
    for dimension, split in product(DIMENSIONS, ("train", "test")):
        found, label = pairs_in(made, dimension, split)
        groups = planned(found, sum(size))
        expected = {kind: set() for kind in EVERY}
        for group in groups if any(found.values()) else ():
            passes = sorted(item for item in group if label[item] == "pass")
            fails = sorted(item for item in group if label[item] == "fail")
            assert (len(passes), len(fails)) == size
            assert len({prompts[item] for item in group}) == sum(size)
            expected["win_lose"] |= set(product(passes, fails))
            expected["win_tie"] |= set(combinations(passes, 2))
            expected["lose_tie"] |= set(combinations(fails, 2))
        for kind in EVERY:
            assert len(set(found[kind])) == len(found[kind])
            assert set(found[kind]) == (expected[kind] if kind in kinds else set())
        assert max(Counter(item for group in groups for item in group).values(), default=1) == 1


@settings(max_examples=15)
@given(seed=st.integers(0, 99), number=st.integers(18, 30))
def test_groups_that_share_items_keep_their_number_of_pairs_and_meet_once(world, seed, number):
    consensus, items = world(items=160, prompts=80, seed=seed)
    made = build_pairs(
        consensus,
        items,
        recipe((3, 3), {"train": number}, dimensions=["looks"], kinds=EVERY, seed=seed),
    )
    found, _ = pairs_in(made, "looks", "train")
    assert [len(found[kind]) for kind in EVERY] == [9 * number, 3 * number, 3 * number]
    assert all(len(set(map(frozenset, pairs))) == len(pairs) for pairs in found.values())
    encodings = sum(len(batch) for batch in planned(found, 6))
    assert 6 * number <= encodings <= 1.02 * 6 * number  # measured: exact in 100 of 100


def test_up_to_uses_no_item_twice_and_a_number_may(world):
    consensus, items = world(items=120, prompts=60)
    counts = {}
    for value in ("all", "up to 3", "up to 999", 30):
        made = build_pairs(consensus, items, recipe((3, 3), {"train": value}, dimensions=["looks"]))
        counts[value] = made.manifest["counts"]["looks"]["train"]["win_lose"] // 9
    assert counts["up to 3"] == 3
    assert counts["all"] == counts["up to 999"] < counts[30] == 30


@settings(max_examples=10)
@given(seed=st.integers(0, 99), data=st.data())
def test_shuffled_rows_give_the_same_tables_and_manifest(world, seed, data):
    consensus, items = world(items=50, prompts=20, seed=seed)
    asked = recipe((2, 2), dimensions=["looks"])
    made = build_pairs(consensus, items, asked)
    one = data.draw(st.permutations(range(consensus.num_rows)))
    two = data.draw(st.permutations(range(items.num_rows)))
    again = build_pairs(consensus.take(one), items.take(two), asked)
    assert again.pairs.equals(made.pairs)
    assert again.items.equals(made.items)
    assert again.manifest == made.manifest


def test_seed_and_dimension_decide_who_is_in_a_group(world):
    consensus, items = world(items=60)
    asked = recipe((2, 2), dimensions=["looks"])
    one, same, other = (
        build_pairs(consensus, items, made).digest
        for made in (asked, asked, recipe((2, 2), dimensions=["looks"], seed=1))
    )
    assert one == same != other


def test_soft_pairs_and_undecided_items_are_in_groups_too(world):
    consensus, items = world(items=80, prompts=40, undecided=0.5)
    asked = recipe((2, 2), dimensions=["looks"], soft=True, undecided="in")
    made = build_pairs(consensus, items, asked)
    assert 0 < np.mean(made.pairs["weight"].to_numpy()) < 1
    assert (
        made.pairs.num_rows
        > build_pairs(consensus, items, recipe((2, 2), dimensions=["looks"])).pairs.num_rows
    )


def test_forbidden_win_ties_are_in_no_group(world):
    consensus, items = world(items=80, prompts=40, dimensions=DIMENSIONS)
    made = build_pairs(consensus, items, recipe((3, 2), win_ties={"moves": "forbid"}))
    kinds = {name: set(splits["train"]) for name, splits in made.manifest["counts"].items()}
    assert kinds == {"looks": {"win_lose", "win_tie"}, "moves": {"win_lose"}}


def test_groups_out_of_domain_hold_items_of_those_generators_alone(world):
    consensus, items = world(items=90, prompts=60, ood=0.3)
    made = build_pairs(
        consensus,
        items,
        recipe((2, 2), {"ood": "all"}, dimensions=["looks"], ood_generators=["gen_b"]),
    )
    found, label = pairs_in(made, "looks", "ood")
    assert found["win_lose"]
    assert {item for pair in found["win_lose"] for item in pair} <= set(label)
    assert set(made.pairs["split"].to_pylist()) == {"ood"}


def test_a_manifest_s_recipe_says_blocks_and_no_counts(world):
    asked = recipe((3, 3), dimensions=["looks"])
    said = build_pairs(*world(items=80, prompts=40), asked).manifest["recipe"]
    assert "counts" not in said
    assert Recipe.from_dict(said) == asked
    assert Recipe.from_json(asked.to_json()) == asked


def test_splits_that_hold_no_group_are_warned_of_where_up_to_was_asked(world):
    asked = recipe((20, 20), {"train": 1, "test": "up to 2"}, dimensions=["looks"])
    made = build_pairs(*world(items=600, prompts=99), asked)
    first, *_ = made.manifest["warnings"]
    assert first.startswith("looks, test, win_lose: 0 pairs exist (")
    assert first.endswith("groups of 20 pass and 20 fail items)")


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"train": 900}, r"looks, train, groups: 900 asked for, .*: only \d+ groups of 3 pass"),
        ({"test": "all"}, r"looks, test: 0 groups of 3 pass .* smaller groups or for 'up to'"),
        ({"train": 0}, "makes no pair at all"),
        ({"test": "up to 9"}, "makes no pair at all .looks, test, win_lose: 0 pairs exist"),
    ],
)
def test_more_groups_than_exist_are_refused_with_what_exists(world, groups, message):
    consensus, items = world(items=40, prompts=8)
    asked = recipe((3, 3), groups, dimensions=["looks"])
    with pytest.raises(PairingError, match=message):
        build_pairs(consensus, items, asked)


def test_a_set_of_blocks_is_not_extended_and_not_streamed(world):
    consensus, items = world(items=80, prompts=40)
    asked = recipe((3, 3), dimensions=["looks"])
    made = build_pairs(consensus, items, asked)
    with pytest.raises(PairingError, match="recipe has blocks, which pairs that are kept could"):
        build_pairs(consensus, items, asked, base=made)
    with pytest.raises(PairingError, match="blocks skips pairs"):
        stream(consensus, items, asked, dimension="looks")
