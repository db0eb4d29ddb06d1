import json

import numpy as np
import pyarrow as pa
import pytest

from agreement.flags import AnnotatorConfig, fast_flags, flag_texts, random_flags
from agreement.random_test import RandomOdds
from warehouse.errors import AgreementError


def test_flags_of_a_person_stand_in_all_dimensions_and_others_in_theirs():
    keys = [("a", "shape"), ("a", "motion"), ("b", "shape")]
    texts = flag_texts(keys, {("a", None): {"random": "r"}}, {("a", "shape"): {"fast": "f"}})
    assert [[flag["flag"] for flag in json.loads(text)] for text in texts] == [
        ["random", "fast"],
        ["random"],
        [],
    ]


def test_nobody_is_random_with_few_labels_or_low_odds():
    odds = RandomOdds(np.array([9.0, 9.0, 1.0]), np.array([49, 50, 500]))
    found = random_flags(pa.array(["a", "b", "c"]), odds, AnnotatorConfig())
    assert list(found) == [("b", None)]
    assert "50 labels" in found["b", None]["random"]


def test_one_or_two_labels_are_never_surely_too_fast():
    keys = [(name, "shape") for name in "abcd"]
    found = fast_flags(keys, np.array([2, 3, 0, 30]), np.array([2, 3, 0, 100]), AnnotatorConfig())
    assert [name for name, _ in found] == ["b"]
    assert [
        name for name, _ in fast_flags(keys[:1], np.array([60]), np.array([100]), AnnotatorConfig())
    ] == ["a"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"random_odds": 1},
        {"random_labels": 0},
        {"fast_seconds": -1.0},
        {"fast_share": 1.5},
        {"period": 2.5},
        {"copied_share": 0},
        {"level": 1},
    ],
)
def test_settings_that_flag_everybody_or_nobody_are_refused(wrong):
    with pytest.raises(AgreementError, match=next(iter(wrong))):
        AnnotatorConfig(**wrong)
