"""Tiny Qwen2-VL and Qwen2.5-VL: a vision transformer with merger, a Qwen2 model with M-RoPE."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import (
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
)

from training.tiny.parts import TinyShape, train_tokenizer, write_model

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)  # what the Qwen checkpoints carry
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
MARKS = {
    "vision_start_token": "<|vision_start|>",
    "vision_end_token": "<|vision_end|>",
    "image_token": "<|image_pad|>",
    "video_token": "<|video_pad|>",
}
MERGE = 2  # patches a side that become one token
TEMPORAL = 2  # frames that become one patch
WINDOW = 2  # tokens a side that see each other in a Qwen2.5-VL layer without full attention


def build_tiny_qwen2_vl(
    folder: str | Path, seed: int, texts: Sequence[str], shape: TinyShape | None = None
) -> Path:
    """Write a random Qwen2-VL checkpoint, loadable by transformers' `from_pretrained`.

    seed: of the weights. texts: what the tokenizer learns its words from.
    Returns: the folder. Same arguments, same bytes.
    """
    shape = shape or TinyShape()
    tokenizer = train_tokenizer(texts, shape.vocabulary, MARKS)
    vision = {
        "depth": shape.vision_layers,
        "embed_dim": shape.vision_hidden,
        "hidden_size": shape.hidden,
        "mlp_ratio": 4,
    }
    config = Qwen2VLConfig(**_config(shape, tokenizer, vision))
    return write_model(
        folder,
        seed,
        lambda: Qwen2VLForConditionalGeneration(config),
        tokenizer,
        _preprocessor(shape),
    )


def build_tiny_qwen2_5_vl(
    folder: str | Path, seed: int, texts: Sequence[str], shape: TinyShape | None = None
) -> Path:
    """Write a random Qwen2.5-VL checkpoint; see `build_tiny_qwen2_vl`."""
    shape = shape or TinyShape()
    tokenizer = train_tokenizer(texts, shape.vocabulary, MARKS)
    vision = {
        "depth": shape.vision_layers,
        "hidden_size": shape.vision_hidden,
        "out_hidden_size": shape.hidden,
        "intermediate_size": 4 * shape.vision_hidden,
        "window_size": WINDOW * MERGE * shape.patch,
        "fullatt_block_indexes": [shape.vision_layers - 1],
    }
    config = Qwen2_5_VLConfig(**_config(shape, tokenizer, vision))
    return write_model(
        folder,
        seed,
        lambda: Qwen2_5_VLForConditionalGeneration(config),
        tokenizer,
        _preprocessor(shape),
    )


def _config(
    shape: TinyShape, tokenizer: PreTrainedTokenizerFast, vision: dict[str, Any]
) -> dict[str, Any]:
    """Config of both; vision: what only this family's vision tower has."""
    pairs = shape.head_size // 2
    space = 3 * pairs // 8  # 16, 24, 24 of 64, as in the released configs
    rotary = {"rope_type": "default", "mrope_section": [pairs - 2 * space, space, space]}
    tokens = {f"{name}_id": int(tokenizer.vocab[mark]) for name, mark in MARKS.items()}
    common = {
        "num_heads": shape.heads,
        "patch_size": shape.patch,
        "spatial_merge_size": MERGE,
        "temporal_patch_size": TEMPORAL,
        "initializer_range": shape.spread,
    }
    return {
        "vision_config": {**common, **vision},
        "text_config": {**shape.language(tokenizer), "rope_parameters": rotary},
        "tie_word_embeddings": True,
        **tokens,
    }


def _preprocessor(shape: TinyShape) -> dict[str, object]:
    """The fields of preprocessor_config.json that a Qwen2-VL checkpoint carries."""
    return {
        "image_processor_type": "Qwen2VLImageProcessor",
        "processor_class": "Qwen2VLProcessor",
        "image_mean": CLIP_MEAN,
        "image_std": CLIP_STD,
        "min_pixels": (2 * shape.patch) ** 2,
        "max_pixels": shape.image**2,
        "patch_size": shape.patch,
        "merge_size": MERGE,
        "temporal_patch_size": TEMPORAL,
    }
