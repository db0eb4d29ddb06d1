"""What a person's labels, a single one, or an item went into: consensus, pair sets, models."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from importlib import resources
from typing import Any

import duckdb

from warehouse.rows import Rows, rows_of
from warehouse.store import Store

READ = ("label_events", "consensus", "pair_sets", "pair_set_items", "pairs", "runs", "scores")
_RUNS = """
SELECT consensus_id, any_value(method) AS method, any_value(decided_at) AS decided_at,
  sum(labels)::BIGINT AS labels, count(*) AS items
FROM (
  SELECT consensus_id, item_id, any_value(method) AS method, any_value(decided_at) AS decided_at,
    count(*) AS labels
  FROM used GROUP BY consensus_id, item_id
)
GROUP BY consensus_id ORDER BY decided_at, consensus_id
"""
_DECIDED = """
SELECT consensus_id, min(method) AS method, min(observed_at) AS decided_at, 0 AS labels, 1 AS items
FROM consensus WHERE item_id = $item GROUP BY consensus_id ORDER BY decided_at, consensus_id
"""
_SETS = """
SELECT m.pair_set_id, any_value(s.digest) AS digest, count(DISTINCT item_id) AS items,
  count(DISTINCT item_id) FILTER (split = 'train') AS train_items
FROM members AS m JOIN pair_sets AS s USING (pair_set_id)
GROUP BY m.pair_set_id, s.observed_at ORDER BY s.observed_at, m.pair_set_id
"""
_MODELS = """
SELECT model_id, run_id, pair_set_id FROM runs
WHERE pair_set_id IN (SELECT pair_set_id FROM members) ORDER BY observed_at, model_id
"""
_SCORED = "SELECT DISTINCT model_id FROM scores WHERE item_id = $item ORDER BY 1"


@dataclass(frozen=True)
class Asked:
    """Whose labels, or which ones: everything that is given must fit."""

    annotator: str | None = None
    item: str | None = None
    source: str | None = None
    annotation: int | None = None
    created_at: datetime | None = None
    dimension: str | None = None
    revision: int | None = None


def touched(store: Store, asked: Asked) -> dict[str, Any]:
    """What rests on labels, or on an item.

    Returns: consensus, one row per run under whose decisions they stood (labels, items); pair_sets,
        one per set: labels, items, train_items, pairs with such an item on either side, and the
        same by dimension and split (parts); models, those trained on these sets, the oldest first;
        scored_by, models that gave the item a reward.
    A label stands from when it was observed until its next revision was.
    Cost: see benchmarks/results/trace.txt.
    """
    values = asdict(asked)
    with store.connect(READ) as db:
        db.execute(f"CREATE TEMP TABLE used AS {_sql('touched_labels')}", values)
        held = {"item": asked.item}
        db.execute(f"CREATE TEMP TABLE members AS {_sql('touched_members')}", held)
        runs = _rows(db, _RUNS)
        if asked.item:
            known = {run["consensus_id"] for run in runs}
            decided = _rows(db, _DECIDED, item=asked.item)
            runs += [run for run in decided if run["consensus_id"] not in known]
        sets = _with_parts(_rows(db, _SETS), _rows(db, _sql("touched_parts")))
        models = _rows(db, _MODELS)
        scored = _rows(db, _SCORED, item=asked.item) if asked.item else []
    train_items = {each["pair_set_id"]: each["train_items"] for each in sets}
    for model in models:
        model["train_items"] = train_items[model["pair_set_id"]]
    found = {"consensus": runs, "pair_sets": sets, "models": models}
    return found | ({"scored_by": [row["model_id"] for row in scored]} if asked.item else {})


def _with_parts(sets: Rows, parts: Rows) -> Rows:
    """Each pair set with its dimensions and splits, and their labels and pairs in all."""
    by_set: dict[str, Rows] = {each["pair_set_id"]: [] for each in sets}
    for part in parts:
        by_set[part.pop("pair_set_id")].append(part)
    for each in sets:
        each["parts"] = by_set[each["pair_set_id"]]
        each |= {name: sum(part[name] for part in each["parts"]) for name in ("labels", "pairs")}
    return sets


def _rows(db: duckdb.DuckDBPyConnection, sql: str, **values: object) -> Rows:
    return rows_of(db.sql(sql, params=values).to_arrow_table())


def _sql(name: str) -> str:
    return resources.files("warehouse").joinpath(f"sql/{name}.sql").read_text(encoding="utf-8")
