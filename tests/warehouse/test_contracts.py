"""Contracts may only grow: what was written under an older one is read under the newer."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from deltalake.schema import Schema

from warehouse import contracts, manifest
from warehouse.audit import audit
from warehouse.check import check, doubled, unstamped
from warehouse.contracts import TABLES, Column
from warehouse.errors import StoreError
from warehouse.face import publish
from warehouse.lake import VERSION_PROPERTY, contract_version
from warehouse.maintenance import compact
from warehouse.session import Session
from warehouse.store import Store

# Columns per table and contract version, as they were first written. A version is never changed
# here: a new one is added when a contract grows.
SEEN = json.loads((Path(__file__).parents[1] / "data" / "contracts.json").read_text())
EVOLVED = sorted(name for name, table in TABLES.items() if table.version > 1)


def columns(table):
    return {c.name: f"{c.kind}{'?' if c.nullable else ''}" for c in table.columns}


@pytest.mark.parametrize("name", TABLES)
def test_a_contract_that_changes_gets_a_new_version(name):
    assert SEEN[name].get(str(TABLES[name].version)) == columns(TABLES[name]), (
        f"{name} changed: raise its version and add the columns to tests/data/contracts.json"
    )


@pytest.mark.parametrize("name", EVOLVED)
def test_a_newer_contract_adds_columns_that_may_be_null_and_lets_old_ones_be(name):
    versions = [SEEN[name][str(number)] for number in range(1, TABLES[name].version + 1)]
    for old, new in pairwise(versions):
        assert all(new.get(column) in (kind, f"{kind}?") for column, kind in old.items())
        assert all(new[column].endswith("?") for column in new.keys() - old.keys())


def test_the_key_of_a_table_holds_no_null():
    for table in TABLES.values():
        assert not [c.name for c in table.columns if c.name in table.key and c.nullable]


def value(column, number):
    """A value of a column that keeps its CHECK: one of the words that it names, if any."""
    if words := re.findall(r"'([^']*)'", column.check or ""):
        return words[number % len(words)]
    values = {
        "string": f"{column.name} {number}",
        "json": "{}",
        "int32": number,
        "int64": number,
        "float64": 0.5,
        "bool": True,
        "timestamp": datetime(2026, 1, number, tzinfo=UTC),
    }
    return values[column.kind]


def sample(name, number, known=None):
    """One row of a table, bookkeeping and all; `known` columns only, unless None."""
    fields = [c for c in unstamped(TABLES[name]) if known is None or c.name in known]
    return {c.name: value(c, number) for c in fields}


@pytest.mark.parametrize("name", TABLES)
def test_a_sample_keeps_its_contract(name):
    rows = pa.Table.from_pylist([sample(name, 1), sample(name, 2)])
    with duckdb.connect() as db:
        db.register("samples", check(TABLES[name], rows, db))
        assert not doubled(TABLES[name], "samples", db)


def written_under_version_1(store, name):
    """A home as an older Soli left it: one row, no new columns, no notes in its commits."""
    known = SEEN[name]["1"]
    fields = [field for field in TABLES[name].schema if field.name in known]
    schema = pa.schema([f.with_nullable(known[f.name].endswith("?")) for f in fields])
    row = sample(name, 1, known) | {"observed_at": datetime(2026, 1, 1, tzinfo=UTC)}
    store.path(name).parent.mkdir(parents=True)
    DeltaTable.create(
        str(store.path(name)),
        Schema.from_arrow(schema),
        configuration={VERSION_PROPERTY: "1"},
        raise_if_key_not_exists=False,
    )
    rows = pa.Table.from_pylist([row], schema=schema)
    write_deltalake(str(store.path(name)), rows, mode="append")


def freed(name):
    """Columns that may be NULL now, and were not to be when they were first written."""
    known = SEEN[name]["1"]
    return [c.name for c in TABLES[name].columns if known.get(c.name) == c.kind and c.nullable]


@pytest.mark.parametrize("name", TABLES)
def test_the_contract_names_the_columns_that_may_be_null_since_a_later_version(name):
    assert [c.name for c in TABLES[name].columns if c.once_required] == freed(name)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "home")


@pytest.mark.slow
@pytest.mark.parametrize("name", EVOLVED)
def test_tables_of_an_older_contract_are_read_written_and_merged(store, name):
    written_under_version_1(store, name)
    known = SEEN[name]["1"]
    added = [column for column in TABLES[name].schema.names if column not in known]
    free = freed(name)
    assert added or free
    (old,) = store.read(name).to_pylist()
    assert [old[column] for column in added] == [None] * len(added)
    publish(store)
    assert contract_version(DeltaTable(str(store.path(name)))) == 1  # reading changes nothing

    (before,) = store.files(name)
    content = Path(before).read_bytes()
    schema = pa.schema([f for f in TABLES[name].schema if f.name != "observed_at"])
    same = known | {c.name: c.kind for c in TABLES[name].columns if c.role == "bookkeeping"}
    assert store.append(name, pa.Table.from_pylist([sample(name, 1, same)], schema)) == 0
    newer = sample(name, 2) | dict.fromkeys(free)
    assert store.append(name, pa.Table.from_pylist([newer], schema)) == 1
    assert contract_version(DeltaTable(str(store.path(name)))) == TABLES[name].version
    assert Path(before).read_bytes() == content
    rows = store.read(name)
    assert rows.num_rows == 2
    for column in added[:1]:
        assert [value is None for value in rows[column].to_pylist()] == [True, False]
    for column in free:
        assert [value is None for value in rows[column].to_pylist()] == [False, True]

    compact(store, hours=0)
    assert store.read(name) == rows
    found = next(row for row in audit(store) if row["table"] == name)
    assert found["unrecorded"] == 1  # the old row, of which no commit says anything
    assert "committed" not in found["problems"]
    with Session(store.home) as session:
        assert session.ask(f"FROM {name}").num_rows == 2


def test_filters_reach_the_files_of_an_evolved_table(store):
    written_under_version_1(store, "quarantine")
    with store.connect(["quarantine"]) as db:
        sql = "EXPLAIN SELECT count(*) FROM quarantine WHERE task_id = 5"
        ((_, plan),) = db.execute(sql).fetchall()
    assert "Empty Result" in plan  # the file's own statistics answered


def test_columns_are_added_though_the_writer_died_right_after(store, monkeypatch):
    written_under_version_1(store, "projects")
    monkeypatch.setattr("warehouse.lake.place", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    schema = pa.schema([f for f in TABLES["projects"].schema if f.name != "observed_at"])
    rows = pa.Table.from_pylist([sample("projects", 2)], schema)
    with pytest.raises(KeyboardInterrupt):
        store.append("projects", rows)
    monkeypatch.undo()
    assert store.read("projects").num_rows == 1  # the log knows columns that no file has
    assert store.append("projects", rows) == 1


def test_a_digest_of_rows_does_not_see_columns_that_came_later():
    table = TABLES["quarantine"]
    known = SEEN["quarantine"]["1"]
    older = replace(table, columns=tuple(c for c in table.columns if c.name in known))
    with duckdb.connect() as db:
        columns = ", ".join(
            f"NULL::{contracts.SQL_TYPES[c.kind]} AS {c.name}" for c in table.columns
        )
        db.execute(
            f"CREATE VIEW r AS SELECT * REPLACE ('q' AS quarantine_id) FROM (SELECT {columns})"
        )
        assert manifest.rows_digest(db, older, "r") == manifest.rows_digest(db, table, "r")


@pytest.mark.parametrize("name", [name for name in TABLES if freed(name)])
def test_a_digest_of_rows_stays_when_a_column_may_be_null(name):
    table = TABLES[name]
    columns = [replace(c, nullable=c.nullable and not c.once_required) for c in table.columns]
    strict = replace(table, columns=tuple(columns))
    with duckdb.connect() as db:
        db.register("r", pa.Table.from_pylist([sample(name, 1), sample(name, 2)]))
        assert manifest.rows_digest(db, strict, "r") == manifest.rows_digest(db, table, "r")


def test_a_newer_contract_is_refused_in_writing_too(store, monkeypatch):
    prompts = {"prompt_id": ["a"], "text": ["a"], "attributes": ["{}"]}
    newer = TABLES["prompts"]
    newer = replace(newer, version=9, columns=(*newer.columns, Column("x", "string", "new", True)))
    monkeypatch.setitem(TABLES, "prompts", newer)
    store.append(
        "prompts",
        pa.table(
            prompts | {"x": [None]},
            schema=pa.schema([f for f in newer.schema if f.name != "observed_at"]),
        ),
    )
    monkeypatch.undo()
    with pytest.raises(StoreError, match=r"contract version 9.*upgrade Soli"):
        store.append("prompts", pa.table(prompts))
