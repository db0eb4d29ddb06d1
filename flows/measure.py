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
    with store.writing("measure agreement", dry_run=dry_run):
        found = agreement_report(
            labels_of(store), owned(MeasureConfig, "agreement", settings.agreement)
        )
        dimensions = sorted(set(found.agreement["dimension"].to_pylist()))
        tables = {
            "agreement": found.agreement,
            "annotators": found.annotators,
            "gates": judge(found.agreement, gate_rules(settings, dimensions)),
        }
        tables = _as_run(store, tables, "measurement_id")
        if not dry_run:
            for name, table in tables.items():
                store.append(name, table)
            publish(store)
    report = Report(tables["agreement"], tables["annotators"], found.summary)
    return Measurement(report, tables["gates"])


def _as_run(
    store: Store, tables: dict[str, pa.Table], column: str, method: str | None = None
) -> dict[str, pa.Table]:
    """The tables of one run under its id, in `column`.

    The newest run keeps its id where it found the same; anything else is a run of its own. Labels
    or settings that change and change back are so a new run, and the newest rows are those of the
    last run. The first table, which is written first, knows the runs.
    """
    content = [
        [sorted(set(table[column].to_pylist())), table_digest(table, _told(name, column))]
        for name, table in tables.items()
    ]
    runs = _runs(store, next(iter(tables)), column, method)
    identity = value_digest([content, len(runs) - 1])
    if not runs or runs[-1] != identity:
        identity = value_digest([content, len(runs)])
    return {name: _under(table, column, identity) for name, table in tables.items()}


def _told(name: str, column: str) -> list[str]:
    """Columns by which two runs differ: content and key, without the run's id."""
    contract = contract_of(name)
    return sorted({*contract.content, *contract.key} - {column})


def _runs(store: Store, name: str, column: str, method: str | None) -> list[str]:
    """Ids of the runs in a table, in the order of their commits."""
    where = "WHERE method = $m" if method else ""
    found = store.query(
        f"SELECT {column} AS id FROM {name} {where} GROUP BY id ORDER BY min(observed_at)",
        {"m": method} if method else {},
    )
    ids: list[str] = found["id"].to_pylist()
    return ids


def _under(table: pa.Table, column: str, identity: str) -> pa.Table:
    position = table.schema.get_field_index(column)
    ids = pa.array([identity] * table.num_rows, pa.string())
    return table.set_column(position, table.schema.field(column), ids)


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
        if not isinstance(named, str):
            raise SettingsError(f"soli.toml, section gates: dimension {named!r} is no name")
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
    with store.writing("build the consensus", dry_run=dry_run):
        labels = labels_of(store)
        tables = {}
        for method in METHODS:
            rule = owned(ConsensusRule, "consensus", settings.consensus | {"method": method})
            decided = {"consensus": build_consensus(labels, rule)}
            tables[method] = _as_run(store, decided, "consensus_id", method)["consensus"]
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
