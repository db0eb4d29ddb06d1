"""As of a moment, every view says what it said over the tables as they were then."""

import json
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from warehouse import views
from warehouse.contracts import TABLES
from warehouse.views import VIEWS

START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = range(4)

# What the columns that views join, filter or unpack by say on each day; {} is the day.
WORDS = {
    "item_id": "v{}", "prompt_id": "p{}", "dimension": "d", "source": "s", "annotator_id": "a{}",
    "measurement_id": "m{}", "pair_set_id": "set{}", "consensus_id": "c{}", "model_id": "model{}",
    "event": "seen", "value": "pass", "label": "pass", "split": "train", "kind": "win_lose",
    "method": "dawid_skene", "statistic": "alpha", "metric": "acc", "side": "high",
    "verdict": "go", "origin": "server", "outcome": "gone", "slice": "all",
}  # fmt: skip
JSON = {"reviewers": json.dumps(["r"]), "dimensions": '["d"]'}
NUMBERS = {"ordinal": 0, "winner": 0, "other": 0, "revision": 1, "design_k": 1}


# A view that joins these with what is not cut would show them too early.
EARLY = {"scores", "pair_set_items", "pairs", "consensus", "annotators", "evaluations", "media"}


def moment(day):
    return START + timedelta(days=day, hours=1)


def cell(column, day, seen):
    if column.kind == "timestamp":
        return START + timedelta(days=seen if column.name == "observed_at" else day)
    if column.kind == "json":
        return JSON.get(column.name, "{}")
    if column.kind == "string":
        return WORDS.get(column.name, f"{column.name} {{}}").format(day)
    if column.kind == "bool":
        return False
    if column.kind == "float64":
        return 0.5 if column.name != "value" else 0.1 * day
    return NUMBERS.get(column.name, day + 1)


def rows_of(table, seen):
    """Rows that a table gets on a day; those of EARLY are about what comes on the next."""
    if table.name in EARLY:
        days = [0, 1] if seen == 0 else [seen + 1]
        return [{c.name: cell(c, day, seen) for c in table.columns} for day in days]
    day = seen
    row = {column.name: cell(column, day, seen) for column in table.columns}
    if table.name != "label_events":
        return [row]
    answers = [
        row | {"annotation_id": n, "annotator_id": f"a{n}"} for n in (10 * day, 10 * day + 1)
    ]
    answers[1]["value"] = "fail"
    change = {"revision": 2, "event": "changed", "value": "fail", "item_id": f"v{day - 1}"}
    earlier = {"annotation_id": 10 * day - 10, "annotator_id": f"a{10 * day - 10}"}
    created = {"annotation_created_at": START + timedelta(days=day - 1)}
    return answers + ([row | change | earlier | created] if day else [])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A file of each table for each day."""
    folder = tmp_path_factory.mktemp("tables")
    for table in TABLES.values():
        for day in DAYS:
            rows = pa.Table.from_pylist(rows_of(table, day), schema=table.schema)
            pq.write_table(rows, folder / f"{table.name}-{day}.parquet")
    return folder


def opened(folder, days):
    db = duckdb.connect()
    public = [name for name, table in TABLES.items() if not table.private]
    views.create(db, {n: [str(folder / f"{n}-{day}.parquet") for day in days] for n in public})
    return db


@pytest.fixture(scope="module")
def whole(folder):
    with opened(folder, DAYS) as db:
        yield db


@pytest.fixture(scope="module")
def cuts(folder):
    """A database of each day, over the files that were there."""
    with ExitStack() as stack:
        yield [stack.enter_context(opened(folder, range(day + 1))) for day in DAYS]


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_as_of_a_moment_is_the_view_over_the_tables_cut_there(whole, cuts, name):
    known = f"FROM {name}_as_of($moment) ORDER BY ALL"
    then = [whole.execute(known, {"moment": moment(day)}).fetchall() for day in DAYS]
    assert then == [cut.execute(f"FROM {name} ORDER BY ALL").fetchall() for cut in cuts]
    assert then[-1] == whole.execute(f"FROM {name} ORDER BY ALL").fetchall()
    assert all(then)  # else the lines above say nothing
    assert then[0] != then[-1]
