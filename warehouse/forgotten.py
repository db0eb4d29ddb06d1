"""Who and what was forgotten, so that a later ingest knows them again without knowing them.

The audit keeps a keyed digest (HMAC-SHA-256) of each id and e-mail of a deletion request. The key
lies in the home alone, never in a table: without it a digest says nothing, with it only "this one".
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from warehouse.digest import canonical_json
from warehouse.disk import sync
from warehouse.errors import StoreError

if TYPE_CHECKING:
    from warehouse.store import Store

FORGET = "forget"  # action in `audit` of a deletion request
NOT_REBUILDABLE = "not_rebuildable"  # and of what rests on what was deleted
KEY_FILE = "forget.key"
KEY_BYTES = 32
ABOUT = {"annotator_id": "annotator", "item_id": "item", "item_a": "item", "item_b": "item"}


@dataclass(frozen=True)
class Forgotten:
    """Keyed digests of everything that was forgotten."""

    key: bytes
    digests: frozenset[str]

    def item(self, item_id: str | None) -> bool:
        """Whether an item of this id was forgotten."""
        return bool(self.digests) and item_id is not None and self._holds("item", item_id)

    def user(self, source: str, user_id: int, email: str) -> bool:
        """Whether a user of a source was forgotten; email: as it is compared, '' where unknown."""
        return bool(self.digests) and (
            self._holds("user", source, str(user_id)) or bool(email and self._holds("email", email))
        )

    def person(self, text: str) -> bool:
        """Whether a file's word for somebody, as it is compared, names one who was forgotten."""
        kinds = ("email", "name", "annotator")
        return bool(self.digests) and any(self._holds(kind, text) for kind in kinds)

    def refuse(self, table: str, rows: pa.Table) -> None:
        """Let no row in that is about somebody, or an item, who went while it was being made.

        Raises: StoreError.
        """
        for column, kind in ABOUT.items():
            if self.digests and column in rows.column_names:
                values = pc.unique(rows[column]).drop_null().to_pylist()
                if any(self._holds(kind, value) for value in values):
                    raise StoreError(
                        f"{table}: rows are about an {kind} that was deleted on request (`soli"
                        " forget`) meanwhile; run the command again"
                    )

    def _holds(self, *words: str) -> bool:
        return keyed(self.key, *words) in self.digests


NOBODY = Forgotten(b"", frozenset())


def keyed(key: bytes, *words: str) -> str:
    """HMAC-SHA-256 (RFC 2104) of words under a key, 64 hex digits.

    >>> keyed(b"key", "item", "clip") == keyed(b"other", "item", "clip")
    False
    """
    return hmac.digest(key, canonical_json(list(words)).encode(), "sha256").hex()


def forgotten(store: Store) -> Forgotten:
    """What was forgotten in this warehouse.

    Raises: StoreError where something was, and the key to know it again is gone.
    """
    if not store.lake.exists("audit"):
        return NOBODY
    rows = store.query("SELECT details FROM audit WHERE action = $a", {"a": FORGET})
    digests = _digests(rows["details"].to_pylist())
    if not digests:
        return NOBODY
    path = store.home / KEY_FILE
    try:
        return Forgotten(path.read_bytes(), digests)
    except OSError as error:
        raise StoreError(
            f"{path} cannot be read ({error.strerror}), so that nobody can tell whether labels are"
            " of somebody who was forgotten; restore it from a backup of the home"
        ) from error


def _digests(details: Iterable[str]) -> frozenset[str]:
    return frozenset(digest for text in details for digest in json.loads(text)["digests"])


def key_of(home: Path) -> bytes:
    """The home's key; made, readable by its owner alone, where there is none."""
    path = home / KEY_FILE
    if not path.exists():
        fresh = path.with_name(f".{KEY_FILE}")
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
        sync(fresh)
        fresh.rename(path)
        sync(home)
    return path.read_bytes()
