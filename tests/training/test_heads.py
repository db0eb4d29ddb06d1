import math

import pytest
import torch

from training.heads import HPQA
from warehouse.errors import TrainingError


def head(dimensions=1, layers=2, **options):
    torch.manual_seed(0)
    return HPQA(16, layers, dimensions, heads=4, **options).double().eval()


def states(items=3, tokens=7, layers=2):
    generator = torch.Generator().manual_seed(1)
    made = torch.randn(layers + 1, items, tokens, 16, generator=generator, dtype=torch.float64)
    return list(made[:-1]), made[-1]


def attention_restated(module, query, state, mask):
    """Multi-head attention of one item in plain loops over heads: Q (D,), K = V = state (S, D)."""
    width = len(query) // module.num_heads
    q_w, k_w, v_w = module.in_proj_weight.chunk(3)
    q_b, k_b, v_b = module.in_proj_bias.chunk(3)
    q, k, v = q_w @ query + q_b, state @ k_w.T + k_b, state @ v_w.T + v_b
    parts = []
    for number in range(module.num_heads):
        part = slice(number * width, (number + 1) * width)
        logits = (k[:, part] @ q[part]) / math.sqrt(width)
        weights = torch.softmax(logits.masked_fill(~mask, -torch.inf), 0)
        parts.append(weights @ v[:, part])
    return module.out_proj.weight @ torch.cat(parts) + module.out_proj.bias


@pytest.mark.parametrize("padding", ["left", "right"])
@pytest.mark.parametrize("layers", [1, 4])
def test_rewards_equal_equations_3_to_6_restated(padding, layers):
    model, (chosen, last) = head(layers=layers), states(layers=layers)
    mask = torch.ones(3, 7, dtype=torch.bool)
    mask[1, :2] = padding == "right"
    mask[1, -2:] = padding == "left"
    rewards = model(chosen, last, mask)
    for item in range(3):
        q = model.query[0]
        for attention, state in zip(model.attentions, chosen, strict=True):
            q = attention_restated(attention, q, state[item], mask[item])
        o_res = attention_restated(
            model.residual_attention, model.residual_query[0], last[item], mask[item]
        )
        first, _, _, final = model.reward_head
        hidden = first.weight @ (q + o_res) + first.bias
        expected = final.weight @ (hidden * torch.sigmoid(hidden))
        assert rewards[item, 0].item() == pytest.approx(expected.item(), rel=1e-9)


def test_padding_does_not_change_rewards():
    model, (chosen, last) = head(dimensions=3), states()
    short = model([s[:, :5] for s in chosen], last[:, :5], torch.ones(3, 5, dtype=torch.bool))
    mask = torch.ones(3, 7, dtype=torch.bool)
    mask[:, 5:] = False
    torch.testing.assert_close(model(chosen, last, mask), short, rtol=1e-12, atol=1e-12)


def test_one_encoding_gives_each_dimension_the_reward_of_its_own_query():
    model, (chosen, last) = head(dimensions=3), states()
    mask = torch.ones(3, 7, dtype=torch.bool)
    together = model(chosen, last, mask)
    for number in range(3):
        single = head(dimensions=1)
        weights = model.state_dict()
        for name in ("query", "residual_query", "reward_head.3.weight"):
            weights[name] = weights[name][number : number + 1]
        single.load_state_dict(weights)
        torch.testing.assert_close(single(chosen, last, mask)[:, 0], together[:, number])


def test_the_same_seed_gives_the_same_weights_and_all_are_finite():
    one, two = head().state_dict(), head().state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert all(bool(weight.isfinite().all()) for weight in one.values())


def test_the_last_layer_has_no_bias():
    assert "reward_head.3.bias" not in head().state_dict()


def test_heads_that_do_not_divide_the_width_are_named():
    with pytest.raises(TrainingError, match="6 attention heads do not divide the hidden size 16"):
        HPQA(16, 1, 1, heads=6)
