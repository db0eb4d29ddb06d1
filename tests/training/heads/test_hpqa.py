"""HPQA and single attention against the paper's equations, restated item by item and head by head.

The restatement reads the tokens that are real and no others, so it knows of no mask.
"""

import math

import pytest
import torch

from training.heads import HPQA, Encoded
from training.heads.hpqa import SingleAttention
from warehouse.errors import TrainingError

WIDTH, TOKENS = 8, 6
REAL = {"none": [(0, 6)] * 3, "left": [(0, 6), (2, 6), (5, 6)], "right": [(0, 6), (0, 4), (0, 1)]}


def seeded(build):
    torch.manual_seed(0)
    head = build().double().eval()
    with torch.no_grad():  # biases start at zero: a wrong one would not be seen
        for weight in head.parameters():
            weight.copy_(torch.randn_like(weight) * 0.7)
    return head


def hpqa(dimensions=1, layers=2):
    return seeded(lambda: HPQA(WIDTH, range(1, layers + 1), dimensions, heads=2))


def single(dimensions=1):
    return seeded(lambda: SingleAttention(WIDTH, dimensions, heads=2))


def encoded(layers=2, padding="none"):
    """Three items of up to six tokens; what stands in the padding is large and must not matter."""
    generator = torch.Generator().manual_seed(1)
    made = torch.randn(layers + 1, 3, TOKENS, WIDTH, generator=generator, dtype=torch.float64)
    mask = torch.zeros(3, TOKENS, dtype=torch.bool)
    for item, (start, end) in enumerate(REAL[padding]):
        mask[item, start:end] = True
    made = torch.where(mask[None, :, :, None], made, 1e3).requires_grad_()
    ids = torch.zeros(3, TOKENS, dtype=torch.long)
    return Encoded(tuple(made[:-1]), made[-1], mask, ids), made


def attention_restated(module, query, tokens):
    """Softmax(q k / sqrt(d)) v by hand, head after head: (D,) query, a list of (D,) tokens."""
    width, size = len(query), len(query) // module.num_heads
    weight, bias = module.in_proj_weight, module.in_proj_bias
    q, *rest = (
        [weight[part * width : (part + 1) * width] @ x + bias[part * width : (part + 1) * width]
         for x in xs]
        for part, xs in enumerate(([query], tokens, tokens))
    )  # fmt: skip
    keys, values = rest
    mixed = []
    for number in range(module.num_heads):
        own = slice(number * size, (number + 1) * size)
        powers = [torch.exp((q[0][own] * key[own]).sum() / math.sqrt(size)) for key in keys]
        mixed.append(sum(p * v[own] for p, v in zip(powers, values, strict=True)) / sum(powers))
    return module.out_proj.weight @ torch.cat(mixed) + module.out_proj.bias


def reward_restated(head, vector, dimension):
    """Linear, SiLU, Linear without bias."""
    first, final = head.reward_head[0], head.reward_head[3]
    hidden = first.weight @ vector + first.bias
    return final.weight[dimension] @ (hidden / (1 + torch.exp(-hidden)))


def hpqa_restated(head, made, span, item, dimension):
    """Equations 3 to 6 of one item in one dimension."""
    q = head.query[dimension]
    for attention, state in zip(head.attentions, made[:-1], strict=True):
        q = attention_restated(attention, q, list(state[item, slice(*span)]))
    last = list(made[-1, item, slice(*span)])
    o_res = attention_restated(head.residual_attention, head.residual_query[dimension], last)
    return reward_restated(head, q + o_res, dimension)


def single_restated(head, made, span, item, dimension):
    """Equations 5 and 6 without the progressive queries."""
    last = list(made[-1, item, slice(*span)])
    return reward_restated(
        head, attention_restated(head.attention, head.query[dimension], last), dimension
    )


@pytest.mark.parametrize("padding", REAL)
@pytest.mark.parametrize(
    ("build", "restated", "layers"),
    [
        (lambda: hpqa(2, 1), hpqa_restated, 1),
        (lambda: hpqa(2, 4), hpqa_restated, 4),
        (lambda: single(2), single_restated, 1),
    ],
    ids=["hpqa of one layer", "hpqa of four layers", "single attention"],
)
def test_rewards_and_gradients_equal_the_equations_restated(build, restated, layers, padding):
    head = build()
    batch, made = encoded(layers, padding)
    rewards = head(batch)
    by_hand = torch.stack(
        [
            torch.stack([restated(head, made, span, item, d) for d in range(2)])
            for item, span in enumerate(REAL[padding])
        ]
    )
    torch.testing.assert_close(rewards, by_hand, rtol=1e-10, atol=1e-10)
    mixed = torch.linspace(-1, 2, 6, dtype=torch.float64).view(3, 2)  # each reward counts otherwise
    wanted = [made, *head.parameters()]
    ours, theirs = (
        torch.autograd.grad((mixed * values).sum(), wanted, allow_unused=True)
        for values in (rewards, by_hand)
    )
    assert ours[0].abs().sum() > 0
    torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-10)
    assert bool((ours[0][-1][~batch.mask] == 0).all())


@pytest.mark.parametrize("build", [lambda: hpqa(2), lambda: single(2)], ids=["hpqa", "single"])
def test_gradients_equal_finite_differences(build):
    head = build()
    batch, _ = encoded()

    def rewards(last):
        return head(batch._replace(last=last))

    assert torch.autograd.gradcheck(rewards, batch.last.detach().requires_grad_())


@pytest.mark.parametrize("build", [hpqa, single])
def test_one_encoding_gives_each_dimension_the_reward_of_its_own_query(build):
    head, (batch, _) = build(dimensions=3), encoded()
    together = head(batch)
    for number in range(3):
        alone = build(dimensions=1)
        weights = head.state_dict()
        for name in weights:
            if name.endswith("query") or name == "reward_head.3.weight":
                weights[name] = weights[name][number : number + 1]
        alone.load_state_dict(weights)
        torch.testing.assert_close(alone(batch)[:, 0], together[:, number])


def test_dropout_is_felt_in_training_alone():
    head, (batch, _) = hpqa(), encoded()
    assert torch.equal(head(batch), head(batch))
    head.train()
    assert not torch.equal(head(batch), head(batch))


@pytest.mark.parametrize("build", [hpqa, single])
def test_the_last_layer_has_no_bias(build):
    assert "reward_head.3.bias" not in build().state_dict()


def test_only_hpqa_asks_for_hidden_states_besides_the_last():
    assert HPQA(16, (2, 5), 1, heads=4).layers == (2, 5)
    assert SingleAttention(16, 1, heads=4).layers == ()


def test_heads_that_do_not_divide_the_width_are_named():
    with pytest.raises(TrainingError, match="6 attention heads do not divide the hidden size 16"):
        HPQA(16, (1,), 1, heads=6)
