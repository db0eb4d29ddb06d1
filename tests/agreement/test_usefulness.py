"""What a look at an item is worth: uncertainty x disagreement x coverage."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agreement.escalation import expected_information
from agreement.usefulness import MINIMUM, believed, second_opinion, usefulness

inner = st.floats(0.001, 0.999)
NAN = float("nan")
COIN = pa.Table.from_pylist(
    [{"dimension": "shape", "labels": 9, "sensitivity": 0.9, "specificity": 0.8}]
)


def consensus(*rows):
    """Rows (item, P(pass), label)."""
    return pa.Table.from_pylist(
        [
            {
                "item_id": i,
                "dimension": "shape",
                "p_pass": p,
                "n_pass": 2,
                "n_fail": 1,
                "label": label,
            }
            for i, p, label in rows
        ]
    )


def cells(*rows):
    return pa.Table.from_pylist([{"item_id": item, "cell": cell} for item, cell in rows])


def rewards(*rows):
    """Rows (item, reward, split)."""
    return pa.Table.from_pylist(
        [{"item_id": i, "dimension": "shape", "reward": r, "split": s} for i, r, s in rows]
    )


def crowd(n=80):
    """Decided items that a model orders mostly rightly, each of a prompt of its own."""
    rng = np.random.default_rng(0)
    good = np.arange(n) % 2 == 0
    names = [f"v{number:02}" for number in range(n)]
    said = [
        (i, 0.98 if y else 0.02, "pass" if y else "fail") for i, y in zip(names, good, strict=True)
    ]
    given = [(i, r, "test") for i, r in zip(names, 3 * good + rng.normal(size=n), strict=True)]
    return said, given, [(i, i) for i in names]


@given(inner, inner)
def test_a_second_witness_adds_its_odds_and_none_changes_nothing(p, q):
    one = np.array([p, 1 - p])  # a prior of one half
    both = believed(one, np.array([q, NAN]))
    odds = p / (1 - p) * q / (1 - q)
    assert both[0] == pytest.approx(odds / (1 + odds), abs=1e-5)
    assert both[1] == pytest.approx(1 - p, abs=1e-6)


def test_nobody_s_opinion_is_the_prior():
    assert believed(np.array([0.9, 0.5, NAN]), np.full(3, NAN))[2] == pytest.approx(0.7)
    assert believed(np.array([NAN]), np.array([NAN]))[0] == pytest.approx(0.5)


def test_a_model_has_a_say_only_where_it_has_shown_that_it_knows_something():
    truth = np.tile([1, 0], 50)
    right, everything = truth + np.random.default_rng(0).normal(0, 0.15, 100), np.full(100, True)
    said = second_opinion(right, truth, everything)
    assert said[truth == 1].min() > 0.5 > said[truth == 0].max()
    noise = np.random.default_rng(1).normal(size=100)
    for silent in (
        second_opinion(noise, truth, everything),
        second_opinion(-right, truth, everything),
        second_opinion(np.zeros(100), truth, everything),
        second_opinion(right, np.where(np.arange(100) < MINIMUM - 1, truth, -1), everything),
    ):
        assert np.isnan(silent).all()
    trained = np.arange(100) < 40
    assert (np.isnan(second_opinion(right, truth, ~trained)) == trained).all()


def test_without_a_model_it_is_half_the_bits_times_coverage():
    said = consensus(("a", 0.6, "undecided"), ("b", 0.6, "undecided"), ("c", 0.9, "pass"))
    found = usefulness(said, COIN, cells(("a", "x"), ("b", "y"), ("c", "y"), ("d", "z")))
    rows = {row["item_id"]: row for row in found.items.to_pylist()}
    bits = expected_information(np.array([0.6]), 0.9, 0.8)[0]
    assert rows["a"]["usefulness"] == pytest.approx(bits / 2, abs=2e-6)
    assert rows["b"]["usefulness"] == pytest.approx(bits / 2 / 2**0.5, abs=2e-6)
    assert rows["d"]["usefulness"] > rows["c"]["usefulness"]  # nobody has judged it
    assert [row["rank"] for row in found.items.to_pylist()] == [1, 2, 3, 4]


def test_an_item_on_which_model_and_people_contradict_each_other_comes_first():
    said, given, own = crowd()
    given[0] = ("v00", -2.0, "test")  # people: pass
    found = usefulness(consensus(*said), COIN, cells(*own), rewards(*given))
    assert found.items["item_id"][0].as_py() == "v00"
    row = found.labels.slice(0, 1).to_pylist()[0]
    assert row["disagreement"] == pytest.approx(row["p_pass"] - row["q_pass"], abs=1e-6)


def test_of_two_items_that_nobody_judged_the_one_the_model_is_unsure_of_comes_first():
    said, given, own = crowd()
    given += [("sure", 5.0, None), ("unsure", 1.5, None)]
    own += [("sure", "sure"), ("unsure", "unsure")]
    found = usefulness(consensus(*said), COIN, cells(*own), rewards(*given))
    order = found.items["item_id"].to_pylist()
    assert order.index("unsure") < order.index("sure")


def test_the_order_of_the_rows_changes_nothing():
    said, given, own = crowd()
    shuffle = np.random.default_rng(3).permutation
    one = usefulness(consensus(*said), COIN, cells(*own), rewards(*given))
    two = usefulness(*(
        table.take(shuffle(table.num_rows))
        for table in (consensus(*said), COIN, cells(*own), rewards(*given))
    ))  # fmt: skip
    assert one.items.equals(two.items)
    assert one.labels.equals(two.labels)


def test_what_has_enough_labels_is_left_out():
    said = consensus(("a", 0.6, "undecided"))
    given = pa.Table.from_pylist([{"item_id": "a", "dimension": "shape"}] * 3)
    found = usefulness(said, COIN, cells(("a", "x"), ("b", "x")), given=given, most_labels=3)
    assert found.items["item_id"].to_pylist() == ["b"]
