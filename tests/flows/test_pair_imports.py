"""`soli pairs import`: items, comparisons and an evaluation set, and everything that reads it."""

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from flows.comparisons import compare_tasks
from flows.items import add_items
from flows.pair import read
from flows.pair_import_options import columns_read, split_read
from flows.pair_imports import import_set
from flows.settings import Settings
from flows.trace import Reference, trace
from flows.trace_lines import lines
from flows.train import train
from pairing.parts import Split
from warehouse.contracts import TABLES
from warehouse.errors import AgreementError, PairingError, TrainingError
from warehouse.identity import imported_voice

DATA = Path(__file__).parents[1] / "data"
EXAMPLE = DATA / "imports" / "videoalign.csv"
pytestmark = pytest.mark.usefixtures("no_faces")
HEADER = "path_A,path_B,prompt,VQ\n"


@pytest.fixture(scope="module")
def example_home(tmp_path_factory):
    """The example imported once: its file, and a home that holds it. Never written to."""
    folder = tmp_path_factory.mktemp("example")
    shutil.copy(EXAMPLE, folder / "example.csv")
    shutil.copytree(DATA / "videos", folder / "videos")
    settings = Settings(home=folder / "home")
    found = import_set(settings, "videoalign", folder / "example.csv")
    return folder, found


@pytest.fixture
def example(settings, example_home):
    """The example's file and set, its home a copy of one's own."""
    folder, found = example_home
    shutil.copytree(folder / "home", settings.home, symlinks=True)
    return folder / "example.csv", found


@pytest.fixture
def pairs_file(tmp_path):
    def write(*rows, name="own.csv"):
        path = tmp_path / name
        path.write_text(HEADER + "".join(f"{row}\n" for row in rows))
        return path

    return write


def pairs_of(pair_set):
    ids = {row["ordinal"]: row["item_id"] for row in pair_set.items.to_pylist()}
    found = set()
    for row in pair_set.pairs.to_pylist():
        ends = ids[row["winner"]], ids[row["other"]]
        ordered = ends if row["kind"] == "win_lose" else tuple(sorted(ends))
        found.add((row["dimension"], row["kind"], *ordered))
    return found


def only_line(err):
    assert "Traceback" not in err
    (line,) = err.splitlines()
    return line


# What comes in


@pytest.mark.slow
def test_the_example_becomes_items_comparisons_and_an_evaluation_set(example, settings):
    _, found = example
    assert (found.rows, found.judgements, found.refused) == (3, 9, [])
    assert (found.items, found.known, found.missing, found.remote) == (6, 0, 2, 0)
    store = settings.store
    facts = {row["item_id"]: row for row in store.read("items").to_pylist()}
    assert facts["example/videos/example_1_B.mp4"]["frames"] == 152
    assert facts["example/videos/example_2_B.mp4"]["media_sha256"] is None
    assert {row["generator"] for row in facts.values()} == {"unknown"}
    rows = store.read("comparisons").to_pylist()
    assert {row["annotator_id"] for row in rows} == {imported_voice("example")}
    assert {row["revision"] for row in rows} == {1}
    assert sorted(row["category"] for row in rows) == ["A"] * 3 + ["B"] * 2 + ["same"] * 4
    one, two = (f"example/videos/example_1_{letter}.mp4" for letter in "AB")
    assert ("subject_deformity", "win_lose", two, one) in pairs_of(read(store))
    assert ("semantic_alignment", "win_lose", one, two) in pairs_of(read(store))


@pytest.mark.slow
def test_again_adds_nothing_at_all(example, settings):
    file, found = example
    lake = settings.store.lake
    before = {name: lake.version(name) for name in TABLES}
    again = import_set(settings, "videoalign", file)
    assert {name: lake.version(name) for name in TABLES} == before
    assert again.pair_set.digest == found.pair_set.digest
    assert (again.items, again.known, again.new, again.changed) == (0, 6, 0, 0)


@pytest.mark.slow
def test_a_rehearsal_writes_nothing_and_says_the_same(example_home, settings, unchanged):
    folder, found = example_home
    with unchanged(settings.home):
        dry = import_set(settings, "videoalign", folder / "example.csv", dry_run=True)
    assert dry.pair_set.digest == found.pair_set.digest
    assert (dry.items, dry.new, dry.missing) == (6, 9, 2)


def test_rows_in_another_order_make_the_same_set(example, settings, tmp_path):
    file, found = example
    header, *rows = file.read_text().splitlines()
    mixed = tmp_path / "mixed.csv"
    mixed.write_bytes(("\ufeff" + "\r\n".join([header, *rows[::-1], ""])).encode())
    again = import_set(settings, "videoalign", mixed, media_root=file.parent, name="example")
    assert again.pair_set.digest == found.pair_set.digest
    assert again.new == 0


@pytest.mark.slow
def test_a_corrected_file_is_a_revision_and_another_set(settings, pairs_file):
    one = import_set(settings, "videoalign", pairs_file("a.mp4,b.mp4,x,A"))
    two = import_set(settings, "videoalign", pairs_file("a.mp4,b.mp4,x,B"))
    assert (two.new, two.changed, two.items) == (0, 1, 0)
    assert one.pair_set.digest != two.pair_set.digest
    rows = settings.store.read("comparisons").to_pylist()
    assert [(row["revision"], row["category"]) for row in rows] == [(1, "A"), (2, "B")]


def test_a_side_may_change_places_with_the_order_of_ids(settings, pairs_file):
    import_set(settings, "videoalign", pairs_file("b.mp4,a.mp4,x,A"))
    (row,) = settings.store.read("comparisons").to_pylist()
    assert (row["item_a"], row["category"], row["swapped"]) == ("own/a.mp4", "B", True)


@pytest.mark.slow
def test_a_video_that_is_known_by_its_bytes_and_prompt_is_that_item(settings, pairs_file, tmp_path):
    shutil.copy(DATA / "videos" / "example_3_B.mp4", tmp_path / "moon.mp4")
    line = {"item_id": "mine", "prompt": "the moon", "media": "moon.mp4", "generator": "g"}
    (tmp_path / "items.jsonl").write_text(json.dumps(line))
    add_items(settings, tmp_path / "items.jsonl")
    shutil.copy(tmp_path / "moon.mp4", tmp_path / "copy.mp4")
    rows = ("copy.mp4,b.mp4,the moon,A", "b.mp4,moon.mp4,the moon,B", "copy.mp4,moon.mp4,z,A")
    found = import_set(settings, "videoalign", pairs_file(*rows[:2]))
    assert (found.items, found.known) == (1, 1)
    assert [each.row for each in found.refused] == [2]  # the same judgement the other way round
    assert ("subject_deformity", "win_lose", "mine", "own/b.mp4") in pairs_of(read(settings.store))
    other = import_set(settings, "videoalign", pairs_file(rows[2]), name="other", dry_run=True)
    assert (other.items, other.known) == (2, 0)  # another prompt is another item


def test_strange_names_and_prompts_come_in(settings, pairs_file):
    row = '"a, ""quoted""\n🙂.mp4",b.mp4,"a cat, ""asleep""\nby the sea 🌊",A'
    found = import_set(settings, "videoalign", pairs_file(row), name="my 'set' 🙂")
    assert found.refused == []
    ids = settings.store.read("items")["item_id"].to_pylist()
    assert ids == ["my 'set' 🙂/a, \"quoted\"\n🙂.mp4", "my 'set' 🙂/b.mp4"]


# What is refused


def test_a_path_outside_the_root_is_refused_alone(settings, pairs_file, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    (root / "link.mp4").symlink_to(DATA / "videos" / "example_3_B.mp4")
    file = pairs_file(
        "a.mp4,b.mp4,x,A",
        "../c.mp4,b.mp4,x,A",
        "/etc/passwd,b.mp4,x,A",
        "link.mp4,b.mp4,x,A",
        "ok/../../d.mp4,b.mp4,x,A",
    )
    found = import_set(settings, "videoalign", file, media_root=root)
    assert found.judgements == 1
    assert [each.row for each in found.refused] == [2, 3, 4, 5]
    assert all("lies outside the media folders" in each.reason for each in found.refused)
    assert settings.store.read("items").num_rows == 2


def test_a_broken_video_is_refused_and_a_url_is_counted(settings, pairs_file, tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    file = pairs_file("broken.mp4,b.mp4,x,A", "https://clips.example/a.mp4,b.mp4,x,B")
    found = import_set(settings, "videoalign", file)
    assert (found.judgements, found.remote, found.missing) == (1, 1, 1)
    assert "broken.mp4 cannot be decoded" in found.refused[0].reason


def test_a_url_that_cannot_be_read_is_refused_alone(settings, pairs_file):
    file = pairs_file("a.mp4,b.mp4,x,A", "http://[x/a.mp4,b.mp4,x,B")
    found = import_set(settings, "videoalign", file)
    assert found.judgements == 1
    assert [each.row for each in found.refused] == [2]
    assert "host cannot be read" in found.refused[0].reason


def test_a_url_signed_anew_is_the_same_item_at_its_newest_address(settings, pairs_file):
    signed = "https://clips.example/a.mp4?v=2&X-Amz-Expires=60&X-Amz-Signature={}"
    first = import_set(settings, "videoalign", pairs_file(f"{signed.format(1)},b.mp4,x,A"))
    again = import_set(settings, "videoalign", pairs_file(f"{signed.format(2)},b.mp4,x,A"))
    assert (first.items, again.items, again.new, again.known) == (2, 0, 0, 2)
    clips = settings.store.query("SELECT item_id, uri FROM clips WHERE uri LIKE 'https%'")
    assert clips["uri"].to_pylist() == [signed.format(2)]
    assert clips["item_id"][0].as_py().endswith("/https://clips.example/a.mp4?v=2")


def test_rows_in_another_order_keep_the_same_one_of_two_signatures(settings, pairs_file):
    rows = [f"https://clips.example/a.mp4?se=1&sig={n},b.mp4,x,{'AA'[n]}" for n in (0, 1)]
    kept = set()
    for given in (rows, rows[::-1]):
        import_set(settings, "videoalign", pairs_file(*given))
        found = settings.store.query("SELECT uri FROM clips WHERE uri LIKE 'https%'")
        kept |= set(found["uri"].to_pylist())
    assert kept == {"https://clips.example/a.mp4?se=1&sig=0"}


def test_where_nothing_can_be_taken_in_nothing_is_written(settings, pairs_file, unchanged):
    file = pairs_file("../a.mp4,b.mp4,x,A")
    with (
        unchanged(settings.home),
        pytest.raises(PairingError, match=r"none of 1 rows can be taken in \(row 1: video"),
    ):
        import_set(settings, "videoalign", file)


@pytest.mark.slow
def test_the_command_says_what_it_did_and_fails_where_rows_were_refused(soli, pairs_file):
    code, out, err = soli("pairs", "import", "videoalign", pairs_file("a.mp4,b.mp4,x,A"))
    assert code == 0
    assert "Pair set " in out
    assert err.splitlines()[-1].startswith("2 videos are not there")
    file = pairs_file("a.mp4,https://clips.example/b.mp4,x,A", "a.mp4,a.mp4,x,A")
    code, out, err = soli("pairs", "import", "videoalign", file, "--dry-run")
    assert err.splitlines()[-2].startswith("1 video is not there; its item ")
    assert err.splitlines()[-1].startswith("1 video is at a URL; copy it ")
    file = pairs_file("a.mp4,b.mp4,x,A", "a.mp4,a.mp4,x,A")
    code, out, err = soli("pairs", "import", "videoalign", file, "--json")
    assert code == 1
    assert json.loads(out)["refused"][0]["row"] == 2
    assert json.loads(out)["pair_set"]["counts"][0]["pairs"] == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nope",), "choose one of videoalign"),
        (("videoalign", "--dimension", "VQ"), "COLUMN=DIMENSION"),
        (("videoalign", "--dimension", "Nope=x"), "no column Nope"),
        (("videoalign", "--name", " "), "visible characters"),
        (("videogen-rewardbench",), "no column A_model, B_model"),
        (("solireward",), "no readable solireward file"),
    ],
)
def test_what_cannot_be_imported_is_one_line(soli, settings, pairs_file, arguments, words):
    form, *rest = arguments
    file = pairs_file("a.mp4,b.mp4,x,A")
    code, out, err = soli("pairs", "import", form, file, *rest)
    assert (code, out) == (1, "")
    assert words in only_line(err)
    assert not settings.home.exists()


def test_a_column_is_named_once():
    assert columns_read(["VQ=a=b", "MQ= c "]) == {"VQ": "a=b", "MQ": "c"}
    with pytest.raises(PairingError, match="once a column"):
        columns_read(["VQ=a", "VQ=b"])
    with pytest.raises(PairingError, match="once a dimension"):
        columns_read(["VQ=a", "MQ=a"])


# What reads it


@pytest.mark.slow
def test_it_is_counted_drawn_compared_and_verified(example, soli, settings, tmp_path):
    _, found = example
    ours = found.pair_set.pair_set_id
    code, out, _ = soli("pairs", "stats", ours, "--page", tmp_path / "p.html", "--json")
    assert code == 0
    assert sum(row["pairs"] for row in json.loads(out)["counts"]) == 9
    page = (tmp_path / "p.html").read_text()
    assert "Imported from the videoalign file example" in page
    assert "How sure the labels are" not in page
    code, out, _ = soli("pairs", "diff", ours, ours, "--json")
    assert json.loads(out)["shared"] == 9
    code, out, _ = soli("warehouse", "verify", "--json")
    assert not any(row["problems"] for row in json.loads(out))
    store = settings.store
    uses = store.query("SELECT kind, side, sum(pairs) AS n FROM pair_uses GROUP BY ALL")
    assert {(row["kind"], row["side"]): row["n"] for row in uses.to_pylist()} == {
        ("win_lose", "winner"): 5, ("win_lose", "other"): 5, ("tie", "either"): 8
    }  # fmt: skip
    assert store.query("FROM pair_label_age").num_rows == 0


@pytest.mark.slow
def test_it_is_exported_with_a_card_that_claims_no_labels(example, soli, tmp_path):
    for form, code in (("ms-swift", 0), ("huggingface", 0), ("solireward", 1)):
        found, _, err = soli("pairs", "export", form, tmp_path / form, "--licence", "MIT")
        assert found == code, err
    assert "Agreement was not measured" in (tmp_path / "ms-swift" / "CARD.md").read_text()


def test_nothing_is_trained_extended_or_rebuilt_from_it(example, settings, soli):
    _, found = example
    ours, folder = found.pair_set.pair_set_id, found.pair_set.path
    with pytest.raises(TrainingError, match=r"was imported \(example\): all its pairs are in the"):
        train(settings.store, pair_set=ours, recipe="tiny-test", dry_run=True)
    for rest in (("--extend", ours), ("--manifest", folder / "manifest.json")):
        code, _, err = soli("pairs", "build", *rest)
        assert code == 1
        assert "`soli pairs import videoalign FILE --name example` again" in only_line(err)


@pytest.mark.slow
def test_training_takes_the_newest_set_that_was_built(small, pairs_file):
    built = read(small.store).pair_set_id
    import_set(small, "videoalign", pairs_file("a.mp4,b.mp4,x,A"))
    assert train(small.store, recipe="tiny-test", dry_run=True)["pair_set_id"] == built


def test_one_voice_is_no_agreement(small, pairs_file):
    import_set(small, "videoalign", pairs_file("a.mp4,b.mp4,x,same"))
    with pytest.raises(AgreementError, match="no comparisons"):
        compare_tasks(small)


# Our own exports


@pytest.mark.slow
def test_an_export_comes_back_as_the_same_pairs_of_the_same_items(small, soli, tmp_path):
    soli("pairs", "export", "solireward", tmp_path / "out", "--licence", "MIT")
    whole, found = read(small.store), set()
    for file in sorted((tmp_path / "out").glob("subject_deformity.*.json")):
        imported = import_set(small, "solireward", file)
        assert (imported.items, imported.refused, imported.missing) == (0, [], imported.known)
        found |= pairs_of(read(small.store, imported.pair_set.pair_set_id))
    assert found == {pair for pair in pairs_of(whole) if pair[0] == "subject_deformity"}


@pytest.mark.slow
def test_an_export_of_another_home_brings_its_items_along(small, soli, tmp_path):
    soli("pairs", "export", "solireward", tmp_path / "out", "--licence", "MIT")
    file = min((tmp_path / "out").glob("*.test.json"))
    here = import_set(small, "solireward", file)
    there = Settings(home=tmp_path / "there")
    refused = pytest.raises(PairingError, match="lies outside the media folders")
    with refused:
        import_set(there, "solireward", file)
    found = import_set(there, "solireward", file, media_root=Path("/data"))
    assert found.pair_set.digest == here.pair_set.digest
    assert found.items == here.known


@pytest.mark.slow
def test_an_id_that_means_another_item_here_is_refused(small, soli, tmp_path):
    soli("pairs", "export", "solireward", tmp_path / "out", "--licence", "MIT")
    file = min((tmp_path / "out").glob("*.test.json"))
    pairs = json.loads(file.read_text())
    name = pairs[0]["meta"]["positive"]["item_id"]
    for pair in pairs:
        if pair["meta"]["positive"]["item_id"] == name:
            pair["messages"][0]["content"] = "<video>\nsomething else"
        if pair["meta"]["negative"]["item_id"] == name:
            pair["rejected_response"] = "<video>\nsomething else"
    file.write_text(json.dumps(pairs))
    found = import_set(small, "solireward", file, media_root=Path("/data"))
    assert found.refused
    assert all(f"item {name} is known with another prompt" in r.reason for r in found.refused)


# Sets to train on


@pytest.fixture
def clips(tmp_path):
    """Copies of a real clip that differ in their last byte: four videos that can be read."""
    whole = (DATA / "videos" / "example_3_B.mp4").read_bytes()
    for number in range(4):
        (tmp_path / f"{number}.mp4").write_bytes(whole + bytes([number]))


def test_a_file_that_is_split_can_be_trained_on(clips, settings, pairs_file):
    file = pairs_file("0.mp4,1.mp4,x,A", "2.mp4,3.mp4,y,B")
    found = import_set(settings, "videoalign", file, split=Split(1.0, 0.0, 0.0))
    assert {row["split"] for row in found.pair_set.counts} == {"train"}
    planned = train(settings.store, recipe="tiny-test", dry_run=True)
    assert planned["pair_set_id"] == found.pair_set.pair_set_id
    assert planned["config"]["dimensions"] == ["subject_deformity"]
    whole = import_set(settings, "videoalign", file)  # newer, and for evaluation alone
    assert whole.pair_set.pair_set_id != found.pair_set.pair_set_id
    assert (whole.new, whole.items) == (0, 0)
    assert train(settings.store, recipe="tiny-test", dry_run=True) == planned


def test_what_nobody_can_train_on_is_refused_row_by_row(clips, soli, pairs_file):
    file = pairs_file(
        "0.mp4,1.mp4,x,A", "2.mp4,gone.mp4,y,B", "https://clips.example/a.mp4,3.mp4,z,A"
    )
    code, out, err = soli("pairs", "import", "videoalign", file, "--split", "train")
    assert code == 1
    assert "refused, row 2: video 'gone.mp4' is not there; put it there" in err
    assert "refused, row 3: video 'https://clips.example/a.mp4' is at a URL; copy it" in err
    assert "win_lose       1" in out


def test_where_a_split_is_impossible_nothing_is_written(
    clips, soli, settings, pairs_file, unchanged
):
    file = pairs_file("0.mp4,1.mp4,x,A")
    with unchanged(settings.home):
        code, _, err = soli("pairs", "import", "videoalign", file, "--split", "train=0.5,test=0.5")
    assert code == 1
    assert "too few to split into train, test; take --split train" in err.splitlines()[-1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("half", "'half' is no share of a split"),
        ("train=much", "'train=much' is no share"),
        ("train=0.5,train=0.5", "'train=0.5' is no share"),
        ("train=0.5", "is 0.5; make them add up to 1"),
        ("test=1", "nothing would be left to train on"),
        ("train=nan", "give a number from 0 to 1"),
        ("", "'' is no share"),
    ],
)
def test_shares_that_make_no_sense_are_one_line(soli, pairs_file, text, words):
    file = pairs_file("a.mp4,b.mp4,x,A")
    code, out, err = soli("pairs", "import", "videoalign", file, "--split", text)
    assert (code, out) == (1, "")
    assert words in only_line(err)


def test_the_salt_is_that_of_built_sets():
    salted = Settings(pairs={"split": {"salt": "other"}})
    assert split_read("train=0.5, test=0.5", salted) == Split(0.5, 0.0, 0.5, "other")
    assert split_read("train", Settings()) == Split(1.0, 0.0, 0.0)


def test_a_trace_ends_at_the_judgements_of_the_file(clips, settings, pairs_file):
    file = pairs_file("0.mp4,1.mp4,x,A", "2.mp4,3.mp4,y,B")
    found = import_set(settings, "videoalign", file, split=Split(1.0, 0.0, 0.0))
    run = {"model_id": "m", "run_id": "r", "pair_set_id": found.pair_set.pair_set_id}
    run |= {"config": "{}", "weights_sha256": "w", "metrics": "{}", "seconds": 0.0, "path": "p"}
    settings.store.append("runs", pa.Table.from_pylist([run]))
    reward = {"model_id": "m", "item_id": "own/2.mp4", "dimension": "subject_deformity"}
    settings.store.append("scores", pa.Table.from_pylist([reward | {"reward": 1.5}]))
    import_set(settings, "videoalign", pairs_file("0.mp4,1.mp4,x,B"))  # later: not what it learned
    whole = trace(settings.store, Reference(model_id="m"))
    assert whole["judgements"] == [{"dimension": "subject_deformity", "judgements": 2}]
    of_item = lines(trace(settings.store, Reference(model_id="m", item_id="own/2.mp4")))
    assert of_item[-2:] == [
        "      ├─ subject_deformity: reward +1.500, split train",
        "      │    own/2.mp4 (A), own/3.mp4 (B): B",
    ]
    assert "      ├─ subject_deformity: 2 judgements" in lines(whole)


def test_of_a_file_to_train_on_bad_rows_are_refused_with_their_numbers(clips, soli, pairs_file):
    file = pairs_file(
        "0.mp4,1.mp4,x,A",
        "1.mp4,0.mp4,x,B",  # the same the other way round
        "2.mp4,3.mp4,y,A",
        "3.mp4,2.mp4,y,A",  # the opposite
        "0.mp4,1.mp4,x,Better",
    )
    code, out, err = soli("pairs", "import", "videoalign", file, "--split", "train")
    assert code == 1
    assert "refused, row 2: subject_deformity: row 1 says the same already" in err
    for row in (3, 4):
        words = "rows 3 and 4 judge the same two videos differently; keep the right one"
        assert f"refused, row {row}: subject_deformity: {words}" in err
    assert "refused, row 5: VQ is 'Better'; write A, B or same" in err
    assert "win_lose       1" in out


def test_a_file_without_a_column_to_train_on_is_one_line(soli, tmp_path):
    file = tmp_path / "own.csv"
    for header, words in (("path_A,path_B,prompt", "no column VQ"), ("path_A,prompt,VQ", "path_B")):
        file.write_text(f"{header}\na.mp4,b.mp4,x\n")
        code, out, err = soli("pairs", "import", "videoalign", file, "--split", "train")
        assert (code, out) == (1, "")
        assert words in only_line(err)
