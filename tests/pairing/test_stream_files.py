import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pairing import Recipe, build_pairs, stream_files
from pairing.freeze import freeze
from pairing.stream_files import NOTE, write_stream
from warehouse.errors import PairingError

COUNTS = {kind: {"train": "up to 700", "test": "all"} for kind in ("win_lose", "win_tie")}


def written(tables, recipe, folder, **more):
    said = []
    frozen = freeze(*tables, recipe)
    note = write_stream(
        frozen, recipe, folder, {}, lambda done, total: said.append((done, total)), **more
    )
    return note, said


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"soft": True},
        {"strategy": "any-prompt"},
        {"strategy": "in-prompt"},
        {"max_per_item": 9},
        {"quotas": {"by": "generator"}},
        {"counts": None, "blocks": {"passes": 2, "fails": 2}},
    ],
    ids=str,
)
def test_the_rows_are_those_of_the_set_in_their_order(world, tmp_path, monkeypatch, changes):
    monkeypatch.setattr(stream_files, "ROW_GROUP", 100)
    tables = world(items=200, prompts=40, seed=2)
    values = {"dimensions": ["looks"], "counts": COUNTS} | changes
    recipe = Recipe.from_dict({key: each for key, each in values.items() if each is not None})
    pair_set = build_pairs(*tables, recipe)
    note, said = written(tables, recipe, tmp_path / "new" / "pairs")
    for name, table in (("pairs", pair_set.pairs), ("items", pair_set.items)):
        found = pq.read_table(tmp_path / "new" / "pairs" / f"{name}.parquet")
        assert found.to_pydict() == table.drop_columns("pair_set_id").to_pydict()
    total = pair_set.pairs.num_rows
    assert sum(row["pairs"] for row in note["counts"]) == total
    assert said[-1] == (total, total)
    assert json.loads((tmp_path / "new" / "pairs" / NOTE).read_text()) == note


def test_a_dry_run_writes_nothing(world, tmp_path):
    note, said = written(
        world(), Recipe(("looks",), counts=COUNTS), tmp_path / "pairs", dry_run=True
    )
    assert note["counts"]
    assert said == []
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_refused(world, tmp_path):
    with pytest.raises(PairingError, match="is there already"):
        written(world(), Recipe(("looks",), counts=COUNTS), tmp_path)


def test_what_cannot_be_written_leaves_nothing(world, tmp_path, monkeypatch):
    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(stream_files, "_write_pairs", full)
    with pytest.raises(PairingError, match="No space left on device"):
        written(world(), Recipe(("looks",), counts=COUNTS), tmp_path / "pairs")
    assert list(tmp_path.iterdir()) == []


def test_memory_is_that_of_a_few_row_groups(world, tmp_path, monkeypatch):
    """As many pairs at a time as a row group has, and a block of cards."""
    monkeypatch.setattr(stream_files, "ROW_GROUP", 2**10)
    sizes = []
    real = stream_files.pairs_table

    def noted(blocks, identity):
        sizes.append(sum(map(len, blocks)))
        return real(blocks, identity)

    monkeypatch.setattr(stream_files, "pairs_table", noted)
    monkeypatch.setattr("pairing.sampler._BLOCK", 2**9)
    counts = {"win_lose": {"train": "all"}}
    recipe = Recipe(("looks",), counts=counts, kinds=("win_lose",), strategy="any-prompt")
    written(world(items=300, prompts=9), recipe, tmp_path / "pairs")
    assert sum(sizes) == pq.read_metadata(tmp_path / "pairs" / "pairs.parquet").num_rows > 2**12
    assert max(sizes) < 2**10 + 2**9
    assert isinstance(real([], ""), pa.Table)
