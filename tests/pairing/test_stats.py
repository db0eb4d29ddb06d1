from __future__ import annotations

from collections import Counter
from decimal import Decimal

import pytest

from pairing import Recipe, build_pairs
from pairing.blocks import blocks_of
from pairing.recipe import Split
from pairing.stats import BINS, exposure_histogram, leakage, pair_set_stats
from warehouse.errors import PairingError

COUNTS = {
    "win_lose": {"train": "2x", "test": "up to 30", "ood": "up to 30"},
    "win_tie": {"train": "0.5x"},
}


@pytest.fixture(scope="module")
def built(world):
    consensus, items = world(items=120, prompts=25, dimensions=("looks", "moves"), ood=0.3)
    recipe = Recipe(
        ("looks", "moves"),
        counts=COUNTS,
        split=Split(0.6, 0.1, 0.3),
        ood_generators=("gen_b",),
    )
    return build_pairs(consensus, items, recipe), items


def rows_of(built):
    made, items = built
    here = {(row["dimension"], row["ordinal"]): row for row in made.items.to_pylist()}
    generators = dict(
        zip(items["item_id"].to_pylist(), items["generator"].to_pylist(), strict=True)
    )
    for pair in made.pairs.to_pylist():
        ends = [here[pair["dimension"], pair[side]] for side in ("winner", "other")]
        yield pair, ends, [generators[end["item_id"]] for end in ends]


def test_counts_equal_a_count_by_hand(built):
    made, items = built
    found = pair_set_stats(made.items, made.pairs, items)["counts"].to_pylist()
    by_hand = Counter((p["dimension"], p["split"], p["kind"]) for p, _, _ in rows_of(built))
    assert {tuple(row.values())[:3]: row["pairs"] for row in found} == by_hand


def test_exposure_equals_a_count_by_hand(built):
    made, items = built
    used = Counter()
    for pair, (one, two), _ in rows_of(built):
        sides = ("either", "either") if pair["kind"] == "win_tie" else ("winner", "other")
        for side, end in zip(sides, (one, two), strict=True):
            used[pair["dimension"], pair["split"], pair["kind"], side, end["item_id"]] += 1
    for row in pair_set_stats(made.items, made.pairs, items)["exposure"].to_pylist():
        label = "fail" if row["side"] == "other" else "pass"
        key = (row["dimension"], row["split"], row["kind"], row["side"])
        times = [
            used[(*key, item["item_id"])]
            for item in made.items.to_pylist()
            if (item["dimension"], item["split"]) == key[:2] and item["label"] == label
        ]
        assert (row["items"], row["least"], row["most"]) == (len(times), min(times), max(times))
        assert row["unused"] == times.count(0)
        assert row["mean"] == pytest.approx(sum(times) / len(times), abs=1e-6)
    assert pair_set_stats(made.items, made.pairs, items)["exposure"].to_pylist() == sorted(
        made.manifest["exposure"],
        key=lambda row: (row["dimension"], row["split"], row["kind"], row["side"] != "winner"),
    )


def test_the_histogram_adds_up_to_the_items_and_the_pairs(built):
    made, _ = built
    blocks = list(blocks_of(made.pairs))
    rows = exposure_histogram(made.items, blocks).to_pylist()
    winners = sum(row["pairs"] * row["items"] for row in rows if row["side"] == "winner")
    assert winners == sum(len(block) for block in blocks if block.kind == "win_lose")


def test_the_histogram_says_what_the_exposure_says(built):
    made, items = built
    stats = pair_set_stats(made.items, made.pairs, items)
    side = ("dimension", "split", "kind", "side")
    for row in stats["exposure"].to_pylist():
        mine = [
            each
            for each in stats["exposure_histogram"].to_pylist()
            if all(each[name] == row[name] for name in side)
        ]
        times = [each["pairs"] for each in mine for _ in range(each["items"])]
        assert (len(times), min(times), max(times)) == (row["items"], row["least"], row["most"])
        assert times.count(0) == row["unused"]


def test_probabilities_equal_a_count_by_hand(built):
    made, items = built
    found = pair_set_stats(made.items, made.pairs, items)["probabilities"].to_pylist()
    by_hand = Counter()
    for pair, ends, _ in rows_of(built):
        sides = ("either", "either") if pair["kind"] == "win_tie" else ("winner", "other")
        for side, end in zip(sides, ends, strict=True):
            bin_ = min(int(Decimal(str(end["p_pass"])) * BINS), BINS - 1)
            by_hand[pair["dimension"], pair["split"], pair["kind"], side, bin_ / BINS] += 1
    assert {tuple(row.values())[:5]: row["pairs"] for row in found} == by_hand


def test_a_probability_on_an_edge_is_in_the_bin_that_begins_there(consensus_of, items_of):
    edges = [n / BINS for n in range(BINS + 1)]
    rows = [(f"v{n:02}", "looks", "pass" if p >= 0.5 else "fail", p) for n, p in enumerate(edges)]
    items = items_of([{"item_id": name, "prompt_id": name} for name, *_ in rows])
    recipe = Recipe(
        ("looks",), kinds=("win_lose",), counts={"win_lose": {"train": "all"}}, split=Split(1, 0, 0)
    )
    made = build_pairs(consensus_of(rows), items, recipe)
    found = pair_set_stats(made.items, made.pairs, items)["probabilities"].to_pylist()
    others = [row["p_from"] for row in found if row["side"] == "other"]
    winners = {row["p_from"]: row["pairs"] for row in found if row["side"] == "winner"}
    assert others == edges[: BINS // 2]
    assert list(winners) == edges[BINS // 2 : -1]
    assert winners[edges[-2]] == 2 * winners[0.5]  # the last bin holds 1, too


def test_generators_and_prompts_equal_a_count_by_hand(built):
    made, items = built
    stats = pair_set_stats(made.items, made.pairs, items)
    met, prompts = Counter(), {}
    for pair, ends, generators in rows_of(built):
        key = (pair["dimension"], pair["split"], pair["kind"])
        met[(*key, *generators)] += 1
        prompts.setdefault(key, set()).update(end["prompt_id"] for end in ends)
    assert {tuple(r.values())[:5]: r["pairs"] for r in stats["generators"].to_pylist()} == met
    for row in stats["prompts"].to_pylist():
        key = (row["dimension"], row["split"], row["kind"])
        assert row["in_pairs"] == len(prompts[key])
        assert row["share"] == pytest.approx(row["in_pairs"] / row["prompts"], abs=1e-6)


def test_a_built_set_leaks_nothing_between_train_validation_and_test(built):
    made, items = built
    for row in pair_set_stats(made.items, made.pairs, items)["leakage"].to_pylist():
        assert "ood" in (row["split"], row["other_split"]) or row["shared"] == 0


def test_a_leak_is_counted(items_of):
    items = items_of(
        [
            {"item_id": "a", "prompt_id": "p", "media_sha256": "m"},
            {"item_id": "b", "prompt_id": "p", "media_sha256": "m"},
        ]
    ).append_column("split", [["train", "test"]])
    found = {
        (r["what"], r["split"], r["other_split"]): r["shared"] for r in leakage(items).to_pylist()
    }
    assert found["prompt", "train", "test"] == found["video", "train", "test"] == 1
    assert sum(found.values()) == 2


def test_a_set_without_its_items_is_refused(built):
    made, items = built
    with pytest.raises(PairingError, match=r"not in the items table \(first: "):
        pair_set_stats(made.items, made.pairs, items.slice(50))
