"""What a deletion request takes out of each table.

Tables that refer to others come first, so that at no moment a row refers to nothing, and a request
that was cut short finds by the rows that are left what is still to be done.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from warehouse.contracts import TABLES, Table
from warehouse.rewrite import Rewrite
from warehouse.views import quoted

ORDER = (
    "resolutions",
    "quarantine",
    "pulls",
    "label_events",
    "task_events",
    "comparisons",
    "scores",
    "pairs",
    "pair_set_items",
    "consensus",
    "media",
    "items",
    "prompts",
)
THEIRS = ("label_events", "comparisons", "annotators", "people")
WORD = "forgotten"  # stands where an annotator's id stood in a text
# Around an e-mail in a text (RE2 knows no look-around).
BEFORE = r"(^|[^\pL\pN_.+%-])"
AFTER = r"($|[^\pL\pN_.-]|\.($|[^\pL\pN_]))"


def of_annotator(
    annotator_id: str, emails: Sequence[str] = (), users: Sequence[tuple[str, int]] = ()
) -> Iterator[Rewrite]:
    """Every row of an annotator's, and the id or an e-mail wherever a text names it.

    users: source and user_id of the annotator; units that could not be read say no more.
    Annotator ids are random, so that a text which holds one means this annotator.
    """
    their = f"annotator_id = {quoted(annotator_id)}"
    rejected = " OR ".join([f"coalesce({their}, false)", *(_unread(*user) for user in users)])
    gone = {
        "resolutions": f"quarantine_id IN (SELECT quarantine_id FROM quarantine WHERE {rejected})",
        **dict.fromkeys(THEIRS, their),
        "quarantine": rejected,
    }
    for table in (*ORDER, *(name for name in TABLES if name not in ORDER)):
        changed = _redacted(TABLES[table], annotator_id, list(filter(_telling, emails)))
        if table == "pulls":
            changed["events"] = _events_left(their)
        yield Rewrite(table, gone.get(table, "false"), changed)


def of_item(item_id: str, prompt_id: str | None) -> Iterator[Rewrite]:
    """Every row of an item's, and of its prompt where no other item has it.

    prompt_id: the item's; kept apart because the item's row is gone when its prompt's turn comes.
    """
    name = quoted(item_id)
    its, quarantined = f"item_id = {name}", _quarantined(item_id)
    at = "(pair_set_id, dimension, {end}) IN (SELECT (pair_set_id, dimension, ordinal)"
    stands = f"{at} FROM pair_set_items WHERE {its})"
    gone = {
        "resolutions": "quarantine_id IN"
        f" (SELECT quarantine_id FROM quarantine WHERE {quarantined})",
        "quarantine": quarantined,
        "comparisons": f"{name} IN (item_a, item_b)",
        "pairs": f"{stands.format(end='winner')} OR {stands.format(end='other')}",
        "prompts": f"prompt_id = {quoted(prompt_id)} AND prompt_id NOT IN"
        f" (SELECT prompt_id FROM items WHERE item_id <> {name})"
        if prompt_id
        else "false",
    }
    for table in ORDER:
        if table == "pulls":
            yield Rewrite(table, changed={"events": _events_left(its)})
        else:
            yield Rewrite(table, gone.get(table, its))


def _events_left(going: str) -> str:
    """Label events that a pull will have added when these have gone; `verify` compares them."""
    of_pull = "e.pull_id = pulls.pull_id"
    return (
        f"CASE WHEN pull_id IN (SELECT pull_id FROM label_events WHERE {going})"
        f" THEN (SELECT count(*) FROM label_events AS e WHERE {of_pull} AND NOT (e.{going}))"
        " ELSE events END"
    )


def _redacted(table: Table, annotator_id: str, emails: list[str]) -> dict[str, str]:
    """Texts of a table's columns, but for its key, with a word in the place of these."""
    columns = [c.name for c in table.columns if c.kind in ("string", "json") and not c.check]
    mended = (c for c in columns if c not in (*table.key, "annotator_id"))
    return {column: _mended(column, annotator_id, emails) for column in mended}


def _mended(column: str, annotator_id: str, emails: list[str]) -> str:
    """SQL for a value without the id, and without the e-mails in whatever case.

    An e-mail that is part of a longer one is somebody else's.
    """
    mended = f"replace({column}, {quoted(annotator_id)}, {quoted(WORD)})"
    any_email = " || '|' || ".join(f"regexp_escape({quoted(email)})" for email in emails)
    found = f"'(?i){BEFORE}(?:' || {any_email} || '){AFTER}'"
    for _ in range(2 if emails else 0):  # of two with one character between, one at a time is seen
        mended = f"regexp_replace({mended}, {found}, '\\1{WORD}\\2', 'g')"
    texts = (quoted(text) for text in (annotator_id, *emails))
    held = " OR ".join(f"contains(lower({column}), lower({text}))" for text in texts)
    return f"CASE WHEN {held} THEN {mended} ELSE {column} END"


def _telling(email: str) -> bool:
    """Whether a text that is called an e-mail can mean nothing else, such as half a word."""
    return re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", email) is not None


def _unread(source: str, user_id: int) -> str:
    """Rejected annotations that name a user, and were not read as anybody's."""
    ids = (f'"completed_by":{user_id}', f'"completed_by":{{"id":{user_id}')  # canonical JSON
    named = (f"contains(payload, {quoted(each + end)})" for each in ids for end in ",}")
    return (
        f"(source = {quoted(source)} AND annotator_id IS NULL AND annotation_id IS NOT NULL"
        f" AND ({' OR '.join(named)}))"
    )


def _quarantined(item_id: str) -> str:
    """Rejected units of an item: it is named beside them, or in what was rejected."""
    named = [json.dumps(item_id, ensure_ascii=False)]
    if item_id.lstrip("-").isdecimal():
        named.append(item_id)  # ids may be numbers
    texts = [f'"item_id":{each}{end}' for each in named for end in ",}"]  # canonical JSON
    said = [f"contains(payload, {quoted(text)})" for text in texts]
    return " OR ".join([f"coalesce(item_id = {quoted(item_id)}, false)", *said])
