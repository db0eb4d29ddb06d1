from __future__ import annotations

import hashlib
import math
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pairing import PairSet, Recipe, build_pairs, fingerprint
from pairing.pairset import pair_set_row
from pairing.recipe import Split, Thresholds
from pairing.targets import soft_targets
from warehouse.contracts import PAIR_SET_ITEMS, PAIR_SETS, PAIRS
from warehouse.errors import PairingError

DIMENSIONS = ("looks", "moves")
FAIR = Split(0.6, 0.2, 0.2)
SOME = {
    "win_lose": {"train": "2x", "validation": "up to 40", "test": "up to 40", "ood": "up to 40"},
    "win_tie": {"train": "up to 30", "ood": "up to 9"},
    "lose_tie": {"test": "up to 20"},
}
GOLDEN = (
    309,
    "4be625e968b5d3b6",
)  # pairs and pair_set_id of the fixed set; changes only with the algorithm


def recipe(**changes) -> Recipe:
    values = {
        "dimensions": DIMENSIONS,
        "kinds": ("win_lose", "win_tie", "lose_tie"),
        "counts": SOME,
        "split": FAIR,
        "ood_generators": ("gen_b",),
    }
    return Recipe(**{**values, **changes})


def only(number, kind="win_lose", **changes) -> Recipe:
    """Recipe for pairs of one kind and one dimension, all items in train."""
    values = {"kinds": (kind,), "counts": {kind: {"train": number}}, "ood_generators": ()}
    return recipe(**{"dimensions": ("looks",), "split": Split(1.0, 0.0, 0.0), **values, **changes})


def contract_schema(table) -> pa.Schema:
    return table.schema.remove(table.schema.get_field_index("observed_at"))


def joined(pair_set: PairSet) -> list[dict]:
    """Pairs with both items' rows beside them, by brute force."""
    items = {(row["dimension"], row["ordinal"]): row for row in pair_set.items.to_pylist()}
    return [
        {
            **pair,
            "one": items[pair["dimension"], pair["winner"]],
            "two": items[pair["dimension"], pair["other"]],
        }
        for pair in pair_set.pairs.to_pylist()
    ]


@pytest.mark.slow
@settings(max_examples=40)
@given(
    seed=st.integers(0, 99),
    strategy=st.sampled_from(["cross-prompt", "any-prompt", "in-prompt"]),
    soft=st.booleans(),
    cap=st.none() | st.integers(1, 4),
)
def test_every_pair_is_right(world, seed, strategy, soft, cap):
    consensus, items = world(items=90, prompts=12, seed=seed, dimensions=DIMENSIONS, ood=0.2)
    counts = {kind: dict.fromkeys(by, "up to 40") for kind, by in SOME.items()}
    made = build_pairs(
        consensus,
        items,
        recipe(strategy=strategy, soft=soft, max_per_item=cap, seed=seed, counts=counts),
    )
    labels = {(r["item_id"], r["dimension"]): r for r in consensus.to_pylist()}
    sides = {"win_lose": ("pass", "fail"), "win_tie": ("pass",) * 2, "lose_tie": ("fail",) * 2}
    hard = {"win_lose": (1.0, 1.0), "win_tie": (0.5, 1.0), "lose_tie": (0.5, 1.0)}
    seen, used = set(), Counter()
    for pair in joined(made):
        one, two, kind = pair["one"], pair["two"], pair["kind"]
        for item in (one, two):
            truth = labels[item["item_id"], pair["dimension"]]
            assert (item["label"], item["p_pass"]) == (truth["label"], truth["p_pass"])
            side = kind if kind != "win_lose" else kind + item["label"]
            used[pair["dimension"], pair["split"], side, item["item_id"]] += 1
        assert (one["label"], two["label"]) == sides[kind]
        assert one["split"] == two["split"] == pair["split"]
        assert one["ordinal"] != two["ordinal"]
        if strategy != "any-prompt":
            assert (one["prompt_id"] == two["prompt_id"]) is (strategy == "in-prompt")
        targets = (pair["mu"], pair["weight"])
        if soft:
            assert targets == tuple(float(x) for x in soft_targets(one["p_pass"], two["p_pass"]))
        else:
            assert targets == hard[kind]
        key = (pair["dimension"], frozenset((one["item_id"], two["item_id"])))
        assert key not in seen
        seen.add(key)
    assert cap is None or max(used.values()) <= cap


@pytest.mark.slow
@settings(max_examples=15)
@given(seed=st.integers(0, 99), data=st.data())
def test_shuffled_rows_give_the_same_tables_and_manifest(world, seed, data):
    consensus, items = world(items=40, prompts=8, seed=seed, dimensions=DIMENSIONS, ood=0.3)
    counts = {kind: dict.fromkeys(by, "up to 9") for kind, by in SOME.items()}
    made = build_pairs(consensus, items, recipe(counts=counts))
    for _ in range(2):
        one = data.draw(st.permutations(range(consensus.num_rows)))
        two = data.draw(st.permutations(range(items.num_rows)))
        again = build_pairs(consensus.take(one), items.take(two), recipe(counts=counts))
        assert again.items.equals(made.items)
        assert again.pairs.equals(made.pairs)
        assert again.manifest == made.manifest


def test_a_split_without_a_share_lacks_no_pairs(world):
    counts = {"win_lose": {"train": "up to 9", "validation": "up to 9"}}
    made = build_pairs(*world(), only(9, split=Split(0.5, 0.0, 0.5), counts=counts))
    assert made.manifest["warnings"] == []


def test_a_recipe_without_any_pair_says_why_in_few_words(world):
    consensus, items = world(items=14, prompts=4)
    one = pa.array(["0" * 64] * items.num_rows)
    items = items.set_column(items.column_names.index("media_sha256"), "media_sha256", one)
    up_to = {kind: {"train": "up to 9", "test": "up to 9"} for kind in ("win_lose", "win_tie")}
    asked = {"counts": up_to, "kinds": tuple(up_to), "ood_generators": ()}
    with pytest.raises(PairingError, match="no pair at all") as told:
        build_pairs(consensus, items, recipe(dimensions=("looks",), **asked))
    assert "more like it" in str(told.value)
    assert "items have the same file as another item" in str(told.value)
    assert str(told.value).count("0 pairs exist") == 3


@pytest.mark.slow
@given(seed=st.integers(0, 9), number=st.integers(0, 60))
def test_exactly_as_many_pairs_as_asked_for_or_an_error_with_both_numbers(world, seed, number):
    consensus, items = world(items=14, prompts=4, seed=seed)
    prompts = dict(zip(*items.select(["item_id", "prompt_id"]).to_pydict().values(), strict=True))
    sides = {
        label: [r["item_id"] for r in consensus.to_pylist() if r["label"] == label]
        for label in ("pass", "fail")
    }
    exist = sum(prompts[a] != prompts[b] for a in sides["pass"] for b in sides["fail"])
    if 0 < number <= exist:
        assert build_pairs(consensus, items, only(number)).pairs.num_rows == number
    else:
        words = f"{exist} pairs exist" + (f".* {number} asked" if exist else "")
        words = "makes no pair at all" if number == 0 else words
        with pytest.raises(PairingError, match=words):
            build_pairs(consensus, items, only(number))
    if exist:
        assert build_pairs(consensus, items, only("all")).pairs.num_rows == exist


def twin(consensus, items, number):
    """First cross-prompt win-lose pairs, in plain Python from the words of the documentation."""
    prompts = {row["item_id"]: row["prompt_id"] for row in items.to_pylist()}
    decks = {
        label: sorted(
            (row["item_id"] for row in consensus.to_pylist() if row["label"] == label),
            key=lambda item: hashlib.md5(f"4:looks:win_lose:{item}".encode()).digest(),
        )
        for label in ("pass", "fail")
    }
    winners, losers = decks["pass"], decks["fail"]
    for card in range(len(winners) * len(losers)):
        lap = card // math.lcm(len(winners), len(losers))
        one, two = winners[card % len(winners)], losers[(card + lap) % len(losers)]
        if prompts[one] != prompts[two]:
            yield one, two
            number -= 1
        if number == 0:
            return


def test_a_twin_in_plain_python_draws_the_same_pairs_in_the_same_order(world):
    consensus, items = world(items=80, prompts=9, seed=2)
    made = build_pairs(consensus, items, only(500, seed=4))
    found = [(pair["one"]["item_id"], pair["two"]["item_id"]) for pair in joined(made)]
    assert found == list(twin(consensus, items, 500))


def test_tables_keep_their_contracts(world):
    made = build_pairs(*world(dimensions=DIMENSIONS, ood=0.2), recipe())
    assert made.items.schema.equals(contract_schema(PAIR_SET_ITEMS))
    assert made.pairs.schema.equals(contract_schema(PAIRS))
    for table, key in ((made.items, PAIR_SET_ITEMS.key), (made.pairs, PAIRS.key)):
        table.validate(full=True)
        assert table.group_by(list(key)).aggregate([]).num_rows == table.num_rows
        assert set(table["pair_set_id"].to_pylist()) == {made.pair_set_id}


def test_an_ordinal_means_the_same_item_in_every_dimension(world):
    made = build_pairs(*world(dimensions=DIMENSIONS, ood=0.2), recipe())
    numbers = {(row["ordinal"], row["item_id"]) for row in made.items.to_pylist()}
    assert [item for _, item in sorted(numbers)] == sorted({item for _, item in numbers})
    assert sorted(number for number, _ in numbers) == list(range(len(numbers)))


def test_the_manifest_accounts_for_everything(world):
    consensus, items = world(dimensions=DIMENSIONS, ood=0.2)
    as_of = datetime(2026, 1, 2, 3, 4, tzinfo=timezone(timedelta(hours=2)))
    made = build_pairs(consensus, items, recipe(seed=5), as_of=as_of, code_version="9.9")
    manifest = made.manifest
    assert Recipe.from_dict(manifest["recipe"]) == recipe(seed=5)
    assert manifest["as_of"] == "2026-01-02T01:04:00+00:00"
    assert (manifest["seed"], manifest["code_version"]) == (5, "9.9")
    assert manifest["consensus_id"] == "run"
    found = Counter((p["dimension"], p["split"], p["kind"]) for p in made.pairs.to_pylist())
    assert found == {
        (dimension, split, kind): number
        for dimension, splits in manifest["counts"].items()
        for split, kinds in splits.items()
        for kind, number in kinds.items()
        if number
    }
    undecided = Counter(r["dimension"] for r in consensus.to_pylist() if r["label"] == "undecided")
    assert {d: left["undecided"] for d, left in manifest["left_out"].items()} == undecided
    assert sum(split["items"] for split in manifest["splits"].values()) == manifest["items"]


def test_the_digest_is_of_content_alone(world):
    consensus, items = world(dimensions=DIMENSIONS, ood=0.2)
    made = build_pairs(consensus, items, recipe())
    later = build_pairs(
        consensus, items, recipe(name="other"), as_of=datetime.now(UTC), code_version="x"
    )
    assert later.digest == made.digest == fingerprint(made.items, made.pairs)
    assert made.pair_set_id == made.digest[:16]
    assert build_pairs(consensus, items, recipe(seed=1)).digest != made.digest


@pytest.mark.slow
@given(data=st.data())
def test_the_fingerprint_sees_no_order_of_rows(world, data):
    made = build_pairs(*world(items=30, prompts=6), only("all", soft=True))
    order = data.draw(st.permutations(range(made.pairs.num_rows)))
    items = made.items.take(list(range(made.items.num_rows))[::-1])
    assert fingerprint(items, made.pairs.take(order)) == made.digest


def test_the_fingerprint_sees_every_value(world):
    made = build_pairs(*world(items=30, prompts=6), only("all"))
    for name, value in (("mu", 0.25), ("weight", 0.5), ("kind", "win_tie"), ("split", "test")):
        rows = made.pairs.to_pylist()
        rows[3][name] = value
        changed = pa.Table.from_pylist(rows, schema=made.pairs.schema)
        assert fingerprint(made.items, changed) != made.digest


def test_a_fixed_set_has_the_digest_it_always_had(items_of, consensus_of):
    names = [f"v{number}" for number in range(60)]
    items = items_of(
        [
            {
                "item_id": name,
                "prompt_id": f"p{n % 17}",
                "generator": "gen_b" if n > 50 else "gen_a",
            }
            for n, name in enumerate(names)
        ]
    )
    shares = [
        (name, d, (n * k % 61) / 64)
        for k, d in ((7, "looks"), (11, "moves"))
        for n, name in enumerate(names)
    ]
    consensus = consensus_of([(i, d, "pass" if p >= 0.5 else "fail", p) for i, d, p in shares])
    made = build_pairs(consensus, items, recipe(soft=True, seed=3))
    assert (made.pairs.num_rows, made.pair_set_id) == GOLDEN


def test_thresholds_leave_unsure_items_out_and_count_them(world):
    consensus, items = world(items=80, undecided=0.0)
    sure = only("all", thresholds=Thresholds(0.8, 0.3))
    made = build_pairs(consensus, items, sure)
    p = np.array([row["p_pass"] for row in consensus.to_pylist()])
    assert made.manifest["left_out"]["looks"]["unsure"] == ((p < 0.8) & (p > 0.3)).sum()
    kept = made.items["p_pass"].to_numpy()
    assert ((kept >= 0.8) | (kept <= 0.3)).all()


def test_a_label_moves_no_prompt_to_another_split(world):
    consensus, items = world(items=60, undecided=0.0)
    made = build_pairs(consensus, items, only("all", split=FAIR))
    fewer = build_pairs(consensus.slice(20), items, only("all", split=FAIR))
    whole = dict(zip(*made.items.select(["prompt_id", "split"]).to_pydict().values(), strict=True))
    for row in fewer.items.to_pylist():
        assert whole[row["prompt_id"]] == row["split"]


def test_out_of_domain_items_that_share_training_prompts_are_reported_or_left_out(world):
    consensus, items = world(items=100, prompts=10, ood=0.3)
    counts = {"win_lose": {"train": "up to 50", "ood": "up to 50"}}
    values = {"kinds": ("win_lose",), "counts": counts, "dimensions": ("looks",)}
    told = build_pairs(consensus, items, recipe(**values))
    assert any("share a prompt with train or validation" in w for w in told.manifest["warnings"])
    apart = build_pairs(consensus, items, recipe(**values, ood_prompts="unseen"))
    rows = apart.items.to_pylist()
    prompts = {s: {r["prompt_id"] for r in rows if r["split"] == s} for s in ("train", "ood")}
    assert prompts["ood"]
    assert not prompts["train"] & prompts["ood"]
    assert apart.manifest["left_out"]["looks"]["ood_seen"] > 0


def test_up_to_takes_what_there_is_and_says_so_where_that_is_nothing(items_of, consensus_of):
    items = items_of([{"item_id": f"v{n}", "prompt_id": f"p{n}"} for n in range(4)])
    rows = [("v0", "looks", "pass", 1.0), ("v1", "looks", "pass", 0.9)]
    rows += [("v0", "moves", "pass", 1.0), ("v1", "moves", "fail", 0.1)]
    consensus = consensus_of(rows)
    made = build_pairs(consensus, items, only("up to 9", dimensions=DIMENSIONS))
    assert made.pairs.num_rows == 1
    (warning,) = made.manifest["warnings"]
    assert warning.startswith("looks, train, win_lose: 0 pairs exist (2 pass and 0 fail items, ")


def test_cross_prompt_pairs_share_no_video_either(items_of, consensus_of):
    rows = [{"item_id": f"v{n}", "prompt_id": f"p{n}", "media_sha256": "same"} for n in range(2)]
    items = items_of([*rows, {"item_id": "v2", "prompt_id": "p2"}])
    consensus = consensus_of(
        [("v0", "looks", "pass", 1.0), ("v1", "looks", "fail", 0.0), ("v2", "looks", "fail", 0.0)]
    )
    made = build_pairs(consensus, items, only("all"))
    assert [(pair["one"]["item_id"], pair["two"]["item_id"]) for pair in joined(made)] == [
        ("v0", "v2")
    ]
    assert "1 item has the same file as another item" in made.manifest["warnings"][0]


def test_ids_may_hold_quotes_newlines_and_emoji(items_of, consensus_of):
    names = ["it's", 'a "b"', "line\nbreak", "🎬", "a:b"]
    items = items_of([{"item_id": n, "prompt_id": f"p {n}"} for n in names])
    consensus = consensus_of(
        [(n, "looks", "fail" if i % 2 else "pass", 0.5) for i, n in enumerate(names)]
    )
    made = build_pairs(consensus, items, only("all"))
    assert made.pairs.num_rows == 6
    assert set(made.items["item_id"].to_pylist()) == set(names)


def test_the_row_of_the_set_keeps_its_contract(world):
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    made = build_pairs(*world(), only(5), as_of=moment, code_version="1")
    row = pair_set_row(made, "sets/x")
    assert row.schema.equals(contract_schema(PAIR_SETS))
    assert row["as_of"].to_pylist() == [moment]
    with pytest.raises(PairingError, match="as_of is not set"):
        pair_set_row(build_pairs(*world(), only(5)), "sets/x")


def test_a_time_without_zone_is_refused(world):
    with pytest.raises(PairingError, match="no time zone"):
        build_pairs(*world(), only(5), as_of=datetime(2026, 1, 1))  # noqa: DTZ001


ITEM = {"item_id": "v1", "prompt_id": "p1"}
OTHER = {"item_id": "v2", "prompt_id": "p2"}
PASS = ("v1", "looks", "pass", 1.0)
FAIL = ("v2", "looks", "fail", 0.0)


@pytest.mark.parametrize(
    "case",
    [
        ([], [PASS], {}, "items: the table is empty; import"),
        ([ITEM], [], {}, "consensus: the table is empty; run"),
        ([ITEM, ITEM], [PASS], {}, r"items: 1 of 1 keys \(item_id\) .* 'v1'"),
        ([ITEM, OTHER], [PASS, PASS, FAIL], {}, r"more than once \(first: 'looks' of 'v1'\)"),
        ([ITEM], [PASS, FAIL], {}, r"1 item is not in the items table \(first: 'v2'\)"),
        ([ITEM, {**OTHER, "prompt_id": None}], [PASS], {}, r"1 of 2 rows have no prompt_id .*'v2'"),
        ([ITEM], [("v1", "looks", "Pass", 1.0)], {}, "label that is not pass, fail or .*'Pass'"),
        ([ITEM], [("v1", "looks", "pass", 1.5)], {}, r"a probability from 0 to 1 \(.* 1\.5"),
        ([ITEM], [("v1", "looks", "pass", float("nan"))], {}, "a probability from 0 to 1"),
        ([ITEM], [("v1", "sound", "pass", 1.0)], {}, "'looks', but the consensus has only sound"),
        ([ITEM, OTHER], [PASS, FAIL], {"ood_generators": ("gen_c",)}, "'gen_c', but no item"),
        (
            [ITEM, OTHER],
            [("v1", "looks", "undecided", 0.5), ("v2", "looks", "undecided", 0.5)],
            {},
            r"0 pairs exist \(0 pass and 0 fail items",
        ),
        ([ITEM, OTHER], [PASS], {}, r"looks, train, win_lose: 0 pairs exist \(1 pass and 0 fail"),
        (
            [ITEM, {**OTHER, "prompt_id": "p1"}],
            [PASS, FAIL],
            {},
            r"1 pass and 1 fail items, split groups: 1, cross-prompt\); change .* the strategy",
        ),
        (
            [{**ITEM, "generator": "gen_b"}, {**OTHER, "generator": "gen_b"}],
            [PASS, FAIL],
            {"ood_generators": ("gen_b",)},
            r"train, win_lose: 0 pairs exist \(0 pass and 0 fail items",
        ),
    ],
)
def test_data_that_makes_no_pairs_is_refused_with_the_reason(items_of, consensus_of, case):
    items, rows, changes, message = case
    with pytest.raises(PairingError, match=message):
        build_pairs(consensus_of(rows), items_of(items), only("all", **changes))


def test_rows_of_two_consensus_runs_are_refused(world):
    consensus, items = world()
    ids = ["run" if n else "older" for n in range(consensus.num_rows)]
    mixed = consensus.set_column(0, "consensus_id", pa.array(ids))
    with pytest.raises(PairingError, match=r"rows of 2 runs \(older, run\); pass the rows of one"):
        build_pairs(mixed, items, only(5))


@pytest.mark.parametrize("column", ["p_pass", "label", "consensus_id"])
def test_a_missing_column_is_named(world, column):
    consensus, items = world()
    with pytest.raises(PairingError, match=f"consensus: column {column} is missing"):
        build_pairs(consensus.drop_columns(column), items, only(5))


def test_a_column_of_the_wrong_type_is_named(world):
    consensus, items = world()
    words = consensus.set_column(4, "p_pass", pa.array(["sure"] * consensus.num_rows))
    with pytest.raises(PairingError, match="column p_pass is string, not double"):
        build_pairs(words, items, only(5))


def test_all_of_a_huge_pool_is_refused_before_it_fills_the_memory(items_of, consensus_of):
    many = 40_000
    names = [f"v{n}" for n in range(many)]
    items = items_of([{"item_id": n, "prompt_id": n} for n in names])
    consensus = consensus_of(
        [(n, "looks", "fail" if i % 2 else "pass", 0.5) for i, n in enumerate(names)]
    )
    with pytest.raises(PairingError, match="makes 400,000,000 pairs, more than 268,435,456"):
        build_pairs(consensus, items, only("all"))
