import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from warehouse import incoming, journal
from warehouse.audit import audit
from warehouse.errors import ContractError, StoreError
from warehouse.manifest import MANIFEST
from warehouse.store import Store

# What each of these files does on the disk happens in steps; a batch may die before any of them.
NATIVE = (
    "deltalake.DeltaTable.create",
    "deltalake.DeltaTable.create_write_transaction",
    "warehouse.incoming.Incoming.stage",
)
KILLER = """
import importlib, os, sys
from pathlib import Path
import deltalake, warehouse.incoming
from tests_batch_rows import fill
from warehouse.store import Store

EVENTS = {"open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir"}
home, left, before, native = Path(sys.argv[1]), 0, sys.argv[2], sys.argv[3].split(",")

def step():
    global left
    left -= 1
    if left == 0:
        os._exit(9)

def watch(event, args):
    reading = event == "open" and not set(str(args[1])) & set("wax+") and not args[2] & os.O_CREAT
    if event in EVENTS and str(home.parent) in str(args[0]) and not reading:
        step()

def stepping(function):
    def wrapped(*args, **options):
        step()
        done = function(*args, **options)
        step()
        return done
    return wrapped

def doomed(number):
    global home, left
    home, left = home.parent / f"home-{number}", number
    import shutil
    shutil.copytree(before, home)
    sys.addaudithook(watch)
    for path in native:
        owner, name = path.rsplit(".", 1)
        module, *rest = owner.rsplit(".", 1)
        holder = getattr(importlib.import_module(module), rest[0])
        setattr(holder, name, stepping(getattr(holder, name)))
    fill(Store(home))
    os._exit(0)

number = 0
while True:
    number += 1
    child = os.fork()
    if not child:
        doomed(number)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code == 0:
        break
    assert code == 9, code
print(number)
"""
ROWS = """
import pyarrow as pa

def fill(store):
    with store.batch("fill") as batch:
        batch.add("items", pa.table({
            "item_id": ["i1"], "prompt_id": ["pb"], "uri": ["u"], "generator": ["g"],
            "attributes": ["{}"], "design_k": [2], "codec": [None], "width": [None],
            "height": [None], "fps": [None], "frames": [None], "duration": [None],
            "media_sha256": [None]}))
        batch.add("prompts", pa.table(
            {"prompt_id": ["pa", "pb"], "text": ["a", "b"], "attributes": ["{}"] * 2}))
        batch.add("people", pa.table(
            {"source": ["s"], "user_id": [1], "annotator_id": ["a"], "email": ["x"], "name": ["n"]}
        ))
    return batch.added
"""
exec(ROWS)  # the same rows here and in the processes that die


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "home")


def prompts(*texts, ids=None, attributes="{}"):
    return pa.table(
        {
            "prompt_id": ids or [f"p{text}" for text in texts],
            "text": list(texts),
            "attributes": [attributes] * len(texts),
        }
    )


def people(*numbers, name="N"):
    count = len(numbers)
    return pa.table(
        {
            "source": ["s"] * count,
            "user_id": list(numbers),
            "annotator_id": [f"a{number}" for number in numbers],
            "email": [None] * count,
            "name": [name] * count,
        }
    )


def state(store):
    return {name: store.digest(name) for name in ("prompts", "items")} | {
        "people": store.read("people").drop_columns(["observed_at"]).to_pylist()
    }


def add(store, **rows):
    with store.batch("x") as batch:
        for name, tables in rows.items():
            for table in tables:
                batch.add(name, table)


def leftovers(store):
    return [path.name for path in (store.home / "staging").glob("*")]


def test_a_batch_is_one_moment_in_all_its_tables(store):
    assert fill(store) == {"prompts": 2, "items": 1, "people": 1}  # noqa: F821 -- from ROWS
    stamps = {store.read(name)["observed_at"][0] for name in ("prompts", "items", "people")}
    assert len(stamps) == 1
    assert leftovers(store) == []


def test_a_batch_may_be_repeated(store):
    fill(store)  # noqa: F821
    version = store.lake.version("prompts")
    assert fill(store) == {}  # noqa: F821
    assert store.lake.version("prompts") == version


def test_leaving_by_an_exception_adds_nothing(store):
    with pytest.raises(ContractError):
        add(store, people=[people(1)], prompts=[prompts("a"), people(1)])
    assert store.read("prompts").num_rows == 0
    assert leftovers(store) == []


def test_one_bad_table_keeps_the_others_out(store):
    store.append("prompts", prompts("a"))
    with pytest.raises(ContractError, match="known with other content"):
        add(store, people=[people(1)], prompts=[prompts("b", "other", ids=["pb", "pa"])])
    assert store.read("people").num_rows == 0
    assert store.read("prompts").num_rows == 1


def test_what_a_batch_waits_for_keeps_it_out_where_it_fails(store):
    def fail():
        raise ValueError("a file that the rows name")

    def add():
        with store.batch("x") as batch:
            batch.add("prompts", prompts("a"))
            batch.add("people", people(1))
            batch.wait_for(fail)

    with pytest.raises(ValueError, match="that the rows name"):
        add()
    assert store.read("prompts").num_rows == store.read("people").num_rows == 0
    assert leftovers(store) == []


def test_a_key_given_twice_with_one_content_is_one_row(store):
    with store.batch("x") as batch:
        batch.add("prompts", prompts("a", "b"))
        batch.add("prompts", prompts("b", "c"))
        batch.add("people", people(1, name="first"))
        batch.add("people", people(1, name="second"))  # bookkeeping alone: the first one stays
    assert batch.added == {"prompts": 3, "people": 1}
    assert store.read("people")["name"].to_pylist() == ["first"]


def test_a_key_given_twice_with_two_contents_is_refused(store):
    with pytest.raises(ContractError, match=r"prompts: key \(prompt_id\) = pa stands twice"):
        add(store, prompts=[prompts("a"), prompts("b", ids=["pa"])])
    assert store.read("prompts").num_rows == 0


@pytest.mark.slow
@pytest.mark.parametrize("spool", [1, 1 << 20])
def test_rows_on_disk_and_in_memory_are_treated_alike(store, monkeypatch, spool):
    monkeypatch.setattr(incoming, "SPOOL_BYTES", spool)
    store.append("prompts", prompts("a", "b"))
    with store.batch("x") as batch:
        for text in "bcddeaf":
            batch.add("prompts", prompts(text))
    assert batch.added == {"prompts": 4}
    assert store.read("prompts")["text"].to_pylist() == list("abcdef")
    assert [row["problems"] for row in audit(store) if row["problems"]] == []


def test_a_dry_run_counts_and_writes_nothing(store, monkeypatch):
    monkeypatch.setattr(incoming, "SPOOL_BYTES", 1)
    with store.batch("x", dry_run=True) as batch:
        batch.add("prompts", prompts("a", "b", "a"))
    assert batch.added == {"prompts": 2}
    assert not store.home.exists()


def test_a_dry_run_beside_a_writer_needs_no_lease(store):
    with store.writing("a long ingest"), Store(store.home).batch("x", dry_run=True) as batch:
        batch.add("prompts", prompts("a"))
    assert batch.added == {"prompts": 1}


def test_batches_within_a_batch_come_first(store):
    with store.batch("outer") as outer:
        outer.add("prompts", prompts("a"))
        assert store.append("prompts", prompts("a", "b")) == 2
    assert outer.added == {}


@pytest.mark.slow
def test_killed_before_any_step_a_batch_is_whole_or_absent(store, tmp_path):
    """Every call that touches the disk, and every step of DuckDB and Delta, is a place to die."""
    store.append("prompts", prompts("a"))
    before = state(store)
    undisturbed = Store(tmp_path / "undisturbed")
    shutil.copytree(store.home, undisturbed.home)
    fill(undisturbed)  # noqa: F821
    after = state(undisturbed)
    (tmp_path / "tests_batch_rows.py").write_text(ROWS)
    deaths = tmp_path / "deaths"
    deaths.mkdir()
    ran = subprocess.run(
        [sys.executable, "-c", KILLER, str(deaths / "home"), str(store.home), ",".join(NATIVE)],
        env=os.environ | {"PYTHONPATH": f"{tmp_path}:{Path.cwd()}"},
        capture_output=True,
        text=True,
        check=True,
    )
    seen = set()
    for home in sorted(deaths.iterdir()):
        dead = Store(home)
        with dead.writing("look"):
            found = state(dead)
        assert found in (before, after), home
        seen.add(found == before)
        assert leftovers(dead) == []
        assert len(fill(dead)) == (3 if found == before else 0)  # noqa: F821
    assert seen == {True, False}
    assert int(ran.stdout) == len(list(deaths.iterdir())) > 25


class Stop(BaseException):
    pass


@pytest.mark.slow
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_batch_interrupted_after_its_manifest_is_finished_by_the_next(store, monkeypatch, nth):
    real, calls = journal.commit, []

    def stopping(*args):
        calls.append(args)
        if len(calls) == nth:
            raise Stop
        real(*args)

    monkeypatch.setattr(journal, "commit", stopping)
    with store.writing("outer"):  # the same writer goes on, under the same lease
        with pytest.raises(Stop):
            fill(store)  # noqa: F821
        (folder,) = (store.home / "staging").iterdir()
        assert (folder / MANIFEST).exists()
        monkeypatch.setattr(journal, "commit", real)
        assert fill(store) == {}  # noqa: F821
    assert leftovers(store) == []
    assert {len(store.read(name)) for name in ("items", "people")} == {1}
    assert [row["problems"] for row in audit(store) if row["problems"]] == []


FULL = """
import json, resource, sys
from pathlib import Path
from tests_batch_rows import fill
from warehouse.errors import StoreError
from warehouse.store import Store

hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
said = {}
for limit in map(int, sys.argv[2:]):
    store = Store(Path(sys.argv[1]) / str(limit))
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        fill(store)
    except StoreError as error:
        said[limit] = str(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
print(json.dumps(said))
"""


@pytest.mark.slow
def test_a_full_disk_leaves_nothing_half_done(store, tmp_path):
    fill(store)  # noqa: F821
    (tmp_path / "tests_batch_rows.py").write_text(ROWS)
    limits = [300, 600, 900, 1200, 1600, 2000, 2500, 3000, 3500, 4000, 5000]
    ran = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path / "full"), *map(str, limits)],
        env=os.environ | {"PYTHONPATH": f"{tmp_path}:{Path.cwd()}"},
        capture_output=True,
        text=True,
        check=True,
    )
    said = json.loads(ran.stdout)
    assert len(said) >= 3
    begun = 0
    for limit, words in said.items():
        assert "make room" in words
        full = Store(tmp_path / "full" / limit)
        begun += bool(leftovers(full))  # the manifest stood, a Delta commit found no room
        fill(full)  # noqa: F821
        assert state(full) == state(store)
        assert leftovers(full) == []
    assert begun


def test_a_damaged_manifest_is_one_clear_error(store):
    folder = store.home / "staging" / "torn"
    folder.mkdir(parents=True)
    (folder / MANIFEST).write_text("{")
    with pytest.raises(StoreError, match="torn"):
        store.append("prompts", prompts("a"))


@pytest.mark.slow
def test_memory_stays_bounded_however_many_rows_come(tmp_path):
    code = r"""
import re, sys
from pathlib import Path
import pyarrow as pa
from warehouse.store import Store
with Store(Path(sys.argv[1])).batch("large") as batch:
    for start in range(0, 600_000, 20_000):
        numbers = range(start, start + 20_000)
        batch.add("prompts", pa.table({
            "prompt_id": [f"{n:064x}" for n in numbers],
            "text": [f"a prompt of some length, the {n}th of its kind" * 3 for n in numbers],
            "attributes": ["{}"] * 20_000}))
status = Path("/proc/self/status").read_text()  # getrusage would tell of the parent's, too
print(batch.added["prompts"], re.search(r"VmHWM:\s+(\d+)", status)[1])
"""
    ran = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "home")],
        capture_output=True,
        text=True,
        check=True,
    )
    rows, kibibytes = map(int, ran.stdout.split())
    assert rows == 600_000
    assert kibibytes < 450 << 10
