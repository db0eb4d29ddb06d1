import json
import shutil
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from annotation.items import read_items
from warehouse.errors import AnnotationError
from warehouse.identity import prompt_id

VIDEOS = Path(__file__).parents[1] / "data" / "videos"
CLIPS = sorted(path.name for path in VIDEOS.glob("*.mp4"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("items")
    shutil.copytree(VIDEOS, folder / "clips")
    return folder


def rows(**changes):
    return [
        {
            "item_id": f"v{number}",
            "prompt": f"a clip {number // 2}",
            "media": f"clips/{name}",
            "generator": "g1",
            "attributes": {"subject": "cat"},
            "design_k": 3,
            **changes,
        }
        for number, name in enumerate(CLIPS)
    ]


def jsonl(folder, found, name="items.jsonl"):
    path = folder / name
    lines = [row if isinstance(row, str) else json.dumps(row) for row in found]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.slow
def test_the_four_real_clips_become_items_with_their_media_facts(folder):
    steps = []
    source = jsonl(folder, rows())
    found = read_items(source, [folder], progress=lambda *step: steps.append(step))
    assert found.refused == []
    assert found.rows == (1, 2, 3, 4)
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert found.items["item_id"].to_pylist() == ["v0", "v1", "v2", "v3"]
    assert set(found.items["codec"].to_pylist()) == {"h264"}
    assert found.prompts["prompt_id"].to_pylist() == [prompt_id(f"a clip {n}") for n in (0, 1)]
    assert found.prompts["attributes"][0].as_py() == '{"subject":"cat"}'
    assert Path(found.items["uri"][0].as_py()).is_absolute()


@pytest.mark.slow
def test_jsonl_csv_and_parquet_say_the_same(folder):
    expected = read_items(jsonl(folder, rows()), [folder])
    flat = [{**row, "attributes": json.dumps(row["attributes"])} for row in rows()]
    csv.write_csv(pa.Table.from_pylist(flat), folder / "items.csv")
    parquet.write_table(pa.Table.from_pylist(rows()), folder / "items.parquet")
    for name in ("items.csv", "items.parquet"):
        found = read_items(folder / name, [folder])
        assert found.refused == []
        assert found.items == expected.items
        assert found.prompts == expected.prompts


@pytest.mark.slow
def test_further_fields_become_attributes_of_the_item(folder):
    found = read_items(jsonl(folder, rows(batch="b7", score=float("nan"), none=None)), [folder])
    assert json.loads(found.items["attributes"][0].as_py()) == {"batch": "b7", "score": "nan"}


def test_remote_media_are_passed_through_unprobed(folder):
    found = read_items(jsonl(folder, rows(media="s3://bucket/a.mp4")), [folder])
    assert found.items["uri"][0].as_py() == "s3://bucket/a.mp4"
    assert found.items["codec"].null_count == 4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"item_id": ""}, "no item_id"),
        ({"item_id": True}, "item_id True is no text"),
        ({"item_id": 1.0}, "item_id 1.0 is no text"),
        ({"item_id": "a\ud800"}, "half a character"),
        ({"generator": 2.5}, "generator 2.5 is no text"),
        ({"design_k": True}, "design_k True"),
        ({"design_k": 2.7}, "design_k 2.7"),
        ({"media": "https:///a.mp4"}, "names no host"),
        ({"media": "http://[x/a.mp4"}, "host cannot be read"),
        ({"media": "http://clips.example／a.mp4"}, "host cannot be read"),
        ({"media": "https://me:secret@clips.example/a.mp4"}, "clips.example carries a name"),
        ({"media": "clips/\0.mp4"}, "no path and no URL"),
        ({"media": "clips/" + "a" * 5000}, "cannot be"),
        ({"attributes.subject": "dog"}, "attributes say 'cat' and attributes.subject 'dog'"),
        ({"prompt": "  "}, "prompt"),
        ({"prompt": 5}, "prompt"),
        ({"media": None}, "media"),
        ({"media": "clips/nowhere.mp4"}, "does not exist"),
        ({"media": "../outside.mp4"}, "outside the media folders"),
        ({"media": "clips/LICENSE"}, "cannot be decoded"),
        ({"design_k": 0}, "design_k 0"),
        ({"design_k": "many"}, "design_k 'many'"),
        ({"attributes": "{"}, "no JSON"),
        ({"attributes": [1]}, "no object"),
    ],
)
def test_a_bad_row_is_refused_alone_with_its_reason(folder, change, words):
    found = read_items(
        jsonl(folder, [*rows(), {**rows()[0], "item_id": "bad", **change}]), [folder]
    )
    assert found.items.num_rows == 4
    assert [refused.row for refused in found.refused] == [5]
    assert words in found.refused[0].reason


@pytest.mark.slow
def test_broken_lines_and_repeated_items_are_refused(folder):
    found = read_items(jsonl(folder, [*rows(), "{broken", "[1]", rows()[2]]), [folder])
    assert found.items.num_rows == 4
    assert [(refused.row, refused.item_id) for refused in found.refused] == [
        (5, None),
        (6, None),
        (7, "v2"),
    ]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("items.xlsx", b"x", "none of"),
        ("gone.jsonl", None, "no such file"),
        ("bad.parquet", b"no parquet", "no readable Parquet"),
        ("bad.csv", b'item_id,prompt\n"a,b\n', "no readable CSV"),
        ("empty.csv", b"", "no readable CSV"),
        (
            "semicolons.csv",
            b"item_id;prompt;media\n",
            "no column item_id, prompt, media; there are",
        ),
        ("twice.csv", b"item_id,prompt,media,media\n", "'media' stands twice"),
    ],
)
def test_a_file_that_holds_no_items_is_an_error(tmp_path, name, content, words):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(AnnotationError, match=words):
        read_items(tmp_path / name, [tmp_path])


@pytest.mark.parametrize("host", ["clips.example", "[x", "clips.example／b"])
def test_a_reason_never_repeats_a_password(folder, host):
    found = read_items(jsonl(folder, rows(media=f"https://me:secret@{host}/a.mp4")), [folder])
    assert len(found.refused) == 4
    assert "secret" not in str(found.refused)


def test_whole_numbers_are_names_in_their_digits(folder):
    found = read_items(jsonl(folder, [{**rows()[0], "item_id": 7, "design_k": 2.0}]), [folder])
    assert found.items["item_id"].to_pylist() == ["7"]
    assert found.items["design_k"].to_pylist() == [2]


@pytest.mark.slow
def test_columns_of_their_own_say_what_the_prompt_asks_for(folder):
    columns = {"attributes.subject": "cat", "attributes.camera": "pan", "batch": "7"}
    flat = [{**row, "attributes": "", **columns} for row in rows()]
    csv.write_csv(pa.Table.from_pylist(flat), folder / "flat.csv")
    mapped = pa.array([[("camera", "pan")]] * 4, pa.map_(pa.string(), pa.string()))
    table = pa.Table.from_pylist([{**row, "attributes.subject": "cat"} for row in rows()])
    place = table.column_names.index("attributes")
    parquet.write_table(table.set_column(place, "attributes", mapped), folder / "flat.parquet")
    for name in ("flat.csv", "flat.parquet"):
        found = read_items(folder / name, [folder])
        assert found.refused == []
        assert set(found.prompts["attributes"].to_pylist()) == {'{"camera":"pan","subject":"cat"}'}


def test_a_known_item_keeps_its_design_k_and_its_facts_are_not_found_twice(folder, monkeypatch):
    source = jsonl(folder, [{key: rows()[0][key] for key in ("item_id", "prompt", "media")}])
    (row,) = read_items(source, [folder], design_k=5).items.to_pylist()
    assert row["design_k"] == 5
    monkeypatch.setattr("annotation.media._decoded", None)
    again = read_items(source, [folder], known=lambda ids: {"v0": row} if ids == ["v0"] else {})
    assert again.items.to_pylist() == [row]
