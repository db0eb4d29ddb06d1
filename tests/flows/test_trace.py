"""Lineage, both ways, over a little warehouse whose every step but training is real."""

import subprocess
import sys

import pytest

from flows.trace import Reference, resolve, trace
from flows.trace_lines import lines
from warehouse.errors import StoreError
from warehouse.store import Store
from warehouse.touched import Asked

MODEL = "0123456789abcdef" * 4


@pytest.fixture
def store(small_home, settings):
    """Only read."""
    return Store(small_home)


def test_a_reward_leads_down_to_model_pair_set_consensus_events_and_annotators(store):
    found = trace(store, resolve(store, "latest:clip_003"))
    pair_set = store.read("pair_sets").to_pylist()[0]
    assert found["model"]["model_id"] == MODEL
    assert found["model"]["pair_set_id"] == found["pair_set"]["pair_set_id"]
    assert found["pair_set"]["digest"] == pair_set["digest"]
    consensus = store.query(
        "SELECT dimension, label FROM consensus WHERE consensus_id = $c AND item_id = 'clip_003'",
        {"c": pair_set["consensus_id"]},
    ).to_pylist()
    labels = {row["dimension"]: row["label"] for row in consensus}
    assert {reward["dimension"]: reward["label"] for reward in found["rewards"]} == labels
    people = set(store.query("SELECT DISTINCT annotator_id FROM labels")[0].to_pylist())
    for reward in found["rewards"]:
        assert {event["annotator_id"] for event in reward["events"]} == people
        stored = store.query(
            "SELECT value FROM label_events WHERE item_id = 'clip_003' AND dimension = $d",
            {"d": reward["dimension"]},
        )
        assert sorted(e["value"] for e in reward["events"]) == sorted(stored["value"].to_pylist())


def test_the_tree_says_in_this_order_what_rests_on_what(store):
    tree = "\n".join(lines(trace(store, resolve(store, "latest:clip_003"))))
    words = ["model 0123", "└─ pair set ", "└─ consensus ", "(dawid_skene)", "└─ label events"]
    places = [tree.index(word) for word in words]
    assert places == sorted(places)
    assert tree.count("seen ") == 9
    assert tree.count("consensus pass") + tree.count("consensus fail") == 3


def test_a_model_alone_names_everybody_behind_it(store):
    found = trace(store, resolve(store, MODEL[:5]))
    assert "rewards" not in found
    assert [row["events"] for row in found["annotators"]] == [120, 120, 120]
    tree = lines(found)
    assert sum("120 events on 40 items" in line for line in tree) == 3
    assert sum("pass, " in line for line in tree) == 3


def test_an_annotator_leads_up_to_the_models_that_learned_from_their_items(store):
    person = store.query("SELECT min(annotator_id) AS a FROM labels")["a"][0].as_py()
    found = trace(store, resolve(store, person))
    assert [row["model_id"] for row in found["models"]] == [MODEL]
    train = store.query(
        "SELECT count(DISTINCT item_id) AS n FROM pair_set_items WHERE split = 'train'"
    )
    assert found["models"][0]["train_items"] == train["n"][0].as_py()
    assert [row["events"] for row in found["events"]] == [40, 40, 40]
    assert {(row["labels"], row["items"]) for row in found["consensus"]} == {(120, 40)}
    assert found["pair_sets"][0]["pairs"] == store.read("pairs").num_rows  # everybody judged all
    tree = lines(found)
    assert tree[0] == f"annotator {person}"
    assert any(f"model {MODEL} learned from" in line for line in tree)


def test_an_item_leads_up_to_its_pairs_counted_one_by_one(store):
    found = trace(store, resolve(store, "clip_003"))
    members = {
        (row["pair_set_id"], row["dimension"], row["ordinal"])
        for row in store.read("pair_set_items").to_pylist()
        if row["item_id"] == "clip_003"
    }
    pairs = [
        row
        for row in store.read("pairs").to_pylist()
        if members
        & {(row["pair_set_id"], row["dimension"], row[end]) for end in ("winner", "other")}
    ]
    assert (found["upon"], found["name"]) == ("item", "clip_003")
    assert found["pair_sets"][0]["pairs"] == len(pairs) > 0
    assert found["pair_sets"][0]["labels"] == 9
    assert found["scored_by"] == [MODEL]
    assert any(f"model {MODEL} gave it rewards" in line for line in lines(found))


def test_a_single_label_leads_up_to_the_pairs_of_its_item_in_its_dimension(store):
    key = store.query("FROM label_events ORDER BY annotation_id, dimension LIMIT 1").to_pylist()[0]
    source, created = key["source"], key["annotation_created_at"].isoformat()
    number, dimension = key["annotation_id"], key["dimension"]
    short = trace(store, resolve(store, f"label:{number}/{dimension}/1"))
    whole = trace(store, resolve(store, f"label:{source}/{created}/{number}/{dimension}/1"))
    assert {**short, "name": ""} == {**whole, "name": ""}
    assert [row["events"] for row in short["events"]] == [1]
    assert {(row["labels"], row["items"]) for row in short["consensus"]} == {(1, 1)}
    (part,) = short["pair_sets"][0]["parts"]
    assert (part["dimension"], part["labels"], part["items"]) == (dimension, 1, 1)
    of_item = trace(store, resolve(store, key["item_id"]))["pair_sets"][0]["parts"]
    assert part["pairs"] == next(p["pairs"] for p in of_item if p["dimension"] == dimension)


def test_a_label_counts_from_when_it_was_observed_until_it_was_corrected(small, tasks, export):
    from flows.exports import ingest_export
    from flows.measure import build

    store = small.store
    source = store.query("SELECT min(source) AS s FROM label_events")["s"][0].as_py()
    before = {row["consensus_id"] for row in store.read("consensus").to_pylist()}
    mended = tasks[3]["annotations"][0]
    said = mended["result"][0]["value"]["choices"][0]
    mended["result"][0]["value"]["choices"] = ["Fail" if said == "Pass" else "Pass"]
    mended["updated_at"] = tasks[3]["updated_at"] = "2026-01-02T12:00:00.000000Z"
    ingest_export(store, export(tasks), source=source)
    build(small, store)
    label = f"label:{mended['id']}/{mended['result'][0]['from_name']}"
    runs = [
        {row["consensus_id"] for row in trace(store, resolve(store, f"{label}/{n}"))["consensus"]}
        for n in (1, 2)
    ]
    assert runs[0] == before
    assert runs[1].isdisjoint(before)
    assert runs[1]


def test_every_label_says_under_which_configuration_it_was_given(store):
    found = trace(store, resolve(store, "latest:clip_003"))
    events = [event for reward in found["rewards"] for event in reward["events"]]
    assert {event["project_version"] for event in events} == {1}
    (config,) = trace(store, resolve(store, "latest"))["configs"]
    project = store.read("projects").to_pylist()[0]
    assert (config["source"], config["version"]) == (project["source"], 1)
    assert config["config_digest"] == project["config_digest"]
    assert (config["events"], config["annotators"]) == (360, 3)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("label:", "is none; write label:"),
        ("label:x/y/1", "is none; write label:"),
        ("label:999999", "no label 'label:999999'"),
        ("item:clip_999", "no item 'clip_999'"),
        ("annotator:clip_001", "no annotator 'clip_001'"),
    ],
)
def test_a_kind_that_is_said_outright_is_kept_to(store, text, words):
    with pytest.raises(StoreError, match=words):
        resolve(store, text)


def test_an_annotator_is_known_by_the_start_that_tables_print(store):
    person = store.query("SELECT min(annotator_id) AS a FROM labels")["a"][0].as_py()
    for text in (person[:8], f"annotator:{person[:8]}"):
        assert resolve(store, text) == Reference(upon=Asked(annotator=person), name=person)
    with pytest.raises(StoreError, match="no annotator"):
        resolve(store, f"annotator:{person[:7]}")


def test_names_and_e_mails_are_in_no_trace(store):
    shown = "\n".join(
        "\n".join(lines(trace(store, resolve(store, text)))) for text in ("latest", "0123:clip_001")
    )
    assert "@" not in shown
    assert "email" not in shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("latest", Reference(MODEL)),
        (MODEL, Reference(MODEL)),
        ("0", Reference(MODEL)),
        ("latest:clip_039", Reference(MODEL, "clip_039")),
    ],
)
def test_a_model_is_known_by_its_id_a_prefix_or_latest(store, text, expected):
    assert resolve(store, text) == expected


def test_a_checkpoint_folder_names_its_model_however_it_is_written(store, small_home, monkeypatch):
    folder = small_home.absolute() / "runs" / "feedfacefeedface" / "checkpoint"
    monkeypatch.chdir(small_home)
    for text in (
        str(folder),
        f"{folder}/",
        "runs/feedfacefeedface/checkpoint",
        "./runs/feedfacefeedface/checkpoint",
    ):
        assert resolve(store, text) == Reference(MODEL)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nobody", "no model, annotator, item or checkpoint 'nobody'; there is 0123"),
        ("", "no model, annotator, item or checkpoint ''"),
        (":clip_001", "no model, annotator, item or checkpoint ''"),
        ("latest:clip_999", r"no reward for item 'clip_999'; it scored, for example, clip_0"),
        ("1", "there is 0123"),
        ("ann@example.org", "is no id; an annotator is traced by the random id"),
        ("0123' OR 1=1 --", "no model"),
    ],
)
def test_unknown_names_are_refused_with_what_there_is(store, text, words):
    with pytest.raises(StoreError, match=words):
        resolve(store, text)


def test_a_prefix_of_two_models_is_no_name(small):
    import pyarrow as pa

    run = small.store.read("runs").drop_columns(["observed_at"]).to_pylist()[0]
    other = run | {"model_id": "01" + "f" * 62, "path": "/elsewhere"}
    small.store.append("runs", pa.Table.from_pylist([other]))
    with pytest.raises(StoreError, match=r"could be any of 01ff.*, 0123"):
        resolve(small.store, "01")
    with pytest.raises(StoreError, match=r"no reward for item 'clip_001'; run `soli score` first"):
        resolve(small.store, "01f:clip_001")
    assert resolve(small.store, "012") == Reference(MODEL)
    assert resolve(small.store, "latest") == Reference(other["model_id"])


def test_an_item_without_labels_traces_to_no_events(small):
    import pyarrow as pa

    from flows.trace import trace as follow

    store = small.store
    item = store.read("items").drop_columns(["observed_at"]).to_pylist()[0]
    store.append("items", pa.Table.from_pylist([item | {"item_id": "fresh"}]))
    rewards = [
        {"model_id": MODEL, "item_id": "fresh", "dimension": "semantic_alignment", "reward": 0.5}
    ]
    store.append("scores", pa.Table.from_pylist(rewards))
    found = follow(store, resolve(store, "latest:fresh"))
    assert found["rewards"][0]["events"] == []
    assert any("consensus undecided, split none" in line for line in lines(found))


def test_a_trace_waits_for_no_library_that_it_does_not_need(small_home):
    code = (
        "import sys; from flows.__main__ import run;"
        f" assert run(['--home', {str(small_home)!r}, 'trace', 'latest', '--json']) == 0;"
        " print({'pandas', 'scipy', 'torch', 'prefect'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "set()\n"
