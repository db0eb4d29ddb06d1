import ast
import inspect
import json

import pytest

from training import config as module
from training.config import TrainConfig
from training.config_json import from_json, to_json
from training.recipes import RECIPES
from warehouse.errors import TrainingError


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_config_survives_its_json(name):
    recipe = RECIPES[name]("base", "pairs", seed=4)
    assert from_json(json.loads(json.dumps(to_json(recipe)))) == recipe


def test_the_papers_run_has_the_numbers_of_table_16():
    run = RECIPES["paper-1b"]("base", "pairs")
    assert (run.optimizer.lr, run.optimizer.beta1, run.optimizer.beta2) == (1e-6, 0.9, 0.999)
    assert (run.optimizer.weight_decay, run.optimizer.schedule) == (0.01, "linear")
    assert (run.optimizer.warmup, run.loss.margin, run.batch.epochs) == (0.05, 3.0, 3)
    assert (run.batch.size, run.batch.accumulation, run.engine.zero_stage) == (1, 320, 0)
    assert (run.engine.precision, run.engine.checkpointing) == ("bf16", True)
    assert run.head.layers == (6, 12, 18, 24)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([], "must be a JSON object"),
        ({"pair_set": "p"}, "not complete.*base_model"),
        ({"sead": 1}, "has no field sead"),
        ({"seed": "1"}, "seed is '1'; it must be a whole number"),
        ({"seed": 2**63}, r"seed is 9223372036854775808; it must be at least 0 and below 2\^63"),
        ({"seed": True}, "seed is True; it must be a whole number"),
        ({"head": {"layers": [3, 1]}}, r"head\.layers is \(3, 1\); it must be ascending"),
        ({"head": {"dropout": 1}}, r"head\.dropout is 1\.0; it must be in \[0, 1\)"),
        ({"frames": {"most_pixels": 0}}, r"frames\.most_pixels is 0; it must be at least 1"),
        ({"batch": {"kind": "bulk"}}, r"batch\.kind is 'bulk'"),
        ({"batch": {"size": 1}}, r"batch\.size is 1; it must be at least 2"),
        ({"batch": {"max_steps": 0}}, r"batch\.max_steps is 0"),
        ({"engine": {"zero_stage": 4}}, r"engine\.zero_stage is 4"),
        ({"engine": 3}, "engine is 3; it must be a JSON object"),
        ({"dimensions": ["a", "a"]}, "at least one name, none twice"),
        ({"dimensions": ["a", 1]}, "dimensions is 1; it must be a text"),
        ({"prompt_template": "no slots"}, r"\{video\} and \{prompt\}"),
        ({"loss": {"margin": -1}}, r"loss\.margin is -1\.0"),
    ],
)
def test_nonsense_is_named_with_its_value(values, words):
    whole = {"base_model": "b", **values} if isinstance(values, dict) else values
    if "pair_set" in whole:
        del whole["base_model"]
    elif isinstance(whole, dict):
        whole["pair_set"] = "p"
    with pytest.raises(TrainingError, match=words):
        from_json(whole)


def test_every_field_has_its_sentence():
    """A string stands right after each field of each dataclass."""
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.ClassDef):
            for field, after in zip(node.body, node.body[1:], strict=False):
                if isinstance(field, ast.AnnAssign):
                    assert isinstance(after, ast.Expr), f"{node.name}.{ast.unparse(field)}"


def test_a_config_cannot_be_changed():
    with pytest.raises(AttributeError):
        TrainConfig("b", "p").seed = 2
