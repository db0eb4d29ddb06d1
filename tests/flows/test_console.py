"""What people see: tables, JSON, progress."""

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from flows.console import progress, say, show_json, show_rows, visible


@dataclass
class Answer:
    moment: datetime
    share: float


@given(st.text())
def test_visible_text_is_one_printable_line_and_ordinary_text_is_itself(text):
    shown = visible(text)
    assert shown.isprintable()
    if text.isprintable():
        assert shown == text


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=8,
    )
)
def test_everything_becomes_json_that_others_can_read(value):
    import contextlib
    import io

    def finite(inner):
        if isinstance(inner, float) and not math.isfinite(inner):
            return None
        if isinstance(inner, list):
            return [finite(each) for each in inner]
        if isinstance(inner, dict):
            return {key: finite(each) for key, each in inner.items()}
        return inner

    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        show_json(value)
    assert json.loads(out.getvalue()) == finite(value)


def test_times_paths_and_dataclasses_are_json_too(capsys):
    show_json([Answer(datetime(2026, 1, 2, tzinfo=UTC), math.nan), Path("a/b")])
    found = json.loads(capsys.readouterr().out)
    assert found == [{"moment": "2026-01-02T00:00:00+00:00", "share": None}, "a/b"]


def test_a_table_shows_what_is_missing_and_does_not_read_markup(capsys):
    rows = [{"a": None, "b": "[red]x[/red]", "c": 0.123456}, {"a": 1, "b": "y", "c": 12345.6}]
    show_rows(rows, ("a", "b", "c"), "Title")
    out = capsys.readouterr().out
    for words in ("Title", "–", "[red]x[/red]", "0.1235", "12,346"):
        assert words in out


def test_a_title_longer_than_its_table_stays_whole(capsys):
    title = "Pair set " + 64 * "f"
    show_rows([{"a": 1}], ("a",), title)
    assert title in capsys.readouterr().out.splitlines()


def test_a_table_without_rows_has_its_head(capsys):
    show_rows([], ("item_id", "reason"))
    assert "item id" in capsys.readouterr().out


def test_columns_can_keep_their_names(capsys):
    show_rows([], ("item_id", "reason"), as_named=True)
    assert "item_id" in capsys.readouterr().out


def test_progress_goes_to_stderr_a_line_a_quarter(capsys):
    with progress("scoring") as advance:
        for done in range(101):
            advance(done, 100)
        advance(0, 0)
    say("done")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines() == [
        "  scoring: 25 of 100",
        "  scoring: 50 of 100",
        "  scoring: 75 of 100",
        "  scoring: 100 of 100",
        "done",
    ]
