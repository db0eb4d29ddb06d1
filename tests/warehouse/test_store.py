import json
import os
import pickle
import shutil
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from warehouse.contracts import TABLES
from warehouse.errors import ContractError, StoreError
from warehouse.lake import VERSION_PROPERTY
from warehouse.lease import lease
from warehouse.store import Store
from warehouse.views import VIEWS


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "home")


def prompts(*texts, ids=None):
    return pa.table(
        {
            "prompt_id": ids or [f"p{text}" for text in texts],
            "text": list(texts),
            "attributes": ["{}"] * len(texts),
        }
    )


def test_an_empty_warehouse_answers_with_no_rows(store):
    for name in TABLES:
        assert store.read(name).num_rows == 0


def test_what_is_written_is_read_back(store):
    assert store.append("prompts", prompts("b", "a")) == 2
    read = store.read("prompts")
    assert read.drop_columns(["observed_at"]).to_pylist() == prompts("a", "b").to_pylist()


def test_writing_twice_adds_nothing(store):
    store.append("prompts", prompts("a", "b"))
    assert store.append("prompts", prompts("b", "c")) == 1
    assert store.read("prompts").num_rows == 3


def test_a_known_key_with_other_content_is_refused(store):
    store.append("prompts", prompts("a"))
    with pytest.raises(ContractError, match="known with other content"):
        store.append("prompts", prompts("other", ids=["pa"]))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (prompts("", "b"), r"prompts\.text: 1 of 2 rows break length\(text\) > 0"),
        (prompts("a", "b", ids=["p", "p"]), r"key \(prompt_id\) = p stands twice"),
        (prompts("a", ids=[None]), r"prompts\.prompt_id: 1 of 1 rows hold no value"),
        (prompts("a").drop_columns(["text"]), r"missing \['text'\]"),
        (prompts("a").append_column("x", [["y"]]), r"unknown \['x'\]"),
    ],
)
def test_a_batch_that_breaks_its_contract_is_refused_whole(store, rows, message):
    with pytest.raises(ContractError, match=message):
        store.append("prompts", rows)
    assert store.read("prompts").num_rows == 0


def test_an_unknown_table_is_refused_with_the_known_ones(store):
    with pytest.raises(StoreError, match=r"no table 'nope'.*prompts"):
        store.append("nope", prompts("a"))


def test_commit_times_grow_even_when_the_clock_goes_backwards(store, monkeypatch):
    store.append("prompts", prompts("a"))

    class Past(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime(2001, 1, 1, tzinfo=tz)

    monkeypatch.setattr("warehouse.journal.datetime", Past)
    store.append("prompts", prompts("b"))
    first, second = store.read("prompts")["observed_at"].to_pylist()
    assert first < second


def test_as_of_shows_what_was_known_then(store):
    store.append("prompts", prompts("a"))
    moment = datetime.now(UTC)
    store.append("prompts", prompts("b"))
    then = store.query("FROM prompts_as_of($t)", {"t": moment})
    assert then["text"].to_pylist() == ["a"]
    assert store.query("FROM prompts").num_rows == 2


def test_the_contract_version_lives_in_the_table_and_a_newer_one_is_refused(store):
    store.append("prompts", prompts("a"))
    table = DeltaTable(str(store.path("prompts")))
    assert table.metadata().configuration[VERSION_PROPERTY] == "1"
    table.alter.set_table_properties({VERSION_PROPERTY: "99"}, raise_if_not_exists=False)
    with pytest.raises(StoreError, match=r"contract version 99.*upgrade Soli"):
        store.read("prompts")


def test_people_are_apart_and_in_no_view(store):
    row = {"source": ["s"], "user_id": [1], "annotator_id": ["a"], "email": ["x@y"], "name": ["N"]}
    store.append("people", pa.table(row))
    assert store.read("people").num_rows == 1
    assert store.path("people").stat().st_mode & 0o077 == 0
    assert not str(store.path("people")).startswith(str(store.home / "tables"))
    with pytest.raises(StoreError, match="people"):
        store.query("FROM people")


def test_a_second_writer_is_told_who_holds_the_lease(store):
    with (
        store.writing("a long ingest"),
        pytest.raises(StoreError, match="a long ingest"),
        lease(store.home / "writer.lock", "other", wait=0.2),
    ):
        pass


def test_who_waits_for_a_lease_is_told_once_for_whom(tmp_path):
    path, told = tmp_path / "a.lock", []
    with (
        lease(path, "one"),
        pytest.raises(StoreError, match="is being written"),
        lease(path, "two", 0.3, told.append),
    ):
        pass
    assert told == [f"process {os.getpid()} (one)"]


def test_the_lease_of_a_killed_writer_is_free(store):
    code = (
        "import os, sys; from pathlib import Path; from warehouse.store import Store\n"
        "with Store(Path(sys.argv[1])).writing('doomed'): os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, str(store.home)], check=False)
    assert store.append("prompts", prompts("a")) == 1


def test_a_writer_killed_before_its_commit_leaves_nothing(store):
    store.append("prompts", prompts("a"))
    code = (
        "import os, sys; from pathlib import Path; import pyarrow as pa\n"
        "import warehouse.lake as lake; from warehouse.store import Store\n"
        "lake.place = lambda *args: os._exit(9)\n"
        "rows = pa.table({'prompt_id': ['pb'], 'text': ['b'], 'attributes': ['{}']})\n"
        "Store(Path(sys.argv[1])).append('prompts', rows)"
    )
    died = subprocess.run([sys.executable, "-c", code, str(store.home)], check=False)
    assert died.returncode == 9
    assert store.append("prompts", prompts("a", "b")) == 1


def test_two_writers_at_once_lose_nothing(store):
    def write(number):
        Store(store.home).append("prompts", prompts(*(f"{number}-{i}" for i in range(5))))

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.read("prompts").num_rows == 20


@pytest.mark.slow
@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.text("abcdef", min_size=1, max_size=3), unique=True, min_size=1), st.data())
def test_the_digest_does_not_depend_on_how_rows_arrived(tmp_path_factory, texts, data):
    cut = data.draw(st.integers(0, len(texts)))
    one, other = (Store(tmp_path_factory.mktemp("home")) for _ in range(2))
    one.append("prompts", prompts(*texts))
    other.append("prompts", prompts(*texts[cut:]))
    other.append("prompts", prompts(*reversed(texts[:cut])))
    assert one.digest("prompts") == other.digest("prompts")


def test_values_are_bound_never_pasted(store):
    store.append("prompts", prompts("a'; DROP VIEW prompts; --"))
    found = store.query("FROM prompts WHERE text = $t", {"t": "a'; DROP VIEW prompts; --"})
    assert found.num_rows == 1


def test_a_connection_may_open_some_tables_and_views_alone(store):
    store.append("prompts", prompts("a"))
    sql = "SELECT count(*) AS n FROM prompts LEFT JOIN clips USING (prompt_id)"
    with store.connect(["prompts", "clips"]) as db:
        assert db.sql(sql).fetchall() == [(1,)]
    with store.connect(["prompts"]) as db, pytest.raises(duckdb.Error, match="clips"):
        db.sql(sql)


def test_a_query_opens_what_it_reads_and_nothing_else(store, monkeypatch):
    store.append("prompts", prompts("a"))
    opened = []
    files = store.files
    monkeypatch.setattr(store, "files", lambda name: opened.append(name) or files(name))
    sql = "SELECT count(*) AS n FROM prompts LEFT JOIN clips_as_of($t) USING (prompt_id)"
    assert store.query(sql, {"t": datetime(2026, 1, 1, tzinfo=UTC)})["n"].to_pylist() == [1]
    assert sorted(opened) == ["items", "media", "prompts"]
    with pytest.raises(StoreError, match="nope"):
        store.query("FROM nope")


@pytest.mark.parametrize("name", VIEWS)
def test_every_view_can_be_opened_alone(store, name):
    assert store.query(f"FROM {name}").num_rows == 0
    moment = {"t": datetime(2026, 1, 1, tzinfo=UTC)}
    assert store.query(f"FROM {name}_as_of($t)", moment).num_rows == 0


def test_a_store_notices_that_a_table_was_replaced_or_removed(store):
    store.append("prompts", prompts("a", "b"))
    shutil.rmtree(store.path("prompts"))
    assert store.read("prompts").num_rows == 0
    store.append("prompts", prompts("c"))
    assert store.read("prompts")["text"].to_pylist() == ["c"]


def test_a_copy_of_a_store_reads_the_same_tables(store):
    store.append("prompts", prompts("a"))
    assert pickle.loads(pickle.dumps(store)).read("prompts") == store.read("prompts")


def test_a_broken_query_is_one_clear_error(store):
    with pytest.raises(StoreError, match="query failed"):
        store.query("SELEKT 1")


def test_the_home_may_be_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = Store(Path("home"))
    store.append("prompts", prompts("a"))
    monkeypatch.chdir("/")
    assert store.read("prompts").num_rows == 1


def test_the_lock_names_its_holder(store):
    with store.writing("ingest"):
        assert json.loads((store.home / "writer.lock").read_text()) == {
            "pid": os.getpid(),
            "for": "ingest",
        }
