"""Batches larger than memory, encoded chunk by chunk with the gradients of the whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

Parts = tuple[Sequence[Any] | Tensor, ...]
"""What is encoded of B items: each part is B long."""


def in_chunks(encode: Callable[..., Tensor], batch: Parts, size: int) -> Tensor:
    """Rewards (B, Q) of a batch of which `size` items are held in memory at a time.

    Two passes: this one keeps nothing of a chunk but its rewards; when the gradients of the rewards
    come back, each chunk is encoded again, with the same dropout, and takes its share of them.
    The gradients are those of one pass, in one backward pass as DeepSpeed wants it.
    Source: gradient caching, Gao et al. (2021), Scaling Deep Contrastive Learning Batch Size under
        Memory Limited Setup; the second pass is torch's checkpointing of each chunk.
    Cost: each item is encoded twice; memory of `size` items.
    """
    rewards = []
    for start in range(0, len(batch[0]), size):
        chunk = [part[start : start + size] for part in batch]
        rewards.append(checkpoint(encode, *chunk, use_reentrant=False))
    return torch.cat(rewards)
