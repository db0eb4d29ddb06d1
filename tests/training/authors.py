"""InternVL checkpoints in their authors' layout, made from transformers' by a table of our own."""

import json
import re

import torch
from safetensors.torch import save_file

BLOCK = {  # of a vision layer: transformers' names, the authors' names
    "lambda_1": "ls1",
    "lambda_2": "ls2",
    "layernorm_before.weight": "norm1.weight",
    "layernorm_before.bias": "norm1.bias",
    "layernorm_after.weight": "norm2.weight",
    "layernorm_after.bias": "norm2.bias",
    "attention.q_norm.weight": "attn.q_norm.weight",
    "attention.k_norm.weight": "attn.k_norm.weight",
    "attention.projection_layer.weight": "attn.proj.weight",
    "attention.projection_layer.bias": "attn.proj.bias",
    "mlp.fc1.weight": "mlp.fc1.weight",
    "mlp.fc1.bias": "mlp.fc1.bias",
    "mlp.fc2.weight": "mlp.fc2.weight",
    "mlp.fc2.bias": "mlp.fc2.bias",
}
OTHERS = {
    "vision_tower.embeddings.cls_token": "vision_model.embeddings.class_embedding",
    "vision_tower.embeddings.position_embeddings": "vision_model.embeddings.position_embedding",
    "vision_tower.embeddings.patch_embeddings.projection.weight": (
        "vision_model.embeddings.patch_embedding.weight"
    ),
    "vision_tower.embeddings.patch_embeddings.projection.bias": (
        "vision_model.embeddings.patch_embedding.bias"
    ),
    "multi_modal_projector.layer_norm.weight": "mlp1.0.weight",
    "multi_modal_projector.layer_norm.bias": "mlp1.0.bias",
    "multi_modal_projector.linear_1.weight": "mlp1.1.weight",
    "multi_modal_projector.linear_1.bias": "mlp1.1.bias",
    "multi_modal_projector.linear_2.weight": "mlp1.3.weight",
    "multi_modal_projector.linear_2.bias": "mlp1.3.bias",
}
PIXELS = {  # as beside the released weights: a square's size is one number
    "crop_size": 16,
    "do_center_crop": True,
    "feature_extractor_type": "CLIPFeatureExtractor",
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "resample": 3,
    "size": 16,
}


def authors_weights(base):
    """The weights of a transformers InternVL under its authors' names, each placed once."""
    weights, result = dict(base.state_dict()), {}
    for number in range(base.config.vision_config.num_hidden_layers):
        theirs, ours = (
            f"vision_model.encoder.layers.{number}",
            f"vision_tower.encoder.layer.{number}",
        )
        there = {old: new for old, new in BLOCK.items() if f"{ours}.{old}" in weights}
        result |= {f"{theirs}.{new}": weights.pop(f"{ours}.{old}") for old, new in there.items()}
        biases = base.config.vision_config.attention_bias
        for kind in ("weight", "bias")[: 1 + biases]:
            parts = [weights.pop(f"{ours}.attention.{p}_proj.{kind}") for p in "qkv"]
            result[f"{theirs}.attn.qkv.{kind}"] = torch.cat(parts)
    result |= {new: weights.pop(old) for old, new in OTHERS.items()}
    for name in list(weights):
        inner = re.fullmatch(r"language_model\.(.+)", name)[1]
        result[f"language_model.model.{inner}"] = weights.pop(name)
    embeddings = result["language_model.model.embed_tokens.weight"]
    return {**result, "language_model.lm_head.weight": embeddings.clone()}


def authors_config(base):
    """config.json as the authors write it, with some of what nobody needs."""
    vision, language = base.config.vision_config, base.config.text_config
    plain = language.to_dict()
    rotary = plain.pop("rope_parameters")
    for name in ("layer_types", "dtype", "transformers_version"):
        plain.pop(name, None)
    return {
        "architectures": ["InternVLChatModel"],
        "auto_map": {"AutoModel": "modeling_internvl_chat.InternVLChatModel"},
        "downsample_ratio": base.config.downsample_ratio,
        "dynamic_image_size": True,
        "force_image_size": vision.image_size[0],
        "llm_config": {
            **plain,
            "architectures": ["Qwen2ForCausalLM"],
            "attn_implementation": "flash_attention_2",
            "moe_config": None,
            "rope_theta": rotary["rope_theta"],
            "torch_dtype": "bfloat16",
            "use_bfloat16": True,
        },
        "max_dynamic_patch": 12,
        "model_type": "internvl_chat",
        "ps_version": "v2",
        "select_layer": -1,
        "template": "internvl2_5",
        "torch_dtype": "bfloat16",
        "vision_config": {
            "architectures": ["InternVisionModel"],
            "attention_dropout": 0.0,
            "drop_path_rate": 0.1,
            "dropout": 0.0,
            "hidden_act": "gelu",
            "hidden_size": vision.hidden_size,
            "image_size": vision.image_size[0],
            "initializer_range": 1e-10,
            "intermediate_size": vision.intermediate_size,
            "layer_norm_eps": vision.layer_norm_eps,
            "model_type": "intern_vit_6b",
            "norm_type": vision.norm_type,
            "num_attention_heads": vision.num_attention_heads,
            "num_channels": 3,
            "num_hidden_layers": vision.num_hidden_layers,
            "patch_size": vision.patch_size[0],
            "qk_normalization": vision.use_qk_norm,
            "qkv_bias": vision.attention_bias,
            "use_flash_attn": True,
        },
    }


def write(folder, backbone, weights):
    """A backbone's checkpoint in the authors' layout, with the weights given."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(authors_config(backbone.base)))
    (folder / "preprocessor_config.json").write_text(json.dumps(PIXELS))
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    backbone.tokenizer.save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    values = json.loads(path.read_text())
    kept = {key: value for key, value in values.items() if not key.endswith("_image_token")}
    path.write_text(json.dumps(kept))  # only transformers' checkpoints have these names
    return folder
