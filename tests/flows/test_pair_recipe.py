"""Where the recipe of a pair set comes from, and what is said of one that makes no sense."""

import json
from pathlib import Path

import pytest

from flows.pair import build, newest_pair_set, read, recipe_of
from pairing.recipe import DEFAULT_COUNTS, Recipe
from warehouse.errors import PairingError

pytestmark = pytest.mark.usefixtures("no_faces")
THREE = ("physical_plausibility", "semantic_alignment", "subject_deformity")
SOME = {"win_lose": {"train": "up to 20"}, "win_tie": {"train": "up to 20"}}


@pytest.mark.slow
def test_the_chosen_method_s_consensus_is_what_pairs_are_built_from(small, again, latest_consensus):
    chosen = small.model_copy(update={"consensus": {"method": "majority"}})
    again(chosen, seed=4)
    majority = set(latest_consensus(small.store, "majority")["consensus_id"].to_pylist())
    assert newest_pair_set(small.store)["consensus_id"] in majority


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"dimensions = [", "no TOML"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"seed = 3", "dimensions is missing"),
        (b"dimensions = ['beauty']", "beauty"),
        (b"dimensions = ['semantic_alignment']\nsede = 3", "sede"),
        (b"dimensions = ['semantic_alignment']\nkinds = ['lose_tie']", "lose_tie"),
        (b"[pairs]\ndimensions = ['semantic_alignment']", "pairs"),
    ],
)
def test_a_recipe_file_that_makes_no_sense_is_one_line(soli, small, tmp_path, content, words):
    path = tmp_path / "recipe.toml"
    path.write_bytes(content)
    code, out, err = soli("pairs", "build", "--recipe", path)
    assert (code, out) == (1, "")
    (line,) = err.splitlines()
    assert words in line
    assert "unexpected" not in line


def test_a_recipe_file_decides_alone(soli, small, tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text("dimensions = ['semantic_alignment']\nkinds = ['win_lose']\nseed = 3\n")
    code, out, _ = soli("pairs", "build", "--recipe", path, "--json")
    assert code == 0
    manifest = json.loads(out)
    assert manifest["recipe"]["dimensions"] == ["semantic_alignment"]
    assert manifest["recipe"]["ood_generators"] == []
    built = read(small.store, manifest["pair_set_id"])
    assert set(built.pairs["kind"].to_pylist()) == {"win_lose"}
    assert Path(newest_pair_set(small.store)["path"]).is_dir()


def test_a_recipe_as_of_a_moment_takes_the_consensus_of_then(small):
    row = newest_pair_set(small.store)
    then = row["as_of"].isoformat()
    recipe = Recipe.from_dict({"dimensions": list(THREE), "counts": SOME, "as_of": then})
    assert build(small, small.store, recipe)[1].manifest["as_of"] == then
    early = Recipe.from_dict(recipe.to_dict() | {"as_of": "2020-01-01T00:00:00+00:00"})
    with pytest.raises(PairingError, match="never measured by 2020-01-01 00:00:00 UTC"):
        build(small, small.store, early)


def test_changes_come_on_top_of_the_recipe(small):
    changes = ["seed=7", "counts.win_lose.train=5", 'strategy="any-prompt"']
    plain = small.model_copy(update={"pairs": {}})
    recipe = recipe_of(plain, small.store, None, changes)
    assert (recipe.seed, recipe.strategy) == (7, "any-prompt")
    assert recipe.counts["win_lose"]["train"] == 5
    assert recipe.counts["win_tie"]["train"] == DEFAULT_COUNTS["win_tie"]["train"]


def test_more_blocks_than_exist_are_one_line_with_how_many_there_are(soli, small):
    blocks = "blocks={passes=2,fails=2,groups={train=9999}}"
    code, out, err = soli("pairs", "build", "--set", blocks)
    assert (code, out) == (1, "")
    (line,) = err.splitlines()
    assert "9,999 asked for, but no two items may meet twice: only " in line


def test_kinds_that_are_asked_for_leave_out_the_counts_of_others(small):
    changes = ['kinds=["win_lose"]', "counts.win_lose.train=5"]
    recipe = recipe_of(small, small.store, changes=changes)
    assert set(recipe.counts) == {"win_lose"}
    assert recipe.counts["win_lose"]["train"] == 5


@pytest.mark.parametrize("kinds", ["5", '"win_lose"', '[["win_lose"]]'])
def test_kinds_that_are_none_are_one_clear_error(small, kinds):
    with pytest.raises(PairingError, match="recipe: kinds"):
        recipe_of(small, small.store, changes=[f"kinds={kinds}", "counts.win_lose.train=5"])
