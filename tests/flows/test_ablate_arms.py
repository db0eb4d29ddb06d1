"""Arms: each a config and a recipe that can be built, one factor from what it is compared with."""

import pytest

from flows.ablate_arms import ARMS, DEFAULT, FACTORS, chosen_arms
from pairing.recipe import Recipe
from training.changes import changed
from training.config_json import to_json
from training.recipes import RECIPES
from warehouse.errors import TrainingError

BY_NAME = {arm.name: arm for arm in ARMS}


def config_of(arm, recipe):
    config = to_json(RECIPES[recipe]("base", "pairs"))
    return changed(config, arm.changes(config))


@pytest.mark.parametrize("recipe", ["tiny-ablation", "paper-1b", "paper-1b-blocks", "paper-14b"])
@pytest.mark.parametrize("arm", ARMS, ids=lambda arm: arm.name)
def test_an_arm_s_config_and_recipe_can_be_built(arm, recipe):
    config = config_of(arm, recipe)
    assert (config != config_of(BY_NAME[DEFAULT], recipe)) == bool(
        arm.train or arm.scaled or arm.picked
    )
    for ood in ((), ("sketch-2",)):
        plain = Recipe(("physical_plausibility",), ood_generators=ood).to_dict()
        Recipe.from_dict(arm.recipe(plain))


@pytest.mark.parametrize("arm", ARMS[1:], ids=lambda arm: arm.name)
def test_an_arm_differs_from_what_it_is_compared_with_in_one_section(arm):
    other = BY_NAME[arm.against]
    mine, theirs = (config_of(each, "tiny-ablation") for each in (arm, other))
    sections = {name for name in mine if mine[name] != theirs[name]}
    sections |= {"pairs"} if arm.pairs != other.pairs else set()
    assert len(sections) == 1


def test_names_are_there_once_and_the_default_comes_first():
    assert ARMS[0].name == DEFAULT
    assert len(BY_NAME) == len(ARMS)


def test_random_pairs_encode_as_many_items_a_step_as_a_block_has():
    batch = config_of(BY_NAME["random-pairs"], "tiny-ablation")["batch"]
    assert 2 * batch["size"] == config_of(BY_NAME[DEFAULT], "tiny-ablation")["batch"]["size"]


def test_layers_are_picked_from_the_recipe_s_own():
    layers = config_of(BY_NAME["last layer"], "paper-1b")["head"]["layers"]
    assert layers == [24]


def test_what_an_arm_is_compared_with_comes_along():
    assert [arm.name for arm in chosen_arms(names=["btt, lose-ties"])] == [
        DEFAULT, "btt", "btt, lose-ties"
    ]  # fmt: skip
    assert [arm.name for arm in chosen_arms(factors=["batches"])] == [DEFAULT, "random-pairs"]
    assert chosen_arms() == chosen_arms(factors=FACTORS) == ARMS


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"factors": ["hed"]}, "no factor 'hed'; there is 'head'"),
        ({"names": ["atention"]}, "no arm 'atention'; there is 'attention'"),
    ],
)
def test_an_unknown_name_is_refused_with_near_ones(given, words):
    with pytest.raises(TrainingError, match=words):
        chosen_arms(**given)
