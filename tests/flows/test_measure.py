"""Agreement, gates and consensus, from the labels in a warehouse to rows in it."""

import importlib

import pytest

from flows.choose import chosen_method
from flows.exports import ingest_export
from flows.labelling import Labelling
from flows.measure import (
    build,
    consensus_digest,
    gate_rules,
    labels_of,
    measure,
    stop_at_gate,
)
from warehouse.contracts import METHODS
from warehouse.errors import AgreementError, GateStop, PlatformError
from warehouse.journal import Batch

pytestmark = pytest.mark.usefixtures("no_faces")
MEASURED = ("agreement", "annotators", "suitability", "gates")
STRICT = ({"statistic": "alpha", "threshold": 0.9},)
LOOSE = ({"statistic": "alpha", "threshold": 0.1},)


def under(settings, **sections):
    return settings.model_copy(update=sections)


def counts(store, *names):
    return {name: store.read(name).num_rows for name in names}


def newest_gates(store):
    return store.query(
        "FROM gates SEMI JOIN (SELECT arg_max(measurement_id, observed_at) AS measurement_id"
        " FROM gates) USING (measurement_id) ORDER BY dimension"
    ).to_pylist()


# What is written


@pytest.mark.slow
def test_measuring_again_finds_the_same_run_and_adds_nothing(small):
    store = small.store
    before = counts(store, "agreement", "annotators", "gates", "consensus")
    again = measure(small, store)
    build(small, store)
    assert counts(store, "agreement", "annotators", "gates", "consensus") == before
    assert set(again.report.agreement["measurement_id"].to_pylist()) == set(
        store.read("agreement")["measurement_id"].to_pylist()
    )


def test_the_tables_of_a_measurement_stand_under_one_id(small):
    store = small.store
    ids = [set(store.read(name)["measurement_id"].to_pylist()) for name in MEASURED]
    assert all(each == ids[0] for each in ids)
    assert len(ids[0]) == 1


def test_without_labels_there_is_one_line_and_no_row(settings):
    for step in (measure, build):
        with pytest.raises(AgreementError, match="soli ingest"):
            step(settings, settings.store)
    assert counts(settings.store, "agreement", "consensus") == {"agreement": 0, "consensus": 0}


@pytest.mark.slow
def test_a_measurement_killed_between_two_tables_is_there_as_a_whole_or_not_at_all(
    small, monkeypatch
):
    store, strict = small.store, under(small, gates=STRICT)
    whole = Batch.add

    def killed(self, name, rows):
        if name == "gates":
            raise KeyboardInterrupt
        return whole(self, name, rows)

    monkeypatch.setattr(Batch, "add", killed)
    with pytest.raises(KeyboardInterrupt):
        measure(strict, store)
    monkeypatch.undo()
    for name in MEASURED:
        assert len(set(store.read(name)["measurement_id"].to_pylist())) == 1
    once = measure(strict, store)
    (identity,) = set(once.report.agreement["measurement_id"].to_pylist())
    for name in MEASURED:
        ids = store.read(name)["measurement_id"].to_pylist()
        assert len(set(ids)) == 2
        assert ids.count(identity) == len(ids) / 2


# Labels and settings that change and change back


def swapped(tasks):
    """The first two people of each item have given each other's answers: agreement is the same."""
    for task in tasks:
        one, two = task["annotations"][:2]
        one["result"], two["result"] = two["result"], one["result"]
        for annotation in (one, two):
            annotation["updated_at"] = "2026-01-05T10:00:00.000000Z"
        task["updated_at"] = "2026-01-05T10:00:00.000000Z"
    return tasks


@pytest.mark.slow
def test_labels_that_change_and_change_back_are_new_runs_with_the_newest_labels(
    small, export, tasks, latest_consensus
):
    store = small.store
    first = latest_consensus(store, "dawid_skene")
    people = store.query("FROM annotator_quality ORDER BY annotator_id, dimension").to_pylist()
    digests, quality = [consensus_digest(first)], [people]
    for round_number in (1, 2):
        ingest_export(store, export(swapped(tasks), f"{round_number}.json"))
        measure(small, store)
        build(small, store)
        digests.append(consensus_digest(latest_consensus(store, "dawid_skene")))
        quality.append(
            store.query("FROM annotator_quality ORDER BY annotator_id, dimension").to_pylist()
        )
    labels = store.query("SELECT count(*) AS n FROM label_events WHERE event = 'changed'")
    assert labels["n"][0].as_py() > 0
    assert digests[0] == digests[2]
    for one, two in zip(quality[0], quality[2], strict=True):
        assert one | {"measurement_id": ""} == two | {"measurement_id": ""}
    assert [row["pass_rate"] for row in quality[0]] != [row["pass_rate"] for row in quality[1]]
    assert len(set(store.read("agreement")["measurement_id"].to_pylist())) == 3


@pytest.mark.slow
def test_consensus_settings_that_change_and_change_back_leave_the_last_ones_in_force(
    small, latest_consensus
):
    store = small.store
    before = consensus_digest(latest_consensus(store, "majority"))
    build(under(small, consensus={"minimum_votes": 4}), store)
    assert set(latest_consensus(store, "majority")["label"].to_pylist()) == {"undecided"}
    build(small, store)
    assert consensus_digest(latest_consensus(store, "majority")) == before
    build(small, store)
    assert len(set(store.read("consensus")["consensus_id"].to_pylist())) == 3 * len(METHODS)


@pytest.mark.slow
def test_agreement_settings_that_change_and_change_back_leave_the_last_ones_in_force(small):
    store = small.store
    before = store.query("FROM latest_agreement ORDER BY ALL").to_pylist()
    measure(under(small, agreement={"replicates": 100, "slices": []}), store)
    assert set(store.query("FROM latest_agreement")["slice"].to_pylist()) == {"all"}
    measure(small, store)
    after = store.query("FROM latest_agreement ORDER BY ALL").to_pylist()
    assert [r | {"measurement_id": ""} for r in after] == [
        r | {"measurement_id": ""} for r in before
    ]


# Gates


@pytest.mark.slow
def test_the_default_gate_lets_through_what_agrees(small):
    measurement = measure(small, small.store, dry_run=True)
    assert len(measurement.open) == 3
    stop_at_gate(measurement)
    assert {row["threshold"] for row in measurement.gates.to_pylist()} == {0.2}


@pytest.mark.slow
def test_a_stopped_dimension_stops_report_and_pairs_with_its_reason(soli, small, tmp_path):
    rule = "[[gates]]\ndimension = 'semantic_alignment'\nthreshold = 0.95\n"
    (tmp_path / "soli.toml").write_text(rule)
    code, out, err = soli("agreement", "report")
    assert code == 3
    assert "stop" in out
    for words in ("semantic_alignment: upper end", "lies below 0.95", "soli annotate queue --push"):
        assert words in err
    assert "subject_deformity" not in err
    before = small.store.read("pair_sets").num_rows
    code, _, err = soli("pairs", "build")
    assert code == 3
    assert "semantic_alignment" in err
    assert small.store.read("pair_sets").num_rows == before
    (tmp_path / "soli.toml").write_text(
        rule + "[pairs]\ndimensions = ['subject_deformity', 'physical_plausibility']\n"
    )
    assert soli("pairs", "build")[0] == 0


@pytest.mark.slow
def test_a_gate_made_looser_lets_through_what_it_stopped_before(small):
    store = small.store
    with pytest.raises(GateStop):
        stop_at_gate(measure(under(small, gates=STRICT), store))
    stop_at_gate(measure(under(small, gates=LOOSE), store))
    assert {(row["threshold"], row["verdict"]) for row in newest_gates(store)} == {(0.1, "go")}
    measure(under(small, gates=STRICT), store)
    assert {(row["threshold"], row["verdict"]) for row in newest_gates(store)} == {(0.9, "stop")}


@pytest.mark.slow
def test_a_gate_that_asks_for_more_items_does_not_judge_fewer(small):
    rule = STRICT[0] | {"minimum_items": 41}
    stop_at_gate(measure(under(small, gates=(rule,)), small.store))
    assert all("41" in row["reason"] for row in newest_gates(small.store))
    with pytest.raises(GateStop):
        stop_at_gate(measure(under(small, gates=STRICT), small.store))


def test_a_rule_for_all_and_one_for_a_dimension_both_count(small):
    gates = ({"threshold": 0.1}, {"dimension": "subject_deformity", "statistic": "raw"})
    rules = gate_rules(under(small, gates=gates), ["semantic_alignment", "subject_deformity"])
    assert [len(rules[name]) for name in sorted(rules)] == [1, 2]


@pytest.mark.slow
def test_only_dimensions_with_a_rule_are_gated(small):
    gates = ({"dimension": "subject_deformity", "threshold": 0.1},)
    measurement = measure(under(small, gates=gates), small.store, dry_run=True)
    assert measurement.gates["dimension"].to_pylist() == ["subject_deformity"]


# Consensus


def test_every_method_is_built_and_the_settings_choose(small):
    found = build(small, small.store, dry_run=True)
    assert tuple(found) == METHODS
    for method, decided in found.items():
        assert set(decided.table["method"].to_pylist()) == {method}
        assert decided.table.num_rows == 120
        assert decided.calibrations["gold_items"].to_pylist() == [0, 0, 0]
    assert chosen_method(small) == "dawid_skene"
    assert chosen_method(under(small, consensus={"method": "majority"})) == "majority"
    with pytest.raises(PlatformError, match="best"):
        chosen_method(under(small, consensus={"method": "best"}))


def test_the_command_counts_what_was_decided(soli, small):
    import json

    found = json.loads(soli("consensus", "build", "--json")[1])
    rows = found["consensus"]
    assert len(rows) == 3 * len(METHODS)
    assert [row["dimension"] for row in found["calibrations"]] == [
        row["dimension"] for row in rows[:3]
    ]
    assert all(row["pass"] + row["fail"] + row["undecided"] == 40 for row in rows)
    digests = [row["digest"] for row in rows if "digest" in row]
    assert len(set(digests)) == len(digests) == len(METHODS)


# The crowd, against independent libraries


@pytest.mark.slow
def test_on_the_crowd_our_numbers_are_those_of_krippendorff_and_statsmodels(
    soli, settings, crowd_export, crowd_rows
):
    import json

    import krippendorff
    import numpy as np
    from statsmodels.stats.inter_rater import fleiss_kappa

    ingest_export(settings.store, crowd_export, labelling=Labelling(("is_indigo_bunting",)))
    code, out, _ = soli("agreement", "verify", "--json")
    assert code == 0
    ours = {row["statistic"]: row["ours"] for row in json.loads(out)}
    assert all(abs(row["difference"]) < 1e-9 for row in json.loads(out))
    votes = {row["item"]: [0, 0] for row in crowd_rows}
    for row in crowd_rows:
        votes[row["item"]][row["label"] == "1"] += 1
    table = np.array(list(votes.values()))  # (108 items, fail and pass)
    alpha = krippendorff.alpha(value_counts=table, level_of_measurement="nominal")
    assert ours["alpha"] == pytest.approx(alpha, abs=1e-9)
    assert ours["kappa"] == pytest.approx(fleiss_kappa(table), abs=1e-9)
    assert labels_of(settings.store).num_rows == 4212


@pytest.mark.slow
def test_a_difference_from_the_libraries_ends_with_1_and_says_which(soli, small, monkeypatch):
    module = importlib.import_module("agreement.verify")  # the package has a function of that name
    honest = module._row
    monkeypatch.setattr(module, "_row", lambda *row: honest(*row) | {"difference": 1e-6})
    code, out, err = soli("agreement", "verify")
    assert code == 1
    assert "Ours against theirs" in out
    assert "krippendorff says" in err
