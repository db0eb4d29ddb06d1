"""What a deletion request comes to: whom or what it is about, and everything that holds it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from annotation.comparisons import SOURCE as COMPARISONS
from annotation.known import comparable
from flows.subjects import is_annotator, is_item
from warehouse.erasure import of_annotator, of_item
from warehouse.errors import StoreError
from warehouse.forgotten import forgotten, keyed
from warehouse.rewrite import Rewrite, touched_rows
from warehouse.store import Store
from warehouse.touched import Asked, touched

Rows = list[dict[str, Any]]

_PEOPLE = "SELECT source, user_id, email, name FROM people WHERE annotator_id = $a ORDER BY ALL"
_ALONE = """
SELECT c.uri, c.media_sha256, p.prompt_id, p.text,
  NOT EXISTS (SELECT 1 FROM items AS o WHERE o.prompt_id = c.prompt_id AND o.item_id <> $i)
    AS own_prompt,
  NOT EXISTS (SELECT 1 FROM clips AS o WHERE o.item_id <> $i AND o.media_sha256 = c.media_sha256)
    AS own_media
FROM clips AS c LEFT JOIN prompts AS p USING (prompt_id) WHERE c.item_id = $i
"""
_URIS = """
SELECT uri FROM items WHERE item_id = $i UNION SELECT uri FROM media WHERE item_id = $i ORDER BY 1
"""
_OTHERS = """
SELECT uri FROM items WHERE item_id <> $i AND list_contains($names, parse_filename(uri))
UNION SELECT uri FROM media WHERE item_id <> $i AND list_contains($names, parse_filename(uri))
"""
_ANNOTATIONS = """
SELECT source, list(DISTINCT task_id ORDER BY task_id) AS tasks,
  list(DISTINCT annotation_id ORDER BY annotation_id) AS annotations
FROM (SELECT source, task_id, annotation_id FROM label_events WHERE annotator_id = $a
  UNION SELECT source, task_id, annotation_id FROM quarantine WHERE annotator_id = $a)
GROUP BY source ORDER BY source
"""
_TASKS = """
SELECT source, list(DISTINCT task_id ORDER BY task_id) AS tasks
FROM (SELECT source, task_id FROM task_events WHERE item_id = $i
  UNION SELECT source, task_id FROM label_events WHERE item_id = $i)
GROUP BY source ORDER BY source
"""


@dataclass(frozen=True)
class Plan:
    """A deletion request, and all it takes to carry it out or to finish it: JSON as it stands."""

    kind: Literal["annotator", "item"]
    subject: str
    """The annotator's or the item's id."""
    people: Rows
    """source, user_id, email, name of the annotator."""
    prompt_id: str | None
    """The item's, where no other item has it."""
    texts: list[str]
    """What no file may hold any more: id, names, e-mails; places of the video, the prompt."""
    uris: list[str]
    """Places of the item's video that no other item has."""
    frames: bool
    """Whether decoded frames may be of this item alone."""
    rows: dict[str, int]
    """Rows that leave or change, by table."""
    pair_sets: Rows
    """pair_set_id and digest of the sets that rest on what goes."""
    models: Rows
    """model_id and pair_set_id of the models trained on them."""
    label_studio: Rows
    """What remains to be done there: source, tasks, and annotations and users of an annotator."""

    @property
    def rewrites(self) -> Iterator[Rewrite]:
        """What becomes of each table, in the order in which it has to be done."""
        if self.kind == "item":
            return of_item(self.subject, self.prompt_id)
        users = [(row["source"], row["user_id"]) for row in self.people]
        emails = [row["email"] for row in self.people if row["email"]]
        return of_annotator(self.subject, emails, users)

    def digests(self, key: bytes) -> list[str]:
        """What a later ingest knows the annotator or the item again by."""
        if self.kind == "item":
            return [keyed(key, "item", self.subject)]
        words: set[tuple[str, ...]] = {("annotator", comparable(self.subject))}
        for row in self.people:
            if row["email"]:
                words.add(("email", comparable(row["email"])))
            if row["source"] != COMPARISONS:
                words.add(("user", row["source"], str(row["user_id"])))
            elif row["name"]:
                words.add(("name", comparable(row["name"])))
        return sorted(keyed(key, *each) for each in words)


def plan_of(store: Store, text: str) -> Plan | None:
    """What a request about an annotator (id, e-mail or name) or an item comes to.

    annotator:ID and item:ID say which, where a text is both.
    Returns: None for who or what was forgotten already.
    Raises: StoreError for what is not known, or could be more than one.
    """
    kind, name = _kind(text)
    if kind and is_item(store, text):
        raise StoreError(f"{text!r} is an item's whole id, too; write item:{text} to mean it")
    annotator = None if kind == "item" else _annotator(store, name)
    item = kind != "annotator" and is_item(store, name)
    if annotator and item:
        raise StoreError(
            f"{name!r} is an annotator and an item; write annotator:{name} or item:{name}"
        )
    if annotator:
        return _of_annotator(store, annotator)
    if item:
        return _of_item(store, name)
    known = forgotten(store)
    if known.item(name) or known.person(comparable(name)):
        return None
    raise StoreError(
        f"no annotator and no item {name!r}; `soli annotate annotators` shows annotators' ids, and"
        " an annotator may be named by e-mail"
    )


def _kind(text: str) -> tuple[str | None, str]:
    head, colon, rest = text.partition(":")
    return (head, rest) if colon and head in ("annotator", "item") else (None, text)


def _annotator(store: Store, text: str) -> str | None:
    """Id of an annotator, given it, an e-mail or a name.

    Raises: StoreError where several go by it.
    """
    if is_annotator(store, text):
        return text
    found = {
        str(row["annotator_id"])
        for row in store.read("people").to_pylist()
        if text == row["annotator_id"]
        or (comparable(text) and comparable(text) in map(comparable, (row["email"], row["name"])))
    }
    if len(found) > 1:
        raise StoreError(
            f"{len(found)} annotators go by {text!r}; say which: {', '.join(sorted(found))}"
        )
    return found.pop() if found else None


def _of_annotator(store: Store, annotator: str) -> Plan:
    people = _rows(store, _PEOPLE, a=annotator)
    named = [row[name] for row in people for name in ("email", "name") if row[name]]
    users: dict[str, list[int]] = {}
    for row in people:
        if row["source"] != COMPARISONS:
            users.setdefault(row["source"], []).append(row["user_id"])
    given = {row["source"]: row for row in _rows(store, _ANNOTATIONS, a=annotator)}
    none: dict[str, Any] = {"tasks": [], "annotations": []}
    left = [
        {"source": source, "users": users.get(source, [])} | none | given.get(source, {})
        for source in sorted(users.keys() | given.keys())
    ]
    return _planned(
        store,
        Asked(annotator=annotator),
        kind="annotator",
        subject=annotator,
        people=people,
        prompt_id=None,
        texts=[annotator, *sorted(set(named))],
        uris=[],
        frames=False,
        label_studio=left,
    )


def _of_item(store: Store, item: str) -> Plan:
    own = _rows(store, _ALONE, i=item)
    kept = _own_uris(store, item)
    prompt = next((row for row in own if row["own_prompt"] and row["prompt_id"]), None)
    return _planned(
        store,
        Asked(item=item),
        kind="item",
        subject=item,
        people=[],
        prompt_id=prompt["prompt_id"] if prompt else None,
        texts=[item, *kept, *([prompt["text"]] if prompt else [])],
        uris=kept,
        frames=any(row["own_media"] for row in own),
        label_studio=_rows(store, _TASKS, i=item),
    )


def _own_uris(store: Store, item: str) -> list[str]:
    """Where the item's video is or was, but for places that another item's is at, or ever was."""
    uris = [row["uri"] for row in _rows(store, _URIS, i=item) if row["uri"]]
    names = [uri.rpartition("/")[2] for uri in uris]
    others = {_place(row["uri"]) for row in _rows(store, _OTHERS, i=item, names=names)}
    return [uri for uri in uris if _place(uri) not in others]


def _place(uri: str) -> str:
    """A URI such that two ways to write one place are the same."""
    return uri if "://" in uri else os.path.realpath(uri)


def _planned(store: Store, asked: Asked, **known: Any) -> Plan:
    """The plan with what rests on the annotator or the item, and how many rows go."""
    found = touched(store, asked)
    sets = [{name: row[name] for name in ("pair_set_id", "digest")} for row in found["pair_sets"]]
    models = [{name: row[name] for name in ("model_id", "pair_set_id")} for row in found["models"]]
    plan = Plan(**known, rows={}, pair_sets=sets, models=models)
    for change in plan.rewrites:
        if count := touched_rows(store, change):
            plan.rows[change.table] = count
    return plan


def held_in(plan: Plan, home: Path) -> list[Path]:
    """Places of the item's video below the home's `media`: copies that Soli made.

    A place may be anybody's text, so that nothing else in the home counts, wherever it leads.
    """
    ours = (home / "media").resolve()
    places = (Path(uri) for uri in plan.uris if "://" not in uri)
    return [
        place
        for place in places
        if place.is_absolute()
        and place.resolve().is_relative_to(ours)
        and place.parent.resolve().is_relative_to(ours)  # a link elsewhere is not ours to delete
    ]


def _rows(store: Store, sql: str, **values: object) -> Rows:
    return [dict(row) for row in store.query(sql, values, people=True).to_pylist()]
