"""Gold labels: what the truth is, and where it is not known."""

import pyarrow as pa

from agreement.gold import gold_of
from agreement.labels import code


def test_gold_labels_are_found_per_item_and_dimension(make_labels):
    design = make_labels([("v1", "a", "pass"), ("v2", "a", "fail"), ("v3", "a", "fail")])
    gold = make_labels([("v1", "lead", "fail"), ("v3", "lead", "pass")], role="gold")
    labels = pa.concat_tables([design, gold])
    assert gold_of(code(labels), labels).tolist() == [[0, -1, 1]]


def test_gold_labels_that_contradict_each_other_say_nothing(make_labels):
    design = make_labels([("v1", "a", "pass"), ("v2", "a", "pass")])
    gold = make_labels([("v1", "x", "fail"), ("v1", "y", "pass"), ("v1", "z", "pass")], role="gold")
    agreed = make_labels([("v2", "x", "fail"), ("v2", "y", "fail")], role="gold")
    labels = pa.concat_tables([design, gold, agreed])
    assert gold_of(code(labels), labels).tolist() == [[-1, 0]]


def test_gold_labels_of_items_nobody_else_judged_are_left_out(make_labels):
    design = make_labels([("v1", "a", "pass")])
    gold = make_labels([("other", "x", "fail")], role="gold")
    elsewhere = make_labels([("v1", "x", "fail")], role="gold", dimension="motion")
    labels = pa.concat_tables([design, gold, elsewhere])
    assert gold_of(code(labels), labels).tolist() == [[-1]]
