"""Checkpoints in their authors' layout, made from transformers' by a table of our own."""

import json
import re
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel

from training.backbones import CLIP, load_backbone
from training.backbones.internvl_chat import read_weights, split_head
from warehouse.errors import TrainingError

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
HEAD = {
    "attention_query_first_layer.query": torch.ones(1, 32),
    "attention_query_other_layers.0.attention.in_proj_weight": torch.ones(96, 32),
    "attention_query_final_layer.query": torch.ones(1, 32),
    "reward_head.0.weight": torch.ones(32, 32),
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


VISION = {  # as in the releases: the small vision tower, the large one
    "internvl3": {"attention_bias": True},
    "internvl3.5": {"use_qk_norm": True, "norm_type": "rms_norm"},
}


@pytest.fixture(params=VISION)
def converted(request, checkpoint_of):
    """A tiny model in transformers' layout, no weight of which is 0 or 1 throughout."""
    backbone = load_backbone(checkpoint_of(request.param))
    config = backbone.base.config
    for name, value in VISION[request.param].items():
        setattr(config.vision_config, name, value)
    torch.manual_seed(0)
    backbone.base = AutoModel.from_config(config).eval()
    with torch.no_grad():
        for weight in backbone.base.parameters():
            weight.add_(torch.randn_like(weight) / 50)
    return backbone


@pytest.fixture
def write(tmp_path):
    """Function that writes a backbone's checkpoint in the authors' layout."""

    def original(backbone, weights, name="original"):
        folder = tmp_path / name
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

    return original


def last_state(backbone):
    generator = torch.Generator().manual_seed(0)
    clip = torch.randint(0, 256, (2, 16, 16, 3), generator=generator).byte()
    ids, mask = backbone.collate([backbone.tokens([CLIP, "a red ball"], (2, 16, 16), "Frame: ")])
    with torch.no_grad():
        return backbone.eval()(ids, mask, [clip], ())[1]


def assert_same(one, two):
    mine = one.base.state_dict()
    theirs = two.base.state_dict()
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(weight, mine[name]) for name, weight in theirs.items())
    assert torch.equal(last_state(one), last_state(two))


def test_the_authors_layout_gives_the_same_model_to_the_last_bit(converted, write):
    original = load_backbone(write(converted, authors_weights(converted.base)))
    assert_same(original, converted)
    for name in ("image_token_id", "image_seq_length", "downsample_ratio"):
        assert getattr(original.base.config, name) == getattr(converted.base.config, name)
    assert original.base.config.text_config.rope_parameters == (
        converted.base.config.text_config.rope_parameters
    )


def test_what_is_saved_again_is_in_transformers_layout(converted, write, tmp_path):
    original = load_backbone(write(converted, authors_weights(converted.base)))
    original.save_pretrained(tmp_path / "saved")
    assert json.loads((tmp_path / "saved" / "config.json").read_text())["model_type"] == "internvl"
    assert_same(load_backbone(tmp_path / "saved"), converted)
    theirs = AutoModel.from_pretrained(tmp_path / "saved").state_dict()
    mine = converted.base.state_dict()
    assert all(torch.equal(weight, mine[name]) for name, weight in theirs.items())


@pytest.mark.parametrize("prefix", ["", "model."])
def test_a_released_reward_model_is_split_into_backbone_and_head(converted, write, prefix):
    weights = {prefix + n: w for n, w in {**authors_weights(converted.base), **HEAD}.items()}
    folder = write(converted, weights)
    assert_same(load_backbone(folder), converted)
    _, head = split_head(read_weights(folder))
    assert head.keys() == HEAD.keys()


def test_a_head_beside_transformers_layout_is_split_off_too(checkpoint_of, tmp_path):
    plain = checkpoint_of("internvl3")
    folder = shutil.copytree(plain, tmp_path / "released")
    weights = load_file(plain / "model.safetensors")
    save_file({**weights, **HEAD}, folder / "model.safetensors", {"format": "pt"})
    assert_same(load_backbone(folder), load_backbone(plain))
    backbone, head = split_head(read_weights(folder))
    assert (backbone.keys(), head.keys()) == (weights.keys(), HEAD.keys())


def test_both_layouts_of_transformers_are_loaded(checkpoint_of, tmp_path):
    """As on the hub, `language_model.model`, and as in the class, `model.language_model`."""
    plain = checkpoint_of("internvl3")
    folder = shutil.copytree(plain, tmp_path / "newer")
    weights = load_file(plain / "model.safetensors")
    assert "language_model.model.norm.weight" in weights
    newer = {
        "model." + name.replace("language_model.model.", "language_model."): weight
        for name, weight in weights.items()
    }
    save_file(newer, folder / "model.safetensors", {"format": "pt"})
    assert_same(load_backbone(folder), load_backbone(plain))


def test_weights_in_several_files_are_read(converted, write):
    weights = authors_weights(converted.base)
    folder = write(converted, weights)
    (folder / "model.safetensors").unlink()
    places = {name: f"model-0000{n % 3 + 1}-of-00003.safetensors" for n, name in enumerate(weights)}
    for file in set(places.values()):
        part = {name: weights[name] for name, place in places.items() if place == file}
        save_file(part, folder / file, {"format": "pt"})
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    assert_same(load_backbone(folder), converted)

    index.write_text(json.dumps({"weight_map": {"mlp1.0.bias": "../secret.safetensors"}}))
    with pytest.raises(TrainingError, match="is no file beside it"):
        load_backbone(folder)


def test_a_missing_weight_is_named(converted, write):
    weights = authors_weights(converted.base)
    del weights["vision_model.encoder.layers.1.attn.qkv.weight"]
    with pytest.raises(TrainingError, match=r"lacks 3 of its weights .*layer\.1.*k_proj"):
        load_backbone(write(converted, weights))


def test_a_tokenizer_in_the_authors_files_is_read(checkpoint_of, write):
    """vocab.json, merges.txt and added tokens, of the class Qwen2Tokenizer."""
    backbone = load_backbone(checkpoint_of("internvl3"))
    folder = write(backbone, authors_weights(backbone.base))
    whole = json.loads((folder / "tokenizer.json").read_text())
    (folder / "tokenizer.json").unlink()
    names = {token["content"]: token["id"] for token in whole["added_tokens"]}
    plain = {"lstrip": False, "rstrip": False, "normalized": False, "single_word": False}
    decoder = {str(n): {"content": name, "special": True, **plain} for name, n in names.items()}
    pad = {"pad_token": "<|endoftext|>", "eos_token": "<|endoftext|>"}
    merges = "\n".join(" ".join(merge) for merge in whole["model"]["merges"])
    (folder / "vocab.json").write_text(json.dumps(whole["model"]["vocab"]))
    (folder / "merges.txt").write_text(f"#version: 0.2\n{merges}\n")
    (folder / "added_tokens.json").write_text(json.dumps(names))
    settings = {"tokenizer_class": "Qwen2Tokenizer", "added_tokens_decoder": decoder, **pad}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    again = load_backbone(folder)
    assert type(again.tokenizer).__name__.startswith("Qwen2Tokenizer")
    assert again.base.config.image_token_id == backbone.base.config.image_token_id
    clip = (2, 16, 16)
    assert again.clip_tokens(clip, "") == backbone.clip_tokens(clip, "")
    marked = again.text_tokens("<img> a ball </img>")
    assert not set(marked) & set(names.values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ps_version": "v1"}, "ps_version is 'v1'"),
        ({"llm_config": {"model_type": "internlm2"}}, "'internlm2'; this version reads 'qwen2'"),
        ({"vision_config": {}}, "cannot be loaded"),
        ({"force_image_size": 32}, "16 x 16 pixels do not give the 4 tokens"),
    ],
)
def test_a_config_that_does_not_fit_is_named(checkpoint_of, write, change, message):
    backbone = load_backbone(checkpoint_of("internvl3"))
    folder = write(backbone, authors_weights(backbone.base))
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**values, **change}))
    with pytest.raises(TrainingError, match=message):
        load_backbone(folder)


def test_a_pickle_is_refused(checkpoint_of, write):
    backbone = load_backbone(checkpoint_of("internvl3"))
    folder = write(backbone, authors_weights(backbone.base))
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(TrainingError, match=r"there is no model\.safetensors in it"):
        load_backbone(folder)
