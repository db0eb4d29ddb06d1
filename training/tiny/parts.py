"""What all tiny models share: their sizes, a tokenizer made of the texts, the way to disk."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from training.config import FRAME_TEXT
from training.quiet import silence

silence()

PAD = "<|endoftext|>"


@dataclass(frozen=True)
class TinyShape:
    """Sizes of a tiny model.

    Measured on the demo's world, held-out prompts, labels with 5 % errors: one token per frame
    orders physics at 0.80 where four reach 0.54; from a spread of 0.02 some seeds stay at chance
    for 650 steps in a dimension, from 0.08 all fit the training clips and generalise worst.
    """

    image: int = 32
    """Height and width of a frame in pixels; Qwen: of the largest square frame."""
    patch: int = 8
    """Height and width of a patch in pixels."""
    vision_hidden: int = 48
    """Width of the vision tower."""
    vision_layers: int = 1
    """Layers of the vision tower."""
    hidden: int = 64
    """Width of the language model."""
    layers: int = 4
    """Layers of the language model."""
    heads: int = 4
    """Attention heads of both."""
    vocabulary: int = 512
    """Tokens at most."""
    downsample: float = 0.25
    """InternVL's pixel shuffle: share of the patches of one side that is left as tokens."""
    spread: float = 0.04
    """Standard deviation of the random weights; narrow layers need more than the usual 0.02."""
    layer_scale: float = 1.0
    """InternVL: weight of a vision layer's update at the start."""

    @property
    def tokens_per_frame(self) -> int:
        """Tokens that a frame takes after pixel shuffle."""
        return round(self.image // self.patch * self.downsample) ** 2

    @property
    def head_size(self) -> int:
        """Width of an attention head of the language model."""
        return self.hidden // self.heads

    def language(self, tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
        """Config of a language model, whichever it is."""
        return {
            "vocab_size": len(tokenizer),
            "hidden_size": self.hidden,
            "intermediate_size": 2 * self.hidden,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.heads,
            "max_position_embeddings": 4096,
            "initializer_range": self.spread,
            "tie_word_embeddings": True,
            "pad_token_id": tokenizer.pad_token_id,
            "bos_token_id": None,
            "eos_token_id": tokenizer.eos_token_id,
        }


def train_tokenizer(
    texts: Sequence[str], vocabulary: int, marks: Mapping[str, str]
) -> PreTrainedTokenizerFast:
    """Byte-level BPE over the texts and the words that stand around every frame.

    marks: special tokens by the names under which the tokenizer keeps them.
    """
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\s+\S+"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, *marks.values()],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    frames = [FRAME_TEXT.replace("{number}", str(number)) for number in range(1, 17)]
    bpe.train_from_iterator([*texts, *frames], trainer)
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=bpe, pad_token=PAD, eos_token=PAD, extra_special_tokens=dict(marks)
    )


def write_model(
    folder: str | Path,
    seed: int,
    build: Callable[[], Any],
    tokenizer: PreTrainedTokenizerFast,
    preprocessor: Mapping[str, object],
) -> Path:
    """Write what `build` makes under a seed, with its tokenizer and preprocessor_config.json."""
    target = Path(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build()
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
    (target / "preprocessor_config.json").write_text(json.dumps(preprocessor, indent=2))
    return target
