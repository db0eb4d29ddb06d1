"""What changed in the labels between two moments, by what was known at each."""

from __future__ import annotations

from datetime import datetime
from importlib import resources

import pyarrow as pa

from warehouse.errors import StoreError
from warehouse.store import Store


def diff_labels(store: Store, since: datetime, until: datetime) -> pa.Table:
    """Labels that differ between what was known at `since` and at `until`.

    Returns: a row per item, annotator and dimension that differs, with
        change: appeared, vanished, flipped (pass to fail or back), moved (the annotation is about
            another item now; one row, under the new item) or role (another role, same value);
        item_was, value_was, role_was: what was known at `since`; NULL where it appeared;
        value, role: what was known at `until`; NULL where it vanished.
        Ordered by change, dimension, item and annotator.
    Raises: StoreError where `since` is later than `until`.
    """
    if since > until:
        raise StoreError(
            f"from {since:%Y-%m-%dT%H:%M:%S%z} to {until:%Y-%m-%dT%H:%M:%S%z} goes back in time;"
            " exchange --from and --to"
        )
    sql = resources.files("warehouse").joinpath("sql/diff.sql").read_text()
    return store.query(sql, {"since": since, "until": until})


def count_changes(changes: pa.Table, *, by_annotator: bool = False) -> pa.Table:
    """How many rows of `diff_labels` there are of each change, dimension and pair of values.

    by_annotator: count each annotator's apart.
    Returns: change, dimension, annotator_id (where asked for), value_was, value, labels.
    """
    person = ["annotator_id"] if by_annotator else []
    keys = ["change", "dimension", *person, "value_was", "value"]
    counted = changes.group_by(keys, use_threads=False).aggregate([([], "count_all")])
    ordered = counted.sort_by([(key, "ascending") for key in keys])
    return ordered.rename_columns([*keys, "labels"])
