"""Files of pair sets: whole or not at all, the row's own, and built again from a manifest."""

import json
import shutil
from pathlib import Path

import pytest

from flows.exports import ingest_export
from flows.measure import build as build_consensus
from flows.pair import build, newest_pair_set, read, rebuild
from pairing.diff import difference
from pairing.recipe import Recipe
from warehouse import journal
from warehouse.audit import audit
from warehouse.errors import PairingError

pytestmark = pytest.mark.usefixtures("no_faces")


@pytest.mark.slow
@pytest.mark.parametrize("table", ["pair_set_items", "pairs", "pair_sets"])
def test_a_build_killed_between_its_writes_ends_whole_when_run_again(
    small, monkeypatch, table, again
):
    store, whole = small.store, journal.commit

    def killed(lake, folder, stamp, staged):
        if staged.name == table:
            raise KeyboardInterrupt
        whole(lake, folder, stamp, staged)

    monkeypatch.setattr(journal, "commit", killed)
    with pytest.raises(KeyboardInterrupt):
        again(small, seed=2)
    monkeypatch.setattr(journal, "commit", whole)
    assert newest_pair_set(store)["seed"] == 0  # a half-written set is not offered
    built = again(small, seed=2)
    rows = {
        name: store.query(f"FROM {name} WHERE pair_set_id = $p", {"p": built.pair_set_id})
        for name in ("pair_sets", "pair_set_items", "pairs")
    }
    files_of_set = read(store, built.pair_set_id)
    assert rows["pair_sets"].num_rows == 1
    assert rows["pair_set_items"].num_rows == files_of_set.items.num_rows
    assert rows["pairs"].num_rows == files_of_set.pairs.num_rows
    if table == "pairs":
        assert all(not row["problems"] for row in audit(store))


@pytest.mark.slow
def test_a_damaged_or_missing_folder_is_named_in_one_line(soli, small, again):
    folder = Path(again(small, seed=6).path)
    pairs = folder / "pairs.parquet"
    whole = pairs.read_bytes()
    pairs.write_bytes(whole[: len(whole) // 2])
    for spoil in (lambda: None, pairs.unlink, lambda: (folder / "manifest.json").write_text("{")):
        spoil()
        code, out, err = soli("pairs", "stats")
        assert (code, out) == (1, "")
        (line,) = err.splitlines()
        assert str(folder) in line
        assert "unexpected" not in line


@pytest.mark.slow
def test_a_manifest_rebuilds_the_same_bytes_after_new_labels_and_items(
    small, tmp_path, again, files
):
    built = again(small, seed=41)
    folder = Path(built.path)
    before = files(folder)
    manifest = tmp_path / "manifest.json"
    manifest.write_bytes(before["manifest.json"])
    shutil.rmtree(folder)
    build_consensus(
        small.model_copy(update={"consensus": {"prior": {"tolerance": 1e-3}}}), small.store
    )
    assert rebuild(small.store, manifest)[0].path == folder
    assert files(folder) == before


def test_a_manifest_of_labels_that_are_not_here_is_refused(small, tmp_path):
    said = read(small.store).manifest | {"consensus_id": "elsewhere"}
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(said))
    with pytest.raises(PairingError, match="made of the consensus elsewhere, which is not in"):
        rebuild(small.store, path)


def built_again(store, folder, files):
    """Lose a set's files and have its manifest bring back the same bytes."""
    before = files(folder)
    manifest = folder.parent / "kept.json"
    manifest.write_bytes(before["manifest.json"])
    shutil.rmtree(folder)
    rebuild(store, manifest)
    assert files(folder) == before


@pytest.mark.slow
def test_blocks_asked_for_on_the_command_line_are_planned_whole_and_built_again(soli, small, files):
    blocks = "blocks={passes=3,fails=2,groups={train='all',test='up to 4'}}"
    code, out, _ = soli("pairs", "build", "--set", blocks, "--set", "seed=8", "--json")
    assert code == 0
    made = json.loads(out)
    for splits in made["counts"].values():
        assert 6 * splits["train"]["win_tie"] == 3 * splits["train"]["win_lose"] > 0
    folder = Path(newest_pair_set(small.store, made["pair_set_id"])["path"])
    built_again(small.store, folder, files)
    code, out, err = soli("pairs", "build", "--extend", made["pair_set_id"])
    assert (code, out) == (1, "")
    assert "extend: the recipe has blocks" in err


@pytest.mark.slow
def test_a_set_extended_after_new_labels_keeps_its_pairs_and_is_built_again_from_its_manifest(
    soli, small, tasks, export, files
):
    start = json.loads(soli("pairs", "build", "--set", "seed=51", "--json")[1])["pair_set_id"]
    kept = read(small.store, start)
    answer = tasks[5]["annotations"][1]["result"][0]["value"]["choices"]
    answer[0] = {"Pass": "Fail", "Fail": "Pass"}[answer[0]]
    tasks[5]["annotations"][1]["updated_at"] = "2026-02-02T00:00:00.000000Z"
    ingest_export(small.store, export(tasks))
    build_consensus(small, small.store)
    code, out, _ = soli("pairs", "build", "--extend", start[:8], "--json")
    assert code == 0
    grown = json.loads(out)
    assert grown["extends"]["pair_set_id"] == start
    assert grown["seed"] == 51
    told = difference(kept, read(small.store, grown["pair_set_id"])).causes.to_pylist()
    gone = {row["cause"] for row in told if row["only_a"]}
    assert gone <= {"label flipped", "item new"}
    folder = Path(newest_pair_set(small.store, grown["pair_set_id"])["path"])
    built_again(small.store, folder, files)


def test_a_folder_that_holds_another_set_is_not_taken_for_this_one(small, again):
    store = small.store
    one, two = newest_pair_set(store), again(small, seed=5)
    shutil.rmtree(two.path)
    shutil.copytree(one["path"], two.path)
    with pytest.raises(PairingError, match="holds pairs with digest"):
        read(store, two.pair_set_id)


def test_a_manifest_whose_recipe_was_changed_is_refused(small):
    path = Path(newest_pair_set(small.store)["path"]) / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["recipe"]["seed"] = 99
    path.write_text(json.dumps(manifest))
    with pytest.raises(PairingError, match="holds another recipe"):
        read(small.store)


def test_another_recipe_that_makes_the_same_pairs_is_the_set_that_stands(small):
    first = read(small.store)
    shutil.rmtree(newest_pair_set(small.store)["path"])
    recipe = Recipe.from_dict(first.manifest["recipe"] | {"name": "another"})
    _, made = build(small, small.store, recipe)
    assert made.manifest["recipe"] == first.manifest["recipe"]
    assert read(small.store).digest == first.digest
