"""Synthetic state dicts in the released layout; names and shapes are written out here once more."""

import pytest
import torch

from training.heads import HPQA
from training.heads.released import from_released, to_released
from warehouse.errors import TrainingError

WIDTH = 8
ATTENTION = {
    "in_proj_weight": (3 * WIDTH, WIDTH),
    "in_proj_bias": (3 * WIDTH,),
    "out_proj.weight": (WIDTH, WIDTH),
    "out_proj.bias": (WIDTH,),
}


def released_state(layers):
    """Random weights under the names of a released checkpoint of so many chosen layers."""
    attentions = [
        "attention_query_first_layer.attention.0",
        "attention_query_final_layer.attention.0",
        *(f"attention_query_other_layers.{number}" for number in range(layers - 1)),
    ]
    shapes = {
        "attention_query_first_layer.query.weight": (1, WIDTH),
        "attention_query_final_layer.query.weight": (1, WIDTH),
        "reward_head.0.weight": (WIDTH, WIDTH),
        "reward_head.0.bias": (WIDTH,),
        "reward_head.3.weight": (1, WIDTH),
        **{f"{start}.{name}": shape for start in attentions for name, shape in ATTENTION.items()},
    }
    return {name: torch.randn(shape) for name, shape in shapes.items()}


@pytest.mark.parametrize("layers", [1, 2, 4, 12])
def test_a_released_head_is_an_hpqa_and_comes_back_under_its_names(layers):
    state = released_state(layers)
    head = HPQA(WIDTH, range(layers), 1, heads=2)
    head.load_state_dict(from_released(state))  # strict: every name, every shape
    again = to_released(head.state_dict())
    assert again.keys() == state.keys()
    assert all(torch.equal(again[name], weight) for name, weight in state.items())


@pytest.mark.parametrize("layers", [1, 4])
def test_our_own_head_comes_back_from_the_released_names(layers):
    state = HPQA(WIDTH, range(layers), 1, heads=2).state_dict()
    there = to_released(state)
    assert len(there) == len(state)
    assert {name: tuple(w.shape) for name, w in there.items()} == {
        name: tuple(w.shape) for name, w in released_state(layers).items()
    }
    back = from_released(there)
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], weight) for name, weight in state.items())


def test_layers_keep_their_order():
    """The second chosen layer is the first of the others."""
    state = from_released(released := released_state(3))
    first = released["attention_query_first_layer.attention.0.in_proj_bias"]
    other = [released[f"attention_query_other_layers.{number}.in_proj_bias"] for number in (0, 1)]
    for number, wanted in enumerate((first, *other)):
        assert torch.equal(state[f"attentions.{number}.in_proj_bias"], wanted)


def test_the_head_is_found_in_a_whole_checkpoint():
    whole = {"model.embed_tokens.weight": torch.zeros(2), **released_state(2)}
    assert from_released(whole).keys() == HPQA(WIDTH, range(2), 1, heads=2).state_dict().keys()


def test_a_checkpoint_of_another_head_is_named():
    other = {"attention_query_multi_layer.query.weight": torch.zeros(4, 8)}
    with pytest.raises(TrainingError, match=r"no attention_query_first_layer\.query\.weight"):
        from_released(other)
    with pytest.raises(TrainingError, match=r"belongs to attention_query_multi_layer\.query\.w"):
        from_released({**released_state(1), **other})
    with pytest.raises(TrainingError, match=r"belongs to rows\.weight"):
        to_released({"rows.weight": torch.zeros(1, 8)})
