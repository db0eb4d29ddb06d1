"""Scores of other models from CSV files: what they may look like, and what is wrong with them."""

import json
import os

import pyarrow as pa
import pytest

from flows.evaluate import evaluate
from flows.held_out import held_out
from flows.other_scores import read_scores
from flows.pair import read
from warehouse.errors import TrainingError
from warehouse.store import Store

DIMENSIONS = ["looks", "motion"]
ITEM = {
    "prompt_id": "p", "generator": "g", "attributes": "{}", "design_k": 1, "codec": None,
    "width": None, "height": None, "fps": None, "frames": None, "duration": None,
    "media_sha256": None,
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the videos and the files of scores lie."""
    return tmp_path_factory.mktemp("scores")


@pytest.fixture(scope="module")
def store(folder):
    """A warehouse of a few items with hostile names, which nobody writes to."""
    store = Store(folder / "home")
    prompt = {"prompt_id": "p", "text": "a ball", "attributes": "{}"}
    there = {"a": folder / "a.mp4", 'b, "🎬"\n': folder / "b.mp4", "c": folder / "b.mp4"}
    rows = [{"item_id": name, "uri": str(path)} | ITEM for name, path in there.items()]
    with store.writing("items"):
        store.append("prompts", pa.Table.from_pylist([prompt]))
        store.append("items", pa.Table.from_pylist(rows))
    return store


@pytest.fixture
def told(store, folder):
    """Models and rewards of files with these texts."""

    def tell(*texts):
        files = [folder / f"model-{number}.csv" for number in range(len(texts))]
        for file, text in zip(files, texts, strict=True):
            file.write_bytes(text if isinstance(text, bytes) else text.encode())
        read = read_scores(store, files, DIMENSIONS)
        return {
            judge.name: {
                (row.item_id, row.dimension): row.reward for row in judge.rewards.itertuples()
            }
            for judge in read.judges()
        }

    return tell


def test_a_score_without_a_dimension_counts_in_all(told):
    assert told("item_id,score\na,1.5\n") == {
        "model-0": {("a", "looks"): 1.5, ("a", "motion"): 1.5}
    }


def test_a_model_may_be_told_in_several_files_and_a_file_of_several_models(told):
    one = "item_id,dimension,reward,model\na,looks,1,left\na,looks,2,right\n"
    two = "item_id,dimension,reward,model\na,motion,3,left\n"
    assert told(one, two) == {
        "left": {("a", "looks"): 1.0, ("a", "motion"): 3.0}, "right": {("a", "looks"): 2.0}
    }  # fmt: skip


def test_ids_hold_commas_quotes_emoji_and_line_breaks_and_a_spreadsheet_s_mark_is_no_name(told):
    text = '\ufeffitem_id,reward,note\r\n"b, ""🎬""\n",-2e-1,x\r\n'
    assert told(text)["model-0"][('b, "🎬"\n', "looks")] == -0.2


def test_a_path_names_the_item_whose_video_it_is_whole_or_from_the_file_s_folder(told, folder):
    for path in (folder / "a.mp4", "a.mp4", "./a.mp4", f"../{folder.name}/a.mp4"):
        assert ("a", "looks") in told(f"path,score\n{path},1\n")["model-0"]


def test_dimensions_that_are_not_asked_about_are_left_out_and_named(store, tmp_path):
    (tmp_path / "m.csv").write_text("item_id,dimension,score\na,looks,1\na,overall,2\n")
    found = read_scores(store, [tmp_path / "m.csv"], DIMENSIONS)
    assert found.left_out == {"overall"}
    assert set(found.given["m"]) == {("a", "looks")}


BAD = {
    "item,score\na,1\n": "neither item_id nor path among its columns (item, score)",
    "item_id,rank\na,1\n": "neither reward nor score",
    "item_id,reward,score\na,1,1\n": "both reward and score",
    "item_id,path,score\na,a.mp4,1\n": "both item_id and path",
    "item_id,score,score\na,1,2\n": "the column 'score' twice",
    "path,score\n\0,1\n": "line 2: no item has the video",
    "": "neither item_id nor path among its columns (none)",
    "item_id,score\n": "no row below its head",
    "item_id,score\na,1\nz,1\n": "line 3: no item 'z' in the warehouse",
    "path,score\nz.mp4,1\n": "line 2: no item has the video 'z.mp4'",
    "path,score\nb.mp4,1\n": "line 2: 2 items have the video 'b.mp4'",
    "item_id,score\na,nan\n": "line 2: score is 'nan', no finite number",
    "item_id,score\na,-inf\n": "line 2: score is '-inf'",
    "item_id,reward\na,good\n": "line 2: reward is 'good'",
    "item_id,reward\na,\n": "line 2: reward is ''",
    "item_id,score\na,1\na,1\n": "line 3: 'model-0' scored item 'a' in looks before",
    "item_id,score,dimension\na,1,\n": "line 2: no name in the column dimension",
    "item_id,score,model\na,1, \n": "line 2: no name in the column model",
    "item_id,score\na\n": "line 2: more or fewer cells",
    "item_id,score\na,1,2\n": "line 2: more or fewer cells",
    "item_id,score,dimension\na,1,overall\n": "no score in a dimension of the pair set",
    'item_id,score\n"a,1\n': "cannot be read",
    b"item_id,score\n\xff,1\n": "cannot be read",
}


@pytest.mark.parametrize(("text", "words"), BAD.items(), ids=str)
def test_a_bad_file_is_refused_with_the_place_and_the_value(told, text, words):
    with pytest.raises(TrainingError) as error:
        told(text)
    assert words in str(error.value)
    assert "model-0.csv" in str(error.value)


def test_a_score_given_in_an_earlier_file_is_a_duplicate_that_names_both(told):
    text = "item_id,score,model\na,1,m\n"
    with pytest.raises(TrainingError, match=r"model-1.csv, line 2: .*model-0.csv, line 2"):
        told(text, text)


def test_a_file_that_is_not_there_is_named(store, tmp_path):
    with pytest.raises(TrainingError, match=r"nowhere.csv cannot be read"):
        read_scores(store, [tmp_path / "nowhere.csv"], DIMENSIONS)


def test_the_order_of_rows_does_not_matter(store, tmp_path):
    rows = [f"{item},{dimension},1.5" for item in "ac" for dimension in DIMENSIONS]
    tables = []
    for lines in (rows, rows[::-1]):
        (tmp_path / "m.csv").write_text("\n".join(["item_id,dimension,score", *lines]))
        (judge,) = read_scores(store, [tmp_path / "m.csv"], DIMENSIONS).judges()
        tables.append(judge.rewards)
    assert tables[0].equals(tables[1])


# Beside our models


def scores_of_others(small, path, **columns):
    held = held_out(small.store, read(small.store).pair_set_id).items
    held = held.drop_duplicates("item_id").assign(score=range(held["item_id"].nunique()), **columns)
    held[["item_id", "score", *columns]].to_csv(path, index=False)


def test_others_stand_beside_ours_in_one_table(small, soli, tmp_path):
    scores_of_others(small, tmp_path / "other.csv")
    code, out, _ = soli("evaluate", "--scores", tmp_path / "other.csv")
    assert code == 0
    models = [line.split()[2] for line in out.splitlines() if " acc " in line]
    assert [name[:4] for name in models] == ["0123", "othe"] * 3
    assert "other" not in small.store.read("evaluations")["model_id"].to_pylist()


def test_others_are_compared_on_an_imported_set_without_any_model_of_ours(settings, soli, tmp_path):
    (tmp_path / "own.csv").write_text("path_A,path_B,prompt,VQ\na.mp4,b.mp4,x,A\nc.mp4,a.mp4,x,B\n")
    code, out, err = soli("pairs", "import", "videoalign", tmp_path / "own.csv", "--json")
    assert code == 0, err
    pair_set = json.loads(out)["pair_set"]["pair_set_id"]
    names = [f"own/{name}.mp4" for name in "abc"]
    rows = [f"{name},{score}" for name, score in zip(names, (3, 2, 1), strict=True)]
    (tmp_path / "other.csv").write_text(os.linesep.join(["item_id,score", *rows]))
    code, out, err = soli(
        "evaluate", "--pair-set", pair_set, "--scores", tmp_path / "other.csv", "--json"
    )
    assert code == 0, err
    acc = [row for row in json.loads(out)["metrics"] if row["metric"] == "acc"]
    assert [(row["model"], row["value"], row["pairs"]) for row in acc] == [("other", 1.0, 2)]


def test_a_file_that_calls_its_model_as_ours_is_refused(small, tmp_path):
    scores_of_others(small, tmp_path / "other.csv", model="0123456789abcdef" * 4)
    with pytest.raises(TrainingError, match="two models are called '0123"):
        evaluate(small.store, scores=[tmp_path / "other.csv"], dry_run=True)


def test_a_model_that_scored_some_items_says_how_many_it_did_not(small, tmp_path):
    (tmp_path / "few.csv").write_text("item_id,score\nclip_000,1\nclip_001,2\n")
    held = held_out(small.store, read(small.store).pair_set_id).items
    there = held["item_id"].isin(["clip_000", "clip_001"])
    if not there.any():
        item = held["item_id"].iloc[0]
        (tmp_path / "few.csv").write_text(f"item_id,score\n{item},1\n")
        there = held["item_id"] == item
    found = evaluate(small.store, scores=[tmp_path / "few.csv"], dry_run=True)
    assert found.notes == [
        f"few: {(~there).sum()} of the held-out items and dimensions have no reward"
    ]
