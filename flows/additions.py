"""Items of a file beside those that are known: what may be added, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any

import pyarrow as pa

from annotation.items import Items, Refused
from warehouse.store import Store, contract_of

Known = Mapping[str, dict[str, Any]]


def addable(found: Items, items: Known, prompts: Known) -> Items:
    """What may stand beside what is known: an item known with other facts is refused.

    A prompt that is known keeps the attributes it came with.
    """
    facts = contract_of("items").content
    earlier = {refused.row for refused in found.refused}
    numbers = (number for number in count(1) if number not in earlier)
    rows, refused = [], list(found.refused)
    for number, row in zip(numbers, found.items.to_pylist(), strict=False):
        known = items.get(row["item_id"], row)
        other = [name for name in facts if known[name] != row[name]]
        if other:
            refused.append(Refused(number, row["item_id"], _changed(row["item_id"], other)))
        else:
            rows.append(row)
    kept = [prompts.get(row["prompt_id"], row) for row in found.prompts.to_pylist()]
    return Items(
        pa.Table.from_pylist(kept, schema=found.prompts.schema),
        pa.Table.from_pylist(rows, schema=found.items.schema),
        sorted(refused, key=lambda each: each.row),
    )


def _changed(item_id: str, names: list[str]) -> str:
    return (
        f"item {item_id} is known with another {', '.join(names)}, and items never change; give"
        " this video an item_id of its own"
    )


def rows_by_id(store: Store, table: str) -> Known:
    """Rows of a table of record by their one-column key, as they were written."""
    (key,) = contract_of(table).key
    rows = store.read(table).drop_columns(["observed_at"]).to_pylist()
    return {str(row[key]): row for row in rows}
