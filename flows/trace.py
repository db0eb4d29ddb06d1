"""Lineage: from a reward down to the people's labels, and from an annotator up to the models."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.choose import by_start
from flows.pair_imports import source_of
from warehouse.errors import StoreError
from warehouse.store import Store
from warehouse.wording import counted

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Reference:
    """What to trace: a model, a model's reward of an item, or an annotator."""

    model_id: str | None = None
    item_id: str | None = None
    annotator_id: str | None = None


def resolve(store: Store, text: str) -> Reference:
    """Read MODEL, MODEL:ITEM or ANNOTATOR; MODEL may be `latest`, a prefix, or a checkpoint folder.

    Raises: StoreError for what is not in the warehouse, with what is.
    """
    head, _, item = text.partition(":")
    annotators = store.query(
        "SELECT DISTINCT annotator_id FROM label_events WHERE annotator_id = $a", {"a": text}
    )
    if annotators.num_rows:
        return Reference(annotator_id=text)
    model = _model(store, head)
    if item and not _rows(
        store, "SELECT 1 FROM scores WHERE model_id = $m AND item_id = $i LIMIT 1", m=model, i=item
    ):
        some = _rows(
            store,
            "SELECT DISTINCT item_id FROM scores WHERE model_id = $m ORDER BY 1 LIMIT 3",
            m=model,
        )
        known = ", ".join(row["item_id"] for row in some) or "nothing; run `soli score`"
        raise StoreError(
            f"model {model} has no reward for item {item!r}; it scored, for example, {known}"
        )
    return Reference(model_id=model, item_id=item or None)


def _model(store: Store, name: str) -> str:
    rows = _rows(store, "SELECT model_id, run_id FROM runs ORDER BY observed_at DESC")
    folder = Path(name).absolute()
    for row in rows:
        if folder == store.home / "runs" / row["run_id"] / "checkpoint":
            return str(row["model_id"])
    found = by_start(rows, "model_id", name, "model, annotator or checkpoint", "soli train")
    return str(found["model_id"])


def trace(store: Store, reference: Reference) -> dict[str, Any]:
    """Everything that stands behind (or, for an annotator, upon) the reference, as JSON."""
    if reference.annotator_id:
        return _annotator(store, reference.annotator_id)
    assert reference.model_id
    found = _lineage_of_model(store, reference.model_id)
    if reference.item_id:
        found["rewards"] = _rewards(store, reference.model_id, reference.item_id)
        if "judgements" in found:
            found["judgements"] = _judgements(store, found["pair_set"], reference.item_id)
    return found


def _lineage_of_model(store: Store, model: str) -> dict[str, Any]:
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
        return {"model": run, "pair_set": pair_set, "judgements": _judgements(store, pair_set)}
    consensus = _rows(
        store,
        "SELECT method, dimension, count(*) AS items, count(*) FILTER (label = 'pass') AS pass,"
        " count(*) FILTER (label = 'fail') AS fail,"
        " count(*) FILTER (label = 'undecided') AS undecided"
        " FROM consensus WHERE consensus_id = $c GROUP BY ALL ORDER BY ALL",
        c=pair_set["consensus_id"],
    )
    labels = _rows(
        store,
        "SELECT annotator_id, count(*) AS events, count(DISTINCT item_id) AS items"
        " FROM label_events WHERE observed_at <= $t GROUP BY annotator_id ORDER BY annotator_id",
        t=pair_set["as_of"],
    )
    return {"model": run, "pair_set": pair_set, "consensus": consensus, "annotators": labels}


def _judgements(store: Store, pair_set: dict[str, Any], item: str | None = None) -> Rows:
    """Judgements that an imported set was made of: how many by dimension, or those of an item."""
    shown = "count(*) AS judgements" if item is None else "item_a, item_b, category"
    return _rows(
        store,
        f"SELECT dimension, {shown} FROM judgements_as_of($t)"
        " WHERE source = $s AND ($i IS NULL OR $i IN (item_a, item_b))"
        " GROUP BY ALL ORDER BY ALL",
        s=source_of(pair_set["imported"]["name"]),
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
            keys = ("annotator_id", "event", "value", "revision", "annotation_id", "occurred_at")
            reward["events"].append({key: row[key] for key in keys})
    return list(rewards.values())


def _annotator(store: Store, annotator: str) -> dict[str, Any]:
    events = _rows(
        store,
        "SELECT dimension, event, count(*) AS events, count(DISTINCT item_id) AS items"
        " FROM label_events WHERE annotator_id = $a GROUP BY ALL ORDER BY ALL",
        a=annotator,
    )
    models = _rows(
        store,
        "SELECT DISTINCT r.model_id, r.pair_set_id, count(DISTINCT m.item_id) AS train_items"
        " FROM runs r JOIN pair_sets p USING (pair_set_id)"
        " JOIN pair_set_items m ON m.pair_set_id = p.pair_set_id AND m.split = 'train'"
        " AND p.consensus_id IS NOT NULL"
        " JOIN label_events e ON e.item_id = m.item_id AND e.dimension = m.dimension"
        "  AND e.observed_at <= p.as_of AND e.annotator_id = $a GROUP BY ALL ORDER BY ALL",
        a=annotator,
    )
    return {"annotator_id": annotator, "events": events, "models": models}


def _rows(store: Store, sql: str, **values: object) -> Rows:
    return [dict(row) for row in store.query(sql, values).to_pylist()]


def _built(pair_set: dict[str, Any]) -> str:
    return (
        f"digest {pair_set['digest'][:12]}, seed {pair_set['seed']},"
        f" as of {pair_set['as_of']:%Y-%m-%d %H:%M:%S} UTC"
    )


def lines(found: dict[str, Any]) -> list[str]:
    """The trace as an indented tree, for people."""
    if "annotator_id" in found:
        head = [f"annotator {found['annotator_id']}"]
        head += [
            f"  {e['dimension']}: {e['events']} {e['event']} events on {e['items']} items"
            for e in found["events"]
        ]
        head += [
            f"  model {m['model_id']} learned from {m['train_items']} items this annotator judged"
            for m in found["models"]
        ]
        return head
    model, pair_set = found["model"], found["pair_set"]
    tree = [
        f"model {model['model_id']}  (run {model['run_id'][:12]})",
        f"└─ pair set {pair_set['pair_set_id']}  ({_built(pair_set)})",
    ]
    return tree + (_of_import(found) if pair_set["imported"] else _of_labels(found))


def _of_import(found: dict[str, Any]) -> list[str]:
    """What stands behind an imported set: others' judgements."""
    imported = found["pair_set"]["imported"]
    file = f"{imported['form']} file {imported['name']}, SHA-256 {imported['sha256'][:12]}"
    tree = [f"   └─ imported: {file}"]
    if "rewards" not in found:
        return tree + [
            f"      ├─ {j['dimension']}: {counted(j['judgements'], 'judgement', 'judgements')}"
            for j in found["judgements"]
        ]
    for reward in found["rewards"]:
        tree.append(
            f"      ├─ {reward['dimension']}: reward {reward['reward']:+.3f},"
            f" split {reward['split'] or 'none'}"
        )
        tree += [
            f"      │    {j['item_a']} (A), {j['item_b']} (B): {j['category']}"
            for j in found["judgements"]
            if j["dimension"] == reward["dimension"]
        ]
    return tree


def _of_labels(found: dict[str, Any]) -> list[str]:
    """What stands behind a set that was built: a consensus, and people's labels."""
    tree = [f"   └─ consensus {found['pair_set']['consensus_id'][:12]}"]
    tree += [
        f"      ├─ {c['dimension']}: {c['pass']} pass, {c['fail']} fail,"
        f" {c['undecided']} undecided ({c['method']})"
        for c in found["consensus"]
    ]
    tree.append("      └─ label events")
    if "rewards" not in found:
        return tree + [
            f"         ├─ {a['annotator_id']}: {a['events']} events on {a['items']} items"
            for a in found["annotators"]
        ]
    for reward in found["rewards"]:
        decided = reward["label"] or "undecided"
        p_pass = "" if reward["p_pass"] is None else f", P(pass) {reward['p_pass']:.3f}"
        tree.append(
            f"         ├─ {reward['dimension']}: reward {reward['reward']:+.3f},"
            f" consensus {decided}{p_pass}, split {reward['split'] or 'none'}"
        )
        tree += [
            f"         │    {e['annotator_id']}  {e['event']} {e['value'] or ''}"
            f"  (annotation {e['annotation_id']}, revision {e['revision']},"
            f" {e['occurred_at']:%Y-%m-%d %H:%M:%S})"
            for e in reward["events"]
        ]
    return tree
