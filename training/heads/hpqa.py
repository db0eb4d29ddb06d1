"""Heads that ask by learned queries: the paper's HPQA, and its last layer alone.

Shapes: B items, S tokens, D hidden size, Q dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.backbones import Backbone
from training.config import HeadConfig
from training.heads.base import Encoded, Head, own_rewards
from warehouse.errors import TrainingError

QUERY_STD = 0.02  # of the queries at the start, as transformers initialises embeddings


class HPQA(Head):
    """Hierarchical Progressive Query Attention: queries read one chosen layer after the other.

    One pair of learnable queries, q(0) and q_res, per dimension: a single encoding of an item gives
    its reward in each. With one dimension this is the paper's head; attention and the first linear
    layer are shared among dimensions, the last linear layer has one row for each.
    Source: Eq. 3-6 of the SoliReward paper.
    """

    def __init__(
        self,
        hidden_size: int,
        layers: Sequence[int],
        dimensions: int,
        *,
        heads: int = 8,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.layers = tuple(layers)
        self.query = _queries(dimensions, hidden_size)
        self.residual_query = _queries(dimensions, hidden_size)
        self.attentions = nn.ModuleList(_attention(hidden_size, heads) for _ in self.layers)
        self.residual_attention = _attention(hidden_size, heads)
        self.reward_head = _reward_head(hidden_size, dimensions, dropout)

    @classmethod
    def build(cls, config: HeadConfig, dimensions: Sequence[str], backbone: Backbone) -> Self:
        """See `Head.build`. Raises: TrainingError for a layer that the backbone does not have."""
        above = [index for index in config.layers if index > backbone.layers]
        if above:
            raise TrainingError(
                f"head.layers: index {above[0]} is out of range; the language model of "
                f"{backbone.source} has {backbone.layers} layers, so the highest is "
                f"{backbone.layers}"
            )
        return cls(
            backbone.hidden_size,
            config.layers,
            len(dimensions),
            heads=config.heads,
            dropout=config.dropout,
        )

    def forward(self, encoded: Encoded) -> Tensor:
        """Rewards (B, Q); padding is never attended to."""
        padding = ~encoded.mask
        progressive = self.query.expand(len(padding), -1, -1)
        for attention, state in zip(self.attentions, encoded.states, strict=True):
            progressive = attention(progressive, state, padding)
        residual = self.residual_query.expand(len(padding), -1, -1)
        residual = self.residual_attention(residual, encoded.last, padding)
        return own_rewards(self.reward_head, progressive + residual)


class SingleAttention(Head):
    """One learned query per dimension over the last state, and HPQA's reward head.

    Source: Eq. 5 and 6 of the SoliReward paper without the progressive queries.
    """

    def __init__(
        self, hidden_size: int, dimensions: int, *, heads: int = 8, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.query = _queries(dimensions, hidden_size)
        self.attention = _attention(hidden_size, heads)
        self.reward_head = _reward_head(hidden_size, dimensions, dropout)

    @classmethod
    def build(cls, config: HeadConfig, dimensions: Sequence[str], backbone: Backbone) -> Self:
        """See `Head.build`."""
        size = backbone.hidden_size
        return cls(size, len(dimensions), heads=config.heads, dropout=config.dropout)

    def forward(self, encoded: Encoded) -> Tensor:
        """Rewards (B, Q); padding is never attended to."""
        padding = ~encoded.mask
        query = self.query.expand(len(padding), -1, -1)
        return own_rewards(self.reward_head, self.attention(query, encoded.last, padding))


def _queries(dimensions: int, hidden_size: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(dimensions, hidden_size) * QUERY_STD)


class QueryAttention(nn.Module):
    """`nn.MultiheadAttention` for few queries: its parameters and function, at less cost.

    No token's key or value is made: q . (K x + k) = (K^T q) . x + q . k, whose last term is the
    same for all tokens and falls out of the softmax; and as the weights w sum to 1, the mean of
    values V x + v is V (mean of x) + v.
    Cost: O(S D H Q) for H heads instead of O(S D^2); nothing of size (S, D) is kept.
    """

    def __init__(self, hidden_size: int, heads: int) -> None:
        super().__init__()
        whole = nn.MultiheadAttention(hidden_size, heads)
        self.num_heads, self.head_dim = heads, hidden_size // heads
        self.in_proj_weight, self.in_proj_bias = whole.in_proj_weight, whole.in_proj_bias
        self.out_proj = whole.out_proj

    def forward(self, query: Tensor, state: Tensor, padding: Tensor) -> Tensor:
        """(B, Q, D) queries to the tokens of a (B, S, D) state, padding (B, S): (B, Q, D)."""
        split = (self.num_heads, self.head_dim)  # H, E
        weights, biases = self.in_proj_weight.chunk(3), self.in_proj_bias.chunk(3)
        keys, values = (weight.view(*split, -1) for weight in weights[1:])  # (H, E, D)
        asked = functional.linear(query, weights[0], biases[0])
        asked = asked.view(*query.shape[:2], *split)
        asked = torch.einsum("bqhe,hed->bqhd", asked / self.head_dim**0.5, keys)
        scores = torch.einsum("bqhd,bsd->bqhs", asked, state)
        scores = scores.masked_fill(padding[:, None, None], -torch.inf)
        shares = scores.softmax(dim=-1, dtype=_exact(scores)).to(scores.dtype)
        seen = torch.einsum("bqhs,bsd->bqhd", shares, state)
        found = torch.einsum("bqhd,hed->bqhe", seen, values).flatten(2) + biases[2]
        given: Tensor = self.out_proj(found)
        return given


def _exact(tensor: Tensor) -> torch.dtype:
    """The type to add many values up in: fp32 at least."""
    return torch.promote_types(tensor.dtype, torch.float32)


def _attention(hidden_size: int, heads: int) -> QueryAttention:
    if hidden_size % heads:
        raise TrainingError(
            f"head: {heads} attention heads do not divide the hidden size {hidden_size}; "
            "set head.heads to a divisor"
        )
    return QueryAttention(hidden_size, heads)


def _reward_head(hidden_size: int, dimensions: int, dropout: float) -> nn.Sequential:
    """RewardHead of Eq. 6, with one row of the last layer per dimension."""
    return nn.Sequential(
        nn.Linear(hidden_size, hidden_size),
        nn.SiLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden_size, dimensions, bias=False),
    )
