"""Heads that are one linear layer: what they differ in is the vector that it reads.

No bias, as in the last layer of HPQA: in the loss of a pair it would cancel.
Shapes: B items, S tokens, D hidden size, Q dimensions.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn

from training.backbones import CLIP, Backbone, Piece
from training.backbones.vocabulary import word_row
from training.config import HeadConfig
from training.heads.base import Encoded, Head, own_rewards

EMBEDDING_STD = 0.02  # of the tokens' vectors; `initializer_range` of the backbones' models


class LinearHead(Head):
    """One row per dimension over a vector of the last state."""

    def __init__(self, hidden_size: int, dimensions: int) -> None:
        super().__init__()
        self.rows = nn.Linear(hidden_size, dimensions, bias=False)

    @classmethod
    def build(cls, config: HeadConfig, dimensions: Sequence[str], backbone: Backbone) -> Self:
        """See `Head.build`; the config has nothing to say here."""
        del config
        return cls(backbone.hidden_size, len(dimensions))

    @abstractmethod
    def vector(self, encoded: Encoded) -> Tensor:
        """(B, D), what the rows read."""

    def forward(self, encoded: Encoded) -> Tensor:
        """Rewards (B, Q)."""
        rewards: Tensor = self.rows(self.vector(encoded))
        return rewards


class LastToken(LinearHead):
    """The last token that is no padding.

    Source: the linear head of section 2.2 of the SoliReward paper.
    """

    def vector(self, encoded: Encoded) -> Tensor:
        """(B, D), whichever side is padded."""
        places = torch.arange(encoded.mask.shape[1], device=encoded.mask.device)
        last = torch.where(encoded.mask, places, -1).amax(dim=1)
        return encoded.last[torch.arange(len(last), device=last.device), last]


class MeanPool(LinearHead):
    """The mean over all tokens that are no padding."""

    def vector(self, encoded: Encoded) -> Tensor:
        """(B, D)."""
        real = encoded.mask.unsqueeze(-1)
        return encoded.last.masked_fill(~real, 0).sum(dim=1) / real.sum(dim=1)


class MaxPool(LinearHead):
    """The largest value of each component over all tokens that are no padding."""

    def vector(self, encoded: Encoded) -> Tensor:
        """(B, D)."""
        return encoded.last.masked_fill(~encoded.mask.unsqueeze(-1), -torch.inf).amax(dim=1)


class YesToken(LastToken):
    """The language model's logit of a word as the next token; the prompt should ask for it.

    Each dimension starts from the word's row of the language-model head, and learns its own.
    Source: RewardDance, as the SoliReward paper describes it (section 2.2, token probability).
    """

    @classmethod
    def fresh(cls, config: HeadConfig, dimensions: Sequence[str], backbone: Backbone) -> Self:
        """See `Head.fresh`. Raises: TrainingError where the word is no single token."""
        head = cls.build(config, dimensions, backbone)
        with torch.no_grad():
            head.rows.weight.copy_(word_row(backbone, config.word).expand_as(head.rows.weight))
        return head


class SpecialToken(LinearHead):
    """A token of its own per dimension, read where it stands.

    Tokens of prompt-free dimensions stand right after the clip: a causal language model lets them
    see no prompt that follows. The others stand at the end. What a token is to the model, its
    vector, is the head's: it learns whatever of the backbone does not.
    Source: VideoAlign, section 3.2 (separate tokens); one row per dimension.
    """

    tokens: Tensor

    def __init__(self, hidden_size: int, prompt_free: Sequence[bool]) -> None:
        super().__init__(hidden_size, len(prompt_free))
        self.embeddings = nn.Embedding(len(prompt_free), hidden_size)
        nn.init.normal_(self.embeddings.weight, std=EMBEDDING_STD)
        ids = [-1 - number for number in range(len(prompt_free))]
        self.register_buffer("tokens", torch.tensor(ids), persistent=False)
        self.early = [one for one, free in zip(ids, prompt_free, strict=True) if free]
        self.late = [one for one, free in zip(ids, prompt_free, strict=True) if not free]

    @classmethod
    def build(cls, config: HeadConfig, dimensions: Sequence[str], backbone: Backbone) -> Self:
        """See `Head.build`."""
        return cls(backbone.hidden_size, [name in config.prompt_free for name in dimensions])

    def pieces(self, before: Sequence[Piece], after: Sequence[Piece]) -> list[Piece]:
        """See `Head.pieces`."""
        return [*before, CLIP, *self.early, *after, *self.late]

    def inputs(self) -> Tensor:
        """(Q, D): the vectors of the tokens."""
        vectors: Tensor = self.embeddings(-1 - self.tokens)
        return vectors

    def vector(self, encoded: Encoded) -> Tensor:
        """(B, Q, D): the states of the tokens, in the order of the dimensions."""
        found = encoded.ids.unsqueeze(1) == self.tokens.view(1, -1, 1)  # (B, Q, S)
        assert bool((found.sum(dim=2) == 1).all()), "each item holds each token once"
        item = torch.arange(len(found), device=found.device).unsqueeze(1)
        return encoded.last[item, found.int().argmax(dim=2)]

    def forward(self, encoded: Encoded) -> Tensor:
        """Rewards (B, Q): each token under the row of its dimension."""
        return own_rewards(self.rows, self.vector(encoded))
