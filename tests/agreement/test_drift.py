import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import hypergeom

from agreement.checks import Checks
from agreement.drift import RECENT, SCHEMA, _limits, drift_charts
from agreement.others import Answers

NONE = np.empty(0, dtype=np.int64)
ANSWERS = Answers(
    pa.array(["a", "b"]), ["shape"], 0, NONE, NONE, NONE, NONE, NONE == 1, NONE.reshape(0, 2)
)


def checks(right, person=0):
    right = np.asarray(right, dtype=bool)
    when = np.arange(len(right)) * 1_000_000
    return Checks(np.full(len(right), person), np.zeros_like(when), right, when, when)


def chart(right, size=10, level=0.01):
    return drift_charts({"gold": checks(right)}, ANSWERS, size=size, level=level)


def test_periods_have_equal_numbers_of_labels_in_the_order_of_time():
    right = [True] * 10 + [False] * 5 + [True] * 5 + [False] * 9
    rows = chart(right).to_pylist()
    assert [(row["period"], row["labels"], row["share"]) for row in rows] == [
        (1, 10, 1.0),
        (2, 10, 0.5),
    ]
    assert [row["centre"] for row in rows] == [1.0, 0.75]
    assert [row["start"].timestamp() for row in rows] == [0, 10]
    assert [row["end"].timestamp() for row in rows] == [9, 19]


def test_limits_are_quantiles_of_the_hypergeometric():
    labels, right = np.array([20, 30, 40, 400]), np.array([15, 30, 37, 300])
    lower, upper = _limits(labels, right, 10, 0.003)
    for n, k, low, high in zip(labels, right, lower, upper, strict=True):
        counts = hypergeom(n, k, 10)
        assert low == counts.ppf(0.003)
        assert counts.cdf(high) >= 1 - 0.003 - 1e-12
        assert counts.cdf(high - 1) < 1 - 0.003


def test_a_drop_signals_when_it_comes():
    rng = np.random.default_rng(0)
    right = np.concatenate([rng.random(500) < 0.9, rng.random(100) < 0.4])
    table = chart(right, size=50)
    assert table["signal"].to_pylist()[:10] == [False] * 10
    assert True in table["signal"].to_pylist()[10:]


def test_a_rise_is_no_signal():
    assert not any(chart([False] * 100 + [True] * 100, size=50)["signal"].to_pylist())


def test_a_period_once_judged_stays_as_it_is():
    right = np.random.default_rng(1).random(300) < 0.8
    early, late = chart(right[:150]).drop(["recent"]), chart(right).drop(["recent"])
    assert late.slice(0, 15).to_pylist() == early.to_pylist()


def test_steady_people_signal_in_at_most_one_of_a_hundred_runs_of_twenty_periods():
    rng = np.random.default_rng(2)
    people = 1_000
    answers = Answers(
        pa.array([f"a{n:04}" for n in range(people)]), *list(vars(ANSWERS).values())[1:]
    )
    right = rng.random((people, 20 * 50)) < rng.uniform(0.7, 0.97, (people, 1))
    when = np.tile(np.arange(right.shape[1]), people)
    found = Checks(np.repeat(np.arange(people), 1000), 0 * when, right.ravel(), when, when)
    table = drift_charts({"gold": found}, answers, size=50, level=0.01)
    signals = np.array(table["signal"].to_pylist()).reshape(people, 20)
    assert signals.any(axis=1).mean() <= 0.01


def test_only_the_last_twenty_periods_are_recent():
    table = chart([True, False] * 150)
    assert table["recent"].to_pylist() == [False] * 10 + [True] * RECENT


def test_charts_are_apart_by_kind_and_person():
    table = drift_charts(
        {"gold": checks([True] * 10), "leave_one_out": checks([False] * 20, person=1)},
        ANSWERS,
        size=10,
        level=0.01,
    )
    assert table.select(["annotator_id", "kind", "share"]).to_pylist() == [
        {"annotator_id": "a", "kind": "gold", "share": 1.0},
        {"annotator_id": "b", "kind": "leave_one_out", "share": 0.0},
        {"annotator_id": "b", "kind": "leave_one_out", "share": 0.0},
    ]


@pytest.mark.parametrize("labels", [0, 9])
def test_no_whole_period_is_no_chart(labels):
    assert chart([True] * labels).equals(SCHEMA.empty_table())
