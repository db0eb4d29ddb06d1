"""Imported sets: what judgements become, and what is refused on the way."""

from __future__ import annotations

import random

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pairing.diff import difference
from pairing.exports import FORMS, CardFacts, export
from pairing.imported_set import Verdict, imported_set, settled
from pairing.imports import Judged, Video
from pairing.parts import Split
from pairing.split import split_by_prompt
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
    return imported_set(VERDICTS, items, SOURCE)


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
    again = imported_set(mixed, items.take([2, 0, 3, 1]), SOURCE)
    assert (again.items, again.pairs, again.manifest) == (made.items, made.pairs, made.manifest)


def test_no_judgement_is_no_set(items):
    with pytest.raises(PairingError, match="no judgement is left"):
        imported_set([], items, SOURCE)


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
    other = imported_set(VERDICTS[:3], items, SOURCE)
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


# Sets to train on


def many(prompts, across=0):
    """Two items of each prompt, compared; and so many comparisons across prompts."""
    rows = [
        {"item_id": f"i{n:03}{side}", "prompt_id": f"p{n}", "media_sha256": f"m{n}{side}"}
        for n in range(prompts)
        for side in "ab"
    ]
    verdicts = [Verdict("looks", "win_lose", f"i{n:03}b", f"i{n:03}a") for n in range(prompts)]
    verdicts += [Verdict("looks", "tie", f"i{n:03}a", f"i{n + 1:03}a") for n in range(across)]
    return verdicts, pa.Table.from_pylist(rows)


def split_of_prompts(made):
    rows = made.items.to_pylist()
    return {row["prompt_id"]: row["split"] for row in rows}


@given(st.integers(30, 60), st.integers(0, 20), st.integers(0, 5))
@settings(max_examples=20)
def test_splits_share_no_prompt_and_no_video_and_are_those_of_built_sets(prompts, across, salt):
    verdicts, items = many(prompts, across)
    items = items.set_column(2, "media_sha256", [[f"m{n // 3}" for n in range(items.num_rows)]])
    shares = Split(0.6, 0.2, 0.2, salt=str(salt))
    made = imported_set(verdicts, items, SOURCE, split=shares)
    assert all(
        row["shared"] == 0 for row in made.manifest["leakage"] if row["other_split"] != "ood"
    )
    generator = [["g"] * items.num_rows]
    built = split_by_prompt(items.append_column("generator", generator), shares)
    there = dict(zip(built["item_id"].to_pylist(), built["split"].to_pylist(), strict=True))
    assert all(there[row["item_id"]] == row["split"] for row in made.items.to_pylist())


def test_a_pair_across_splits_is_left_out_and_counted():
    verdicts, items = many(40, across=39)
    made = imported_set(verdicts, items, SOURCE, split=Split(0.5, 0.25, 0.25))
    splits = split_of_prompts(made)
    apart = sum(splits[f"p{n}"] != splits[f"p{n + 1}"] for n in range(39))
    assert made.pairs.num_rows == len(verdicts) - apart
    (warning,) = made.manifest["warnings"]
    assert warning.startswith(f"{apart} judgements are left out: ")
    by_split = {name: set() for name in ("train", "validation", "test")}
    for row in made.items.to_pylist():
        by_split[row["split"]].add(row["ordinal"])
    for row in made.pairs.to_pylist():
        assert {row["winner"], row["other"]} <= by_split[row["split"]]
    assert made.manifest["recipe"]["split"]["train"] == 0.5


def test_a_split_set_is_the_same_in_any_order_and_another_than_the_whole(items):
    verdicts, items = many(20)
    mixed = random.Random(3).sample(verdicts, len(verdicts))
    one, two = (imported_set(each, items, SOURCE, split=Split()) for each in (verdicts, mixed))
    assert (one.items, one.pairs, one.manifest) == (two.items, two.pairs, two.manifest)
    assert imported_set(verdicts, items, SOURCE).digest != one.digest


def test_one_prompt_alone_cannot_be_split_but_can_be_trained_on():
    verdicts, items = many(1)
    with pytest.raises(PairingError, match="only 1 group of prompts shares no video, too few"):
        imported_set(verdicts, items, SOURCE, split=Split())
    made = imported_set(verdicts, items, SOURCE, split=Split(1.0, 0.0, 0.0))
    assert set(made.pairs["split"].to_pylist()) == {"train"}


def test_a_set_of_which_nothing_came_to_train_is_refused_and_an_empty_test_is_said():
    verdicts, items = many(3)
    with pytest.raises(PairingError, match="of 3 groups of prompts none that has a pair came to"):
        imported_set(verdicts, items, SOURCE, split=Split(0.001, 0.0, 0.999))
    made = imported_set(verdicts, items, SOURCE, split=Split(0.999, 0.0, 0.001))
    assert made.manifest["warnings"] == ["no pair came to test, by chance"]
