"""Checkpoints in their authors' layout against the same in transformers'."""

import json
import shutil
from functools import partial

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel

from training.backbones import CLIP, load_backbone
from training.backbones.weights import read_weights, split_head
from warehouse.errors import TrainingError

HEAD = {
    "attention_query_first_layer.query": torch.ones(1, 32),
    "attention_query_other_layers.0.attention.in_proj_weight": torch.ones(96, 32),
    "attention_query_final_layer.query": torch.ones(1, 32),
    "reward_head.0.weight": torch.ones(32, 32),
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
def write(authors, tmp_path):
    """Function that writes a backbone's checkpoint in the authors' layout."""
    return partial(authors.write, tmp_path / "original")


@pytest.fixture
def authors_weights(authors):
    """Function that gives a model's weights under its authors' names."""
    return authors.authors_weights


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


def test_the_authors_layout_gives_the_same_model_to_the_last_bit(converted, write, authors_weights):
    original = load_backbone(write(converted, authors_weights(converted.base)))
    assert_same(original, converted)
    for name in ("image_token_id", "image_seq_length", "downsample_ratio"):
        assert getattr(original.base.config, name) == getattr(converted.base.config, name)
    assert original.base.config.text_config.rope_parameters == (
        converted.base.config.text_config.rope_parameters
    )


def test_what_is_saved_again_is_in_transformers_layout(converted, write, tmp_path, authors_weights):
    original = load_backbone(write(converted, authors_weights(converted.base)))
    original.save_pretrained(tmp_path / "saved")
    assert json.loads((tmp_path / "saved" / "config.json").read_text())["model_type"] == "internvl"
    assert_same(load_backbone(tmp_path / "saved"), converted)
    theirs = AutoModel.from_pretrained(tmp_path / "saved").state_dict()
    mine = converted.base.state_dict()
    assert all(torch.equal(weight, mine[name]) for name, weight in theirs.items())


@pytest.mark.parametrize("prefix", ["", "model."])
def test_a_released_reward_model_is_split_into_backbone_and_head(
    converted, write, prefix, authors_weights
):
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


def test_weights_in_several_files_are_read(converted, write, authors_weights):
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


def test_a_missing_weight_is_named(converted, write, authors_weights):
    weights = authors_weights(converted.base)
    del weights["vision_model.encoder.layers.1.attn.qkv.weight"]
    with pytest.raises(TrainingError, match=r"lacks 3 of its weights .*layer\.1.*k_proj"):
        load_backbone(write(converted, weights))


def test_a_tokenizer_in_the_authors_files_is_read(checkpoint_of, write, authors_weights):
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
def test_a_config_that_does_not_fit_is_named(
    checkpoint_of, write, change, message, authors_weights
):
    backbone = load_backbone(checkpoint_of("internvl3"))
    folder = write(backbone, authors_weights(backbone.base))
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**values, **change}))
    with pytest.raises(TrainingError, match=message):
        load_backbone(folder)


def test_a_pickle_is_refused(checkpoint_of, write, authors_weights):
    backbone = load_backbone(checkpoint_of("internvl3"))
    folder = write(backbone, authors_weights(backbone.base))
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(TrainingError, match=r"there is no model\.safetensors in it"):
        load_backbone(folder)
