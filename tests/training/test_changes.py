"""Changes to a config by dotted path."""

import pytest

from training.changes import changed, read_change
from training.config_json import to_json
from training.recipes import RECIPES
from warehouse.errors import TrainingError

CONFIG = to_json(RECIPES["tiny"]("base", "pairs"))


def test_only_what_is_named_changes():
    new = changed(CONFIG, {"head.kind": "attention", "loss.margin": 2, "head.layers": [1, 4]})
    assert new["head"] == CONFIG["head"] | {"kind": "attention", "layers": [1, 4]}
    assert new["loss"] == CONFIG["loss"] | {"margin": 2.0}
    assert {k: v for k, v in new.items() if k not in ("head", "loss")} == {
        k: v for k, v in CONFIG.items() if k not in ("head", "loss")
    }


def test_no_change_leaves_the_config_and_its_source_as_they_were():
    before = to_json(RECIPES["tiny"]("base", "pairs"))
    assert changed(CONFIG, {}) == CONFIG == before
    changed(CONFIG, {"head.dropout": 0.5})
    assert before == CONFIG


def test_an_option_that_is_not_given_is_given_below():
    assert changed(CONFIG, {"tuning.lora.rank": 8})["tuning"]["lora"] == {
        "rank": 8, "alpha": 128, "dropout": 0.05
    }  # fmt: skip
    assert changed(CONFIG, {"tuning.lora": None})["tuning"]["lora"] is None


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("batch.sise", "no option batch.sise; did you mean batch.size"),
        ("hed.kind", "no option hed; did you mean head.kind"),
        ("kind", "did you mean head.kind or loss.kind or batch.kind"),
        ("seed.low", "no option seed"),
        ("tuning.lora.rnk", "tuning.lora has no field rnk; it has rank"),
        ("zzz", "`soli train --dry-run` lists them all"),
    ],
)
def test_an_unknown_path_is_refused_with_near_ones(path, words):
    with pytest.raises(TrainingError, match=words):
        changed(CONFIG, {path: 1})


@pytest.mark.parametrize(
    "change", [{"head.kind": "transformer"}, {"batch.size": 1}, {"batch.size": "many"}]
)
def test_a_value_that_does_not_fit_is_refused(change):
    with pytest.raises(TrainingError, match="training config: "):
        changed(CONFIG, change)


@pytest.mark.parametrize(
    ("text", "change"),
    [
        ("loss.margin=2.5", ("loss.margin", 2.5)),
        ("head.layers=[1, 2]", ("head.layers", [1, 2])),
        ("tuning.lora=null", ("tuning.lora", None)),
        ("prompt_template={video} = {prompt}", ("prompt_template", "{video} = {prompt}")),
        (" head.kind = last-token ", ("head.kind", "last-token")),
    ],
)
def test_a_value_is_json_or_else_a_word(text, change):
    assert read_change(text) == change


@pytest.mark.parametrize("text", ["head.kind", "=3", ""])
def test_a_change_without_a_path_or_a_value_is_refused(text):
    with pytest.raises(TrainingError, match="PATH=VALUE"):
        read_change(text)
