"""A deletion request: what goes, what stays, what is said, and that nothing brings it back."""

import gzip
import json
import re
import shutil
import sqlite3
import subprocess
import sys
import threading
import uuid
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.exports import ingest_export
from flows.forget import forget
from warehouse.audit import audit
from warehouse.errors import PairingError, StoreError
from warehouse.face import publish
from warehouse.lake import Lake
from warehouse.lease import lease
from warehouse.rewrite import Rewrite, rewrite
from warehouse.session import Session
from warehouse.store import Store

CHECKOUT = Path(__file__).parents[2]
ITEM = "clip_007"
PROMPT = "a ball <script>alert(3)</script> & a $ or $ two"  # of clip_006, too
EMAIL, NAME = "wanda.quux@studio.example", "Wanda Quux"


def words_in(path):
    """Bytes of a file, unpacked where it is packed; of Parquet every value and statistic."""
    data = path.read_bytes()
    yield data
    if data.startswith(b"\x1f\x8b"):
        yield gzip.decompress(data)
    if data.startswith(b"PAR1"):
        file = pq.ParquetFile(path)
        yield repr(file.read().to_pylist()).encode()
        yield repr(file.metadata.to_dict()).encode()


def holding(home, *texts):
    """Files under the home that hold one of the texts, however they are compressed."""
    found = set()
    for path in home.rglob("*"):
        if path.is_file():
            for data in words_in(path):
                for text in texts:
                    if re.search(rf"(?i)(?<!\w){re.escape(text)}(?!\w)".encode(), data):
                        found.add(path.relative_to(home).as_posix())
    return found


def sound(store):
    return [row for row in audit(store) if row["problems"]] == []


def source_of(store):
    return store.query("SELECT min(source) AS s FROM pulls")["s"][0].as_py()


def add_wanda(store):
    """Give user 12 a name and an e-mail, and leave traces in many a place; returns their id."""
    person = store.query("SELECT annotator_id AS a FROM people WHERE user_id = 12", people=True)
    annotator = person["a"][0].as_py()
    row = {"source": "another", "user_id": 99, "annotator_id": annotator}
    store.append("people", pa.Table.from_pylist([row | {"email": EMAIL, "name": NAME}]))
    version = store.read("projects").drop_columns(["observed_at"]).to_pylist()[0]
    version |= {"version": 2, "reviewers": json.dumps([annotator])}
    schema = store.read("projects").drop_columns(["observed_at"]).schema
    store.append("projects", pa.Table.from_pylist([version], schema=schema))
    store.lake.compact("label_events")  # its log holds the smallest and the largest values
    store.lake.compact("people")
    (store.home / "report.html").write_text(f"<td>{annotator}</td>")
    spool = store.home / "pulls" / source_of(store)
    spool.mkdir(parents=True, exist_ok=True)
    (spool / "000001.json").write_text(json.dumps({"completed_by": {"email": EMAIL}}))
    return annotator


def prefect_history(home, *texts):
    """Tables of Prefect that hold words, with a row for each text."""
    (home / "prefect").mkdir()
    with closing(sqlite3.connect(home / "prefect" / "prefect.db", isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = wal")
        db.execute("CREATE TABLE log (name VARCHAR, message TEXT)")
        db.execute("CREATE TABLE artifact (key VARCHAR, data JSON)")
        for text in texts:
            db.execute("INSERT INTO log VALUES ('soli', ?)", [f"1 label of {text}: 3.5"])
            db.execute("INSERT INTO artifact VALUES ('soli', ?)", [json.dumps(f"| {text} | 1 |")])


@pytest.fixture(scope="module")
def wanda_home(small_home, tmp_path_factory):
    """The small home with Wanda in it; returns it with her id. Never written to."""
    home = tmp_path_factory.mktemp("wanda") / "home"
    shutil.copytree(small_home, home, symlinks=True)
    store = Store(home)
    annotator = add_wanda(store)
    publish(store)
    prefect_history(home, annotator, EMAIL, NAME)
    server = home / "labelstudio"
    server.mkdir()
    (server / "annotators.json").write_text(json.dumps({EMAIL.upper(): {"token": "t"}, "b": {}}))
    return home, annotator


@pytest.fixture
def small(settings, wanda_home):
    """Settings of a home of one's own with Wanda in it."""
    shutil.copytree(wanda_home[0], settings.home, symlinks=True)
    return settings


@pytest.fixture
def wanda(wanda_home):
    """Her id."""
    return wanda_home[1]


@pytest.fixture(scope="module")
def without_wanda(wanda_home, tmp_path_factory):
    """A home from which Wanda is gone, and what was said; never written to."""
    home = tmp_path_factory.mktemp("gone") / "home"
    shutil.copytree(wanda_home[0], home, symlinks=True)
    said = []
    outcome = forget(Store(home), wanda_home[1], patience=0, say=said.append)
    return home, outcome, said


@pytest.fixture(scope="module")
def without_both(without_wanda, wanda_home, tmp_path_factory):
    """A home from which Wanda and an item are gone; returns it with her id."""
    home = tmp_path_factory.mktemp("gone") / "home"
    shutil.copytree(without_wanda[0], home, symlinks=True)
    forget(Store(home), ITEM, patience=0)
    return home, wanda_home[1]


@pytest.fixture
def gone(settings, without_both):
    """Settings of a home of one's own that holds what `without_both` holds."""
    shutil.copytree(without_both[0], settings.home, symlinks=True)
    return settings


def test_no_byte_of_the_home_names_the_annotator_and_the_tables_verify(
    wanda_home, without_wanda, wanda
):
    before = holding(wanda_home[0], wanda, EMAIL, NAME)
    assert {path.split("/")[0] for path in before} >= {
        "people", "tables", "pulls", "prefect", "labelstudio", "report.html",
    }  # fmt: skip
    assert holding(without_wanda[0], wanda, EMAIL, EMAIL.upper(), NAME) == set()
    assert sound(Store(without_wanda[0]))


def test_what_was_done_to_files_and_what_remains_is_said(without_wanda):
    home, outcome, said = without_wanda
    assert "label_events: 120 rows deleted or changed" in said
    assert f"{home / 'report.html'} deleted; the command that wrote it writes it again" in said
    assert f"{home / 'prefect' / 'prefect.db'}: 6 values changed" in said
    left = "\n".join(outcome.remains)
    assert "delete 40 annotations (12, 112, 212, 312, 412, ...; --json lists all)" in left
    assert "delete user 99" in left
    assert f"{home / 'labelstudio'}: data, secrets and log" in left
    assert "look at it" not in left
    accounts = json.loads((home / "labelstudio" / "annotators.json").read_text())
    assert accounts == {"b": {}}


@pytest.mark.parametrize("text", [EMAIL.upper(), NAME])
def test_an_annotator_may_be_named_by_e_mail_or_name(wanda_home, wanda, text):
    assert forget(Store(wanda_home[0]), text, dry_run=True).plan.subject == wanda


def test_the_others_keep_every_label_and_the_digest_of_their_commits(
    wanda_home, without_wanda, wanda
):
    sql = "FROM label_events WHERE annotator_id <> $a ORDER BY ALL"
    before = Store(wanda_home[0]).query(sql, {"a": wanda})
    store = Store(without_wanda[0])
    assert store.query("FROM label_events ORDER BY ALL").equals(before)
    assert all(not row["unrecorded"] for row in audit(store))


def test_the_audit_says_that_it_was_done_but_not_about_whom(wanda_home, without_wanda):
    before, store = Store(wanda_home[0]), Store(without_wanda[0])
    sets = before.read("pair_sets").to_pylist()
    models = before.read("runs").to_pylist()
    rows = store.read("audit").to_pylist()
    (request,) = [row for row in rows if row["action"] == "forget"]
    details = json.loads(request["details"])
    assert request["subject"] == "annotator"
    assert (details["pair_sets"], details["models"]) == (1, 1)
    assert details["rows"]["label_events"] == 120
    marked = {row["subject"]: json.loads(row["details"]) for row in rows}
    assert marked[sets[0]["pair_set_id"]]["digest"] == sets[0]["digest"]
    assert marked[models[0]["model_id"]]["request"] == request["audit_id"]
    assert store.read("pair_sets").to_pylist() == sets


def test_the_same_export_brings_neither_back(gone, tasks, export):
    found = ingest_export(gone.store, export(tasks), source=source_of(gone.store))
    assert (found.forgotten, found.added, found.items) == (39 + 3, 0, 0)
    assert not found.written
    assert 12 not in gone.store.read("people")["user_id"].to_pylist()


def test_a_careful_reading_leaves_the_annotator_out_too(gone, tasks, export):
    """Answers of another shape, unreadable ones, tasks without an item: none is quarantined."""
    for number, task in enumerate(tasks):
        for made in task["annotations"]:
            if made["completed_by"] == 12:
                made["completed_by"] = {"id": 12, "email": EMAIL}
                if number == 1:
                    made["result"][0]["value"]["choices"] = ["Unsure"]
                if number == 2:
                    made["created_at"] = "never"
    lost = {**tasks[3], "id": 900, "data": {"prompt": "none"}}
    found = ingest_export(gone.store, export([*tasks, lost]), source=source_of(gone.store))
    assert found.forgotten == 39 + 3 + 1
    assert found.quarantined == {"no_item_id": 2}  # of the two others
    assert holding(gone.home, EMAIL, ITEM) == set()


def test_the_e_mail_is_known_again_in_another_project(gone, tasks, export):
    for task in tasks:
        for made in task["annotations"]:
            made["completed_by"] = {"id": made["completed_by"] + 500, "email": EMAIL}
    found = ingest_export(gone.store, export(tasks), source=str(uuid.uuid4()))
    assert (found.forgotten, found.added) == (120, 0)


def test_comparisons_by_the_annotator_or_of_the_item_are_refused(gone, without_both, tmp_path):
    from flows.comparisons import ingest_comparisons

    _, wanda = without_both
    file = tmp_path / "judged.csv"
    file.write_text(
        "item_a,item_b,dimension,annotator,category\n"
        f"clip_001,clip_002,x,{EMAIL},A\n"
        f"clip_001,clip_002,x,{wanda},A\n"
        f"clip_001,{ITEM},x,Somebody,A\n"
        "clip_001,clip_002,x,Somebody,A\n"
    )
    found = ingest_comparisons(gone, file)
    assert [each.row for each in found.refused] == [1, 2, 3]
    assert (found.new, found.annotators) == (1, 1)


@pytest.fixture
def traces(small):
    """Traces of the item outside the tables: job, frames, a copy of the video; returns its uri."""
    home = small.home.absolute()
    job = home / "runs" / "feedfacefeedface"
    rows = [{"item_id": f"clip_{n:03d}", "path": f"/v/{n}.mp4", "prompt": "p"} for n in range(9)]
    pq.write_table(pa.Table.from_pylist(rows), job / "media.parquet")
    (home / "frames" / "ab").mkdir(parents=True)
    (home / "frames" / "ab" / "abc.safetensors").write_bytes(b"frames")
    copy = home / "media" / "seven.mp4"
    copy.parent.mkdir()
    copy.write_bytes(b"video")
    item = small.store.query("FROM clips WHERE item_id = $i", {"i": ITEM}).to_pylist()[0]
    names = small.store.read("media").drop_columns(["observed_at"]).column_names
    moved = {name: item[name] for name in names} | {"revision": 1, "uri": str(copy)}
    schema = small.store.read("media").schema
    small.store.append(
        "media", pa.Table.from_pylist([moved], schema=pa.schema([schema.field(n) for n in names]))
    )
    return str(copy)


def test_no_file_of_the_home_holds_the_item_any_more(small, traces):
    assert holding(small.home, ITEM, traces)
    outcome = forget(small.store, ITEM, patience=0)
    assert holding(small.home, ITEM, traces, "clips/007.mp4") == set()
    assert sound(small.store)
    assert not Path(traces).exists()
    assert not (small.home / "frames").exists()
    media = pq.read_table(small.home / "runs" / "feedfacefeedface" / "media.parquet")
    assert media.num_rows == 8
    assert any("delete 1 task (8)" in words for words in outcome.remains)
    assert any("clips/007.mp4" in words for words in outcome.remains)


def test_a_prompt_goes_with_the_last_item_that_has_it(small):
    forget(small.store, ITEM, patience=0)
    assert PROMPT in small.store.read("prompts")["text"].to_pylist()
    forget(small.store, "clip_006", patience=0)
    assert PROMPT not in small.store.read("prompts")["text"].to_pylist()
    assert holding(small.home, PROMPT) == set()
    assert sound(small.store)


def test_pairs_of_the_item_go_and_the_set_says_why_it_cannot_be_read(small):
    from flows.pair import read

    store = small.store
    before = store.read("pairs").num_rows
    forget(store, ITEM, patience=0)
    assert 0 < store.read("pairs").num_rows < before
    with pytest.raises(PairingError, match="`soli forget` deletes them with an item"):
        read(store)


def test_an_items_file_cannot_bring_the_item_back(gone, tmp_path):
    from flows.items import add_items

    file = tmp_path / "items.jsonl"
    row = {"item_id": ITEM, "prompt": "p", "media": "https://clips.example/7.mp4"}
    file.write_text(json.dumps(row) + "\n")
    found = add_items(gone, file)
    assert found.items == 0
    assert "deleted on request" in found.refused[0].reason


def test_a_dry_run_says_it_all_and_writes_nothing(small, wanda, unchanged):
    with unchanged(small.home):
        outcome = forget(small.store, wanda, dry_run=True)
    assert outcome.plan.rows["label_events"] == 120
    assert outcome.plan.rows["people"] == 2
    assert sorted(row["users"] for row in outcome.plan.label_studio) == [[12], [99]]
    assert not outcome.written


def test_twice_is_once(gone, without_both):
    for text in (without_both[1], EMAIL, ITEM):
        again = forget(gone.store, text, patience=0)
        assert again.plan is None
        assert not again.written


NASTY = ["x' OR 1=1 --", "a \"b\"\n'c'", "annotator:", "item:", "*", "%", "../people", "\x1b[31m"]


@pytest.mark.parametrize("text", ["nobody", "item:clip_999", "annotator:clip_001", "", *NASTY])
def test_who_is_not_known_cannot_be_forgotten(without_both, text):
    with pytest.raises(StoreError, match="no annotator and no item"):
        forget(Store(without_both[0]), text)


def test_readers_who_come_meanwhile_are_always_answered(small, wanda):
    answers, stop = [], threading.Event()

    def read():
        while not stop.is_set():
            with Session(small.home) as session:
                answers.append(
                    session.ask("SELECT count(*) AS n FROM label_events")["n"][0].as_py()
                )

    reader = threading.Thread(target=read)
    reader.start()
    forget(small.store, wanda, patience=5)
    stop.set()
    reader.join()
    assert set(answers) <= {360, 240}
    assert len(answers) > 2


# Children that die, as by kill -9, just before the call of a name for the n-th time: forked before
# anything has threads, so that what takes long to import is imported once.
DYING = """
import importlib, json, os, sys
from pathlib import Path
from flows import forget as module
from warehouse.store import Store
subject, *places = sys.argv[1:]
codes = []
for home, place, number in map(json.loads, places):
    if not (child := os.fork()):
        owner, name = place.rsplit(".", 1)
        owner = importlib.import_module(owner)
        real, left = getattr(owner, name), [number]
        def dying(*given, **named):
            if left[0] == 0:
                os._exit(9)
            left[0] -= 1
            return real(*given, **named)
        setattr(owner, name, dying)
        try:
            module.forget(Store(Path(home)), subject, patience=0)
        finally:
            os._exit(1)
    codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(json.dumps(codes))
"""
PLACES = [
    ("flows.forget.key_of", 0),
    ("flows.forget.rewrite", 2),
    ("warehouse.rewrite._overwrite", 2),
    ("flows.forget.publish", 0),
    ("flows.forget.purge", 3),
    ("warehouse.rewrite._cut_log", 2),
    ("flows.forget.erase", 0),
]


@pytest.fixture(scope="module")
def killed(wanda_home, tmp_path_factory):
    """Homes in which the command was killed, by place."""
    folder = tmp_path_factory.mktemp("killed")
    homes = {place: folder / place for place, _ in PLACES}
    for home in homes.values():
        shutil.copytree(wanda_home[0], home, symlinks=True)
    told = [json.dumps([str(homes[place]), place, number]) for place, number in PLACES]
    died = subprocess.run(
        [sys.executable, "-c", DYING, wanda_home[1], *told],
        cwd=CHECKOUT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(died.stdout) == [9] * len(PLACES), died.stderr
    return homes


@pytest.mark.parametrize("place", [place for place, _ in PLACES])
def test_killed_anywhere_a_rerun_finishes(killed, wanda, place):
    home = killed[place]
    with Session(home) as session:  # the face that stands can be read
        assert session.ask("SELECT count(*) AS n FROM label_events")["n"][0].as_py() in (360, 240)
    store = Store(home)
    finished = forget(store, wanda, patience=0)
    assert finished.finished
    assert holding(home, wanda, EMAIL, NAME) == set()
    assert sound(store)
    assert store.read("audit").num_rows == 3
    assert not (home / "forget.json").exists()


def test_another_request_waits_for_the_half_done_one(small, wanda, monkeypatch):
    def stop(*_given, **_named):
        raise KeyboardInterrupt

    monkeypatch.setattr("flows.forget.publish", stop)
    with pytest.raises(KeyboardInterrupt):
        forget(small.store, wanda, patience=0)
    monkeypatch.undo()
    with pytest.raises(StoreError, match="finish it first"):
        forget(small.store, ITEM)
    assert forget(small.store, None, patience=0).finished
    with pytest.raises(StoreError, match="no deletion request is half done"):
        forget(small.store, None)


def test_damaged_rows_are_not_given_a_sound_note(small, wanda):
    store = small.store
    file = Path(store.files("label_events")[0])
    rows = pq.read_table(file)
    place = rows.schema.get_field_index("value")
    turned = rows.set_column(place, rows.schema.field(place), pa.array(["pass"] * rows.num_rows))
    file.unlink()
    pq.write_table(turned, file)
    with pytest.raises(StoreError, match="other rows than were committed"):
        rewrite(store, Rewrite("label_events", f"annotator_id = '{wanda}'"))


def test_writing_and_compacting_go_on_afterwards(gone, tasks, export):
    from warehouse.maintenance import compact

    for answer in tasks[0]["annotations"][0]["result"][:2]:
        said = answer["value"]["choices"][0]
        answer["value"]["choices"] = ["Fail" if said == "Pass" else "Pass"]
    tasks[0]["annotations"][0]["updated_at"] = "2026-01-02T11:00:00.000000Z"
    tasks[0]["updated_at"] = "2026-01-02T11:00:00.000000Z"
    assert ingest_export(gone.store, export(tasks), source=source_of(gone.store)).added == 2
    compact(gone.store, hours=0)
    assert sound(Store(gone.home))


def test_a_process_that_has_the_table_open_sees_the_rewrite(small, wanda):
    other = Lake(small.home)
    assert other.table("label_events") is not None
    forget(small.store, wanda, patience=0)
    assert other.version("label_events") == small.store.lake.version("label_events")


def people(store, *rows):
    """Rows of `people` with the names of their annotators."""
    source = str(uuid.uuid4())
    found = [
        {"source": source, "user_id": n, "annotator_id": annotator, "email": email, "name": None}
        for n, (annotator, email) in enumerate(rows)
    ]
    schema = store.read("people").schema
    fields = [schema.field(name) for name in found[0]]
    store.append("people", pa.Table.from_pylist(found, schema=pa.schema(fields)))


def test_somebody_who_never_judged_is_forgotten_too(gone):
    store, other = gone.store, "c" * 32
    people(store, (other, "carl@studio.example"))
    outcome = forget(store, "carl@studio.example", patience=0)
    assert outcome.plan.rows == {"people": 1}
    assert any("delete user 0" in words for words in outcome.remains)
    assert holding(gone.home, other, "carl@studio.example") == set()
    assert sound(store)
    with pytest.raises(StoreError, match="deleted on request"):
        people(store, (other, None))


def test_an_e_mail_of_two_annotators_is_asked_about(gone):
    people(gone.store, ("c" * 32, "both@studio.example"), ("d" * 32, "both@studio.example"))
    with pytest.raises(StoreError, match=r"2 annotators go by .*say which: c{32}, d{32}"):
        forget(gone.store, "both@studio.example")


def named(store, *names):
    """Items of a prompt of their own, at one place, with one digest."""
    prompt = {"prompt_id": "p" * 16, "text": "shared by nasty ids", "attributes": "{}"}
    store.append("prompts", pa.Table.from_pylist([prompt]))
    known = store.read("items").drop_columns(["observed_at"])
    shared = {"prompt_id": "p" * 16, "uri": "/v/shared.mp4", "media_sha256": "e" * 64}
    rows = [known.to_pylist()[0] | shared | {"item_id": name} for name in names]
    store.append("items", pa.Table.from_pylist(rows, schema=known.schema))


def test_ids_with_quotes_and_newlines_go_alone_and_what_is_shared_stays(gone):
    store, first, last = gone.store, 'it\'s "a"\n😀 \\ id', "item:item"
    named(store, first, last, "item")
    with pytest.raises(StoreError, match=r"whole id, too; write item:item:item"):
        forget(store, last)
    outcome = forget(store, first, patience=0)
    assert outcome.plan.uris == []  # others have the video, too
    assert first not in store.read("items")["item_id"].to_pylist()
    assert holding(gone.home, first) == set()
    assert forget(store, f"item:{last}", patience=0).plan.subject == last
    assert "shared by nasty ids" in store.read("prompts")["text"].to_pylist()
    forget(store, "item:item", patience=0)
    assert holding(gone.home, "shared by nasty ids", "/v/shared.mp4") == set()
    assert sound(store)


def test_rows_that_were_read_before_are_not_written_afterwards(gone, wanda):
    store = gone.store
    scores = store.read("scores").drop_columns(["observed_at"]).slice(0, 1).to_pylist()[0]
    for row in (scores | {"item_id": ITEM}, scores | {"item_id": "clip_999"}):
        rows = pa.Table.from_pylist([row])
        if row["item_id"] == ITEM:
            with pytest.raises(StoreError, match="an item that was deleted on request"):
                store.append("scores", rows)
        else:
            assert store.append("scores", rows) == 1


def test_a_writer_is_waited_for(gone, monkeypatch):
    other = Store(gone.home)
    real = Store.writing
    monkeypatch.setattr(
        Store, "writing", lambda self, purpose, **named: real(self, purpose, wait=0.1, **named)
    )
    with other.writing("measure"):
        with pytest.raises(StoreError, match=r"being written by process \d+ \(measure\)"):
            forget(Store(gone.home), "clip_001")
        assert not (gone.home / "forget.json").exists()


def test_a_training_of_the_item_has_to_end_first(small, traces):
    with lease(small.home / "runs" / "feedfacefeedface" / "job.lock", "train"):
        with pytest.raises(StoreError, match=r"\(train\)"):
            forget(small.store, ITEM)
        assert not (small.home / "forget.json").exists()


def test_a_session_that_is_open_is_counted_and_loses_its_files(small, wanda):
    with Session(small.home) as session:
        session.ask("SELECT count(*) AS n FROM label_events")
        assert forget(small.store, wanda, patience=0).sessions == 1


@pytest.mark.parametrize("text", ["", "{}", '{"kind": "annotator"', "[1]", "\x00"])
def test_a_journal_that_is_none_is_named(gone, text):
    (gone.home / "forget.json").write_text(text)
    with pytest.raises(StoreError, match=r"forget\.json cannot be read as a deletion request"):
        forget(gone.store, None)


def test_without_the_key_nobody_is_forgotten_under_another_one(gone):
    (gone.home / "forget.key").unlink()
    with pytest.raises(StoreError, match=r"forget\.key cannot be read"):
        forget(gone.store, "clip_001", patience=0)
    assert not (gone.home / "forget.key").exists()
    assert not (gone.home / "forget.json").exists()


def test_a_home_without_a_warehouse_is_said(settings, unchanged):
    with unchanged(settings.home), pytest.raises(StoreError, match="no warehouse in"):
        forget(settings.store, "anybody")


def test_a_home_that_cannot_be_written_stays_as_it_is(gone, unchanged, monkeypatch):
    import errno
    import os

    def refused(path, *_given, **_named):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    with unchanged(gone.home):
        monkeypatch.setattr("warehouse.lease.os.open", refused)
        with pytest.raises(StoreError, match="cannot be written"):
            forget(gone.store, "clip_001")


def test_what_a_table_still_says_is_named(gone):
    store = gone.store
    row = store.read("projects").drop_columns(["observed_at"])
    extra = row.to_pylist()[0] | {"version": 3, "config": "<View>Clips for Dora Dee</View>"}
    store.append("projects", pa.Table.from_pylist([extra], schema=row.schema))
    people(store, ("c" * 32, "Dora Dee"))
    left = forget(store, "c" * 32, patience=0).remains
    assert "table projects, column config still names them in 1 row: look at it" in left


def test_a_video_that_another_item_has_or_had_under_any_spelling_stays(gone):
    store, media = gone.store, gone.home.absolute() / "media"
    (media / "sub").mkdir(parents=True)
    outside = gone.home.absolute().parent / "outside"
    outside.mkdir()
    for name in ("mine.mp4", "theirs.mp4", "target.mp4"):
        (media / name).write_bytes(b"video")
    (outside / "link.mp4").symlink_to(media / "target.mp4")
    known = store.read("media").drop_columns(["observed_at"]).schema
    clips = store.query("FROM clips ORDER BY item_id LIMIT 2").to_pylist()
    own, other = ({name: clip[name] for name in known.names} for clip in clips)
    places = [
        (own, media / "mine.mp4"),
        (own, media / "theirs.mp4"),
        (own, outside / "link.mp4"),
        (other, media / "sub" / ".." / "theirs.mp4"),
    ]
    rows = [
        row | {"revision": number, "uri": str(place)}
        for number, (row, place) in enumerate(places, start=2)
    ]
    store.append("media", pa.Table.from_pylist(rows, schema=known))
    remains = forget(store, own["item_id"], patience=0).remains
    assert sorted(path.name for path in media.glob("*.mp4")) == ["target.mp4", "theirs.mp4"]
    assert (outside / "link.mp4").is_symlink()
    assert f"the video itself: {outside / 'link.mp4'}" in remains


def test_a_pair_set_that_was_built_meanwhile_loses_the_item_too(gone):
    folder = gone.home / "pair_sets" / "0123456789abcdef"
    folder.mkdir(parents=True)
    for name in ("items.parquet", "pairs.parquet"):
        pq.write_table(pa.table({"item_id": ["clip_001", "clip_002"]}), folder / name)
    (gone.home / "rewards of clip_001.csv").write_text("1.0")
    remains = forget(gone.store, "clip_001", patience=0).remains
    assert list(folder.iterdir()) == []
    assert f"{gone.home / 'rewards of clip_001.csv'} still names it: look at it" in remains
