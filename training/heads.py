"""Reward heads: hidden states of a language model in, one reward per dimension out.

Shapes: B items, S tokens, D hidden size, Q dimensions, N chosen layers.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from warehouse.errors import TrainingError

QUERY_STD = 0.02  # of the queries at the start, as transformers initialises embeddings


class HPQA(nn.Module):
    """Hierarchical Progressive Query Attention: queries read one chosen layer after the other.

    One pair of learnable queries, q(0) and q_res, per dimension: a single encoding of an item gives
    its reward in each. With one dimension this is the paper's head; attention and the first linear
    layer are shared among dimensions, the last linear layer has one row for each.
    Source: Eq. 3-6 of the SoliReward paper.
    """

    def __init__(
        self,
        hidden_size: int,
        layers: int,
        dimensions: int,
        *,
        heads: int = 8,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if hidden_size % heads:
            raise TrainingError(
                f"head: {heads} attention heads do not divide the hidden size {hidden_size}; "
                "set head.heads to a divisor"
            )
        self.query = nn.Parameter(torch.randn(dimensions, hidden_size) * QUERY_STD)
        self.residual_query = nn.Parameter(torch.randn(dimensions, hidden_size) * QUERY_STD)
        self.attentions = nn.ModuleList(_attention(hidden_size, heads) for _ in range(layers))
        self.residual_attention = _attention(hidden_size, heads)
        self.reward_head = nn.Sequential(
            nn.Linear(hidden_size, hidden_size),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden_size, dimensions, bias=False),
        )

    def forward(self, states: Sequence[Tensor], last: Tensor, mask: Tensor) -> Tensor:
        """Rewards of items.

        states: N tensors (B, S, D), the chosen layers in order. last: (B, S, D), H_L of Eq. 5.
        mask: (B, S) bool, True where a token is real; padding is never attended to.
        Returns: (B, Q) rewards.
        """
        padding = ~mask
        progressive = self.query.expand(len(mask), -1, -1)
        for attention, state in zip(self.attentions, states, strict=True):
            progressive = _attend(attention, progressive, state, padding)
        residual = self.residual_query.expand(len(mask), -1, -1)
        residual = _attend(self.residual_attention, residual, last, padding)
        rewards: Tensor = self.reward_head(progressive + residual)  # (B, Q queries, Q rows)
        return rewards.diagonal(dim1=1, dim2=2)


def _attention(hidden_size: int, heads: int) -> nn.MultiheadAttention:
    return nn.MultiheadAttention(hidden_size, heads, batch_first=True)


def _attend(attention: nn.Module, query: Tensor, state: Tensor, padding: Tensor) -> Tensor:
    """MHA with the state as key and value: (B, Q, D) queries in, (B, Q, D) out."""
    output: Tensor = attention(query, state, state, key_padding_mask=padding, need_weights=False)[0]
    return output
