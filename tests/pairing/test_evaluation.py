"""Evaluation sets: what judgements become, and what is refused on the way."""

from __future__ import annotations

import random

import pyarrow as pa
import pytest

from pairing.diff import difference
from pairing.evaluation import Verdict, evaluation_set, settled
from pairing.exports import FORMS, CardFacts, export
from pairing.imports import Judged, Video
from pairing.stats import pair_set_stats
from pairing.words import KINDS
from warehouse.errors import PairingError

SOURCE = {"form": "videoalign", "name": "bench", "sha256": "ab" * 32}
VERDICTS = [
    Verdict("looks", "win_lose", "b", "a"),
    Verdict("looks", "tie", "a", "c"),
    Verdict("moves", "win_lose", "c", "d"),
    Verdict("moves", "win_tie", "a", "b"),
    Verdict("moves", "lose_tie", "b", "c"),
]


def judged(row, a, b, category, dimension="looks"):
    return Judged(row, Video(a, "x"), Video(b, "x"), dimension, category)


def ids(*names, **others):
    return {name: name for name in names} | others


@pytest.fixture
def items():
    rows = [
        {"item_id": name, "prompt_id": f"p{n // 2}", "media_sha256": f"m{name}"}
        for n, name in enumerate("dcba")
    ]
    return pa.Table.from_pylist(rows)


@pytest.fixture
def made(items):
    return evaluation_set(VERDICTS, items, SOURCE)


def test_every_category_has_its_kind_and_the_better_one_wins():
    rows = [judged(n, "b", f"c{n}", c) for n, c in enumerate(("A", "B", "same", "both_good"))]
    kept, refused = settled(rows, ids("b", "c0", "c1", "c2", "c3"))
    assert refused == []
    assert [(v.kind, v.winner, v.other) for v in kept.values()] == [
        ("win_lose", "b", "c0"),
        ("win_lose", "c1", "b"),
        ("tie", "b", "c2"),
        ("win_tie", "b", "c3"),
    ]


def test_a_judgement_the_other_way_round_is_a_repeat_and_stays_once():
    rows = [judged(1, "a", "b", "A"), judged(2, "b", "a", "B"), judged(3, "a", "b", "A", "moves")]
    kept, refused = settled(rows, ids("a", "b"))
    assert [each.row for each in kept] == [1, 3]
    assert [(each.row, each.reason) for each in refused] == [
        (2, "looks: row 1 says the same already")
    ]


def test_judgements_that_contradict_each_other_are_all_refused():
    rows = [judged(1, "a", "b", "A"), judged(2, "a", "b", "A"), judged(3, "a", "b", "same")]
    kept, refused = settled(rows, ids("a", "b"))
    assert kept == {}
    assert [each.row for each in refused] == [1, 2, 3]
    assert "rows 1 and 3 judge the same two videos differently" in refused[0].reason


def test_two_videos_that_are_one_item_are_no_pair():
    _, (refused,) = settled([judged(4, "a", "copy", "A")], ids("a", copy="a"))
    assert refused.reason == "both videos are item 'a'"


def test_items_have_no_label_and_all_pairs_are_in_test(made):
    assert set(made.items["split"].to_pylist()) == {"test"} == set(made.pairs["split"].to_pylist())
    assert made.items["label"].null_count == made.items["p_pass"].null_count == 7
    found = {(row["kind"], row["mu"], row["weight"]) for row in made.pairs.to_pylist()}
    assert found == {
        ("win_lose", 1.0, 1.0), ("tie", 0.5, 1.0), ("win_tie", 0.5, 1.0), ("lose_tie", 0.5, 1.0)
    }  # fmt: skip
    assert made.manifest["recipe"] == {"dimensions": ["looks", "moves"], "imported": SOURCE}
    assert made.manifest["consensus_id"] is None


def test_the_order_of_judgements_and_items_changes_nothing(made, items):
    mixed = random.Random(5).sample(VERDICTS, len(VERDICTS))
    again = evaluation_set(mixed, items.take([2, 0, 3, 1]), SOURCE)
    assert (again.items, again.pairs, again.manifest) == (made.items, made.pairs, made.manifest)


def test_no_judgement_is_no_set(items):
    with pytest.raises(PairingError, match="no judgement is left"):
        evaluation_set([], items, SOURCE)


def test_statistics_count_items_without_labels_on_any_side(made, items):
    known = items.append_column("generator", [["g"] * 4])
    tables = pair_set_stats(made.items, made.pairs, known)
    assert sum(tables["counts"]["pairs"].to_pylist()) == len(VERDICTS)
    assert tables["probabilities"].num_rows == 0
    rows = {(r["kind"], r["side"]): r for r in tables["exposure"].to_pylist()}
    looks = rows["tie", "either"]
    assert (looks["items"], looks["unused"], looks["most"]) == (3, 1, 1)
    assert {row["kind"] for row in tables["counts"].to_pylist()} == set(KINDS)


def test_sets_are_compared_without_labels(made, items):
    other = evaluation_set(VERDICTS[:3], items, SOURCE)
    found = difference(made, other)
    assert found.shared == 3
    assert sum(found.causes["only_a"].to_pylist()) == 2
    assert difference(made, made).causes.num_rows == 0


@pytest.mark.parametrize("form", ["ms-swift", "huggingface"])
def test_forms_that_know_ties_hold_every_pair(made, items, form, tmp_path):
    known = (
        items.append_column("prompt", [["x"] * 4])
        .append_column("video", [list("dcba")])
        .append_column("generator", [["g"] * 4])
    )
    facts = CardFacts("A set", "MIT")
    export(made, known, tmp_path / "out", form, card_facts=facts)
    read = FORMS[form].read(tmp_path / "out")
    assert sorted(read["kind"].to_pylist()) == sorted(made.pairs["kind"].to_pylist())
    card = (tmp_path / "out" / FORMS[form].card).read_text()
    assert "Two items were judged at a time, by others" in card
    assert "made of the labels" not in card


@pytest.mark.parametrize("form", ["solireward", "solireward-readme"])
def test_a_tie_that_is_neither_good_nor_bad_cannot_be_said_by_two_qualities(
    made, items, form, tmp_path
):
    known = (
        items.append_column("prompt", [["x"] * 4])
        .append_column("video", [list("dcba")])
        .append_column("generator", [["g"] * 4])
    )
    with pytest.raises(PairingError, match="1 pair is a tie of items that are not known"):
        export(made, known, tmp_path / "out", form, card_facts=CardFacts("A set", "MIT"))
    assert not (tmp_path / "out").exists()
