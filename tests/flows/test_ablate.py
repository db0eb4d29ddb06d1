"""An ablation from a home with labels to its tables, stopped and run again."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from flows.ablate import plan
from flows.ablate_arms import chosen_arms
from flows.encoding import write_clip
from flows.exports import ingest_export
from flows.items import add_items
from flows.labelling import Labelling
from flows.measure import build as decide
from flows.measure import measure
from flows.pair import build, recipe_of
from flows.settings import Settings
from warehouse.errors import StoreError, TrainingError

DIMENSION = "physical_plausibility"
FEW = {"train": "up to 40", "validation": "up to 20", "test": "up to 20", "ood": "up to 20"}
RECIPE = {
    "counts": {"win_lose": FEW, "win_tie": FEW},
    "split": {"train": 0.5, "validation": 0.2, "test": 0.3, "salt": "tests"},
    "ood_generators": ["south"],
}


def answers(item):
    """Three people's judgements of a clip in the shape of an export: every other one is good."""
    value = {"choices": [("Pass", "Fail")[item % 2]]}
    result = {"from_name": DIMENSION, "to_name": "video", "type": "choices", "value": value}
    return [
        {
            "id": 10 * item + person,
            "completed_by": person,
            "created_at": f"2026-03-01T0{person}:00:00Z",
            "updated_at": f"2026-03-01T0{person}:00:00Z",
            "result": [result],
        }
        for person in (1, 2, 3)
    ]


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Settings of a home with 32 judged clips of 16 prompts, in one dimension, and a pair set."""
    monkeypatch.chdir(tmp_path)
    settings = Settings(home=tmp_path / "home", pairs=RECIPE, media_roots=(tmp_path,))
    rng = np.random.default_rng(0)
    rows, tasks = [], []
    for item in range(32):
        name = f"clip_{item:02d}"
        write_clip(tmp_path / f"{name}.mp4", rng.integers(0, 255, (4, 32, 32, 3), np.uint8), fps=8)
        data = {"item_id": name, "prompt": f"scene {item // 2}"}
        generator = ("north", "south")[item // 2 % 4 == 0]
        rows.append(data | {"media": f"{name}.mp4", "generator": generator})
        times = {"created_at": "2026-03-01T00:00:00Z", "updated_at": "2026-03-02T00:00:00Z"}
        task = data | {"video": f"{name}.mp4"}
        tasks.append({"id": item + 1, **times, "data": task, "annotations": answers(item)})
    (tmp_path / "items.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "labels.json").write_text(json.dumps(tasks))
    assert not add_items(settings, tmp_path / "items.jsonl").refused
    ingest_export(settings.store, tmp_path / "labels.json", labelling=Labelling((DIMENSION,)))
    measure(settings, settings.store)
    decide(settings, settings.store)
    build(settings, settings.store, recipe_of(settings, settings.store))
    (tmp_path / "soli.toml").write_text("")
    return settings


@pytest.fixture
def ablate(home, capfd):
    """Run `soli ablate` on two arms of two steps; returns exit code, stdout and stderr."""
    from flows.__main__ import run

    def call(*options):
        small = ("--recipe", "tiny-test", "--steps", "2", "--arms", "in-prompt")
        code = run(["--home", str(home.home), "ablate", *small, *options])
        shown = capfd.readouterr()
        return code, shown.out, shown.err

    return call


@pytest.mark.slow
@pytest.mark.xdist_group("training")
def test_an_ablation_goes_on_where_it_was_stopped_and_writes_its_tables(home, ablate):
    code, out, _ = ablate("--seeds", "1", "--json")
    assert code == 0
    assert {row["seeds"] for row in json.loads(out)["rows"]} == {1}
    (folder,) = (home.home / "ablations").iterdir()
    before = {path: path.stat().st_mtime_ns for path in (folder / "runs").iterdir()}
    assert len(before) == 2

    code, out, err = ablate("--seeds", "2", "--jobs", "2")
    assert code == 0
    assert "4 of 4" in err
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(list((folder / "runs").glob("*.json"))) == 4
    for words in ("default", "in-prompt", "±", "Δ ACC ID", str(folder)):
        assert words in out
    tables(folder)
    assert home.store.read("runs").num_rows == 4
    held_out(home)

    _, out, _ = ablate("--seeds", "2", "--dry-run", "--json")
    assert [row["done"] for row in json.loads(out)] == ["yes"] * 4


def tables(folder):
    """Every arm and metric with an interval; differences only where there is another arm."""
    rows = pq.read_table(folder / "table.parquet").to_pylist()
    accuracies = [row for row in rows if (row["metric"], row["dimension"]) == ("acc", DIMENSION)]
    assert {(row["arm"], row["split"]) for row in accuracies} == {
        (arm, split) for arm in ("default", "in-prompt") for split in ("test", "ood")
    }
    for row in accuracies:
        assert row["seeds"] == 2
        assert row["low"] <= row["mean"] <= row["high"]
        assert (row["difference"] is None) == (row["arm"] == "default")
    runs = pq.read_table(folder / "runs.parquet").to_pandas()
    for (arm, split), part in runs[runs["metric"] == "acc"].groupby(["arm", "split"]):
        (row,) = (r for r in accuracies if (r["arm"], r["split"]) == (arm, split))
        assert row["mean"] == pytest.approx(part["value"].mean())
    assert (folder / "accuracy.svg").read_text().startswith("<svg")
    assert "| strategy | in-prompt | 2 |" in (folder / "table.md").read_text()


def held_out(home):
    """Only held-out items were scored, and the default's pair set is still what is ablated."""
    splits = home.store.query(
        "SELECT DISTINCT m.split FROM scores s JOIN pair_set_items m USING (item_id, dimension)"
        " JOIN pair_sets p USING (pair_set_id) WHERE p.recipe NOT LIKE '%ablation: %'"
    )
    assert "train" not in splits["split"].to_pylist()
    again = plan(home.store, chosen_arms(names=["in-prompt"]), recipe="tiny-test")
    assert not any(job.done for job in again.jobs)  # of more steps: another ablation
    sql = "SELECT recipe->>'$.name' AS name FROM pair_sets WHERE pair_set_id = $p"
    names = home.store.query(sql, {"p": again.pair_set_id})
    assert names["name"].to_pylist() == ["default"]


def test_a_home_without_a_pair_set_says_what_to_do(settings):
    with pytest.raises(StoreError, match="soli pairs build"):
        plan(settings.store)


def test_a_dry_run_lists_the_runs_seed_by_seed_and_writes_nothing(small, soli, unchanged):
    with unchanged(small.home):
        code, out, _ = soli("ablate", "--factors", "loss", "--seeds", "2", "--dry-run", "--json")
    rows = json.loads(out)
    assert code == 0
    assert [row["seed"] for row in rows] == [0] * 7 + [1] * 7
    assert rows[1]["changes"] == "loss.kind=bt"


def test_a_change_that_does_not_fit_is_refused_before_anything_starts(small, unchanged):
    with unchanged(small.home), pytest.raises(TrainingError, match=r"did you mean batch\.size"):
        plan(small.store, changes={"batch.sise": 3})
    with unchanged(small.home), pytest.raises(TrainingError, match="--seed says it"):
        plan(small.store, changes={"seed": 3})
