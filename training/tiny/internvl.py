"""Tiny InternVL3 and InternVL3.5: a vision tower, a projector and a Qwen2 or Qwen3 model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from transformers import (
    InternVLConfig,
    InternVLForConditionalGeneration,
    InternVLVisionConfig,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
)

from training.tiny.parts import TinyShape, train_tokenizer, write_model

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # what the InternVL3 checkpoints carry
IMAGENET_STD = (0.229, 0.224, 0.225)
MARKS = {
    "context_image_token": "<IMG_CONTEXT>",
    "start_image_token": "<img>",
    "end_image_token": "</img>",
    "video_token": "<video>",
}


Language = Callable[[TinyShape, PreTrainedTokenizerFast], PreTrainedConfig]


def build_tiny_internvl(
    folder: str | Path, seed: int, texts: Sequence[str], shape: TinyShape | None = None
) -> Path:
    """Write a random InternVL3 checkpoint, loadable by transformers' `from_pretrained`.

    seed: of the weights. texts: what the tokenizer learns its words from.
    Returns: the folder. Same arguments, same bytes.
    """
    return _build(folder, seed, texts, shape or TinyShape(), _qwen2)


def build_tiny_internvl3_5(
    folder: str | Path, seed: int, texts: Sequence[str], shape: TinyShape | None = None
) -> Path:
    """Write a random InternVL3.5 checkpoint; see `build_tiny_internvl`."""
    return _build(folder, seed, texts, shape or TinyShape(), _qwen3)


def _qwen2(shape: TinyShape, tokenizer: PreTrainedTokenizerFast) -> Qwen2Config:
    return Qwen2Config(**shape.language(tokenizer))


def _qwen3(shape: TinyShape, tokenizer: PreTrainedTokenizerFast) -> Qwen3Config:
    return Qwen3Config(**shape.language(tokenizer), head_dim=shape.head_size)


def _build(
    folder: str | Path, seed: int, texts: Sequence[str], shape: TinyShape, language: Language
) -> Path:
    tokenizer = train_tokenizer(texts, shape.vocabulary, MARKS)
    config = _config(shape, tokenizer, language)
    return write_model(
        folder,
        seed,
        lambda: InternVLForConditionalGeneration(config),
        tokenizer,
        _preprocessor(shape),
    )


def _config(
    shape: TinyShape, tokenizer: PreTrainedTokenizerFast, language: Language
) -> InternVLConfig:
    vision = InternVLVisionConfig(
        hidden_size=shape.vision_hidden,
        num_hidden_layers=shape.vision_layers,
        num_attention_heads=shape.heads,
        intermediate_size=4 * shape.vision_hidden,
        image_size=[shape.image, shape.image],
        patch_size=[shape.patch, shape.patch],
        initializer_range=shape.spread,
        layer_scale_init_value=shape.layer_scale,
    )
    return InternVLConfig(
        vision_config=vision,
        text_config=language(shape, tokenizer),
        image_token_id=int(tokenizer.vocab[MARKS["context_image_token"]]),
        image_seq_length=shape.tokens_per_frame,
        downsample_ratio=shape.downsample,
        tie_word_embeddings=True,
    )


def _preprocessor(shape: TinyShape) -> dict[str, object]:
    """The fields of preprocessor_config.json that an InternVL3 checkpoint carries."""
    return {
        "image_processor_type": "GotOcr2ImageProcessorFast",
        "processor_class": "InternVLProcessor",
        "crop_to_patches": False,
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": IMAGENET_MEAN,
        "image_std": IMAGENET_STD,
        "resample": 3,
        "rescale_factor": 1 / 255,
        "size": {"height": shape.image, "width": shape.image},
    }
