"""InternVL3 and InternVL3.5 as first released: other names, no code of theirs needed.

Weights and config are mapped onto transformers' own InternVL, which is what is trained and saved.
Released SoliReward checkpoints have this layout too, with a reward head beside the backbone.
Source: names as in the released safetensors files and in transformers' conversion of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor
from transformers import (
    InternVLConfig,
    InternVLModel,
    InternVLVisionConfig,
    Qwen2Config,
    Qwen3Config,
)

from training.backbones.internvl import CONTEXT, InternVL
from training.backbones.weights import Weights, read_weights, split_head
from warehouse.errors import TrainingError

LANGUAGES = {"qwen2": Qwen2Config, "qwen3": Qwen3Config}
ROTARY = ("rope_theta", "rope_scaling")  # older names, which transformers still reads
VISION_FIELDS = {"qkv_bias": "attention_bias", "qk_normalization": "use_qk_norm"}
PIXEL_SHUFFLE = "v2"  # v1 leaves rows and columns swapped; no InternVL3 has it

PARTS = re.compile(r"(?:.*?\.)?((?:vision_model|mlp1|language_model)\..+)")
NAMES = (  # (pattern, replacement) in a part's name, in this order
    (r"^vision_model\.", "vision_tower."),
    (r"\.class_embedding$", ".cls_token"),
    (r"\.position_embedding$", ".position_embeddings"),
    (r"\.patch_embedding\.", ".patch_embeddings.projection."),
    (r"\.encoder\.layers\.", ".encoder.layer."),
    (r"\.ls([12])$", r".lambda_\1"),
    (r"\.norm1\.", ".layernorm_before."),
    (r"\.norm2\.", ".layernorm_after."),
    (r"\.attn\.proj\.", ".attention.projection_layer."),
    (r"\.attn\.", ".attention."),
    (r"^mlp1\.0\.", "multi_modal_projector.layer_norm."),
    (r"^mlp1\.1\.", "multi_modal_projector.linear_1."),
    (r"^mlp1\.3\.", "multi_modal_projector.linear_2."),
    (r"^language_model\.model\.", "language_model."),
)


class InternVLChat(InternVL):
    """An InternVL3 or InternVL3.5 checkpoint in its authors' format; saved in transformers'."""

    model_type: ClassVar[str] = "internvl_chat"

    def __init__(self, base: Any, tokenizer: Any, source: Path) -> None:
        base.config.image_token_id = tokenizer.convert_tokens_to_ids(CONTEXT)
        super().__init__(base, tokenizer, source)

    @classmethod
    def load_base(cls, path: Path, dtype: torch.dtype) -> tuple[Any, Collection[str]]:
        """Transformers' InternVL with this checkpoint's weights."""
        config = to_config(json.loads((path / "config.json").read_text()))
        backbone, _ = split_head(read_weights(path))
        loaded: Any = InternVLModel.from_pretrained(
            None,
            config=config,
            state_dict=to_names(backbone),
            dtype=dtype,
            output_loading_info=True,
        )
        base, facts = loaded
        return base, facts["missing_keys"]


def to_names(weights: Mapping[str, Tensor]) -> Weights:
    """A backbone's weights under transformers' names; a prefix around all of them falls away.

    Query, key and value of a vision layer are one matrix here and three there; the language-model
    head is left out.
    """
    result: Weights = {}
    for name, weight in weights.items():
        found = PARTS.fullmatch(name)
        if found is None or found[1].startswith("language_model.lm_head."):
            continue
        new = found[1]
        for pattern, replacement in NAMES:
            new = re.sub(pattern, replacement, new)
        if ".attention.qkv." in new:
            for part, rows in zip("qkv", weight.chunk(3), strict=True):
                result[new.replace(".qkv.", f".{part}_proj.")] = rows
        else:
            result[new] = weight
    return result


def to_config(values: dict[str, Any]) -> InternVLConfig:
    """Transformers' config for the values of an original config.json, which names no tokens.

    Raises: TrainingError for a language model or a pixel shuffle that no InternVL3 has; KeyError
        where a part of the config is missing.
    """
    language, vision = values["llm_config"], values["vision_config"]
    _require(language["model_type"], LANGUAGES, "llm_config.model_type")
    _require(values.get("ps_version", PIXEL_SHUFFLE), (PIXEL_SHUFFLE,), "ps_version")
    kind = LANGUAGES[language["model_type"]]
    ratio = values["downsample_ratio"]
    side = values.get("force_image_size") or vision["image_size"]
    return InternVLConfig(
        text_config=kind(**_known(language, kind, ROTARY)),
        vision_config=InternVLVisionConfig(
            **_known(
                {VISION_FIELDS.get(name, name): value for name, value in vision.items()},
                InternVLVisionConfig,
            )
        ),
        image_seq_length=round((side // vision["patch_size"]) ** 2 * ratio**2),
        downsample_ratio=ratio,
        vision_feature_layer=values.get("select_layer", -1),
        tie_word_embeddings=bool(language.get("tie_word_embeddings", False)),
    )


def _require(value: object, known: Collection[str], name: str) -> None:
    if value not in known:
        wanted = ", ".join(repr(one) for one in known)
        raise TrainingError(f"InternVL config: {name} is {value!r}; this version reads {wanted}")


def _known(values: dict[str, Any], kind: Any, more: Collection[str] = ()) -> dict[str, Any]:
    """The values that a config class has fields for; what is not given keeps its default."""
    names = {field.name for field in fields(kind)} | set(more)
    return {name: value for name, value in values.items() if name in names and value is not None}
