"""How well models order a set: by hand, beside others, and a tiny model over the real clips."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from flows.evaluate import NO_THRESHOLD, SAME, evaluate
from flows.evaluate_part import METRICS
from flows.held_out import _groups
from flows.pair import read
from flows.pair_imports import import_set
from warehouse.errors import StoreError, TrainingError

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


def on(bench, **options):
    """Evaluation of the hand-made model on the imported set."""
    store, pair_set = bench
    return evaluate(store, models=[MODEL], pair_set=pair_set, **options)


def by_metric(found, **key):
    """Rows of a part, by metric."""
    rows = [row for row in found.metrics if key.items() <= row.items()]
    assert len({row["metric"] for row in rows}) == len(rows) == len(METRICS)
    return {row["metric"]: row for row in rows}


def test_accuracy_is_over_the_very_pairs_of_the_set(bench):
    found = on(bench)
    rows = by_metric(found, dimension="subject_deformity")
    assert {metric: rows[metric]["value"] for metric in ("acc", "equal_share", "auc")} == {
        "acc": 3 / 5, "equal_share": 1 / 5, "auc": 3.5 / 5
    }  # fmt: skip
    acc = rows["acc"]
    assert (acc["pairs"], acc["items"], acc["split"]) == (5, 5, "test")
    assert acc["low"] <= acc["value"] <= acc["high"]
    assert found.notes == [
        f"{MODEL}: 2 win-lose pairs are left out: an item has no reward",
        f"{MODEL}: 1 pair holds a prompt that the model was trained on",
    ]


def test_a_judgement_that_two_are_equal_counts_in_the_accuracy_with_ties(bench):
    rows = by_metric(on(bench), dimension="subject_deformity")
    same = rows["acc_ties_same"]
    assert (same["value"], same["pairs"], rows["tie_threshold_same"]["value"]) == (3 / 6, 6, 0)
    assert (rows["acc_ties"]["value"], rows["acc_ties"]["reason"]) == (None, NO_THRESHOLD)


def test_a_dimension_that_the_model_does_not_know_has_reasons_and_no_numbers(bench):
    rows = by_metric(on(bench, dry_run=True), dimension="overall")
    assert {row["value"] for row in rows.values()} == {None}
    assert all(row["reason"] for row in rows.values())
    assert (rows["acc"]["pairs"], rows["acc"]["reason"]) == (
        0, "no pair whose items both have a reward"
    )  # fmt: skip


def test_items_without_labels_have_no_spread_within_pass(bench):
    rows = by_metric(on(bench, dry_run=True), dimension="subject_deformity")
    assert rows["pass_std"]["reason"] == "fewer than two pass items"
    assert rows["levels"]["value"] == 4  # 1, 3, 4 and the known item's


def test_it_is_written_once_and_a_rehearsal_writes_nothing(bench):
    store, _ = bench
    version = store.lake.version("evaluations")
    on(bench, dry_run=True)
    assert store.lake.version("evaluations") == version
    on(bench)
    on(bench)
    assert store.lake.version("evaluations") == version + 1


def test_what_is_written_are_the_rows_of_whole_splits(small):
    before = small.store.read("evaluations").num_rows
    fresh = small.store.read("scores").drop_columns(["observed_at"]).to_pandas()
    run = small.store.read("runs").drop_columns(["observed_at"]).to_pylist()[0]
    small.store.append("runs", pa.Table.from_pylist([run | {"model_id": "fresh"}]))
    small.store.append("scores", pa.Table.from_pandas(fresh.assign(model_id="fresh")))
    found = evaluate(small.store, models=["fresh"], by="generator")
    whole = [row for row in found.metrics if row["group"] is None]
    assert len(whole) < len(found.metrics)
    assert small.store.read("evaluations").num_rows == before + len(whole)


def test_the_command_says_what_is_left_out(bench, soli):
    _, pair_set = bench
    code, out, err = soli("evaluate", "--pair-set", pair_set[:8], "--model", MODEL[:8])
    assert code == 0
    assert "2 win-lose pairs are left out: an item has no reward" in err
    assert "1 pair holds a prompt that the model was trained on" in err
    assert f"– in acc_ties, tie_threshold: {NO_THRESHOLD}" in err
    assert "overall" in out


def test_a_model_without_any_reward_of_the_set_is_told_to_score(small, tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("path_A,path_B,prompt,VQ\na.mp4,b.mp4,x,A\n")
    found = import_set(small, "videoalign", path)
    with pytest.raises(StoreError, match=r"none of the 1 held-out win-lose pairs .*soli score"):
        evaluate(small.store, pair_set=found.pair_set.pair_set_id)


def test_a_built_set_is_evaluated_by_its_own_held_out_pairs(small):
    pair_set = read(small.store)
    held = [
        r for r in pair_set.pairs.to_pylist() if (r["kind"], r["split"]) == ("win_lose", "test")
    ]
    found = evaluate(small.store, pair_set=pair_set.pair_set_id, dry_run=True)
    assert {row["split"] for row in found.metrics} == {"validation", "test", "ood"}
    rows = [row for row in found.metrics if (row["metric"], row["split"]) == ("acc", "test")]
    assert sum(row["pairs"] for row in rows) == len(held)
    assert found.notes == []


def test_the_threshold_for_ties_is_the_one_that_suits_validation_best(small):
    found = evaluate(small.store, dry_run=True)
    key = {"dimension": "physical_plausibility"}
    validation, test = (by_metric(found, split=split, **key) for split in ("validation", "test"))
    assert validation["acc_ties"]["reason"] == SAME
    assert test["tie_threshold"]["value"] == validation["tie_threshold_same"]["value"]
    assert test["acc_ties"]["value"] <= test["acc_ties_same"]["value"]


def test_groups_hold_the_pairs_whose_items_are_both_of_them(small):
    found = evaluate(small.store, by="generator", dry_run=True)
    groups = {row["group"] for row in found.metrics if row["split"] == "test"}
    assert groups == {None, "no<b>rth"}  # the other generator is out of domain
    out = {"dimension": "subject_deformity", "split": "ood"}
    assert (
        by_metric(found, group="south", **out)["acc"]["pairs"]
        == (by_metric(found, group=None, **out)["acc"]["pairs"])
    )


def test_groups_of_an_attribute_are_its_values_and_those_without_it():
    held = pd.DataFrame({"attributes": ['{"motion": "fall"}', '{"motion": 2}', "{}"]})
    assert _groups(held, "attribute.motion") == ["fall", "2", "none"]


def test_an_attribute_that_no_prompt_has_is_answered_with_those_there_are(small, soli):
    code, out, err = soli("evaluate", "--by", "attribute.motion", "--dry-run")
    assert (code, out) == (1, "")
    assert "no prompt of the set has an attribute 'motion'; there is none" in err


@pytest.mark.parametrize("by", ["motion", "attribute.", ""])
def test_a_group_that_is_no_group_is_refused(small, by):
    with pytest.raises(TrainingError, match=r"it is generator or attribute\.NAME"):
        evaluate(small.store, by=by, dry_run=True)


def test_a_model_trained_on_another_set_is_told_what_it_may_know(small):
    store = small.store
    run = store.read("runs").drop_columns(["observed_at"]).to_pylist()[0]
    set_row = store.read("pair_sets").drop_columns(["observed_at"]).to_pylist()[0]
    members = store.read("pair_set_items").drop_columns(["observed_at"]).to_pandas()
    twin = members.assign(pair_set_id="twin", split="train")
    store.append("pair_sets", pa.Table.from_pylist([set_row | {"pair_set_id": "twin"}]))
    store.append("pair_set_items", pa.Table.from_pandas(twin, preserve_index=False))
    store.append("runs", pa.Table.from_pylist([run | {"model_id": "b", "pair_set_id": "twin"}]))
    scores = store.read("scores").drop_columns(["observed_at"]).to_pandas()
    store.append("scores", pa.Table.from_pandas(scores.assign(model_id="b"), preserve_index=False))
    before = store.read("evaluations").num_rows
    found = evaluate(store, models=[MODEL, "b"])
    held = members[members["split"] != "train"]["item_id"].nunique()
    assert found.models == [MODEL, "b"]
    assert found.notes == [f"b: {held} items have a prompt that the model was trained on"]
    assert store.read("evaluations").num_rows == before  # those of MODEL are there; b's are shown


def test_scores_that_cluster_are_warned_about_and_starred(small, soli, tmp_path, monkeypatch):
    monkeypatch.setattr("training.metrics.levels.FEWEST", 4)  # items of each split are few
    rows = ["item_id,score", *(f"clip_{item:03d},{item % 2}" for item in range(40))]
    (tmp_path / "coin.csv").write_text("\n".join(rows))
    code, out, err = soli("evaluate", "--scores", tmp_path / "coin.csv", "--dry-run")
    assert code == 0
    clustered = [line for line in err.splitlines() if "scores cluster" in line]
    assert [line.split(":")[0] for line in clustered] == [
        f"coin, {dimension}"
        for dimension in ("physical_plausibility", "semantic_alignment", "subject_deformity")
    ]
    assert all("2 levels" in line for line in clustered)
    starred = [line.split()[2] for line in out.splitlines() if "* [" in line]
    assert starred == ["coin"] * 3


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
    metrics = json.loads(out)["metrics"]
    rows = {row["dimension"]: row for row in metrics if row["metric"] == "acc"}
    assert {name: row["pairs"] for name, row in rows.items()} == {
        "physical_plausibility": 1, "semantic_alignment": 1, "subject_deformity": 1
    }  # fmt: skip
    assert all(row["value"] in (0.0, 1.0) for row in rows.values())
    assert "2 win-lose pairs are left out" in err


def test_the_set_of_the_training_keeps_the_numbers_of_the_plain_evaluation(small):
    own = read(small.store).pair_set_id
    evaluate(small.store)
    with pytest.raises(StoreError, match="add --dry-run"):
        evaluate(small.store, pair_set=own)
    assert evaluate(small.store, pair_set=own, dry_run=True).metrics
