"""Pairs straight into a folder; pairing/test_stream_files.py shows that they are the set's."""

import json

import pyarrow.parquet as pq
import pytest

from flows.pair import read, recipe_of
from flows.pair_stream import stream
from pairing.recipe import Recipe
from warehouse.errors import GateStop


def test_the_pairs_are_those_of_the_set_and_the_warehouse_stays_as_it_is(small, tmp_path):
    store = small.store
    before = {name: store.lake.version(name) for name in ("pair_sets", "pairs", "audit")}
    pair_set = read(store)
    recipe = Recipe.from_dict(pair_set.manifest["recipe"])
    note = stream(small, store, recipe, tmp_path / "pairs", lambda *_: None)
    found = pq.read_table(tmp_path / "pairs" / "pairs.parquet").to_pydict()
    assert found == pair_set.pairs.drop_columns("pair_set_id").to_pydict()
    assert note["consensus_id"] == pair_set.manifest["consensus_id"]
    assert {name: store.lake.version(name) for name in before} == before


def test_a_gate_stops_it_and_its_override_is_kept_in_the_note(small, tmp_path, monkeypatch):
    stopped = [{"dimension": "subject_deformity", "verdict": "stop", "reason": "alpha is low"}]
    monkeypatch.setattr(
        "flows.clearance._newest", lambda _store, name, _at: stopped * (name == "gates")
    )
    recipe = recipe_of(small, small.store)
    with pytest.raises(GateStop, match="alpha is low"):
        stream(small, small.store, recipe, tmp_path / "pairs", lambda *_: None)
    note = stream(
        small, small.store, recipe, tmp_path / "pairs", lambda *_: None, override="a pilot"
    )
    assert note["override"]["reason"] == "a pilot"


@pytest.mark.usefixtures("small")
def test_the_command_counts_and_a_dry_run_writes_nothing(soli, tmp_path):
    given = ("pairs", "stream", tmp_path / "pairs", "--set", 'dimensions=["subject_deformity"]')
    code, out, _ = soli(*given, "--dry-run", "--json")
    assert code == 0
    counts = json.loads(out)["counts"]
    assert not (tmp_path / "pairs").exists()
    code, out, _ = soli(*given)
    assert code == 0
    assert "win_lose" in out
    rows = pq.read_metadata(tmp_path / "pairs" / "pairs.parquet").num_rows
    assert rows == sum(row["pairs"] for row in counts)
