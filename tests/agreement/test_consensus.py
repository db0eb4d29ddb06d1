import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agreement import ConsensusRule, build_consensus
from agreement.dawid_skene import Prior
from warehouse.contracts import TABLES
from warehouse.errors import AgreementError

MAJORITY = ConsensusRule(method="majority")
rows_of_labels = st.dictionaries(
    st.tuples(st.sampled_from("uvwxyz"), st.sampled_from("abcd")),
    st.sampled_from(["pass", "fail"]),
    min_size=1,
).map(lambda labels: [(item, person, value) for (item, person), value in labels.items()])


def votes(make_labels, **values):
    """One item per name, its labels as a word of p and f."""
    word = {"p": "pass", "f": "fail"}
    return make_labels(
        (item, f"person{n}", word[letter])
        for item, letters in values.items()
        for n, letter in enumerate(letters)
    )


def decisions(consensus):
    return dict(zip(consensus["item_id"].to_pylist(), consensus["label"].to_pylist(), strict=True))


def accuracy(consensus, gold):
    return np.mean([gold[item] == label for item, label in decisions(consensus).items()])


@pytest.mark.parametrize("method", ["majority", "dawid_skene"])
def test_rows_keep_the_contract(make_labels, method):
    labels = votes(make_labels, v1="ppf", v2="ff", v3="p")
    consensus = build_consensus(labels, ConsensusRule(method=method))
    expected = [c.name for c in TABLES["consensus"].columns if c.name != "observed_at"]
    assert consensus.column_names == expected
    assert not any(column.null_count for column in consensus.columns)
    assert consensus["n_pass"].to_pylist() == [2, 0, 1]
    assert consensus["n_fail"].to_pylist() == [1, 2, 0]
    assert set(consensus["method"].to_pylist()) == {method}


def test_majority_decides_above_a_half_and_leaves_ties_and_too_few_votes_undecided(make_labels):
    labels = votes(make_labels, won="ppf", lost="pff", tie="ppff", lone="p")
    assert decisions(build_consensus(labels, MAJORITY)) == {
        "won": "pass",
        "lost": "fail",
        "tie": "undecided",
        "lone": "undecided",
    }


def test_minimum_votes_may_be_one(make_labels):
    rule = ConsensusRule(method="majority", minimum_votes=1)
    assert decisions(build_consensus(votes(make_labels, lone="p"), rule)) == {"lone": "pass"}


def test_thresholds_leave_the_middle_undecided(make_labels):
    labels = votes(make_labels, a="ppp", b="ppp", c="fff", d="fff", e="ppf", f="pff")
    middle = build_consensus(labels, ConsensusRule(pass_at=0.999, fail_at=0.001))
    assert set(decisions(middle).values()) == {"undecided"}
    sharp = decisions(build_consensus(labels, ConsensusRule(pass_at=0.51, fail_at=0.49)))
    assert sharp == dict(
        zip("abcdef", ["pass", "pass", "fail", "fail", "pass", "fail"], strict=True)
    )


def test_dawid_skene_beats_the_majority_on_the_real_crowd(bluebirds):
    labels, gold = bluebirds
    assert accuracy(build_consensus(labels, MAJORITY), gold) == pytest.approx(0.759, abs=5e-4)
    assert accuracy(build_consensus(labels), gold) >= 0.87


def test_probabilities_are_rounded_to_a_millionth(bluebirds):
    p_pass = build_consensus(bluebirds[0])["p_pass"].to_numpy()
    assert np.array_equal(p_pass, np.round(p_pass, 6))


@settings(max_examples=50)
@given(rows_of_labels, st.randoms())
def test_rows_are_the_same_for_any_order_and_any_annotator_ids(make_labels, rows, random):
    names = dict(zip("abcd", random.sample("abcdefgh", 4), strict=True))
    other = [(item, names[person], value) for item, person, value in rows]
    random.shuffle(other)
    for rule in (MAJORITY, ConsensusRule()):
        assert build_consensus(make_labels(rows), rule).equals(
            build_consensus(make_labels(other), rule)
        )


def test_another_dimension_does_not_change_this_one(bluebirds, make_labels):
    birds = bluebirds[0]
    more = votes(make_labels, v1="ppf", v2="pff").set_column(
        3, "dimension", pa.array(["motion"] * 6)
    )
    both = build_consensus(pa.concat_tables([more, birds]))
    assert both["dimension"].to_pylist()[:2] == ["motion"] * 2
    plain = build_consensus(birds).drop(["consensus_id"])
    assert both.slice(2).drop(["consensus_id"]).equals(plain)


def test_only_design_labels_decide(make_labels):
    design = votes(make_labels, v1="ppf")
    others = [make_labels([("v1", "x", "fail")], role=role) for role in ("gold", "escalation")]
    assert build_consensus(pa.concat_tables([design, *others])).equals(build_consensus(design))


def test_the_id_follows_labels_method_and_settings(make_labels):
    def identity(labels, **rule):
        return build_consensus(labels, ConsensusRule(**rule))["consensus_id"][0].as_py()

    labels = votes(make_labels, v1="ppf", v2="ff")
    ids = {
        identity(labels),
        identity(labels, method="majority"),
        identity(labels, pass_at=0.8),
        identity(labels, prior=Prior(3, 1)),
        identity(votes(make_labels, v1="ppp", v2="ff")),
        identity(votes(make_labels, v1="ppf", v3="ff")),
    }
    assert len(ids) == 6
    # Majority reads no thresholds, so they are no part of its name.
    assert identity(labels, method="majority") == identity(labels, method="majority", pass_at=0.8)


def test_a_prior_may_come_from_a_section_of_a_settings_file():
    assert ConsensusRule(prior={"right": 9, "wrong": 2}) == ConsensusRule(prior=Prior(9, 2))


def test_no_design_labels_give_no_rows(make_labels):
    consensus = build_consensus(make_labels([("v1", "a", "pass")], role="gold"))
    assert consensus.num_rows == 0
    assert "label" in consensus.column_names


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"method": "median"}, "'median'"),
        ({"minimum_votes": 0}, "minimum_votes=0"),
        ({"pass_at": 0.5, "fail_at": 0.5}, "fail_at=0.5"),
        ({"pass_at": 1.2}, "pass_at=1.2"),
    ],
)
def test_rules_that_mean_nothing_are_refused_with_their_value(wrong, words):
    with pytest.raises(AgreementError, match=words):
        ConsensusRule(**wrong)
