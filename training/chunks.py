"""Batches larger than memory, encoded chunk by chunk with the gradients of the whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

Encode = Callable[[Tensor, Tensor, Sequence[Tensor]], Tensor]
"""(B, S) ids and mask and B clips in, (B, Q) rewards out."""


def in_chunks(
    encode: Encode, ids: Tensor, mask: Tensor, clips: Sequence[Tensor], size: int
) -> Tensor:
    """Rewards (B, Q) of a batch of which `size` items are held in memory at a time.

    Two passes: this one keeps nothing of a chunk but its rewards; when the gradients of the rewards
    come back, each chunk is encoded again, with the same dropout, and takes its share of them.
    The gradients are those of one pass, in one backward pass as DeepSpeed wants it.
    Source: gradient caching, Gao et al. (2021), Scaling Deep Contrastive Learning Batch Size under
        Memory Limited Setup; the second pass is torch's checkpointing of each chunk.
    Cost: each item is encoded twice; memory of `size` items.
    """
    rewards = []
    for start in range(0, len(ids), size):
        part = slice(start, start + size)
        chunk = (ids[part], mask[part], list(clips[part]))
        rewards.append(checkpoint(encode, *chunk, use_reentrant=False))
    return torch.cat(rewards)
