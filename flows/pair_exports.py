"""A pair set in a trainer's format: what the warehouse knows of its items, and its card."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from flows.pair import read
from pairing.exports import FORMS, CardFacts, Form, export, videoalign_form
from pairing.imported import imported_from
from pairing.pairset import PairSet
from warehouse.contracts import TABLES
from warehouse.errors import PairingError
from warehouse.store import Store

VIDEOALIGN = "videoalign"
# One measurement: the newest whose rows are about the set's dimensions.
MEASURED = """
WITH newest AS (SELECT arg_max(measurement_id, observed_at) AS measurement_id FROM {table})
FROM {table} SEMI JOIN newest USING (measurement_id)
WHERE list_contains($dimensions, dimension) ORDER BY ALL
"""


def export_set(
    store: Store,
    start: str | None,
    form: str,
    folder: Path,
    *,
    licence: str,
    title: str | None = None,
    description: str = "",
    columns: Mapping[str, str] | None = None,
    dry_run: bool = False,
) -> tuple[PairSet, list[Path]]:
    """Write a pair set as a folder in a trainer's format, with its card.

    start: as `flows.pair.newest_pair_set`. columns: for VideoAlign, dimension -> VQ, MQ or TA.
    dry_run: make everything, but write nothing.
    Returns: the set, and the files written, or to be written.
    Raises: PairingError for an unknown form, or a set that the form cannot say.
    """
    chosen = _form(form, columns or {})
    pair_set = read(store, start)
    facts = card_facts(store, pair_set, licence, title, description)
    items = _items(store)
    return pair_set, export(pair_set, items, folder, chosen, card_facts=facts, dry_run=dry_run)


def card_facts(
    store: Store, pair_set: PairSet, licence: str, title: str | None = None, description: str = ""
) -> CardFacts:
    """What the card of a set says beside the set: the newest measurement of its dimensions."""
    measured = _measured if imported_from(pair_set.manifest) is None else _unmeasured
    return CardFacts(
        title or f"Soli pair set {pair_set.pair_set_id}",
        licence,
        description,
        agreement=measured(store, "agreement", pair_set),
        annotators=measured(store, "annotators", pair_set),
    )


def columns_of(texts: list[str]) -> dict[str, str]:
    """Dimensions and columns out of `DIMENSION=COLUMN`.

    >>> columns_of(["looks=VQ"])
    {'looks': 'VQ'}
    """
    pairs = [text.rpartition("=") for text in texts]
    for text, (name, _, column) in zip(texts, pairs, strict=True):
        if not name or not column:
            raise PairingError(f"--column {text!r}: write DIMENSION=COLUMN, such as looks=VQ")
    return {name: column for name, _, column in pairs}


def _form(name: str, columns: Mapping[str, str]) -> Form:
    if name not in FORMS:
        raise PairingError(f"export: form is {name!r}; choose one of {', '.join(FORMS)}")
    if columns and name != VIDEOALIGN:
        raise PairingError(f"export: only {VIDEOALIGN} has columns by dimension, {name} has none")
    return videoalign_form(columns) if columns else FORMS[name]


def _items(store: Store) -> pa.Table:
    return store.query(
        "SELECT c.item_id, c.prompt_id, p.text AS prompt, c.generator, c.uri AS video, c.fps,"
        " c.frames FROM clips AS c JOIN prompts AS p USING (prompt_id) ORDER BY c.item_id"
    )


def _unmeasured(_store: Store, table: str, _pair_set: PairSet) -> pa.Table:
    """Of an imported set: labels of the same dimensions did not make its pairs."""
    return TABLES[table].schema.empty_table()


def _measured(store: Store, table: str, pair_set: PairSet) -> pa.Table:
    dimensions = pair_set.items["dimension"].unique().to_pylist()
    return store.query(MEASURED.format(table=table), {"dimensions": dimensions})
