"""Pair sets out of a warehouse: the same bytes anywhere, and what is in them."""

import copy
import random
from pathlib import Path

import pytest

from flows.exports import ingest_export
from flows.labelling import Labelling
from flows.measure import build as build_consensus
from flows.measure import measure
from flows.pair import build, items_known, newest_pair_set, read, recipe_of, sources, statistics_of
from pairing.recipe import Recipe
from warehouse.errors import StoreError

pytestmark = pytest.mark.usefixtures("no_faces")
THREE = ("physical_plausibility", "semantic_alignment", "subject_deformity")


@pytest.mark.slow
def test_two_homes_with_other_people_and_another_order_hold_the_same_bytes(
    small, tmp_path, tasks, export, again
):
    """Renamed annotators, shuffled tasks and annotations, other ids: nothing of it may show."""
    shuffled = copy.deepcopy(tasks)
    dice = random.Random(3)
    dice.shuffle(shuffled)
    for task in shuffled:
        dice.shuffle(task["annotations"])
        for annotation in task["annotations"]:
            annotation["completed_by"] = {11: 907, 12: 3, 13: 55}[annotation["completed_by"]]
            annotation["id"] += 70_000
    other = small.model_copy(update={"home": tmp_path / "elsewhere"})
    ingest_export(other.store, export(shuffled, "other.json"), labelling=Labelling(THREE))
    measure(other, other.store)
    build_consensus(other, other.store)
    theirs, ours = again(other), newest_pair_set(small.store)
    assert theirs.digest == ours["digest"]
    for name in ("pairs", "pair_set_items"):
        assert other.store.digest(name) == small.store.digest(name)
    people = [set(s.store.read("people")["annotator_id"].to_pylist()) for s in (small, other)]
    assert people[0].isdisjoint(people[1])
    for name in ("pairs.parquet", "items.parquet"):
        assert Path(ours["path"], name).read_bytes() == Path(theirs.path, name).read_bytes()


@pytest.mark.slow
def test_building_again_adds_nothing_and_another_seed_is_another_set(small, again):
    store = small.store
    before = store.read("pairs").num_rows
    known = newest_pair_set(store)
    assert again(small).pair_set_id == known["pair_set_id"]
    assert store.read("pairs").num_rows == before
    other = again(small, seed=5)
    assert other.digest != known["digest"]
    assert newest_pair_set(store)["pair_set_id"] == other.pair_set_id
    assert newest_pair_set(store, known["pair_set_id"][:6])["digest"] == known["digest"]


@pytest.mark.slow
def test_a_dry_run_says_which_set_it_would_be(small, unchanged):
    recipe = Recipe.from_dict(recipe_of(small, small.store).to_dict() | {"seed": 9})
    with unchanged(small.home):
        dry, pair_set = build(small, small.store, recipe, dry_run=True)
    assert not dry.path.exists()
    assert build(small, small.store, recipe)[0].digest == dry.digest == pair_set.digest


@pytest.mark.slow
def test_a_set_knows_its_labels_as_of_the_consensus_and_later_events_stay_out(
    small, tasks, export, again
):
    store = small.store
    row = newest_pair_set(store)
    consensus = store.query(
        "SELECT min(observed_at) AS t FROM consensus WHERE consensus_id = $c",
        {"c": row["consensus_id"]},
    )
    assert row["as_of"] == consensus["t"][0].as_py()
    before = store.query("SELECT count(*) AS n FROM lineage")["n"][0].as_py()
    answer = tasks[3]["annotations"][0]["result"][0]["value"]["choices"]
    answer[0] = {"Pass": "Fail", "Fail": "Pass"}[answer[0]]
    tasks[3]["annotations"][0]["updated_at"] = "2026-02-01T00:00:00.000000Z"
    found = ingest_export(store, export(tasks))
    assert found.events == {"changed": 1}
    assert store.query("SELECT count(*) AS n FROM lineage")["n"][0].as_py() == before
    build_consensus(small, store)
    assert again(small, seed=1).digest
    newer = newest_pair_set(store)
    assert newer["as_of"] > row["as_of"]
    assert newer["consensus_id"] != row["consensus_id"]


@pytest.mark.slow
def test_a_start_that_fits_several_sets_or_none_is_refused_with_the_ids(small, again):
    ids = [again(small, seed=seed).pair_set_id for seed in (21, 22)]
    ids.append(read(small.store, "latest").pair_set_id)
    for start in ("", "xyz"):
        with pytest.raises(StoreError, match=ids[0]):
            newest_pair_set(small.store, start)
    everything = [row["pair_set_id"] for row in small.store.read("pair_sets").to_pylist()]
    shared = next(
        (i[:1] for i in everything if sum(j.startswith(i[:1]) for j in everything) > 1), None
    )
    if shared:
        with pytest.raises(StoreError, match="could be any of"):
            newest_pair_set(small.store, shared)


def test_no_prompt_stands_on_both_sides_of_training_and_out_of_domain_stays_apart(small):
    pair_set = read(small.store)
    items = pair_set.items.to_pylist()
    prompts = {}
    for row in items:
        if row["split"] != "ood":
            prompts.setdefault(row["prompt_id"], set()).add(row["split"])
    assert all(len(splits) == 1 for splits in prompts.values())
    generators = small.store.query("SELECT item_id, generator FROM items").to_pylist()
    south = {row["item_id"] for row in generators if row["generator"] == "south"}
    assert {row["item_id"] for row in items if row["split"] == "ood"} == south
    tables = statistics_of(small.store, pair_set)
    assert {"counts"} <= set(tables)
    assert sum(tables["counts"]["pairs"].to_pylist()) == pair_set.pairs.num_rows


def test_videos_of_one_place_share_a_split_where_their_bytes_were_not_read(small, again):
    store, place = small.store, "https://videos.example/one.mp4"
    clips = store.query(
        "SELECT * EXCLUDE (design_k, prompt_id) REPLACE ($place AS uri, 1::INT AS revision)"
        " FROM clips WHERE media_sha256 IS NULL AND generator <> 'south' ORDER BY item_id LIMIT 6",
        {"place": place},
    )
    store.append("media", clips)
    places = sources(store, items_known(store, None), recipe_of(small, store))
    assert places["media_sha256"].to_pylist().count(place) == 6
    built = again(small, name="places")
    splits = store.query(
        "SELECT DISTINCT p.split FROM pair_set_items AS p JOIN clips USING (item_id)"
        " WHERE p.pair_set_id = $p AND uri = $place",
        {"p": built.pair_set_id, "place": place},
    )
    assert splits.num_rows == 1
    leaks = store.query(
        "SELECT sum(shared) AS n FROM pair_leakage WHERE what = 'video' AND pair_set_id = $p",
        {"p": built.pair_set_id},
    )
    assert leaks["n"].to_pylist() == [0]
