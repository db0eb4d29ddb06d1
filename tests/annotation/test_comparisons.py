"""Files of pairwise judgements: what a row becomes, who said it, what is new."""

import json
from datetime import UTC, datetime
from itertools import count

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from annotation.comparisons import (
    CATEGORIES,
    SOURCE,
    ComparisonConfig,
    Judgement,
    identified,
    news,
    read_comparisons,
    settled,
)
from annotation.tables import from_rows
from warehouse.errors import AnnotationError

CONFIG = ComparisonConfig()
NOW = datetime(2026, 6, 1, tzinfo=UTC)
LATER = datetime(2026, 5, 1, tzinfo=UTC)
EARLIER = datetime(2026, 4, 1, tzinfo=UTC)
ROW = {
    "item_a": "clip 1",
    "item_b": "clip 2",
    "dimension": "motion",
    "annotator": "ann@x.example",
    "category": "A",
}


@pytest.fixture
def read(tmp_path):
    """Write rows as JSONL and read them."""

    def call(*rows, config=CONFIG):
        path = tmp_path / "judged.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        return read_comparisons(path, config, NOW)

    return call


def reasons(found):
    return [each.reason for each in found[1]]


def judgement(annotator="ann", category="A", row=1, judged_at=None, item_b="clip 2"):
    return Judgement(row, "clip 1", item_b, "motion", annotator, category, False, judged_at)


def people(*rows):
    """Rows of the table, one per (source, number, annotator_id, e-mail, name)."""
    names = ("source", "user_id", "annotator_id", "email", "name")
    return from_rows("people", [dict(zip(names, row, strict=True)) for row in rows])


def ids():
    numbers = count(1)
    return lambda: f"id-{next(numbers)}"


# Reading


def test_a_pair_in_the_other_order_is_the_same_pair_with_the_first_two_categories_turned(read):
    shown = [{**ROW, "item_a": "clip 2", "item_b": "clip 1", "category": c} for c in CATEGORIES]
    found, refused = read(*shown)
    assert [each.category for each in found] == ["B", "A", "both_good", "both_bad"]
    assert {(each.item_a, each.item_b, each.swapped) for each in found} == {
        ("clip 1", "clip 2", True)
    }
    assert refused == []


def test_the_first_two_of_own_categories_turn(read):
    config = ComparisonConfig(("left", "right", "tie"))
    swapped = {**ROW, "item_a": "z", "item_b": "y"}
    found, _ = read(*({**swapped, "category": c} for c in config.categories), config=config)
    assert [each.category for each in found] == ["right", "left", "tie"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"category": "a"}, "category 'a' is none of A, B, both_good, both_bad"),
        ({"category": None}, "no category"),
        ({"item_b": "clip 1"}, "item_a and item_b are both 'clip 1'"),
        ({"item_a": " "}, "no item_a"),
        ({"item_a": 1.5}, "item_a 1.5 is no text"),
        ({"item_a": "\ud800"}, "half a character"),
        ({"dimension": ""}, "no dimension"),
        ({"annotator": None}, "no annotator"),
        ({"judged_at": "yesterday"}, "judged_at 'yesterday' is no time"),
        ({"judged_at": "2026-01-02T10:00:00"}, "with its zone"),
        ({"judged_at": "2027-01-01T00:00:00Z"}, "between 2015 and now"),
        ({"judged_at": "0001-01-01T00:00:00+14:00"}, "is no time"),
        ({"judged_at": 3}, "is no time"),
    ],
)
def test_a_bad_row_is_refused_alone_with_its_number_and_the_reason(read, change, words):
    found, refused = read(ROW, {**ROW, **change}, {**ROW, "item_b": "clip 3"})
    assert [each.row for each in found] == [1, 3]
    assert [each.row for each in refused] == [2]
    assert words in refused[0].reason


@pytest.mark.parametrize("missing", sorted(ROW))
def test_a_missing_field_is_named(read, missing):
    row = {name: value for name, value in ROW.items() if name != missing}
    assert reasons(read(row))[0].startswith(f"row has no {missing};")


def test_no_reason_says_who_it_was(read):
    spoiled = [{**ROW, "annotator": ["ann@x.example"]}, {**ROW, "annotator": "ann@x.example\ud800"}]
    found = read(*spoiled, {**ROW, "category": "?"})
    assert len(reasons(found)) == 3
    assert not any("ann" in reason.replace("annotator", "") for reason in reasons(found))


def test_a_line_that_is_no_object_is_refused(tmp_path):
    path = tmp_path / "judged.jsonl"
    path.write_text(f"[1, 2]\nno json\n{json.dumps(ROW)}\n")
    found, refused = read_comparisons(path, CONFIG, NOW)
    assert [each.row for each in found] == [3]
    assert [each.row for each in refused] == [1, 2]


def test_times_are_kept_in_utc(read):
    times = ["2026-01-02T10:00:00+02:00", "2026-01-02T08:00:00Z", None, ""]
    found, _ = read(*({**ROW, "judged_at": each} for each in times))
    eight = datetime(2026, 1, 2, 8, tzinfo=UTC)
    assert [each.judged_at for each in found] == [eight, eight, None, None]


def test_ids_with_quotes_newlines_and_emoji_come_through_csv(tmp_path):
    path = tmp_path / "judged.csv"
    path.write_text(
        "annotator,item_a,item_b,dimension,category,mood\n"
        'Ann,"a ""ball"", one\nand two",\U0001f3c0\'s clip,motion,B,good\n'
        "007,12,11,motion,A,\n",
        "utf-8",
    )
    (one, two), refused = read_comparisons(path, CONFIG, NOW)
    assert refused == []
    assert (one.item_a, one.item_b) == ('a "ball", one\nand two', "\U0001f3c0's clip")
    assert (two.item_a, two.item_b, two.annotator, two.category) == ("11", "12", "007", "B")


def test_parquet_brings_times_as_they_are(tmp_path):
    path = tmp_path / "judged.parquet"
    times = pa.array([LATER, None], pa.timestamp("us", tz="Europe/Berlin"))
    rows = pa.Table.from_pylist([ROW, {**ROW, "annotator": "Bo"}])
    parquet.write_table(rows.append_column("judged_at", times), path)
    found, refused = read_comparisons(path, CONFIG, NOW)
    assert ([each.judged_at for each in found], refused) == ([LATER, None], [])


def test_a_file_without_a_column_or_of_another_kind_is_refused_whole(tmp_path):
    path = tmp_path / "judged.csv"
    path.write_text("item_a,item_b,dimension,category\n")
    with pytest.raises(AnnotationError, match="no column annotator"):
        read_comparisons(path, CONFIG, NOW)
    with pytest.raises(AnnotationError, match="no such file"):
        read_comparisons(tmp_path / "none.csv", CONFIG, NOW)


@pytest.mark.parametrize("names", [(), ("A",), ("A", "A"), ("A", ""), ("A", " B"), ("A", 2)])
def test_categories_that_leave_no_choice_are_refused(names):
    with pytest.raises(AnnotationError, match="comparison categories"):
        ComparisonConfig(names)


@given(st.permutations(CATEGORIES), st.sampled_from(CATEGORIES))
def test_turning_twice_is_turning_not_at_all(names, category):
    config = ComparisonConfig(tuple(names))
    assert config.turned(config.turned(category)) == category


# Who it was


def test_one_e_mail_is_one_annotator_everywhere_whatever_its_case():
    known = people(("other-project", 7, "from-studio", "Ann@X.example", "Ann"))
    found, new = identified(
        [judgement("ann@x.EXAMPLE"), judgement(" ANN@x.example "), judgement("bob@x.example")],
        known,
        (),
        ids(),
    )
    assert [each.annotator for each in found] == ["from-studio", "from-studio", "id-1"]
    assert new.drop(["annotator_id"]).to_pylist() == [
        {"source": SOURCE, "user_id": 1, "email": "bob@x.example", "name": None}
    ]


def test_a_name_is_one_annotator_in_all_files_but_not_the_namesake_in_a_project():
    known = people(
        ("other-project", 7, "from-studio", "ann@x.example", "Ann"),
        (SOURCE, 4, "from-file", None, "Ann"),
    )
    found, new = identified([judgement("ann"), judgement("Bo")], known, (), ids())
    assert [each.annotator for each in found] == ["from-file", "id-1"]
    assert new.to_pylist()[0]["user_id"] == 5
    assert new.to_pylist()[0]["name"] == "Bo"


def test_an_annotator_id_that_is_known_is_taken_as_it_is():
    found, new = identified([judgement("abc123")], people(), ["abc123"], ids())
    assert found[0].annotator == "abc123"
    assert new.num_rows == 0


# What is new


def test_two_judgements_of_one_annotator_on_one_pair_are_both_refused():
    rows = [judgement(category=c, row=n) for n, c in enumerate("AAB", start=1)]
    kept, refused = settled([*rows, judgement("bob", row=4)])
    assert [each.row for each in kept] == [4]
    assert [each.row for each in refused] == [1, 2, 3]
    assert "rows 1 and 3" in refused[0].reason


def test_a_judgement_that_stands_twice_counts_once():
    kept, refused = settled([judgement(row=1), judgement(row=2), judgement(row=3, item_b="z")])
    assert ([each.row for each in kept], refused) == ([1, 3], [])


def known_row(category="A", revision=1, judged_at=None):
    row = news([judgement(category=category, judged_at=judged_at)], ()).rows.to_pylist()[0]
    return {**row, "revision": revision}


def test_the_same_again_adds_nothing_and_another_category_is_a_revision_more():
    assert news([judgement()], [known_row()]).rows.num_rows == 0
    found = news([judgement(category="B")], [known_row(revision=3)])
    assert (found.new, found.changed, found.stale) == (0, 1, 0)
    assert found.rows.select(["category", "revision", "source"]).to_pylist() == [
        {"category": "B", "revision": 4, "source": SOURCE}
    ]


@pytest.mark.parametrize(
    ("then", "now", "stale"),
    [(LATER, EARLIER, 1), (EARLIER, LATER, 0), (LATER, None, 0), (None, EARLIER, 0)],
)
def test_an_old_file_changes_no_judgement_of_a_later_time(then, now, stale):
    found = news([judgement(category="B", judged_at=now)], [known_row(judged_at=then)])
    assert (found.stale, found.changed) == (stale, 1 - stale)


def test_rows_are_those_of_the_contract():
    found = news([judgement(judged_at=LATER)], ())
    assert found.new == 1
    assert found.rows.schema == from_rows("comparisons", ()).schema
    assert isinstance(found.rows, pa.Table)
