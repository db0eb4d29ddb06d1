"""What every reward head does: an encoded item in, one reward per dimension out.

Shapes: B items, S tokens, D hidden size, Q dimensions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple, Self

from torch import Tensor, nn

from training.backbones import CLIP, Backbone, Piece
from training.config import HeadConfig


class Encoded(NamedTuple):
    """What a head may read of B items; a tuple, for ZeRO-3 finds no tensors in a dataclass."""

    states: tuple[Tensor, ...]
    """Each (B, S, D): the hidden states that the head asks for, in the order of its `layers`."""
    last: Tensor
    """(B, S, D), index N: after the final norm."""
    mask: Tensor
    """(B, S) bool, True where a token is real; padding stands left or right of an item."""
    ids: Tensor
    """(B, S) token ids."""


class Head(nn.Module, ABC):
    """Rewards of encoded items. One subclass per kind of head."""

    layers: tuple[int, ...] = ()
    """Hidden states that it reads besides the last one, as indices into `hidden_states`."""

    @classmethod
    @abstractmethod
    def build(cls, config: HeadConfig, dimensions: Sequence[str], backbone: Backbone) -> Self:
        """Head that fits a backbone, with weights drawn from torch's generator.

        Raises: TrainingError for a config that does not fit the backbone.
        """

    @classmethod
    def fresh(cls, config: HeadConfig, dimensions: Sequence[str], backbone: Backbone) -> Self:
        """Head to train from scratch: `build`, and what this kind starts from in the base model."""
        return cls.build(config, dimensions, backbone)

    def pieces(self, before: Sequence[Piece], after: Sequence[Piece]) -> list[Piece]:
        """What the model reads of an item, given the texts before and after the clip."""
        return [*before, CLIP, *after]

    def inputs(self) -> Tensor | None:
        """(K, D): vectors of its own that the model reads at pieces -1, ... -K; None: none."""
        return None

    @abstractmethod
    def forward(self, encoded: Encoded) -> Tensor:
        """Rewards (B, Q)."""


def own_rewards(rows: nn.Module, vectors: Tensor) -> Tensor:
    """Rewards (B, Q) of (B, Q, D) vectors, each under the row of its own dimension."""
    rewards: Tensor = rows(vectors)  # (B, Q vectors, Q rows)
    return rewards.diagonal(dim1=1, dim2=2)
