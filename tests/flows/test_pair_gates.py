"""What stops a build, and what is kept of a reason to build all the same."""

import pytest

from flows import clearance
from flows.exports import ingest_export
from flows.labelling import Labelling
from flows.measure import measure
from flows.pair import build, newest_pair_set, read, recipe_of
from pairing.recipe import Recipe
from warehouse.errors import GateStop, PairingError, StoreError

pytestmark = pytest.mark.usefixtures("no_faces")
THREE = ("physical_plausibility", "semantic_alignment", "subject_deformity")
SOME = {"win_lose": {"train": "up to 20"}, "win_tie": {"train": "up to 20"}}


@pytest.mark.slow
def test_a_gate_stops_its_dimension_and_no_other(small, again):
    gates = ({"dimension": "subject_deformity", "threshold": 0.95},)
    measure(small.model_copy(update={"gates": gates}), small.store)
    before = small.store.read("pair_sets").num_rows
    with pytest.raises(GateStop, match=r"subject_deformity.*soli annotate queue"):
        again(small, seed=8)
    assert small.store.read("pair_sets").num_rows == before
    assert again(small, seed=8, dimensions=["semantic_alignment"]).counts


@pytest.mark.slow
def test_each_missing_step_is_named(settings, tasks, export):
    store = settings.store
    with pytest.raises(PairingError, match="soli consensus build"):
        recipe_of(settings, store)
    ingest_export(store, export(tasks[:6]), labelling=Labelling(THREE))
    recipe = Recipe(dimensions=THREE)
    with pytest.raises(PairingError, match="soli agreement report"):
        build(settings, store, recipe)
    measure(settings, store)
    with pytest.raises(PairingError, match="soli consensus build"):
        build(settings, store, recipe)
    with pytest.raises(StoreError, match="soli pairs build"):
        newest_pair_set(store)


@pytest.mark.slow
def test_an_override_builds_and_is_kept_in_manifest_and_audit(small):
    gates = ({"dimension": "subject_deformity", "threshold": 0.95},)
    strict = small.model_copy(update={"gates": gates})
    measure(strict, small.store)
    recipe = Recipe.from_dict({"dimensions": ["subject_deformity"], "counts": SOME, "seed": 31})
    built, pair_set = build(strict, small.store, recipe, override="the pilot")
    assert pair_set.manifest["override"]["reason"] == "the pilot"
    (row,) = small.store.query(
        "FROM audit WHERE subject = $s", {"s": built.pair_set_id}
    ).to_pylist()
    assert (row["action"], row["reason"]) == ("override_gate", "the pilot")
    assert "subject_deformity" in row["details"]
    build(strict, small.store, recipe, override="the pilot")
    assert small.store.query("FROM audit").num_rows == 1
    measure(small, small.store)


def test_an_override_where_nothing_stops_leaves_no_trace(small):
    recipe = Recipe.from_dict({"dimensions": ["semantic_alignment"], "counts": SOME, "seed": 32})
    before = small.store.read("audit").num_rows
    assert (
        build(small, small.store, recipe, override="just in case")[1].manifest["override"] is None
    )
    assert small.store.read("audit").num_rows == before


@pytest.mark.slow
def test_unsuitable_win_ties_stop_unless_allowed_forbidden_or_left_out(small, monkeypatch):
    row = {"dimension": "semantic_alignment", "verdict": "unsuitable", "reason": "dispersed"}
    found = clearance._newest

    def newest(store, table, moment):
        return [row] if table == "suitability" else found(store, table, moment)

    monkeypatch.setattr(clearance, "_newest", newest)
    plain = {"dimensions": ["semantic_alignment"], "counts": SOME, "seed": 33}
    with pytest.raises(GateStop, match="a shared pass need not mean a tie, dispersed"):
        build(small, small.store, Recipe.from_dict(plain))
    for policy, ties in (("allow", True), ("forbid", False)):
        recipe = Recipe.from_dict(plain | {"win_ties": {"semantic_alignment": policy}})
        kinds = build(small, small.store, recipe)[1].pairs["kind"].unique().to_pylist()
        assert ("win_tie" in kinds) is ties
    only = {"kinds": ["win_lose"], "counts": {"win_lose": {"train": "up to 9"}}}
    assert build(small, small.store, Recipe.from_dict(plain | only))


def test_an_override_of_a_set_that_stands_is_in_its_manifest_too(small, monkeypatch):
    first = read(small.store)
    stopped = [{"dimension": "subject_deformity", "verdict": "stop", "reason": "alpha is low"}]
    monkeypatch.setattr(clearance, "_newest", lambda _s, name, _at: stopped * (name == "gates"))
    recipe = Recipe.from_dict(first.manifest["recipe"])
    built, made = build(small, small.store, recipe, override="a pilot")
    assert built.pair_set_id == first.pair_set_id
    assert made.manifest == read(small.store).manifest
    assert made.manifest["override"]["reason"] == "a pilot"


@pytest.mark.usefixtures("small")
def test_who_overrides_where_nothing_stops_is_told(soli, tmp_path):
    some = ("--set", 'dimensions=["semantic_alignment"]', "--override-gate", "just in case")
    for command in (("build", "--dry-run"), ("stream", tmp_path / "pairs", "--dry-run")):
        code, _, err = soli("pairs", *command, *some)
        assert code == 0
        assert "nothing had to be overridden" in err
    _, _, err = soli("pairs", "build", "--dry-run", *some[:2])
    assert "overridden" not in err
