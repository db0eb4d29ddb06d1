"""The labelling queue, as agreement and the model steer it: what comes next, or a pause."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from agreement.usefulness import Usefulness, usefulness
from annotation import queue
from annotation.queue import QueueConfig
from flows.annotate import connect, projects_of
from flows.choose import chosen_method
from flows.measure import labels_of
from flows.queue_words import why
from flows.settings import Settings, owned
from warehouse.errors import AgreementError
from warehouse.store import Store

Advance = Callable[[int, int], None]
SHOWN = ("dimension", "p_pass", "q_pass", "labels", "information", "disagreement")
CELLS = """
SELECT item_id, prompt_id || ' ' || coalesce(generator, '') AS cell FROM clips ORDER BY item_id
"""
REWARDS = """
SELECT item_id, dimension, reward, split FROM rewards WHERE model_id = $m
ORDER BY item_id, dimension
"""
NEWEST_SCORED = """
SELECT model_id FROM runs SEMI JOIN scores USING (model_id) ORDER BY observed_at DESC LIMIT 1
"""


@dataclass(frozen=True)
class Queue:
    """Items that deserve one more label, and what Label Studio made of them."""

    items: list[dict[str, Any]]
    """rank, item_id, usefulness, information (bits over all dimensions), coverage, why (in words),
    and labels: per dimension P(pass) by people and by the model, labels given, information and
    disagreement. Of fresh items before the first consensus: rank, item_id, why, and no labels."""
    asked: dict[int, queue.Asked] = field(default_factory=dict)
    """Project id -> what came of asking; empty where nothing was pushed."""


def queue_config(settings: Settings) -> QueueConfig:
    """The section `queue`."""
    return owned(QueueConfig, "queue", settings.queue)


def found_useful(
    settings: Settings, *, model: str | None = None, most_labels: int | None = None
) -> Usefulness:
    """What a look at each item is worth, from the newest agreement and consensus.

    model: id of the model that has a say; None: the newest that has scored, if there is one.
    Raises: AgreementError where agreement or a consensus is missing.
    """
    store = settings.store
    labels = labels_of(store)
    consensus = store.query(
        "FROM latest_consensus WHERE method = $m ORDER BY item_id, dimension",
        {"m": chosen_method(settings)},
    )
    annotators = store.query("FROM annotator_quality ORDER BY annotator_id, dimension")
    if not consensus.num_rows or not annotators.num_rows:
        raise AgreementError(
            "the queue needs agreement and a consensus; run `soli agreement report` and"
            " `soli consensus build` first"
        )
    cells, rewards = store.query(CELLS), _rewards(store, model)
    return usefulness(consensus, annotators, cells, rewards, given=labels, most_labels=most_labels)


def _rewards(store: Store, model: str | None) -> pa.Table | None:
    if model is None:
        newest = store.query(NEWEST_SCORED)["model_id"].to_pylist()
        if not newest:
            return None
        model = newest[0]
    return store.query(REWARDS, {"m": model})


def most_wanted(
    settings: Settings, *, limit: int, most_labels: int | None, fresh: bool = False
) -> list[dict[str, Any]]:
    """Items by what one more label is worth, most first; what tells nothing is left out.

    fresh: items that nobody has judged yet, instead of those that have labels; where agreement or
        a consensus is missing, in random order.
    Raises: AgreementError where one is missing and fresh is not asked for.
    """
    try:
        found = found_useful(settings, most_labels=most_labels)
    except AgreementError:
        if fresh:
            return _unjudged(settings)[:limit]
        raise
    parts: dict[str, list[dict[str, Any]]] = {}
    for row in found.labels.to_pylist():
        parts.setdefault(row["item_id"], []).append({name: row[name] for name in SHOWN})
    config = queue_config(settings)
    ranked: list[dict[str, Any]] = []
    for row in found.items.to_pylist():
        labels = sorted(
            parts[row["item_id"]], key=lambda part: (-part["information"], part["dimension"])
        )
        if row["usefulness"] > 0 and fresh != any(part["labels"] for part in labels):
            reason = why(row, labels, chance=queue.is_random(row["item_id"], config))
            ranked.append({**row, "rank": len(ranked) + 1, "why": reason, "labels": labels})
        if len(ranked) == limit:
            break
    return ranked


def _unjudged(settings: Settings) -> list[dict[str, Any]]:
    """Items that nobody has judged, in random order."""
    rows = settings.store.query("SELECT item_id FROM clips ANTI JOIN labels USING (item_id)")
    reason = "nobody has judged it; in random order, as there is no consensus yet"
    return [
        {"rank": rank, "item_id": item, "why": reason, "labels": []}
        for rank, item in enumerate(_drawn(settings, rows["item_id"].to_pylist()), start=1)
    ]


def _drawn(settings: Settings, items: list[str]) -> list[str]:
    """Items in the queue's random order."""
    seed = queue_config(settings).seed
    return sorted(items, key=lambda item: (queue.draw(seed, item), item))


def ask_for_more(
    settings: Settings,
    *,
    limit: int,
    most_labels: int | None = None,
    fresh: bool = False,
    push: bool = False,
    project: int | None = None,
    progress: Advance = lambda _done, _all: None,
) -> Queue:
    """The items that deserve one more label; with `push`, Label Studio serves them next.

    limit: at most so many items. most_labels: a label of an item and dimension that has so many
        is worth nothing. fresh: items that nobody has judged yet. project: id on the server; None:
        every project of Soli.
    """
    items = most_wanted(settings, limit=limit, most_labels=most_labels, fresh=fresh)
    if not push or not items:
        return Queue(items)
    names = [row["item_id"] for row in items]
    with connect(settings) as client:
        asked = {
            found.id: queue.ask_again(client, found, names, progress=progress)
            for found in projects_of(client, project)
        }
    return Queue(items, asked)


def serve_useful_first(settings: Settings, model: str | None = None) -> dict[int, queue.Wave]:
    """Put the tasks that wait for labels in order, in every project of Soli; by project id.

    Where agreement or a consensus is missing, all of them come in random order.
    """
    try:
        useful = found_useful(settings, model=model).items["item_id"].to_pylist()
    except AgreementError:
        clips = settings.store.query("SELECT item_id FROM clips")
        useful = _drawn(settings, clips["item_id"].to_pylist())
    config = queue_config(settings)
    with connect(settings) as client:
        return {
            found.id: queue.serve_next(client, found, useful, config)
            for found in projects_of(client)
        }


def pause(settings: Settings, reason: str, project: int | None = None) -> dict[int, bool]:
    """Pause the queue of a project, or of all; whether each was not paused before."""
    with connect(settings) as client:
        return {p.id: queue.pause(client, p, reason) for p in projects_of(client, project)}


def resume(settings: Settings, project: int, *, dry_run: bool = False) -> int | None:
    """Let a project's queue go on; the labels it asks for a task, None: it was not paused."""
    with connect(settings) as client:
        found = client.project(project)
        return queue.paused_overlap(found) if dry_run else queue.resume(client, found)
