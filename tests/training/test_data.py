import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data import (
    PairSplit,
    coverage,
    left_out,
    media_of,
    plan_blocks,
    plan_pairs,
    read_split,
)
from warehouse.errors import TrainingError

DIMENSIONS = ("physical_plausibility", "subject_deformity", "semantic_alignment")


def split_of(pairs, items=12, dimensions=None):
    """A split with these (winner, other) pairs."""
    count = len(pairs)
    ends = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return PairSplit(
        item_ids=[f"item_{n}" for n in range(items)],
        prompt_ids=[f"prompt_{n}" for n in range(items)],
        dimension=np.array(dimensions or [0] * count, dtype=np.int64),
        winner=ends[:, 0],
        other=ends[:, 1],
        mu=np.ones(count),
        weight=np.ones(count),
        tie=np.zeros(count, dtype=bool),
        target=np.ones((items, 1)),
        p_pass=np.ones((items, 1)),
    )


splits = st.lists(
    st.tuples(st.integers(0, 11), st.integers(0, 11)).filter(lambda pair: pair[0] != pair[1]),
    min_size=1,
    max_size=60,
    unique=True,
).map(split_of)


def test_a_split_holds_its_own_items_and_pairs_only(pair_set):
    train = read_split(pair_set, DIMENSIONS, "train")
    assert train.item_ids == [f"item_{n:02}" for n in range(12)]
    whole = pq.read_table(pair_set / "pairs.parquet").to_pandas()
    assert train.pairs == (whole.split == "train").sum()


def test_ordinals_lead_to_the_items_with_those_labels(pair_set):
    """Ordinals are numbered per dimension; every winner passed, every loser failed."""
    train = read_split(pair_set, DIMENSIONS, "train")
    items = pq.read_table(pair_set / "items.parquet").to_pandas()
    label = items.set_index(["dimension", "item_id"]).label
    for d, w, o, tie in zip(train.dimension, train.winner, train.other, train.tie, strict=True):
        assert label[DIMENSIONS[d], train.item_ids[w]] == "pass"
        assert label[DIMENSIONS[d], train.item_ids[o]] == ("pass" if tie else "fail")


def test_the_order_of_rows_in_the_files_does_not_matter(pair_set, tmp_path):
    for name in ("items", "pairs"):
        table = pq.read_table(pair_set / f"{name}.parquet")
        order = np.random.default_rng(0).permutation(table.num_rows)
        pq.write_table(table.take(order), tmp_path / f"{name}.parquet")
    one, two = (read_split(folder, DIMENSIONS, "train") for folder in (pair_set, tmp_path))
    for name in ("dimension", "winner", "other", "mu", "weight", "tie", "target", "p_pass"):
        assert (getattr(one, name) == getattr(two, name)).all()


def changed(pair_set, folder, name, change):
    """A copy of the set in which one file's rows are changed."""
    for file in ("items", "pairs"):
        table = pq.read_table(pair_set / f"{file}.parquet")
        rows = [change(row) for row in table.to_pylist()] if file == name else table.to_pylist()
        pq.write_table(pa.Table.from_pylist(rows, table.schema), folder / f"{file}.parquet")
    return folder


def test_items_of_a_hard_set_should_be_what_their_labels_say(pair_set, tmp_path):
    folder = changed(pair_set, tmp_path, "items", lambda row: {**row, "p_pass": 0.7})
    train = read_split(folder, DIMENSIONS, "train")
    items = pq.read_table(pair_set / "items.parquet").to_pandas()
    label = items.set_index(["dimension", "item_id"]).label
    for d, name in enumerate(DIMENSIONS):
        wanted = [float(label[name, item] == "pass") for item in train.item_ids]
        assert train.target[:, d].tolist() == wanted
    assert (train.p_pass == 0.7).all()


@pytest.mark.parametrize("soft", [{"mu": 0.9}, {"weight": 0.8}])
def test_items_of_a_soft_set_should_be_what_their_probability_says(soft, pair_set, tmp_path):
    folder = changed(pair_set, tmp_path, "items", lambda row: {**row, "p_pass": 0.7})
    changed(folder, folder, "pairs", lambda row: {**row, **soft})
    train = read_split(folder, DIMENSIONS, "train")
    assert (train.target == 0.7).all()


def test_an_item_that_nobody_judged_in_a_dimension_has_no_target_there(pair_set, tmp_path):
    items = pq.read_table(pair_set / "items.parquet")
    one = (pc.field("item_id") == "item_00") & (pc.field("dimension") == DIMENSIONS[1])
    ordinal = items.filter(one)["ordinal"][0].as_py()
    pairs = pq.read_table(pair_set / "pairs.parquet")
    its = (pc.field("winner") == ordinal) | (pc.field("other") == ordinal)
    pq.write_table(items.filter(~one), tmp_path / "items.parquet")
    pq.write_table(
        pairs.filter(~(its & (pc.field("dimension") == DIMENSIONS[1]))), tmp_path / "pairs.parquet"
    )
    train = read_split(tmp_path, DIMENSIONS, "train")
    assert np.argwhere(np.isnan(train.target)).tolist() == [[0, 1]]
    assert np.argwhere(np.isnan(train.p_pass)).tolist() == [[0, 1]]


def test_an_imported_set_has_no_targets(pair_set, tmp_path):
    folder = changed(
        pair_set, tmp_path, "items", lambda row: {**row, "label": None, "p_pass": None}
    )
    train = read_split(folder, DIMENSIONS, "train")
    assert np.isnan(train.target).all()
    assert np.isnan(train.p_pass).all()


def test_pairs_of_kinds_that_a_loss_does_not_take_are_left_out_and_counted(pair_set, tmp_path):
    folder = changed(
        pair_set,
        tmp_path,
        "pairs",
        lambda row: {**row, "kind": "lose_tie"} if row["kind"] == "win_tie" else row,
    )
    whole = read_split(folder, DIMENSIONS, "train")
    wins = read_split(folder, DIMENSIONS, "train", frozenset({"win_lose", "win_tie"}))
    assert 0 < wins.pairs < whole.pairs
    assert not wins.tie.any()
    assert wins.item_ids == whole.item_ids
    counted = left_out(folder, DIMENSIONS, "train", frozenset({"win_lose", "win_tie"}))
    assert counted == {"lose_tie": whole.pairs - wins.pairs}


def test_a_dimension_that_the_set_lacks_is_named(pair_set):
    with pytest.raises(TrainingError, match="of dimension beauty; it has physical_plausibility"):
        read_split(pair_set, ("beauty",), "train")


def test_a_damaged_pair_set_is_named(pair_set, tmp_path):
    (tmp_path / "items.parquet").write_bytes((pair_set / "items.parquet").read_bytes()[:99])
    with pytest.raises(TrainingError, match=r"items\.parquet cannot be read"):
        read_split(tmp_path, DIMENSIONS, "train")


def test_a_pair_of_an_unknown_item_is_named(pair_set, tmp_path):
    items = pq.read_table(pair_set / "items.parquet")
    pq.write_table(items.filter(pc.field("item_id") != "item_03"), tmp_path / "items.parquet")
    (tmp_path / "pairs.parquet").write_bytes((pair_set / "pairs.parquet").read_bytes())
    with pytest.raises(TrainingError, match=r"a pair names item .* not in items\.parquet"):
        read_split(tmp_path, DIMENSIONS, "train")


def test_items_without_media_are_counted_and_named(media):
    with pytest.raises(TrainingError, match=r"1 of 2 items have no row \(first: item_99\)"):
        media_of(media, ["item_00", "item_99"])
    assert media_of(media, ["item_05", "item_01"])["item_id"].to_pylist() == ["item_05", "item_01"]


@given(splits, st.integers(2, 6), st.integers(1, 3), st.integers(0, 5))
def test_blocks_hold_each_item_at_most_once_per_epoch_and_all_pairs_among_them(
    split, size, epochs, seed
):
    blocks = list(plan_blocks(split, size=size, epochs=epochs, seed=seed))
    uses = np.zeros(len(split.item_ids), dtype=int)
    for block in blocks:
        uses[block.items] += 1
        inside = set(block.items.tolist())
        assert len(inside) == len(block.items) <= size
        ends = zip(split.winner.tolist(), split.other.tolist(), strict=True)
        expected = [n for n, (w, o) in enumerate(ends) if w in inside and o in inside]
        assert sorted(block.pairs.tolist()) == expected
        assert expected
    assert uses.max(initial=0) <= epochs


@given(splits, st.integers(1, 7), st.integers(0, 5))
def test_the_naive_plan_uses_every_pair_once_per_epoch(split, size, seed):
    blocks = list(plan_pairs(split, size=size, epochs=2, seed=seed))
    used = np.sort(np.concatenate([block.pairs for block in blocks]))
    assert (used == np.repeat(np.arange(split.pairs), 2)).all()
    for block in blocks:
        ends = {*split.winner[block.pairs].tolist(), *split.other[block.pairs].tolist()}
        assert sorted(ends) == block.items.tolist()


def test_the_same_seed_gives_the_same_plan_and_another_seed_another():
    split = split_of([(w, o) for w in range(6) for o in range(6, 12)])
    one, two, other = (list(plan_blocks(split, size=4, epochs=2, seed=s)) for s in (1, 1, 2))
    assert all((a.items == b.items).all() for a, b in zip(one, two, strict=True))
    assert any((a.items != b.items).any() for a, b in zip(one, other, strict=False))


def test_over_epochs_every_pair_has_its_turn():
    split = split_of([(w, o) for w in range(6) for o in range(6, 12)])
    seen = coverage(split, list(plan_blocks(split, size=4, epochs=20, seed=0)))
    assert seen.used == seen.pairs == 36
    assert seen.encodings == 12 * 20


def test_blocks_follow_the_pairs_where_pairs_are_few():
    """A chain of far-apart pairs: random blocks of 4 among 60 items would hold almost none."""
    split = split_of([(n, n + 30) for n in range(30)], items=60)
    seen = coverage(split, list(plan_blocks(split, size=4, epochs=1, seed=0)))
    assert seen.used == 30


def test_a_block_serves_many_more_pairs_per_encoding_than_single_pairs():
    split = split_of([(w, o) for w in range(6) for o in range(6, 12)])
    blocks = coverage(split, list(plan_blocks(split, size=8, epochs=4, seed=0)))
    pairs = coverage(split, list(plan_pairs(split, size=1, epochs=4, seed=0)))
    assert blocks.pair_uses / blocks.encodings > 3 * pairs.pair_uses / pairs.encodings


def test_prompts_with_few_clips_are_joined_until_a_block_is_full():
    """Five prompts of a pass and two fails each, in-prompt pairs alone."""
    split = split_of([(3 * p, 3 * p + k) for p in range(5) for k in (1, 2)], items=15)
    sizes = [len(block.items) for block in plan_blocks(split, size=6, epochs=1, seed=0)]
    assert sizes == [6, 6, 3]
