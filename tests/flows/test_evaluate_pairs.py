"""How well a model orders an imported set, by hand and with a tiny model over the real clips."""

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from flows.evaluate_pairs import evaluate_pairs
from flows.pair import read
from flows.pair_imports import import_set
from flows.train import evaluate
from warehouse.errors import StoreError

DATA = Path(__file__).parents[1] / "data"
MODEL = "0123456789abcdef" * 4
REWARDS = {"a.mp4": 3.0, "b.mp4": 1.0, "c.mp4": 1.0, "d.mp4": 4.0}

pytestmark = pytest.mark.usefixtures("no_faces")


@pytest.fixture
def bench(small, tmp_path):
    """Pairs of videos without files, and of two items that the model of `small` was scored on."""
    train = small.store.query(
        "SELECT DISTINCT item_id, prompt_id FROM pair_set_items WHERE split = 'train'"
        " AND dimension = 'subject_deformity' ORDER BY item_id LIMIT 1"
    ).to_pylist()[0]
    text = small.store.query(
        "SELECT text FROM prompts WHERE prompt_id = $p", {"p": train["prompt_id"]}
    )["text"][0].as_py()
    rows = [
        ("a.mp4", "b.mp4", "x", "A", "", "", ""),  # 3 > 1: right
        ("b.mp4", "c.mp4", "x", "B", "", "", ""),  # 1 = 1: wrong
        ("a.mp4", "d.mp4", "x", "A", "", "", ""),  # 3 < 4: wrong
        ("c.mp4", "d.mp4", "x", "B", "A", "", ""),  # 4 > 1: right; no motion reward
        ("b.mp4", "d.mp4", "x", "same", "", "", ""),  # a tie is left out
        (
            "d.mp4",
            "known.mp4",
            "x",
            "A",
            "",
            train["item_id"],
            text,
        ),  # the model learned its prompt
        ("a.mp4", "never.mp4", "x", "A", "", "", ""),  # not scored
    ]
    lines = ["path_A,path_B,prompt,VQ,Overall,item_B,prompt_B"]
    lines += [",".join(f'"{cell}"' for cell in row) for row in rows]
    (tmp_path / "bench.csv").write_text("\n".join(lines))
    columns = {"VQ": "subject_deformity", "Overall": "overall"}
    found = import_set(small, "videoalign", tmp_path / "bench.csv", columns=columns)
    assert found.refused == []
    scores = [
        {
            "model_id": MODEL,
            "item_id": f"bench/{name}",
            "dimension": "subject_deformity",
            "reward": reward,
        }
        for name, reward in REWARDS.items()
    ]
    small.store.append("scores", pa.Table.from_pylist(scores))
    return small.store, found.pair_set.pair_set_id


def test_accuracy_is_over_the_very_pairs_of_the_set(bench):
    store, pair_set = bench
    found = evaluate_pairs(store, pair_set, model=MODEL)
    rows = {(row["dimension"], row["metric"]): row for row in found.rows.to_pylist()}
    looks = {metric: rows["subject_deformity", metric] for metric in ("acc", "equal_share", "auc")}
    assert {metric: row["value"] for metric, row in looks.items()} == {
        "acc": 3 / 5, "equal_share": 1 / 5, "auc": 3.5 / 5
    }  # fmt: skip
    assert (looks["acc"]["pairs"], looks["acc"]["items"], looks["acc"]["split"]) == (5, 5, "test")
    assert looks["acc"]["low"] <= looks["acc"]["value"] <= looks["acc"]["high"]
    assert (found.unscored, found.learned) == (2, 1)


def test_a_dimension_that_the_model_does_not_know_has_a_reason_and_no_number(bench):
    store, pair_set = bench
    found = evaluate_pairs(store, pair_set, model=MODEL, dry_run=True)
    rows = [row for row in found.rows.to_pylist() if row["dimension"] == "overall"]
    assert len(rows) == 4
    assert {(row["value"], row["pairs"], row["reason"]) for row in rows} == {
        (None, 0, "no pair whose items both have a reward")
    }


def test_it_is_written_once_and_a_rehearsal_writes_nothing(bench):
    store, pair_set = bench
    version = store.lake.version("evaluations")
    evaluate_pairs(store, pair_set, model=MODEL, dry_run=True)
    assert store.lake.version("evaluations") == version
    evaluate_pairs(store, pair_set, model=MODEL)
    evaluate_pairs(store, pair_set, model=MODEL)
    assert store.lake.version("evaluations") == version + 1


def test_the_command_says_what_is_left_out(bench, soli):
    _, pair_set = bench
    code, out, err = soli("evaluate", "--pair-set", pair_set[:8], "--model", MODEL[:8])
    assert code == 0
    assert "2 win-lose pairs are left out: an item has no reward" in err
    assert "1 pair holds a prompt that the model was trained on" in err
    assert "overall" in out


def test_a_model_without_any_reward_of_the_set_is_told_to_score(small, tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("path_A,path_B,prompt,VQ\na.mp4,b.mp4,x,A\n")
    found = import_set(small, "videoalign", path)
    with pytest.raises(StoreError, match=r"none of the 1 held-out win-lose pairs .*soli score"):
        evaluate_pairs(small.store, found.pair_set.pair_set_id)


def test_a_built_set_is_evaluated_by_its_own_held_out_pairs(small):
    pair_set = read(small.store)
    held = [
        r for r in pair_set.pairs.to_pylist() if (r["kind"], r["split"]) == ("win_lose", "test")
    ]
    found = evaluate_pairs(small.store, pair_set.pair_set_id, dry_run=True)
    rows = found.rows.to_pylist()
    assert {row["split"] for row in rows} == {"validation", "test", "ood"}
    counted = sum(r["pairs"] for r in rows if (r["metric"], r["split"]) == ("acc", "test"))
    assert counted == len(held)
    assert found.unscored == 0


@pytest.mark.slow
@pytest.mark.xdist_group("training")
def test_a_tiny_model_is_scored_and_evaluated_on_the_real_clips(settings, soli, tmp_path):
    """As it was drawn: what counts is that every step from the file to the numbers runs."""
    from training.model import RewardModel, model_id, weights_digest
    from training.recipes import tiny_test
    from training.tiny import TinyShape, build_tiny_internvl

    shutil.copytree(DATA / "videos", tmp_path / "videos")
    shutil.copy(DATA / "imports" / "videoalign.csv", tmp_path / "example.csv")
    code, out, _ = soli("pairs", "import", "videoalign", tmp_path / "example.csv", "--json")
    pair_set = json.loads(out)["pair_set"]["pair_set_id"]
    shape = TinyShape(image=16, patch=4, vision_hidden=16, vision_layers=1, hidden=16, layers=4)
    base = build_tiny_internvl(tmp_path / "base", 0, ["a girl", "the moon"], shape)
    model = RewardModel.create(tiny_test(str(base), ""))
    folder = settings.home / "runs" / "drawn" / "checkpoint"
    model.save_pretrained(folder)
    weights = weights_digest(model)
    run = {
        "model_id": model_id(weights, model.spec),
        "run_id": "drawn",
        "pair_set_id": "drawn",
        "config": "{}",
        "weights_sha256": weights,
        "metrics": "{}",
        "seconds": 0.0,
        "path": str(folder),
    }
    settings.store.append("runs", pa.Table.from_pylist([run]))
    code, out, _ = soli("score", "--json")
    scored = json.loads(out)
    assert (code, scored["new rewards"]) == (0, 4 * 3)
    assert len(scored["not scored"]) == 2  # two videos of the example are not there
    code, out, err = soli("evaluate", "--pair-set", pair_set, "--json")
    assert code == 0
    rows = {row["dimension"]: row for row in json.loads(out) if row["metric"] == "acc"}
    assert {name: row["pairs"] for name, row in rows.items()} == {
        "physical_plausibility": 1, "semantic_alignment": 1, "subject_deformity": 1
    }  # fmt: skip
    assert all(row["value"] in (0.0, 1.0) for row in rows.values())
    assert "2 win-lose pairs are left out" in err


def test_the_set_of_the_training_keeps_the_numbers_of_the_plain_evaluation(small):
    own = read(small.store).pair_set_id
    evaluate(small.store)
    with pytest.raises(StoreError, match="add --dry-run"):
        evaluate_pairs(small.store, own)
    assert evaluate_pairs(small.store, own, dry_run=True).rows.num_rows
