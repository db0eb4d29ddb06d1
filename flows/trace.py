"""Lineage: from a reward down to the people's labels, and from those up to the models."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from flows.ids import by_start
from flows.subjects import LABEL, annotator_of, is_annotator, is_item, label_of
from warehouse.errors import StoreError
from warehouse.forgotten import NOT_REBUILDABLE
from warehouse.identity import imported_source
from warehouse.rows import Rows, rows_of
from warehouse.store import Store
from warehouse.touched import Asked, touched

_KIND = re.compile("^(annotator|item|label):")
_OF_EVENT = (
    "annotator_id",
    "event",
    "value",
    "revision",
    "source",
    "annotation_id",
    "annotation_created_at",
    "project_version",
    "occurred_at",
)
_PEOPLE = """
SELECT annotator_id, count(*) AS events, count(DISTINCT item_id) AS items
FROM label_events WHERE observed_at <= $t GROUP BY annotator_id ORDER BY annotator_id
"""
_CONFIGS = """
SELECT e.source, e.project_version AS version, any_value(p.config_digest) AS config_digest,
  count(*) AS events, count(DISTINCT e.annotator_id) AS annotators
FROM label_events AS e
LEFT JOIN projects AS p ON p.source = e.source AND p.version = e.project_version
WHERE e.observed_at <= $t GROUP BY ALL ORDER BY ALL
"""
_EVENTS = """
SELECT source, project_version AS version, dimension, event,
  count(*) AS events, count(DISTINCT item_id) AS items,
  list(DISTINCT annotator_id ORDER BY annotator_id) AS annotators
FROM label_events
WHERE ($annotator IS NULL OR annotator_id = $annotator)
  AND ($item IS NULL OR item_id = $item)
  AND ($source IS NULL OR source = $source)
  AND ($annotation IS NULL OR annotation_id = $annotation)
  AND ($created_at IS NULL OR annotation_created_at = $created_at)
  AND ($dimension IS NULL OR dimension = $dimension)
  AND ($revision IS NULL OR revision = $revision)
GROUP BY source, project_version, dimension, event ORDER BY ALL
"""


@dataclass(frozen=True)
class Reference:
    """What to trace: a model, its reward of an item; or what rests on labels, or on an item."""

    model_id: str | None = None
    item_id: str | None = None
    upon: Asked | None = None
    """An annotator, an item or a label, to be traced upwards."""
    name: str = ""
    """As it was asked for."""


def resolve(store: Store, text: str) -> Reference:
    """Read what is to be traced.

    text: MODEL or MODEL:ITEM, where MODEL may be `latest`, a prefix, or a checkpoint folder; or an
        item's id or an annotator's, of which the start will do; annotator:ID and item:ID say
        which; or a label, as `flows.subjects.label_of` reads it.
    Raises: StoreError for what is not in the warehouse, with what is.
    """
    upon = _upon(store, text)
    if upon is not None:
        return Reference(upon=upon, name=upon.annotator or _KIND.sub("", text))
    head, _, item = text.partition(":")
    model = _model(store, head)
    if item and not _rows(
        store, "SELECT 1 FROM scores WHERE model_id = $m AND item_id = $i LIMIT 1", m=model, i=item
    ):
        some = _rows(
            store,
            "SELECT DISTINCT item_id FROM scores WHERE model_id = $m ORDER BY 1 LIMIT 3",
            m=model,
        )
        known = ", ".join(row["item_id"] for row in some)
        step = f"it scored, for example, {known}" if some else "run `soli score` first"
        raise StoreError(f"model {model} has no reward for item {item!r}; {step}")
    return Reference(model_id=model, item_id=item or None)


def _upon(store: Store, text: str) -> Asked | None:
    """What is to be traced upwards; None where a model is meant."""
    if text.startswith(LABEL):
        return label_of(store, text)
    kind, colon, name = text.partition(":")
    if kind not in ("annotator", "item") or not colon:
        kind, name = "", text
    if kind != "item" and is_annotator(store, name):
        return Asked(annotator=name)
    if kind != "annotator" and is_item(store, name):
        return Asked(item=name)
    if kind != "item" and (annotator := annotator_of(store, name)):
        return Asked(annotator=annotator)
    if "@" in name and not set(":/") & set(name):
        raise StoreError(
            f"{name!r} is no id; an annotator is traced by the random id that"
            " `soli annotate annotators` shows"
        )
    if kind:
        raise StoreError(f"no {kind} {name!r} is known; `soli trace latest` shows annotators")
    return None


def _model(store: Store, name: str) -> str:
    rows = _rows(store, "SELECT model_id, run_id FROM runs ORDER BY observed_at DESC")
    folder = Path(name).absolute()
    for row in rows:
        if folder == store.home / "runs" / row["run_id"] / "checkpoint":
            return str(row["model_id"])
    found = by_start(rows, "model_id", name, "model, annotator, item or checkpoint", "soli train")
    return str(found["model_id"])


def trace(store: Store, reference: Reference) -> dict[str, Any]:
    """Everything that stands behind the reference, or upon it, as JSON."""
    if reference.upon:
        return _up(store, reference.upon, reference.name)
    assert reference.model_id
    found = _lineage_of_model(store, reference.model_id, people=not reference.item_id)
    if reference.item_id:
        found["rewards"] = _rewards(store, reference.model_id, reference.item_id)
        if "judgements" in found:
            found["judgements"] = _judgements(store, found["pair_set"], reference.item_id)
    return found


def _lineage_of_model(store: Store, model: str, *, people: bool) -> dict[str, Any]:
    """Model, pair set and consensus; people: with all whose labels were known, by configuration."""
    run = _rows(
        store,
        "SELECT model_id, run_id, pair_set_id, weights_sha256, path, observed_at"
        " FROM runs WHERE model_id = $m",
        m=model,
    )[0]
    pair_set = _rows(
        store,
        "SELECT pair_set_id, digest, seed, as_of, consensus_id, counts, path,"
        " recipe->>'$.imported' AS imported"
        " FROM pair_sets WHERE pair_set_id = $p",
        p=run["pair_set_id"],
    )[0]
    if pair_set["imported"]:
        pair_set["imported"] = json.loads(pair_set["imported"])
        return {
            "model": run,
            "pair_set": pair_set,
            "not_rebuildable": _lost(store, run["pair_set_id"]),
            "judgements": _judgements(store, pair_set),
        }
    moment = {"t": pair_set["as_of"]}
    consensus = _rows(
        store,
        "SELECT method, dimension, count(*) AS items, count(*) FILTER (label = 'pass') AS pass,"
        " count(*) FILTER (label = 'fail') AS fail,"
        " count(*) FILTER (label = 'undecided') AS undecided"
        " FROM consensus WHERE consensus_id = $c GROUP BY ALL ORDER BY ALL",
        c=pair_set["consensus_id"],
    )
    found: dict[str, Any] = {
        "model": run,
        "pair_set": pair_set,
        "not_rebuildable": _lost(store, run["pair_set_id"]),
        "consensus": consensus,
    }
    if people:  # an item's own are behind its rewards
        found["annotators"] = _rows(store, _PEOPLE, **moment)
        found["configs"] = _rows(store, _CONFIGS, **moment)
    return found


def _lost(store: Store, pair_set_id: str) -> str | None:
    """Why the set cannot be made again; None where it can."""
    rows = _rows(
        store,
        "SELECT min(reason) AS reason FROM audit WHERE action = $a AND subject = $p",
        a=NOT_REBUILDABLE,
        p=pair_set_id,
    )
    return rows[0]["reason"] if rows else None


def _judgements(store: Store, pair_set: dict[str, Any], item: str | None = None) -> Rows:
    """Judgements that an imported set was made of: how many by dimension, or those of an item."""
    shown = "count(*) AS judgements" if item is None else "item_a, item_b, category"
    return _rows(
        store,
        f"SELECT dimension, {shown} FROM judgements_as_of($t)"
        " WHERE source = $s AND ($i IS NULL OR $i IN (item_a, item_b))"
        " GROUP BY ALL ORDER BY ALL",
        s=imported_source(pair_set["imported"]["name"]),
        t=pair_set["as_of"],
        i=item,
    )


def _rewards(store: Store, model: str, item: str) -> Rows:
    """One entry per dimension: reward, consensus, and the label events behind it."""
    rows = _rows(
        store,
        "SELECT * FROM lineage WHERE model_id = $m AND item_id = $i"
        " ORDER BY dimension, annotator_id, annotation_created_at, revision",
        m=model,
        i=item,
    )
    rewards: dict[str, dict[str, Any]] = {}
    for row in rows:
        reward = rewards.setdefault(
            row["dimension"],
            {key: row[key] for key in ("dimension", "reward", "split", "label", "p_pass")}
            | {"events": []},
        )
        if row["event"]:
            reward["events"].append({key: row[key] for key in _OF_EVENT})
    return list(rewards.values())


def _up(store: Store, asked: Asked, name: str) -> dict[str, Any]:
    """Labels of an annotator, on an item, or a single one; and what they went into."""
    kind = "annotator" if asked.annotator else "item" if asked.item else "label"
    events = _rows(store, _EVENTS, **asdict(asked))
    return {"upon": kind, "name": name, "events": events, **touched(store, asked)}


def _rows(store: Store, sql: str, **values: object) -> Rows:
    return rows_of(store.query(sql, values))
