"""Which item deserves one more label."""

from math import log2

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agreement.escalation import average_coins, escalation, expected_information
from warehouse.errors import AgreementError

shares = st.floats(0, 1)


def consensus(*rows):
    """Rows (item, dimension, P(pass), pass labels, fail labels)."""
    names = ("item_id", "dimension", "p_pass", "n_pass", "n_fail")
    return pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows])


def annotators(*rows):
    """Rows (dimension, labels, sensitivity, specificity)."""
    names = ("dimension", "labels", "sensitivity", "specificity")
    return pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows])


def order(table):
    return table["item_id"].to_pylist()


@given(shares, shares, shares)
def test_information_is_the_divergence_of_truth_and_label_from_independence(p, s, t):
    joint = np.array([[p * s, p * (1 - s)], [(1 - p) * (1 - t), (1 - p) * t]])
    apart = joint.sum(axis=1)[:, None] * joint.sum(axis=0)
    bits = sum(
        both * log2(both / alone)
        for both, alone in zip(joint.ravel(), apart.ravel(), strict=True)
        if both > 1e-300 and alone > 1e-300
    )
    assert expected_information(np.array([p]), s, t)[0] == pytest.approx(bits, abs=1e-6)


def test_a_decided_item_and_a_guessing_annotator_tell_nothing():
    assert expected_information(np.array([0.0, 1.0]), 0.9, 0.8) == pytest.approx([0, 0], abs=1e-9)
    assert expected_information(np.linspace(0, 1, 9), 0.7, 0.3) == pytest.approx([0] * 9, abs=1e-9)
    assert expected_information(np.array([0.5]), 1.0, 1.0) == pytest.approx([1])


@given(st.floats(0.55, 0.99))
def test_with_even_coins_the_open_item_comes_first(accuracy):
    p = np.linspace(0, 1, 21)
    bits = expected_information(p, accuracy, accuracy)
    assert p[bits.argmax()] == 0.5
    assert (np.diff(bits[:11]) > 0).all()
    assert bits == pytest.approx(bits[::-1], abs=1e-12)


def test_items_come_by_what_the_dimensions_together_would_tell():
    rows = consensus(
        ("one", "motion", 0.5, 1, 1),
        ("one", "shape", 1.0, 2, 0),
        ("both", "motion", 0.7, 2, 1),
        ("both", "shape", 0.3, 1, 2),
        ("none", "motion", 0.999, 3, 0),
        ("none", "shape", 0.001, 0, 3),
    )
    found = escalation(rows, annotators(("motion", 10, 0.8, 0.8), ("shape", 10, 0.8, 0.8)))
    assert order(found.items) == ["both", "one", "none"]
    assert order(found.labels)[:3] == ["one", "both", "both"]
    assert found.items["rank"].to_pylist() == [1, 2, 3]
    by_item = dict(zip(order(found.items), found.items["information"].to_pylist(), strict=True))
    for item, bits in by_item.items():
        of_item = [row["information"] for row in found.labels.to_pylist() if row["item_id"] == item]
        assert bits == pytest.approx(sum(of_item), abs=2e-6)


def test_the_dimension_whose_annotators_see_more_comes_first():
    rows = consensus(("v", "clear", 0.5, 1, 1), ("v", "murky", 0.5, 1, 1))
    people = annotators(("clear", 5, 0.9, 0.9), ("murky", 5, 0.6, 0.6))
    assert escalation(rows, people).labels["dimension"].to_pylist() == ["clear", "murky"]


def test_the_average_coin_weighs_annotators_by_their_labels():
    people = [("shape", 30, 0.9, 0.8), ("shape", 10, 0.5, 0.6), ("motion", 5, 0.7, 0.7)]
    coins = average_coins(annotators(*people))
    assert coins["shape"] == pytest.approx((0.8, 0.75))
    assert coins == average_coins(annotators(*people[::-1]))


def test_ties_go_by_name_whatever_the_order_of_the_rows():
    rows = [(f"v{n}", "shape", 0.5, 1, 1) for n in range(9)] + [("v0", "motion", 0.5, 1, 1)]
    people = annotators(("shape", 10, 0.8, 0.7), ("motion", 10, 0.8, 0.7))
    plain = escalation(consensus(*rows), people)
    shuffled = escalation(consensus(*rows[::-1]), people.take([1, 0]))
    assert order(plain.items) == [f"v{n}" for n in range(9)]
    assert plain.labels["dimension"].to_pylist()[:2] == ["motion", "shape"]
    assert shuffled.items.equals(plain.items)


def test_items_with_enough_labels_get_no_more():
    rows = consensus(("full", "shape", 0.5, 3, 3), ("open", "shape", 0.9, 2, 1))
    people = annotators(("shape", 10, 0.8, 0.8))
    assert order(escalation(rows, people).items) == ["full", "open"]
    assert order(escalation(rows, people, most_labels=6).items) == ["open"]


def test_labels_of_all_roles_count_where_they_are_given(make_labels):
    rows = consensus(("again", "shape", 0.5, 1, 1), ("fresh", "shape", 0.6, 1, 1))
    design = [(item, who, "pass") for item in ("again", "fresh") for who in "ab"]
    escalated = make_labels([("again", "c", "fail"), ("other", "c", "fail")], role="escalation")
    given = pa.concat_tables([make_labels(design), escalated])
    people = annotators(("shape", 10, 0.8, 0.8))
    found = escalation(rows, people, given)
    assert found.labels.select(["item_id", "labels"]).to_pylist() == [
        {"item_id": "again", "labels": 3},
        {"item_id": "fresh", "labels": 2},
    ]
    assert order(escalation(rows, people, given, most_labels=3).items) == ["fresh"]


def test_no_items_give_no_rows():
    rows = consensus(("v", "shape", 0.5, 1, 1))
    people = annotators(("shape", 10, 0.8, 0.8))
    found = escalation(rows, people, most_labels=1)
    assert found.items.num_rows == 0
    assert found.labels.num_rows == 0


def test_a_dimension_that_nobody_judged_and_a_limit_of_none_are_refused():
    rows = consensus(("v", "shape", 0.5, 1, 1))
    with pytest.raises(AgreementError, match="no annotator of 'shape' among those of motion"):
        escalation(rows, annotators(("motion", 10, 0.8, 0.8)))
    with pytest.raises(AgreementError, match="most_labels=0"):
        escalation(rows, annotators(("shape", 10, 0.8, 0.8)), most_labels=0)
