"""`soli forget`: a deletion request carried out, the only time that rows are ever taken back.

First of all the request is written to a journal in the home, which goes last: whatever kills the
command, running it again finishes what was begun. Then the audit learns of it, so that no ingest
brings back what is going; then each table is rewritten, a face of what is left is published, and
every older file goes. Readers have a face that works at every moment.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from annotation.pull import pulling
from flows.forget_files import erase, no_training
from flows.forget_plan import Plan, plan_of
from flows.forget_rest import remaining
from warehouse.contracts import OBSERVED_AT, TABLES
from warehouse.digest import canonical_json, value_digest
from warehouse.disk import sync
from warehouse.errors import StoreError
from warehouse.face import publish, retire
from warehouse.forgotten import FORGET, NOT_REBUILDABLE, forgotten, key_of
from warehouse.rewrite import purge, rewrite
from warehouse.store import Store

JOURNAL = "forget.json"
PATIENCE = 10.0  # seconds that open sessions get to end
WHY = {
    "annotator": "labels behind it were deleted on request",
    "item": "an item of it was deleted on request",
}
Say = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """A deletion request that was carried out, or what it would come to."""

    plan: Plan | None
    """None: forgotten already."""
    written: bool
    finished: bool = False
    """Whether it had been begun before, by a command that was cut short."""
    sessions: int = 0
    """Open sessions whose files went."""
    remains: list[str] = field(default_factory=list)
    """What Soli cannot do, in words."""


def forget(
    store: Store,
    text: str | None,
    *,
    dry_run: bool = False,
    patience: float = PATIENCE,
    say: Say = lambda _words: None,
) -> Outcome:
    """Delete an annotator (id, e-mail or name) or an item, or finish what was cut short.

    text: None: only finish. patience: seconds that open sessions get to end before their files go.
    Raises: StoreError for what is not known, a half-done request of somebody else, the lease.
    """
    store.require()
    with ExitStack() as held:
        if not dry_run:
            held.enter_context(_alone(store))
        plan, finished = _asked(store, text)
        if plan is None:
            return Outcome(plan, written=False)
        if dry_run:
            return Outcome(plan, False, finished, remains=remaining(store, plan, done=False))
        held.enter_context(no_training(store.home, plan))
        sessions = _carry_out(store, plan, patience, say)
        return Outcome(plan, True, finished, sessions, remaining(store, plan, done=True))


def _asked(store: Store, text: str | None) -> tuple[Plan | None, bool]:
    """The request, None where it was carried out before; and whether it had been begun."""
    begun = _begun(store.home)
    if begun is None:
        if text is None:
            raise StoreError("no deletion request is half done; name an annotator or an item")
        return plan_of(store, text), False
    if text is not None and text not in (*begun.texts, f"{begun.kind}:{begun.subject}"):
        raise StoreError(
            "another deletion request is half done; finish it first with `soli forget --finish`"
        )
    return begun, True


def _begun(home: Path) -> Plan | None:
    """The request that a command cut short was about."""
    journal = home / JOURNAL
    try:
        return Plan(**json.loads(journal.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise StoreError(
            f"{journal} cannot be read as a deletion request that was begun ({error}); delete the"
            " file and ask for the deletion again"
        ) from error


@contextmanager
def _alone(store: Store) -> Iterator[None]:
    """Neither pulls nor other writers; pulls first, as they take the writer's lease themselves."""
    with ExitStack() as held:
        for folder in sorted((store.home / "pulls").glob("*/")):
            held.enter_context(pulling(folder, folder.name))
        held.enter_context(store.writing("carry out a deletion request"))
        yield


def _carry_out(store: Store, plan: Plan, patience: float, say: Say) -> int:
    """Every step can be repeated; see the head of this module. Returns: sessions cut off."""
    forgotten(store)  # the key is there, where there has to be one
    _write_journal(store.home, plan)
    for row in _audit_rows(plan, key_of(store.home)):
        store.append("audit", row)
    changes = [change for change in plan.rewrites if change.table in plan.rows]
    for change in changes:
        if count := rewrite(store, change):
            say(f"{change.table}: {count} rows deleted or changed")
    publish(store)
    say(f"new face published; open sessions have {patience:.0f} s to end")
    sessions = retire(store.home / "face", patience)
    for change in changes:
        purge(store, change.table)
    say("older files and log entries removed")
    erase(store, plan, say)
    (store.home / JOURNAL).unlink()
    sync(store.home)
    return sessions


def _write_journal(home: Path, plan: Plan) -> None:
    """It names the annotator until all is done, so its owner alone can read it."""
    fresh = home / f".{JOURNAL}"
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600, exist_ok=False)
    fresh.write_text(json.dumps(asdict(plan)), encoding="utf-8")
    sync(fresh)
    fresh.rename(home / JOURNAL)
    sync(home)


def _audit_rows(plan: Plan, key: bytes) -> Iterator[pa.Table]:
    """What was done, and one row for each set and model that cannot be made again since."""
    counts = {"pair_sets": len(plan.pair_sets), "models": len(plan.models)}
    done = _audit_row(
        FORGET,
        plan.kind,
        "deletion request",
        {"digests": plan.digests(key), "rows": plan.rows, **counts},
    )
    yield done
    request = done["audit_id"][0].as_py()
    for what, key_column, rows in (
        ("pair_set", "pair_set_id", plan.pair_sets),
        ("model", "model_id", plan.models),
    ):
        for row in rows:
            details = {"what": what, "request": request, **row}
            yield _audit_row(NOT_REBUILDABLE, row[key_column], WHY[plan.kind], details)


def _audit_row(action: str, subject: str, reason: str, details: dict[str, Any]) -> pa.Table:
    row = {
        "action": action,
        "subject": subject,
        "reason": reason,
        "details": canonical_json(details),
    }
    row = {"audit_id": value_digest(row)[:16], **row}
    schema = pa.schema([f for f in TABLES["audit"].schema if f.name != OBSERVED_AT.name])
    return pa.Table.from_pylist([row], schema=schema)
