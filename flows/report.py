"""The report of a run: one HTML page with its numbers, plots and the lineage of one reward."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from flows import plots
from flows.meter import Step
from flows.page import write_page
from flows.trace import resolve, trace
from flows.trace_lines import lines
from warehouse.store import Store

GOAL = 0.65  # a dimension is learned when its whole interval lies above
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Learned:
    """ACC of one dimension and split against people's consensus, and against the world's truth."""

    dimension: str
    split: str
    acc: float | None
    low: float | None
    high: float | None
    pairs: int
    true_acc: float | None


def write_report(
    store: Store, path: Path, model_id: str, steps: list[Step], truth: Path | None = None
) -> list[Learned]:
    """Write the report of a model to `path`; return its accuracies.

    truth: the demo world's own labels. Nothing but this report's second column reads them.
    """
    facts = collect(store, model_id, truth)
    write_page(path, "report.html", facts | {"steps": steps, "goal": GOAL})
    learned: list[Learned] = facts["learned"]
    return learned


def collect(store: Store, model_id: str, truth: Path | None = None) -> dict[str, Any]:
    """Everything on the page, read from the warehouse."""
    run = _rows(store, "FROM runs WHERE model_id = $m", m=model_id)[0]
    pair_set = _rows(store, "FROM pair_sets WHERE pair_set_id = $p", p=run["pair_set_id"])[0]
    agreement = _rows(
        store, "FROM latest_agreement WHERE slice = 'all' ORDER BY dimension, statistic"
    )
    annotators = _rows(store, "FROM annotator_quality ORDER BY annotator_id, dimension")
    rewards = _rows(
        store,
        "FROM rewards WHERE model_id = $m AND label IS NOT NULL AND split IN ('test', 'ood')"
        " ORDER BY item_id, dimension",
        m=model_id,
    )
    accuracies = _rows(
        store,
        "FROM model_accuracy WHERE model_id = $m AND split IN ('test', 'ood')"
        " ORDER BY dimension, split DESC",
        m=model_id,
    )
    curve = curve_of(Path(run["path"]).parent / "curve.jsonl")
    example = example_item(store, model_id)
    found = trace(store, resolve(store, f"{model_id}:{example}"))
    return {
        "run": run,
        "pair_set": pair_set,
        "pair_counts": _rows(
            store,
            "SELECT dimension, split, kind, pairs FROM pair_stats WHERE pair_set_id = $p"
            " ORDER BY ALL",
            p=run["pair_set_id"],
        ),
        "totals": _totals(store),
        "agreement": agreement,
        "annotators": annotators,
        "learned": learned_of(accuracies, rewards, truth),
        "pass_rates": _rows(store, "FROM pass_rates ORDER BY dimension, generator"),
        "doubts": _rows(store, "FROM disagreement_queue LIMIT 8"),
        "example": example,
        "lineage": "\n".join(lines(found)),
        "plots": {
            "agreement": plots.agreement([r for r in agreement if r["statistic"] != "prevalence"]),
            "annotators": plots.annotators(annotators),
            "scores": plots.scores(rewards),
            "accuracy": plots.accuracy([row | {"value": row["acc"]} for row in accuracies], GOAL),
            "curve": plots.curve(curve),
        },
    }


def learned_of(accuracies: Rows, rewards: Rows, truth: Path | None) -> list[Learned]:
    """Accuracies, with the same ones against the truth where it is given."""
    true = _true_accuracies(rewards, truth)
    return [
        Learned(
            row["dimension"],
            row["split"],
            row["acc"],
            row["low"],
            row["high"],
            row["pairs"],
            true.get((row["dimension"], row["split"])),
        )
        for row in accuracies
    ]


def _true_accuracies(rewards: Rows, truth: Path | None) -> dict[tuple[str, str], float | None]:
    from training.metrics import split_metrics

    if truth is None:
        return {}
    table = pq.read_table(truth, columns=["item_id", "dimension", "label"])
    right = {(row["item_id"], row["dimension"]): row["label"] for row in table.to_pylist()}
    sides: dict[tuple[str, str], dict[str, list[float]]] = {}
    for row in rewards:
        side = sides.setdefault((row["dimension"], row["split"]), {"pass": [], "fail": []})
        label = right.get((row["item_id"], row["dimension"]))
        if label:
            side[label].append(row["reward"])
    return {key: split_metrics(side["pass"], side["fail"]).acc for key, side in sides.items()}


def example_item(store: Store, model_id: str) -> str:
    """A held-out item whose lineage has something to tell: the one with most label events."""
    rows = _rows(
        store,
        "SELECT item_id, count(*) AS events FROM lineage WHERE model_id = $m AND split = 'test'"
        " GROUP BY item_id ORDER BY events DESC, item_id LIMIT 1",
        m=model_id,
    )
    if not rows:
        rows = _rows(
            store, "SELECT min(item_id) AS item_id FROM scores WHERE model_id = $m", m=model_id
        )
    return str(rows[0]["item_id"])


def _totals(store: Store) -> dict[str, int]:
    row = _rows(
        store,
        "SELECT (SELECT count(*) FROM items) AS items, (SELECT count(*) FROM prompts) AS prompts,"
        " (SELECT count(*) FROM label_events) AS events,"
        " (SELECT count(*) FROM labels WHERE role = 'design') AS design_labels,"
        " (SELECT count(*) FROM quarantine) AS quarantined,"
        " (SELECT count(DISTINCT annotator_id) FROM labels) AS annotators,"
        " (SELECT count(*) FROM pulls) AS pulls",
    )[0]
    return {name: int(value) for name, value in row.items()}


def curve_of(path: Path) -> Rows:
    """Rows of a training curve, a step each."""
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def _rows(store: Store, sql: str, **values: object) -> Rows:
    table: pa.Table = store.query(sql, values)
    return [dict(row) for row in table.to_pylist()]
