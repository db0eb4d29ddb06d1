"""The heads of one linear layer against plain loops over the tokens that are real."""

import pytest
import torch

from training.heads import HEADS, Encoded
from training.heads.linear import LastToken, MaxPool, MeanPool, SpecialToken, YesToken

REAL = {"none": [(0, 6)] * 3, "left": [(0, 6), (2, 6), (5, 6)], "right": [(0, 6), (0, 4), (0, 1)]}
TOKENS = (-1, -2)  # of two dimensions; each item holds both, see `encoded`


def encoded(padding):
    """Three items of up to six tokens; padding is large. The special tokens stand in every item."""
    generator = torch.Generator().manual_seed(2)
    made = torch.randn(3, 6, 4, generator=generator, dtype=torch.float64)
    mask = torch.zeros(3, 6, dtype=torch.bool)
    for item, (start, end) in enumerate(REAL[padding]):
        mask[item, start:end] = True
    made = torch.where(mask.unsqueeze(-1), made, 1e3).requires_grad_()
    return Encoded((), made, mask, torch.arange(6).expand(3, 6)), made


def last(tokens):
    return tokens[-1]


def mean(tokens):
    return sum(tokens) / len(tokens)


def largest(tokens):
    return torch.stack([max(token[part] for token in tokens) for part in range(len(tokens[0]))])


def compare(rewards, by_hand, head, made):
    """Values, and gradients of a mixture of the rewards."""
    torch.testing.assert_close(rewards, by_hand, rtol=1e-12, atol=1e-12)
    mixed = torch.linspace(-1, 2, rewards.numel(), dtype=torch.float64).view_as(rewards)
    ours, theirs = (
        torch.autograd.grad((mixed * values).sum(), [made, head.rows.weight])
        for values in (rewards, by_hand)
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("padding", REAL)
@pytest.mark.parametrize(
    ("kind", "read"),
    [(LastToken, last), (MeanPool, mean), (MaxPool, largest), (YesToken, last)],
)
def test_rewards_and_gradients_equal_plain_loops_over_the_real_tokens(kind, read, padding):
    torch.manual_seed(0)
    head = kind(4, 2).double()
    batch, made = encoded(padding)
    rows = []
    for item, (start, end) in enumerate(REAL[padding]):
        vector = read([made[item, place] for place in range(start, end)])
        rows.append(torch.stack([(row * vector).sum() for row in head.rows.weight]))
    compare(head(batch), torch.stack(rows), head, made)


@pytest.mark.parametrize("padding", ["left", "right"])
def test_a_special_token_is_read_where_it_stands_under_its_own_row(padding):
    torch.manual_seed(0)
    head = SpecialToken(4, (True, False)).double()
    batch, made = encoded(padding)
    places = [(1, 4), (3, 5), (0, 2)] if padding == "left" else [(1, 4), (3, 0), (0, 2)]
    ids = batch.ids.clone()
    for item, pair in enumerate(places):
        ids[item, list(pair)] = torch.tensor(TOKENS)
    by_hand = torch.stack(
        [
            torch.stack(
                [(head.rows.weight[d] * made[item, place]).sum() for d, place in enumerate(pair)]
            )
            for item, pair in enumerate(places)
        ]
    )
    compare(head(batch._replace(ids=ids)), by_hand, head, made)


def test_an_item_without_its_special_tokens_is_our_mistake():
    with pytest.raises(AssertionError, match="each item holds each token once"):
        SpecialToken(4, (False, False)).double()(encoded("none")[0])


def test_special_tokens_stand_after_the_clip_where_they_may_not_see_the_prompt_else_at_the_end():
    head = SpecialToken(4, (True, False, True))
    clip = HEADS["mean-pool"](4, 1).pieces([], [])[0]
    assert head.pieces(["before"], ["after"]) == ["before", clip, -1, -3, "after", -2]


def test_no_linear_head_has_a_bias_and_all_read_the_last_state_alone():
    for kind in (LastToken, MeanPool, MaxPool, YesToken):
        assert list(kind(4, 2).state_dict()) == ["rows.weight"]
        assert kind.layers == ()
    special = SpecialToken(4, (False, False))
    assert list(special.state_dict()) == ["rows.weight", "embeddings.weight"]
