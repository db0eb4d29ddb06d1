"""Agreement, consensus and gates: from the labels in the warehouse to rows in the warehouse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from agreement.consensus import ConsensusRule, build_consensus
from agreement.gates import GateRule, judge, open_dimensions
from agreement.report import MeasureConfig, Report, agreement_report
from flows.settings import Settings, owned
from warehouse.contracts import METHODS
from warehouse.digest import table_digest, value_digest
from warehouse.errors import AgreementError, GateStop, SettingsError
from warehouse.face import publish
from warehouse.store import Store, contract_of


@dataclass(frozen=True)
class Measurement:
    """Agreement of the design labels, and the verdicts of the gates on it."""

    report: Report
    gates: pa.Table

    @property
    def open(self) -> list[str]:
        """Dimensions that may go on to pairs."""
        return open_dimensions(self.gates)


def labels_of(store: Store) -> pa.Table:
    """The view `labels`, in a fixed order.

    Raises: AgreementError where there are none.
    """
    labels = store.query("FROM labels ORDER BY item_id, dimension, annotator_id")
    if not labels.num_rows:
        raise AgreementError(
            f"no labels in {store.home}; run `soli ingest` or `soli ingest --export FILE` first"
        )
    return labels


def measure(settings: Settings, store: Store, *, dry_run: bool = False) -> Measurement:
    """Measure agreement, judge the gates, and write both with the annotators' numbers."""
    with store.writing("measure agreement"):
        found = agreement_report(
            labels_of(store), owned(MeasureConfig, "agreement", settings.agreement)
        )
        report = Report(
            _renewed(store, found.agreement, "measurement_id"),
            _renewed(store, found.annotators, "measurement_id"),
            found.summary,
        )
        dimensions = sorted(set(report.agreement["dimension"].to_pylist()))
        gates = judge(report.agreement, gate_rules(settings, dimensions))
        if not dry_run:
            store.append("agreement", report.agreement)
            store.append("annotators", report.annotators)
            store.append("gates", gates)
            publish(store)
    return Measurement(report, gates)


def _renewed(store: Store, table: pa.Table, column: str) -> pa.Table:
    """The table under an id that changes with every new label event.

    Labels that change and change back would otherwise find their old id, and the newest rows of a
    table would not be those of the newest labels.
    """
    events = store.query("SELECT count(*) AS n FROM label_events")["n"][0].as_py()
    ids = [value_digest([old, events]) for old in table[column].unique().to_pylist()]
    position = table.schema.get_field_index(column)
    renewed = pa.array(ids * table.num_rows if len(ids) == 1 else [], pa.string())
    return table.set_column(position, table.schema.field(column), renewed)


def gate_rules(settings: Settings, dimensions: list[str]) -> dict[str, tuple[GateRule, ...]]:
    """Rules of soli.toml by dimension: `[[gates]]` with `dimension` (or "all") and the rule.

    Raises: SettingsError for a dimension nobody labelled.
    """
    if not settings.gates:
        return dict.fromkeys(dimensions, (GateRule(),))
    rules: dict[str, list[GateRule]] = {dimension: [] for dimension in dimensions}
    for section in settings.gates:
        values: dict[str, Any] = dict(section)
        named = values.pop("dimension", "all")
        rule = owned(GateRule, "gates", values)
        if named != "all" and named not in rules:
            raise SettingsError(
                f"soli.toml, section gates: nobody labelled {named!r}; the dimensions are"
                f" {', '.join(dimensions)}"
            )
        for dimension in dimensions if named == "all" else [named]:
            rules[dimension].append(rule)
    return {dimension: tuple(found) for dimension, found in rules.items() if found}


def stop_at_gate(measurement: Measurement) -> None:
    """Raise where no dimension may go on, or some were stopped.

    Raises: GateStop naming each stopped dimension with its reason.
    """
    stopped = [row for row in measurement.gates.to_pylist() if row["verdict"] == "stop"]
    if stopped:
        reasons = "; ".join(f"{row['dimension']}: {row['reason']}" for row in stopped)
        raise GateStop(
            f"gate says stop for {reasons}. Look at `soli agreement report`, mend the guidelines"
            " or re-judge the items in the view disagreement_queue"
        )


def build(settings: Settings, store: Store, *, dry_run: bool = False) -> dict[str, pa.Table]:
    """Consensus by every method; pairs read the one that the settings choose."""
    with store.writing("build the consensus"):
        labels = labels_of(store)
        tables = {
            method: _renewed(
                store,
                build_consensus(
                    labels,
                    owned(ConsensusRule, "consensus", settings.consensus | {"method": method}),
                ),
                "consensus_id",
            )
            for method in METHODS
        }
        if not dry_run:
            for table in tables.values():
                store.append("consensus", table)
            publish(store)
    return tables


def chosen_method(settings: Settings) -> str:
    """The method whose consensus pairs are built from."""
    return owned(ConsensusRule, "consensus", settings.consensus).method


def consensus_digest(table: pa.Table) -> str:
    """Digest of a consensus: items, labels, P(pass), votes and method, not ids or times."""
    return table_digest(table, contract_of("consensus").content)
