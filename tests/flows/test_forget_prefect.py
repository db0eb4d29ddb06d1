"""What Prefect's history of runs in a home said of somebody leaves it, and the history stays."""

import json
import sqlite3
from contextlib import closing

import pytest

from flows import forget_prefect
from flows.forget_prefect import DATABASE, erase_said
from flows.forget_words import pattern
from warehouse.errors import StoreError

WANDA = pattern(["Wanda Quux", "wanda@x.example"], any_case=True)
FULL = "x" * 2000  # no row shares its page with many others


@pytest.fixture
def database(tmp_path):
    """Tables of Prefect 3.8.8, as far as they matter, in write-ahead mode as it keeps them."""
    path = tmp_path / DATABASE
    path.parent.mkdir()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = wal")
        db.execute("CREATE TABLE log (id INTEGER PRIMARY KEY, name VARCHAR, message TEXT)")
        db.execute("CREATE TABLE artifact (key VARCHAR, data JSON, description VARCHAR)")
        db.execute('CREATE TABLE "block_type" (name VARCHAR, description VARCHAR)')
        db.execute("INSERT INTO block_type VALUES ('b', 'written by wanda@x.example')")
        db.execute("INSERT INTO log VALUES (1, 'wanda quux', ?)", [f"7 by Wanda Quux {FULL}"])
        db.execute("INSERT INTO log VALUES (2, 'run', 'Wanda Quuxley came'), (3, 'run', NULL)")
        table = json.dumps(json.dumps([{"who": "WANDA QUUX", "n": 7}]))
        db.execute("INSERT INTO artifact VALUES ('soli', ?, NULL)", [table])
    return path


def rows(path, sql):
    with closing(sqlite3.connect(path)) as db:
        return db.execute(sql).fetchall()


def test_another_word_takes_the_place_of_a_name_and_all_else_stays(database, tmp_path):
    assert erase_said(tmp_path, WANDA) == 2
    assert rows(database, "SELECT id, name, message FROM log") == [
        (1, "wanda quux", f"7 by forgotten {FULL}"),  # a name of a flow is Prefect's
        (2, "run", "Wanda Quuxley came"),
        (3, "run", None),
    ]
    ((data,),) = rows(database, "SELECT data FROM artifact")
    assert json.loads(json.loads(data)) == [{"who": "forgotten", "n": 7}]
    assert rows(database, "SELECT description FROM block_type") != [("forgotten",)]
    assert erase_said(tmp_path, WANDA) == 0


def test_neither_free_pages_nor_the_log_hold_it_any_more(database, tmp_path):
    with closing(sqlite3.connect(database, isolation_level=None)) as idle:  # as a server is
        idle.execute("PRAGMA secure_delete = off")
        idle.execute("INSERT INTO log VALUES (4, 'run', ?)", [f"gone: wanda@x.example {FULL}"])
        idle.execute("PRAGMA wal_checkpoint")
        idle.execute("DELETE FROM log WHERE id = 4")
        files = [database, database.with_name("prefect.db-wal")]
        assert all(b"gone: wanda@" in path.read_bytes() for path in files)
        erase_said(tmp_path, WANDA)
        for path in files:
            assert b"gone: wanda@" not in path.read_bytes()
            assert b"by Wanda Quux " not in path.read_bytes()
        assert idle.execute("SELECT count(*) FROM log").fetchone() == (3,)


def test_a_prefect_that_works_meanwhile_is_waited_for_then_named(database, tmp_path, monkeypatch):
    monkeypatch.setattr(forget_prefect, "PATIENCE", 0.1)
    with closing(sqlite3.connect(database, isolation_level=None)) as busy:
        busy.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"locked; end the flows that run.*--finish"):
            erase_said(tmp_path, WANDA)
        busy.execute("COMMIT")
        busy.execute("BEGIN")
        busy.execute("SELECT * FROM log").fetchone()  # a reader keeps the old pages in the log
        with pytest.raises(StoreError, match="end the flows that run"):
            erase_said(tmp_path, WANDA)
        busy.execute("COMMIT")
        erase_said(tmp_path, WANDA)
    assert b"by Wanda Quux" not in database.read_bytes()


def test_a_damaged_database_is_named(tmp_path):
    path = tmp_path / DATABASE
    path.parent.mkdir()
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match=r"prefect\.db: file is not a database"):
        erase_said(tmp_path, WANDA)


def test_a_home_without_runs_gets_no_database(tmp_path):
    assert erase_said(tmp_path, WANDA) == 0
    assert list(tmp_path.iterdir()) == []
