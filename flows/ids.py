"""Which one of several: a row by the start of its id."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from warehouse.errors import StoreError

LATEST = (None, "latest")


def by_start(
    rows: Sequence[dict[str, Any]], key: str, start: str | None, what: str, first: str
) -> dict[str, Any]:
    """The row whose id starts so; None or `latest`: the first.

    rows: newest first. what: name of a row in words. first: command that makes one.
    Raises: StoreError where no row, or more than one, fits.

    >>> rows = [{"id": "ab12"}, {"id": "ab34"}]
    >>> by_start(rows, "id", "ab3", "model", "soli train")["id"]
    'ab34'
    >>> by_start([], "id", None, "model", "soli train")
    Traceback (most recent call last):
        ...
    warehouse.errors.StoreError: there is no model yet; run `soli train`
    """
    ids = [str(row[key]) for row in rows]
    if start in LATEST and rows:
        return dict(rows[0])
    found = [row for row, name in zip(rows, ids, strict=True) if start and name.startswith(start)]
    if not found:
        if start is None:
            raise StoreError(f"there is no {what} yet; run `{first}`")
        there = ", ".join(ids[:5]) or f"none; run `{first}`"
        raise StoreError(f"no {what} {start!r}; there is {there}")
    if len(found) > 1 and start not in ids:
        raise StoreError(
            f"{what} {start!r} could be any of {', '.join(str(row[key]) for row in found[:5])};"
            " give more of its id"
        )
    return dict(next((row for row in found if row[key] == start), found[0]))
