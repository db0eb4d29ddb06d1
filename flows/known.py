"""What the warehouse knows of a labelling project, as far as some tasks are concerned."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from annotation.events import ids_of
from annotation.known import KNOWN_QUARANTINE, Known
from annotation.payload import ITEM_KEY, PROMPT_KEY
from annotation.quarantine import TASK_REASONS
from annotation.sound import Prepared
from annotation.tables import from_rows
from warehouse.identity import prompt_id
from warehouse.store import Store

# Newest revision of each unit that belongs to one of these tasks or annotations.
_LABELS = """
SELECT * FROM label_events
WHERE source = $source AND (
  task_id IN (SELECT unnest($task_id::BIGINT[]))
  OR annotation_id IN (SELECT unnest($annotation_id::BIGINT[])))
QUALIFY row_number() OVER (
  PARTITION BY annotation_id, annotation_created_at, dimension ORDER BY revision DESC) = 1
"""
_TASKS = """
SELECT * FROM task_events
WHERE source = $source AND task_id IN (SELECT unnest($task_id::BIGINT[]))
QUALIFY row_number() OVER (PARTITION BY task_id, task_created_at ORDER BY revision DESC) = 1
"""
_QUARANTINE = """
SELECT q.*, r.quarantine_id IS NOT NULL AS resolved
FROM quarantine AS q LEFT JOIN resolutions AS r USING (quarantine_id)
WHERE q.source = $source
"""
_OF_TASKS = "AND (q.task_id IS NULL OR q.task_id IN (SELECT unnest($task_id::BIGINT[])))"
_PROMPTS = "SELECT prompt_id FROM prompts WHERE prompt_id IN (SELECT unnest($ids::VARCHAR[]))"
_ITEMS = "SELECT item_id, prompt_id FROM items WHERE item_id IN (SELECT unnest($ids::VARCHAR[]))"
_OF_SOURCE = ("label_events", "task_events", "quarantine")
_OF_ALL = ("items", "prompts")
_LONGEST_ID = 10_000  # bits of a number that stands for a text; Python writes no longer ones
# Tasks that never became an item stand in quarantine, and on the server all the same.
_LIVE = """
SELECT DISTINCT task_id FROM (
  SELECT task_id, event FROM task_events WHERE source = $source
  QUALIFY row_number() OVER (PARTITION BY task_id, task_created_at ORDER BY revision DESC) = 1
  UNION ALL
  SELECT task_id, 'seen' FROM quarantine ANTI JOIN resolutions USING (quarantine_id)
  WHERE source = $source AND task_id IS NOT NULL
    AND reason IN (SELECT unnest($reasons::VARCHAR[])))
WHERE event <> 'gone'
"""


class Knowledge:
    """What was known of a source before a batch; asked for a few tasks at a time."""

    def __init__(self, store: Store, source: str) -> None:
        self._store, self._source = store, source
        self._people = store.read("people")
        # Of a table without a row that could matter nothing is asked: a first read has no such.
        self._held = set(filter(self._holds, _OF_SOURCE + _OF_ALL))

    def of(self, tasks: Sequence[Any]) -> Known:
        """What matters for reading these tasks, raw or prepared."""
        found = ids_of(tasks if self._held.intersection(_OF_SOURCE) else ())
        return Known(
            **self._tasks(found["task_id"], found["annotation_id"]),
            quarantine=self._quarantine(_OF_TASKS, task_id=found["task_id"]),
            item_prompts=self._items(tasks),
            prompt_ids=self._prompts(tasks),
        )

    def _items(self, tasks: Sequence[Any]) -> dict[str, str]:
        found = self._ask("items", _ITEMS, ids=_texts(tasks, ITEM_KEY))
        columns = (found[name].to_pylist() for name in ("item_id", "prompt_id"))
        return dict(zip(*columns, strict=True))

    def _prompts(self, tasks: Sequence[Any]) -> frozenset[str]:
        ids = map(prompt_id, _texts(tasks, PROMPT_KEY))
        return frozenset(self._ask("prompts", _PROMPTS, ids=ids)["prompt_id"].to_pylist())

    def without(self, present: Collection[int]) -> Known:
        """What matters for saying that all other tasks are gone."""
        gone = live_tasks(self._store, self._source) - set(present)
        return Known(**self._tasks(gone, set()), quarantine=self._quarantine())

    def rejected(self) -> Known:
        """Everything in quarantine."""
        return Known(people=self._people, quarantine=self._quarantine())

    def _tasks(self, tasks: set[int], annotations: set[int]) -> dict[str, pa.Table]:
        ids = {"task_id": tasks, "annotation_id": annotations}
        return {
            "labels": self._ask("label_events", _LABELS, **ids),
            "tasks": self._ask("task_events", _TASKS, task_id=tasks),
            "people": self._people,
        }

    def _quarantine(self, where: str = "", **ids: Iterable[Any]) -> pa.Table:
        if "quarantine" not in self._held:
            return KNOWN_QUARANTINE.empty_table()
        found = self._ask("quarantine", _QUARANTINE + where, **ids)
        return found.select(KNOWN_QUARANTINE.names)

    def _ask(self, name: str, sql: str, **ids: Iterable[Any]) -> pa.Table:
        """Rows of a table about the ids; they are looked at where it holds any."""
        if name not in self._held:
            return from_rows(name, ())
        return self._query(sql, {name: sorted(set(each)) for name, each in ids.items()})

    def _holds(self, name: str) -> bool:
        """Whether a table has a row that could matter."""
        where = "WHERE source = $source" if name in _OF_SOURCE else ""
        return bool(self._query(f"SELECT 1 FROM {name} {where} LIMIT 1", {}).num_rows)

    def _query(self, sql: str, values: dict[str, Any]) -> pa.Table:
        source = {"source": self._source} if "$source" in sql else {}
        return self._store.query(sql, source | values)


def _texts(tasks: Iterable[Any], key: str) -> Iterator[str]:
    """Texts of a data field of tasks, where there are any."""
    for task in tasks:
        if isinstance(task, Prepared):
            data: Any = task.task.data
        else:
            data = task.get("data") if isinstance(task, Mapping) else None
        value = data.get(key) if isinstance(data, Mapping) else None
        if isinstance(value, str) or (type(value) is int and value.bit_length() < _LONGEST_ID):
            text = str(value).encode("utf-8", "ignore").decode().strip()  # half characters: no id
            if text:
                yield text


def live_tasks(store: Store, source: str) -> set[int]:
    """Ids of the tasks of a source that are on its server as far as we know."""
    values = {"source": source, "reasons": sorted(TASK_REASONS)}
    return set(store.query(_LIVE, values)["task_id"].to_pylist())


@dataclass(frozen=True)
class LastPull:
    """The newest pull of a source from its server."""

    pull_id: str
    observed_at: datetime
    watermark: datetime | None
    """Where the next one begins; None where the project was empty."""


def last_pull(store: Store, source: str) -> LastPull | None:
    """Newest pull of a source; None where it was never pulled from a server."""
    rows = store.query(
        "SELECT pull_id, observed_at, watermark FROM pulls WHERE source = $s AND origin = 'server'"
        " ORDER BY observed_at DESC LIMIT 1",
        {"s": source},
    ).to_pylist()
    return LastPull(**rows[0]) if rows else None
