from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pairing import Recipe
from pairing.recipe import Split, Thresholds
from warehouse.errors import PairingError

TOML = """
name = "paper"
dimensions = ["looks", "moves"]
kinds = ["win_lose", "win_tie"]
strategy = "any-prompt"
soft = true
seed = 7
max_per_item = 12
ood_generators = ["gen_b"]
ood_prompts = "unseen"

[thresholds]
pass_at_least = 0.8
fail_at_most = 0.2

[split]
train = 0.5
validation = 0.25
test = 0.25
salt = "s"

[counts.win_lose]
train = 350_000
validation = "all"
ood = "1.5x"

[counts.win_tie]
train = "0.6x"

[overrides.moves.win_tie]
train = 0
"""
BLOCKS = {"passes": 2, "fails": 2}


def test_a_recipe_is_read_from_toml():
    recipe = Recipe.from_toml(TOML)
    assert recipe.split == Split(0.5, 0.25, 0.25, "s")
    assert recipe.thresholds == Thresholds(0.8, 0.2)
    assert recipe.count("looks", "train", "win_lose").amount == 350_000
    assert recipe.count("looks", "test", "win_lose").none
    assert recipe.count("moves", "train", "win_tie").none
    assert not recipe.count("looks", "train", "win_tie").none


def test_json_and_plain_values_read_back_to_the_same_recipe():
    recipe = Recipe.from_toml(TOML)
    assert Recipe.from_json(recipe.to_json()) == recipe
    assert Recipe.from_dict(recipe.to_dict()) == recipe


@given(
    seed=st.integers(0, 2**63 - 1),
    strategy=st.sampled_from(["cross-prompt", "any-prompt", "in-prompt"]),
    soft=st.booleans(),
    names=st.lists(st.text(min_size=1).filter(str.strip), min_size=1, max_size=3, unique=True),
    cap=st.none() | st.integers(1, 99),
)
def test_any_recipe_survives_json(seed, strategy, soft, names, cap):
    recipe = Recipe(tuple(names), seed=seed, strategy=strategy, soft=soft, max_per_item=cap)
    assert Recipe.from_json(recipe.to_json()) == recipe


def test_ood_pairs_are_asked_for_only_where_generators_are_out_of_domain():
    assert Recipe(("looks",)).count("looks", "ood", "win_lose").none
    assert not Recipe(("looks",), ood_generators=("b",)).count("looks", "ood", "win_lose").none


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "dimensions is missing"),
        ({"dimensions": []}, "dimensions is empty"),
        ({"dimensions": "looks"}, "dimensions is 'looks'; write a list"),
        ({"dimensions": ["looks", "looks"]}, "dimensions names 'looks' twice"),
        ({"dimensions": [3]}, "dimensions is 3; give it a text"),
        ({"seeds": 1}, "does not know 'seeds'; did you mean seed"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": True}, "seed is True"),
        (
            {"seed": 2**63},
            "seed is 9223372036854775808; give a whole number from 0 to 9223372036854775807",
        ),
        ({"soft": "yes"}, "soft is 'yes'; write true or false"),
        ({"strategy": "mixed"}, "strategy is 'mixed'; choose one of cross-prompt"),
        ({"strategy": "hybrid"}, "in_prompt_share None; give the share"),
        ({"in_prompt_share": 0.5}, "'cross-prompt' and in_prompt_share 0.5"),
        ({"strategy": "hybrid", "in_prompt_share": 2}, "in_prompt_share is 2"),
        ({"undecided": "in"}, "soft is false; a hard label of an undecided item"),
        ({"undecided": "maybe"}, "undecided is 'maybe'; choose one of out, in"),
        ({"combined": {"both": "a & b"}}, "combined does not know 'both'; known are looks"),
        ({"combined": {"looks": "looks & b"}}, "combined.looks names itself"),
        ({"combined": {"looks": "a +"}}, r"'a \+' is no combination"),
        ({"win_ties": {"looks": "maybe"}}, "win_ties.looks is 'maybe'; choose one of allow"),
        ({"win_ties": {"nope": "allow"}}, "win_ties does not know 'nope'"),
        ({"as_of": "2026-11-21"}, "as_of is '2026-11-21'; give a time with its zone"),
        ({"as_of": "soon"}, "as_of is 'soon'"),
        ({"as_of": 2026}, "as_of is 2026"),
        ({"max_per_prompt": 0}, "max_per_prompt is 0"),
        ({"quotas": {}}, "quotas.by is missing"),
        ({"quotas": {"by": "colour"}}, "quotas.by is 'colour'; write generator"),
        ({"quotas": {"by": "attribute."}}, "quotas.by is 'attribute.'"),
        ({"quotas": {"by": "generator", "shares": [["a", "b"]]}}, r"holds \('a', 'b'\)"),
        ({"quotas": {"by": "generator", "shares": [["a", "b", 0.5]]}}, "add up to 0.5"),
        ({"quotas": {"by": "generator", "shares": [["a", "b", 0]]}}, "gives .* nothing"),
        ({"ood_prompts": "apart"}, "ood_prompts is 'apart'"),
        ({"kinds": ["win-lose"]}, "kinds does not know 'win-lose'; did you mean win_lose"),
        ({"kinds": ["win_lose", "lose_tie"]}, "kinds names lose_tie but counts does not"),
        ({"max_per_item": 0}, "max_per_item is 0"),
        ({"name": " "}, "name is ' '"),
        ({"split": {"train": 0.9}}, r"split\.train \+ validation \+ test is 1\.1"),
        ({"split": {"train": 0, "test": 0.9}}, r"split\.train is 0"),
        ({"split": {"train": "most"}}, r"split\.train is 'most'"),
        ({"split": {"train": float("nan")}}, r"split\.train is nan"),
        ({"split": {"dev": 0.1}}, "split does not know 'dev'"),
        ({"split": 0.8}, r"split is 0\.8; write a table"),
        ({"thresholds": {"pass_at_least": 1.2}}, r"pass_at_least is 1\.2"),
        (
            {"thresholds": {"pass_at_least": 0.2, "fail_at_most": 0.6}},
            r"pass_at_least 0\.2 lies below fail_at_most 0\.6",
        ),
        ({"counts": {"win_lose": {"train": "some"}}}, r"counts\.win_lose\.train is 'some'"),
        ({"counts": {"win_lose": {"dev": 1}}}, r"counts\.win_lose does not know 'dev'"),
        ({"counts": {"win_lose": 9}}, r"counts\.win_lose is 9; write a table"),
        ({"counts": {"win_lose": {"train": 9}}}, "kinds names win_tie but counts does not"),
        ({"blocks": {"passes": 4}}, r"blocks\.fails is missing"),
        ({"blocks": 4}, "blocks is 4; write a table"),
        ({"blocks": {"passes": 0, "fails": 2}}, r"blocks\.passes is 0"),
        ({"blocks": {"passes": 2, "fails": True}}, r"blocks\.fails is True"),
        ({"blocks": BLOCKS | {"size": 3}}, "blocks does not know 'size'"),
        ({"blocks": {"passes": 2000, "fails": 1}}, "2000 . 1 items hold more than 1,024"),
        (
            {"blocks": BLOCKS | {"groups": {"train": "1.5x"}}},
            "is '1.5x'; write a whole number of groups",
        ),
        ({"blocks": BLOCKS | {"groups": {"dev": 1}}}, "groups does not know 'dev'"),
        ({"blocks": BLOCKS | {"groups": {"ood": 1}}}, "ood_generators is empty"),
        ({"blocks": BLOCKS | {"groups": {"train": 10**9}}}, "have 5,000,000,000 pairs, more than"),
        ({"blocks": BLOCKS, "counts": {"win_lose": {}}}, "counts is .* but blocks give all pairs"),
        ({"blocks": BLOCKS, "overrides": {"looks": {}}}, "overrides is .* but blocks"),
        ({"blocks": BLOCKS, "strategy": "in-prompt"}, "strategy is 'in-prompt', but blocks"),
        ({"blocks": BLOCKS, "max_per_item": 3}, "max_per_item is 3, but blocks"),
        ({"blocks": BLOCKS, "max_per_prompt": 3}, "leave max_per_prompt out, or blocks"),
        ({"blocks": BLOCKS, "quotas": {"by": "generator"}}, "quotas is .* but blocks"),
        ({"blocks": BLOCKS, "kinds": ["win_tie"]}, "name win_lose, too"),
        (
            {"blocks": {"passes": 2, "fails": 1}, "kinds": ["win_lose", "lose_tie"]},
            r"blocks\.fails is 1; one fail makes no tie",
        ),
        ({"overrides": {"moves": {}}}, "overrides does not know 'moves'"),
        ({"overrides": {"looks": {"win_lose": {"ood": 5}}}}, "ood_generators is empty"),
    ],
)
def test_nonsense_is_refused_with_field_value_and_next_step(values, message):
    whole = values if "dimensions" in values or not values else {"dimensions": ["looks"], **values}
    with pytest.raises(PairingError, match=message):
        Recipe.from_dict(whole)


def test_lose_ties_are_refused_with_the_reason_unless_named():
    counts = {kind: {"train": 1} for kind in ("win_lose", "win_tie", "lose_tie")}
    with pytest.raises(PairingError, match=r"Table 10\); name lose_tie in kinds"):
        Recipe(("looks",), counts=counts)
    kinds = ("win_lose", "win_tie", "lose_tie")
    assert Recipe(("looks",), kinds=kinds, counts=counts).kinds == kinds


def test_plain_values_given_to_the_constructor_are_refused_with_the_way_out():
    with pytest.raises(PairingError, match=r"give a Split, or use Recipe\.from_dict"):
        Recipe(("looks",), split={"train": 1.0})
    with pytest.raises(PairingError, match="a tuple in Python"):
        Recipe(["looks"])


@pytest.mark.parametrize(
    "text", ["seed = ", "= 3", "[counts", "a=" + "[" * 5000, "seed=" + "9" * 5000]
)
def test_a_text_that_is_no_toml_is_refused(text):
    with pytest.raises(PairingError, match="this is no TOML"):
        Recipe.from_toml(text)


@pytest.mark.parametrize(("text", "message"), [("{", "no JSON"), ("[1]", "write a table")])
def test_a_text_that_is_no_json_recipe_is_refused(text, message):
    with pytest.raises(PairingError, match=message):
        Recipe.from_json(text)


def test_as_of_may_be_a_time_of_toml_itself():
    recipes = [
        Recipe.from_toml(f"dimensions = ['looks']\nas_of = {written}")
        for written in ("2026-11-21T12:00:00Z", "'2026-11-21T12:00:00+00:00'")
    ]
    assert recipes[0] == recipes[1]


@pytest.mark.parametrize("written", ["2026-11-21T12:00:00", "2026-11-21"])
def test_a_time_of_toml_without_zone_is_refused_with_the_reason(written):
    text = f"dimensions = ['looks']\nas_of = {written}"
    words = f"as_of is '{written}'; give a time with its zone, without which it is another moment"
    with pytest.raises(PairingError, match=words):
        Recipe.from_toml(text)
