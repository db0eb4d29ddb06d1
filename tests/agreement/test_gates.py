import json

import pyarrow as pa
import pytest

from agreement import GateRule, agreement_report, judge, open_dimensions
from agreement.gates import default_rules
from agreement.report import MeasureConfig
from agreement.statistics import ALL_EQUAL, NO_PAIRS
from warehouse.contracts import TABLES
from warehouse.errors import AgreementError

ALPHA = {
    "measurement_id": "m",
    "dimension": "shape",
    "slice": "all",
    "statistic": "alpha",
    "value": 0.3,
    "low": 0.25,
    "high": 0.35,
    "reason": None,
    "items": 200,
}
UNDEFINED = {"value": None, "low": None, "high": None}


def judged(rule, **row):
    (found,) = judge(pa.Table.from_pylist([ALPHA | row]), {"shape": [rule]}).to_pylist()
    return found


@pytest.mark.parametrize(
    ("side", "threshold", "verdict"),
    [
        ("high", 0.36, "stop"),
        ("high", 0.35, "go"),
        ("value", 0.31, "stop"),
        ("value", 0.30, "go"),
        ("low", 0.26, "stop"),
        ("low", 0.25, "go"),
    ],
)
def test_a_rule_stops_when_its_end_lies_below_the_threshold(side, threshold, verdict):
    row = judged(GateRule("alpha", threshold, side))
    assert row["verdict"] == verdict
    assert row["compared"] == ALPHA[side]
    assert f"{ALPHA[side]:.4f} of alpha" in row["reason"]


def test_rows_keep_the_contract():
    gates = judge(pa.Table.from_pylist([ALPHA]), default_rules(["shape"]))
    assert gates.column_names == [
        c.name for c in TABLES["gates"].columns if c.name != "observed_at"
    ]


@pytest.mark.parametrize(("side", "verdict"), [("high", "go"), ("value", "go"), ("low", "stop")])
def test_too_few_items_stop_only_a_rule_that_wants_proof(side, verdict):
    row = judged(GateRule("alpha", 0.9, side, minimum_items=201))
    assert (row["verdict"], row["compared"]) == (verdict, None)
    assert "200 items, the rule asks for 201" in row["reason"]


@pytest.mark.parametrize("side", ["high", "value", "low"])
def test_everybody_agreeing_stops_no_batch(side):
    row = judged(GateRule("alpha", 0.9, side), **UNDEFINED, reason=ALL_EQUAL)
    assert row["verdict"] == "go"
    assert "nobody disagreed" in row["reason"]


@pytest.mark.parametrize(("side", "verdict"), [("high", "go"), ("low", "stop")])
def test_what_cannot_be_measured_stops_only_a_rule_that_wants_proof(side, verdict):
    row = judged(GateRule("alpha", 0.9, side), **UNDEFINED, reason=NO_PAIRS)
    assert row["verdict"] == verdict
    assert NO_PAIRS in row["reason"]


def test_only_the_whole_dimension_is_judged():
    part = ALPHA | {"slice": "generator=x", "high": 0.0}
    gates = judge(pa.Table.from_pylist([part, ALPHA]), default_rules(["shape"]))
    assert gates["verdict"].to_pylist() == ["go"]


def test_the_slices_that_lie_lowest_are_named_worst_first():
    values = {"generator=a": 0.5, "generator=b": 0.1, "week=1": 0.2, "week=2": 0.4}
    parts = [ALPHA | {"slice": name, "value": value} for name, value in values.items()]
    few = ALPHA | {"slice": "generator=c", "value": -0.5, "items": 29}
    unknown = ALPHA | UNDEFINED | {"slice": "generator=d"}
    other = ALPHA | {"slice": "generator=e", "value": 0.0, "statistic": "ac1"}
    rows = pa.Table.from_pylist([*parts, few, unknown, other, ALPHA])
    (found,) = judge(rows, default_rules(["shape"])).to_pylist()
    worst = json.loads(found["worst"])
    assert [row["slice"] for row in worst] == ["generator=b", "week=1", "week=2"]
    assert worst[0] == {
        "slice": "generator=b",
        "value": 0.1,
        "low": 0.25,
        "high": 0.35,
        "items": 200,
    }
    assert found["minimum_items"] == GateRule().minimum_items


def test_two_rules_that_nothing_would_tell_apart_are_refused():
    rules = {"shape": [GateRule(), GateRule(minimum_items=100)]}
    with pytest.raises(AgreementError, match=r"two rules of shape compare the upper end of alpha"):
        judge(pa.Table.from_pylist([ALPHA]), rules)


def test_a_dimension_is_open_only_when_every_rule_says_go():
    rows = [ALPHA, ALPHA | {"statistic": "ac1", "high": 0.1}, ALPHA | {"dimension": "motion"}]
    rules = {"shape": [GateRule(), GateRule("ac1", 0.5)], "motion": [GateRule()]}
    gates = judge(pa.Table.from_pylist(rows), rules)
    assert gates["verdict"].to_pylist() == ["go", "go", "stop"]
    assert open_dimensions(gates) == ["motion"]


def test_a_rule_for_a_dimension_nobody_measured_is_refused():
    with pytest.raises(AgreementError, match=r"dimension 'colour' \(measured: shape\)"):
        judge(pa.Table.from_pylist([ALPHA]), default_rules(["colour"]))


def test_two_measurements_at_once_are_refused():
    rows = pa.Table.from_pylist([ALPHA, ALPHA | {"measurement_id": "n"}])
    with pytest.raises(AgreementError, match="2 measurements"):
        judge(rows, default_rules(["shape"]))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"statistic": "beta"}, "'beta'; known are alpha"),
        ({"side": "upper"}, "'upper'; take low, value, high"),
        ({"threshold": 1.5}, "1.5 of alpha lies outside -1 to 1"),
        ({"threshold": float("nan")}, "nan of alpha lies outside"),
        ({"statistic": "raw", "threshold": -0.1}, "-0.1 of raw lies outside 0 to 1"),
        ({"minimum_items": 0}, "minimum_items=0"),
    ],
)
def test_rules_that_mean_nothing_are_refused_with_their_value(wrong, words):
    with pytest.raises(AgreementError, match=words):
        GateRule(**wrong)


def test_random_annotators_are_stopped_by_default_and_good_ones_are_not(make_labels):
    # 120 items with three labels: every pattern of pass and fail equally often, or all alike.
    word = ["pass", "fail"]
    random = [(f"v{n}", p, word[(n >> b) & 1]) for n in range(120) for b, p in enumerate("abc")]
    alike = [(f"v{n}", p, word[n % 2]) for n in range(120) for p in "abc"]
    labels = pa.concat_tables(
        [make_labels(random, dimension="noise"), make_labels(alike, dimension="clear")]
    )
    report = agreement_report(labels, MeasureConfig(replicates=500))
    gates = judge(report.agreement, default_rules(["noise", "clear"]))
    assert dict(zip(*(gates[c].to_pylist() for c in ("dimension", "verdict")), strict=True)) == {
        "clear": "go",
        "noise": "stop",
    }
