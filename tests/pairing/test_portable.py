"""Pairs drawn by portable SQL against build_pairs; on Spark: tests/warehouse/test_spark.py."""

import hashlib

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pairing.pairset import build_pairs
from pairing.portable import _edge, draw_pairs
from pairing.recipe import Recipe, Split, Thresholds
from pairing.strata import Quotas
from pairing.words import MADE
from warehouse.engines import duckdb_engine
from warehouse.errors import PairingError

ODD = 'it\'s \\ a\n"мир" 🦊, ;--'


def each(**by_split):
    return dict.fromkeys(MADE, by_split)


def recipe(**more):
    plain = {
        "dimensions": ("looks",),
        "strategy": "any-prompt",
        "kinds": MADE,
        "counts": each(train="all", validation="up to 9", test="up to 7"),
        "split": Split(0.6, 0.2, 0.2),
    }
    return Recipe(**(plain | more))


def drawn(tables, recipe, **said):
    consensus, items = tables
    with duckdb_engine() as engine:
        engine.give("clips", items)
        engine.give("consensus", consensus)
        return draw_pairs(engine, recipe, "run", **said)


def same(tables, recipe):
    found, built = drawn(tables, recipe), build_pairs(*tables, recipe)
    assert found.manifest == built.manifest
    assert found.items.equals(built.items)
    assert found.pairs.equals(built.pairs)
    return found


@st.composite
def recipes(draw):
    return recipe(
        dimensions=tuple(draw(st.permutations(["looks", ODD]))),
        counts=each(train=draw(st.sampled_from(["0.9x", "all"])), validation="up to 9"),
        seed=draw(st.integers(0, 2**31)),
        thresholds=Thresholds(draw(st.sampled_from([None, 0.7])), None),
        split=Split(0.6, 0.2, 0.2, salt=ODD),
    )


@pytest.mark.slow
@settings(max_examples=25)
@given(recipes(), st.integers(20, 70))
def test_a_set_is_the_one_of_build_pairs_row_for_row(world, recipe, number):
    tables = world(items=number, seed=recipe.seed, dimensions=("looks", ODD))
    try:
        build_pairs(*tables, recipe)
    except PairingError:
        with pytest.raises(PairingError):
            drawn(tables, recipe)
    else:
        same(tables, recipe)


def test_ids_and_names_may_hold_anything(consensus_of, items_of):
    names = [f"{n} {ODD}" for n in range(30)]
    items = items_of([{"item_id": name, "prompt_id": f"{name[:1]}{ODD}"} for name in names])
    labels = ["pass", "fail", "pass"] * 10
    rows = [(name, ODD, label, 0.5) for name, label in zip(names, labels, strict=True)]
    counts = each(train="all")
    asked = recipe(dimensions=(ODD,), counts=counts, split=Split(1.0, 0.0, 0.0, salt=ODD))
    assert same((consensus_of(rows), items), asked).pairs.num_rows == 435


def test_prompts_that_share_a_video_go_to_one_split(world):
    consensus, items = world(items=120, prompts=40, ood=0.2)
    place = items.schema.get_field_index("media_sha256")
    shared = pa.array([None if n % 7 == 0 else f"m{n % 50}" for n in range(120)], pa.string())
    tables = consensus, items.set_column(place, "media_sha256", shared)
    apart = drawn((consensus, items), recipe(ood_generators=("gen_b",)))
    assert same(tables, recipe(ood_generators=("gen_b",))).digest != apart.digest


@pytest.mark.parametrize(
    "split", [Split(1.0, 0.0, 0.0), Split(0.7, 0.3, 0.0), Split(0.1, 0.2, 0.7)]
)
def test_splits_may_be_empty(world, split):
    counts = each(train="up to 50", validation="up to 9", test="up to 9")
    same(world(items=80), recipe(split=split, counts=counts))


@given(st.floats(0, 1, exclude_max=True), st.integers(0))
def test_a_point_compares_with_a_share_as_text_as_it_does_as_a_number(share, number):
    digits = hashlib.md5(str(number).encode()).hexdigest()[:13]
    assert (digits < _edge(share)) == (int(digits, 16) / 16**13 < share)


def test_only_the_run_asked_for_is_read(world):
    consensus, items = world(items=50)
    other = consensus.set_column(0, "consensus_id", pa.repeat("older", consensus.num_rows))
    both = pa.concat_tables([other.slice(0, 20), consensus.cast(other.schema)])
    assert drawn((both, items), recipe()).digest == build_pairs(consensus, items, recipe()).digest


def test_the_order_of_the_rows_does_not_matter(world):
    consensus, items = world(items=50)
    mixed = (
        consensus.take(np.random.default_rng(1).permutation(50)),
        items.take(np.arange(50)[::-1]),
    )
    found = drawn(mixed, recipe())
    assert found.pairs.equals(drawn((consensus, items), recipe()).pairs)


@pytest.mark.parametrize(
    "constraint",
    [
        {"strategy": "cross-prompt"},
        {"strategy": "in-prompt"},
        {"strategy": "hybrid", "in_prompt_share": 0.3},
        {"soft": True},
        {"max_per_item": 3},
        {"max_per_prompt": 5, "strategy": "cross-prompt"},
        {"win_ties": {"looks": "forbid"}},
    ],
)
def test_what_constrains_pairs_is_applied_to_the_same_decks(world, constraint):
    counts = each(train="up to 90", validation="up to 9", test="up to 7")
    same(world(items=80), recipe(counts=counts, **constraint))


def test_a_set_is_extended_as_build_pairs_extends_it(world):
    few, more = world(items=60), world(items=80)
    base = build_pairs(*few, recipe())
    built = build_pairs(*more, recipe(), base=base)
    assert drawn(more, recipe(), base=base).manifest == built.manifest


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ood_prompts", "unseen"),
        ("combined", {"looks": "a & b"}),
        ("quotas", Quotas("generator")),
        ("undecided", "in"),
    ],
)
def test_a_recipe_that_needs_more_than_the_queries_know_is_refused(world, field, value):
    with pytest.raises(PairingError, match=f"recipe: {field} is .*without --engine spark"):
        drawn(world(), recipe(**{field: value}, soft=field == "undecided"))


def test_tables_that_contradict_each_other_or_the_recipe_are_refused(world, consensus_of):
    consensus, items = world(items=20)
    twice = pa.concat_tables([items, items])
    strange = consensus_of([("nobody", "looks", "pass", 1.0)])
    for tables, asked, words in [
        ((consensus, twice), {}, "rows repeat an item"),
        ((pa.concat_tables([consensus, consensus]), items), {}, "rows repeat an item"),
        ((pa.concat_tables([consensus, strange]), items), {}, "1 item is not in .*'nobody'"),
        ((consensus, items), {"dimensions": ("lokos",)}, "needs the dimension 'lokos'"),
        ((consensus, items), {"ood_generators": ("gen_z",)}, "'gen_z', but no item has it"),
    ]:
        with pytest.raises(PairingError, match=words):
            drawn(tables, recipe(**asked))


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({"train": 10**6}, r"looks, train, win_lose: \d+ pairs exist .*1,000,000 asked for"),
        ({"train": 0}, "the recipe makes no pair at all"),
    ],
)
def test_counts_that_cannot_be_had_are_refused(world, counts, words):
    with pytest.raises(PairingError, match=words):
        drawn(world(), recipe(kinds=("win_lose",), counts={"win_lose": counts}))
