"""Rows that leave a table leave its files and its log, and nothing else changes."""

from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from warehouse.audit import audit
from warehouse.erasure import of_annotator, of_item
from warehouse.forgotten import NOBODY, Forgotten, forgotten, key_of, keyed
from warehouse.rewrite import Rewrite, purge, rewrite, touched_rows
from warehouse.store import Store
from warehouse.views import quoted

NASTY = 'it\'s "7"\n😀, %20'


def prompts(*texts):
    names = [f"p-{text}" for text in texts]
    return pa.table({"prompt_id": names, "text": list(texts), "attributes": ["{}"] * len(texts)})


@pytest.fixture
def store(tmp_path):
    """Three commits, two of them merged: the log holds smallest and largest values."""
    found = Store(tmp_path / "home")
    found.append("prompts", prompts("kept", NASTY))
    found.append("prompts", prompts("secret"))
    found.lake.compact("prompts")
    found.append("prompts", prompts("later"))
    return found


def without(text):
    return Rewrite("prompts", f"text = {quoted(text)}")


def bytes_of(path):
    return Path(path).read_bytes()


def everything(home):
    return b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())


@pytest.mark.parametrize("text", ["secret", NASTY])
def test_rows_leave_and_the_others_stay_as_they_were(store, text):
    before = store.read("prompts").to_pylist()
    with store.writing("test"):
        assert rewrite(store, without(text)) == 1
    assert store.read("prompts").to_pylist() == [row for row in before if row["text"] != text]
    assert touched_rows(store, without(text)) == 0
    assert not any(row["problems"] or row["unrecorded"] for row in audit(store))


def test_nothing_to_do_writes_nothing(store):
    version = store.lake.version("prompts")
    with store.writing("test"):
        assert rewrite(store, without("nobody")) == 0
    assert store.lake.version("prompts") == version


def test_a_file_without_such_a_row_keeps_its_bytes(store):
    newest = store.files("prompts")
    (untouched,) = (path for path in newest if b"later" in bytes_of(path))
    with store.writing("test"):
        rewrite(store, without("secret"))
    assert bytes_of(untouched) in [bytes_of(path) for path in store.files("prompts")]


def test_a_changed_value_is_changed_alone(store):
    change = Rewrite("prompts", changed={"text": "replace(text, 'secret', 'gone')"})
    before = store.read("prompts").to_pylist()
    with store.writing("test"):
        assert rewrite(store, change) == 1
    wanted = [row | {"text": row["text"].replace("secret", "gone")} for row in before]
    assert store.read("prompts").to_pylist() == wanted


def test_after_the_purge_no_byte_of_files_and_log_is_left(store):
    assert b"secret" in everything(store.home)
    with store.writing("test"):
        rewrite(store, without("secret"))
        purge(store, "prompts")
        purge(store, "prompts")
    assert b"secret" not in everything(store.home)
    fresh = Store(store.home)
    fresh.append("prompts", prompts("after"))
    assert set(fresh.read("prompts")["text"].to_pylist()) == {"kept", NASTY, "later", "after"}
    assert not any(row["problems"] or row["unrecorded"] for row in audit(fresh))


def test_a_table_may_be_rewritten_twice_and_down_to_nothing(store):
    with store.writing("test"):
        for condition in ("text = 'secret'", "true"):
            rewrite(store, Rewrite("prompts", condition))
            purge(store, "prompts")
    assert store.read("prompts").num_rows == 0
    assert not any(row["problems"] for row in audit(Store(store.home)))


def test_a_table_that_was_never_rewritten_is_not_purged(store):
    before = everything(store.home / "tables")
    with store.writing("test"):
        purge(store, "prompts")
        purge(store, "scores")
    assert everything(store.home / "tables") == before


def conditions(rewrites):
    return {each.table: each.gone for each in rewrites}


def gone(table, condition):
    """Rows of a list of objects that a condition takes."""
    with duckdb.connect() as db:
        db.register("quarantine", pa.Table.from_pylist(table))
        return [
            row[0] for row in db.execute(f"SELECT n FROM quarantine WHERE {condition}").fetchall()
        ]


def test_units_that_could_not_be_read_go_by_the_user_they_name():
    row = {"source": "s", "annotator_id": None, "annotation_id": 1}
    rows = [
        row | {"n": 0, "payload": '{"completed_by":12,"id":1}'},
        row | {"n": 1, "payload": '{"completed_by":{"id":12},"id":1}'},
        row | {"n": 2, "payload": '{"completed_by":123,"id":1}'},
        row | {"n": 3, "payload": '{"completed_by":12,"id":1}', "source": "other"},
        row | {"n": 4, "payload": "{}", "annotator_id": "a" * 32},
    ]
    condition = conditions(of_annotator("a" * 32, [], [("s", 12)]))["quarantine"]
    assert gone(rows, condition) == [0, 1, 4]


@pytest.mark.parametrize(
    ("item", "payload"),
    [(NASTY, '{"item_id":"it\'s \\"7\\"\\n😀, %20","x":1}'), ("7", '{"x":{"item_id":7}}')],
)
def test_a_unit_goes_with_the_item_that_its_payload_names(item, payload):
    rows = [
        {"n": 0, "item_id": None, "payload": payload},
        {"n": 1, "item_id": item, "payload": "{}"},
        {"n": 2, "item_id": None, "payload": '{"item_id":"77","id":7}'},
    ]
    assert gone(rows, conditions(of_item(item, None))["quarantine"]) == [0, 1]


def said(text, emails):
    """What becomes of a reason in the audit when an annotator with these e-mails goes."""
    (change,) = [each for each in of_annotator("a" * 32, emails) if each.table == "audit"]
    with duckdb.connect() as db:
        db.register("audit", pa.table({"reason": [text]}))
        return db.execute(f"SELECT {change.changed['reason']} FROM audit").fetchone()[0]


@pytest.mark.parametrize("email", ["", "a", "ball", "a@", "@x", "two words@x.example"])
def test_what_is_no_e_mail_is_looked_for_in_no_text(email):
    text = f"a ball of {email} a@ @x"
    assert said(text, [email]) == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("by ann@x.example.", "by forgotten."),
        ("Ann@X.Example ann@x.example,ann@x.example", "forgotten forgotten,forgotten"),
        ("<ann@x.example>", "<forgotten>"),
        ("b@y.example, ann@x.example", "forgotten, forgotten"),
        ("annotator=" + "a" * 32 + ".x", "annotator=forgotten.x"),
        ("jo.ann@x.example joann@x.example", None),
        ("ann@x.example.org ann@x.example-2.org", None),
    ],
)
def test_an_e_mail_leaves_a_text_but_not_out_of_another_e_mail(text, left):
    assert said(text, ["ann@x.example", "b@y.example"]) == (left or text)


def test_the_key_is_the_owners_alone_and_stays(tmp_path):
    key = key_of(tmp_path)
    assert key_of(tmp_path) == key
    assert (tmp_path / "forget.key").stat().st_mode & 0o777 == 0o600


def test_nobody_is_forgotten_where_nothing_was_deleted(store):
    assert forgotten(store) is NOBODY
    assert not NOBODY.item("x")
    assert not NOBODY.person("x")


@given(st.text(min_size=1), st.text(min_size=1))
def test_what_was_forgotten_is_known_again_and_nothing_else(one, other):
    known = Forgotten(b"key", frozenset({keyed(b"key", "item", one)}))
    assert known.item(one)
    assert known.item(other) == (one == other)
    assert not known.person(one)
    assert not known.user("s", 1, one)
