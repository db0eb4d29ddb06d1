"""One training step of a reward model, the reference's way and ours, for the benchmarks.

The reference's way, restated from what was measured of it and not from its code: both items of each
pair go through the whole causal language model, logits over the vocabulary included, all hidden
states are kept, and the head reads its layers from them by torch's attention; the model's output
lives until the step is over, as in `output = model(batch)` with the backward pass after it. Ours
runs the base model alone, keeps the chosen layers' states, and encodes each item once. Both run the
same weights and the same pairs.
Shapes: B items, T frames, H x W pixels, S tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations, product
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional
from transformers import (
    InternVLConfig,
    InternVLForConditionalGeneration,
    InternVLVisionConfig,
    Qwen2Config,
)

from training.config import EngineConfig, FrameConfig, HeadConfig, TrainConfig
from training.heads import Encoded
from training.heads.hpqa import HPQA, QueryAttention
from training.losses import pair_loss
from training.model import RewardModel
from training.tiny import TinyShape, build_tiny_internvl

MARGIN = 3.0
MERGED = 0.5  # InternVL's pixel shuffle: share of the patches of one side that is left as tokens
PROMPT = "a red ball falls from a table and bounces twice before it rolls out of the picture"


@dataclass(frozen=True)
class Vision:
    """Sizes of a vision tower; as they are here: next to no work, for a CPU."""

    hidden: int = 16
    layers: int = 1
    heads: int = 1
    feed: int = 32


INTERN_VIT = Vision(hidden=1024, layers=24, heads=16, feed=4096)  # InternViT-300M, all of InternVL3


@dataclass(frozen=True)
class Shape:
    """Sizes of a model and of its items; as they are here: InternVL3-1B's language model.

    Source: the published config.json of Qwen2.5-0.5B, its language model, with InternVL3's
        vocabulary; the paper for frames and pixels.
    """

    layers: int = 24
    hidden: int = 896
    heads: int = 14
    keys: int = 2
    feed: int = 4864
    vocabulary: int = 151_674
    frames: int = 8
    pixels: int = 448
    patch: int = 14
    vision: Vision = field(default_factory=Vision)

    @property
    def frame_tokens(self) -> int:
        return round(self.pixels // self.patch * MERGED) ** 2

    @property
    def chosen(self) -> tuple[int, ...]:
        """Four layers at equal distances, the last among them, as in the paper."""
        return tuple(sorted({max(1, self.layers * part // 4) for part in range(1, 5)}))


def write_base(folder: Path, shape: Shape) -> None:
    """A random checkpoint of the shape, with tokenizer and pixel numbers of a tiny one."""
    tiny_shape = TinyShape(image=shape.pixels, patch=shape.patch, layers=1, downsample=MERGED)
    build_tiny_internvl(folder, 0, [PROMPT], tiny_shape)
    tiny = InternVLConfig.from_pretrained(folder)
    tower = shape.vision
    vision = InternVLVisionConfig(
        hidden_size=tower.hidden,
        num_hidden_layers=tower.layers,
        num_attention_heads=tower.heads,
        intermediate_size=tower.feed,
        image_size=[shape.pixels, shape.pixels],
        patch_size=[shape.patch, shape.patch],
    )
    text = Qwen2Config(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.feed,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.keys,
        tie_word_embeddings=True,
    )
    config = InternVLConfig(
        vision_config=vision,
        text_config=text,
        image_token_id=tiny.image_token_id,
        image_seq_length=shape.frame_tokens,
        downsample_ratio=MERGED,
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    InternVLForConditionalGeneration(config).save_pretrained(folder)


def create(
    folder: Path,
    shape: Shape,
    precision: Literal["fp32", "bf16"],
    *,
    checkpointing: bool,
    device: str = "cpu",
) -> RewardModel:
    """Model with the paper's head, ready to train."""
    config = TrainConfig(
        base_model=str(folder),
        pair_set="",
        dimensions=("quality",),
        frames=FrameConfig(count=shape.frames),
        head=HeadConfig(layers=shape.chosen, dropout=0.0),
        engine=EngineConfig(precision=precision),
    )
    model = RewardModel.create(config).train().to(device)
    if checkpointing:
        model.backbone.checkpoint_activations()
    return model


def inputs(model: RewardModel, shape: Shape, items: list[int]) -> tuple[Tensor, Tensor, Any]:
    """ids and mask (B, S) and B clips of random pixels (T, H, W, 3), an item's always the same."""
    clip = (shape.frames, shape.pixels, shape.pixels)
    ids, mask = model.backbone.collate([model.tokens(PROMPT, clip) for _ in items])
    device = next(model.parameters()).device
    clips = []
    for item in items:
        dice = torch.Generator().manual_seed(item)
        pixels = torch.randint(0, 256, (*clip, 3), generator=dice, dtype=torch.uint8)
        clips.append(pixels.to(device))
    return ids.to(device), mask.to(device), clips


Way = Callable[[Tensor, Tensor, Any], Tensor]
"""ids, mask and clips in, (B,) rewards in fp32 out."""


class Reference:
    """The whole causal language model around the same base, and the same head.

    keeps: whether the output lives until `done`, as the caller of a plain loop holds it.
    """

    def __init__(self, model: RewardModel, *, keeps: bool = True) -> None:
        self.model = model
        self.keeps = keeps
        self.output: Any = None
        base: Any = model.backbone.base
        with torch.device("meta"):
            self.whole = InternVLForConditionalGeneration(base.config)
        self.whole.model = base
        self.whole.lm_head.weight = base.language_model.embed_tokens.weight  # tied
        self.head = in_torch(model)

    def __call__(self, ids: Tensor, mask: Tensor, clips: Any) -> Tensor:
        backbone: Any = self.model.backbone
        output = self.whole(
            input_ids=ids,
            attention_mask=mask.long(),
            pixel_values=backbone.normalised(torch.cat(clips)),
            output_hidden_states=True,
            use_cache=False,
        )
        states = output.hidden_states
        chosen = tuple(states[index] for index in self.model.spec.head.layers)
        rewards: Tensor = self.head(Encoded(chosen, states[-1], mask, ids))
        self.output = output if self.keeps else None
        return rewards[:, 0].float()


class TorchAttention(QueryAttention):
    """Torch's own attention, as the released checkpoints' names say: keys and values are made."""

    def forward(self, query: Tensor, state: Tensor, padding: Tensor) -> Tensor:
        """As `QueryAttention.forward`."""
        first = (tensor.transpose(0, 1) for tensor in (query, state, state))  # tokens, then items
        found, _ = functional.multi_head_attention_forward(
            *first,
            embed_dim_to_check=query.shape[-1],
            num_heads=self.num_heads,
            in_proj_weight=self.in_proj_weight,
            in_proj_bias=self.in_proj_bias,
            bias_k=None,
            bias_v=None,
            add_zero_attn=False,
            dropout_p=0.0,
            out_proj_weight=self.out_proj.weight,
            out_proj_bias=self.out_proj.bias,
            key_padding_mask=padding,
            need_weights=False,
        )
        return found.transpose(0, 1)


def in_torch(model: RewardModel) -> HPQA:
    """The model's head with torch's attention; its weights are those of the model."""
    size, spec = model.backbone.hidden_size, model.spec.head
    with torch.device("meta"):
        head = HPQA(size, spec.layers, len(model.spec.dimensions), heads=spec.heads, dropout=0.0)
        for layer in range(len(spec.layers)):
            head.attentions[layer] = TorchAttention(size, spec.heads)
        head.residual_attention = TorchAttention(size, spec.heads)
    head.load_state_dict(model.head.state_dict(keep_vars=True), assign=True)
    return head


class Ours:
    """The reward model as it is."""

    def __init__(self, model: RewardModel) -> None:
        self.model = model

    def __call__(self, ids: Tensor, mask: Tensor, clips: Any) -> Tensor:
        rewards: Tensor = self.model(ids, mask, clips)
        return rewards[:, 0].float()


Pair = tuple[int, int, float]
"""Places of two items, and mu."""


def block(passes: int, fails: int) -> list[Pair]:
    """All pairs of a block: items that passed first, then those that failed.

    >>> len(block(4, 4))
    22
    """
    won, lost = range(passes), range(passes, passes + fails)
    wins = [(one, two, 1.0) for one, two in product(won, lost)]
    return wins + [(one, two, 0.5) for one, two in combinations(won, 2)]


def loss_of(rewards: Tensor, pairs: list[Pair], total: int) -> Tensor:
    """Share of the mean over `total` pairs that these have."""
    columns = zip(*pairs, strict=True)
    one, two, mu = (torch.tensor(column, device=rewards.device) for column in columns)
    return pair_loss(rewards[one] - rewards[two], mu, MARGIN).sum() / total


Batch = tuple[tuple[Tensor, Tensor, Any], list[Pair]]
"""What a way is given, and the pairs among its items."""


def one_by_one(model: RewardModel, shape: Shape, pairs: list[Pair]) -> list[Batch]:
    """A batch for each pair, both its items in it: two encodings a pair."""
    return [(inputs(model, shape, [one, two]), [(0, 1, mu)]) for one, two, mu in pairs]


def together(model: RewardModel, shape: Shape, pairs: list[Pair]) -> list[Batch]:
    """All pairs in one batch: an encoding of each item."""
    items = sorted({item for one, two, _ in pairs for item in (one, two)})
    places = {item: place for place, item in enumerate(items)}
    moved = [(places[one], places[two], mu) for one, two, mu in pairs]
    return [(inputs(model, shape, items), moved)]


def learn(way: Way, batches: list[Batch]) -> None:
    """Gradients of the mean loss over the pairs of all batches, added to those that there are."""
    total = sum(len(pairs) for _, pairs in batches)
    for given, pairs in batches:
        loss_of(way(*given), pairs, total).backward()
