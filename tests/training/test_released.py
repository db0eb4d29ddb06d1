"""Whole released checkpoints, written in both layouts from a model of ours."""

import json
import re
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel

from training import released
from training.backbones import load_backbone
from training.config import FRAME_TEXT, PROMPT_TEMPLATE
from training.heads.released import to_released
from training.model import RewardModel, weights_digest
from training.run import train
from training.score import Scorer
from warehouse.errors import TrainingError

LAYOUTS = ("authors", "transformers")
USE = {
    "dimensions": ["physical_plausibility"],
    "head": {"layers": [1, 3], "heads": 4},
    "frames": {"count": 3},
}


@pytest.fixture(scope="module")
def plain(config, tmp_path_factory):
    """Config of one dimension, and a checkpoint of ours with weights that are no round numbers."""
    texts = {"prompt_template": PROMPT_TEMPLATE, "frame_text": FRAME_TEXT}
    config = replace(config, dimensions=("physical_plausibility",), **texts)
    model = RewardModel.create(config)
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) / 50)
    folder = tmp_path_factory.mktemp("ours")
    model.save_pretrained(folder)
    return config, folder


@pytest.fixture(params=LAYOUTS)
def folder(request, plain, authors, tmp_path):
    """The same model as a released checkpoint; nothing in it says how it is used."""
    _, ours = plain
    head = to_released(load_file(ours / "head.safetensors"))
    place = tmp_path / "released"
    if request.param == "transformers":
        shutil.copytree(ours / "base", place)
        weights = load_file(place / "model.safetensors")
        save_file({**weights, **head}, place / "model.safetensors", {"format": "pt"})
        return place
    backbone = load_backbone(ours / "base")
    return authors.write(place, backbone, {**authors.authors_weights(backbone.base), **head})


@pytest.fixture
def used(folder):
    """Folder that says how it is used."""
    (folder / released.USE).write_text(json.dumps(USE))
    return folder


def rewards(model):
    generator = torch.Generator().manual_seed(0)
    clips = torch.randint(0, 256, (2, 3, 16, 16, 3), generator=generator).byte()
    return model.rewards(["a red ball falls", "a star"], clips)


def in_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_released_checkpoint_gives_the_rewards_of_our_own_to_the_last_bit(plain, used):
    theirs, ours = RewardModel.from_pretrained(used), RewardModel.from_pretrained(plain[1])
    assert torch.equal(rewards(theirs), rewards(ours))
    assert weights_digest(theirs) == weights_digest(ours)
    assert not theirs.training


def test_it_has_the_id_of_our_own_where_it_is_used_alike(plain, used):
    mine = Scorer.load(plain[1])
    dropout = mine.model.spec.head.dropout  # part of what a model is, though scoring has none
    values = {**USE, "head": {**USE["head"], "dropout": dropout}}
    (used / released.USE).write_text(json.dumps(values))
    assert Scorer.load(used).model_id == mine.model_id


@pytest.mark.parametrize("written", [[1, 3], "1 3"])
def test_layers_come_from_its_config_where_it_has_them(plain, folder, written):
    in_config(folder, hierarchical_query_attn_layers=written)
    (folder / released.USE).write_text(json.dumps({"head": {"heads": 4}}))
    theirs = RewardModel.from_pretrained(folder)
    assert theirs.spec.head.layers == (1, 3)
    assert theirs.spec.dimensions == ("quality",)
    assert torch.equal(rewards(theirs), rewards(RewardModel.from_pretrained(plain[1])))


def test_where_nothing_says_the_layers_it_asks_for_them(folder):
    with pytest.raises(TrainingError, match=re.escape(str(folder / released.USE))):
        RewardModel.from_pretrained(folder)


@pytest.mark.parametrize(
    ("use", "named", "message"),
    [
        ({"head": {"layers": [1, 2, 3], "heads": 4}}, None, "its head reads 2 layers"),
        ({"head": {"layers": [2, 3], "heads": 4}}, [1, 3], r"layers \[1, 3\], and .* \[2, 3\]"),
        ({"head": {"layers": [1, 9], "heads": 4}}, None, "index 9 is out of range"),
        ({"dimensions": ["a", "b"], "head": {"layers": [1, 3], "heads": 4}}, None, "one dimension"),
        ({"hed": {}, "head": {"layers": [1, 3]}}, None, "has no field hed"),
        ({"dimensions": ["a"]}, None, "nothing says which layers"),
        ({"head": 3}, None, "head is 3; it must be a JSON object"),
        ([], None, "must be a JSON object"),
        ({}, "six", "must be numbers of layers"),
        ({}, 6, "must be numbers of layers"),
    ],
)
@pytest.mark.parametrize("folder", ["transformers"], indirect=True)
def test_a_use_that_does_not_fit_is_named(folder, use, named, message):
    (folder / released.USE).write_text(json.dumps(use))
    if named:
        in_config(folder, hierarchical_query_attn_layers=named)
    with pytest.raises(TrainingError, match=message):
        RewardModel.from_pretrained(folder)


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")  # of what DeepSpeed imports
def test_training_starts_from_the_released_head_and_saves_a_model_of_ours(plain, folder, write_job):
    config = replace(plain[0], base_model=str(folder))
    began, ours = RewardModel.create(config), RewardModel.from_pretrained(plain[1])
    assert weights_digest(began) == weights_digest(ours)
    job = write_job(config)
    train(job, quiet=True)
    trained = RewardModel.from_pretrained(job / "checkpoint")
    assert not torch.equal(trained.head.query, ours.head.query)
    assert type(AutoModel.from_pretrained(job / "checkpoint" / "base")).__name__ == "InternVLModel"


def test_another_kind_of_head_starts_afresh_and_the_log_says_so(plain, folder, caplog):
    config = replace(plain[0], base_model=str(folder))
    model = RewardModel.create(replace(config, head=replace(config.head, kind="mean-pool")))
    assert model.head.rows.weight.abs().sum() > 0
    assert "head.kind is 'mean-pool', which starts afresh" in caplog.text


def test_the_backbone_alone_takes_a_head_of_another_shape(plain, folder, config, tmp_path):
    wider = replace(config, base_model=str(folder))
    with pytest.raises(TrainingError, match=r"has one dimension.*save_pretrained\(ANOTHER\)"):
        RewardModel.create(wider)
    load_backbone(folder).save_pretrained(tmp_path / "alone")
    RewardModel.create(replace(wider, base_model=str(tmp_path / "alone")))


def test_a_head_of_another_kind_is_named(used):
    weights = load_file(used / "model.safetensors")
    other = {name: w for name, w in weights.items() if not name.startswith("attention_query")}
    save_file(other, used / "model.safetensors", {"format": "pt"})
    with pytest.raises(TrainingError, match="progressive_hierarchical_attention"):
        RewardModel.from_pretrained(used)


def test_a_head_that_lacks_a_weight_is_named(used):
    weights = load_file(used / "model.safetensors")
    del weights["reward_head.0.bias"]
    save_file(weights, used / "model.safetensors", {"format": "pt"})
    with pytest.raises(TrainingError, match="weights of other names or shapes"):
        RewardModel.from_pretrained(used)


def test_torn_weights_are_named(used):
    path = used / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(TrainingError, match="its weights cannot be read"):
        RewardModel.from_pretrained(used)


def test_a_pickle_is_refused(used):
    weights = load_file(used / "model.safetensors")
    (used / "model.safetensors").unlink()
    torch.save(weights, used / "pytorch_model.bin")
    with pytest.raises(TrainingError, match="no pickle is read"):
        RewardModel.from_pretrained(used)
