"""Comparisons of two items: from a file into the warehouse, and beside the Pass/Fail labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from agreement.compare import Compared, compare
from agreement.report import MeasureConfig, Unit
from annotation.comparisons import (
    SOURCE,
    ComparisonConfig,
    Judgement,
    RefusedRow,
    identified,
    news,
    read_comparisons,
    settled,
)
from annotation.events import random_id
from annotation.known import comparable
from flows.measure import labels_of
from flows.settings import Settings, owned
from warehouse.errors import AgreementError
from warehouse.face import publish
from warehouse.forgotten import Forgotten, forgotten
from warehouse.store import Store

_KNOWN = """
SELECT * FROM comparisons
WHERE source = $source AND item_a IN (SELECT unnest($items::VARCHAR[]))
QUALIFY row_number() OVER (
  PARTITION BY item_a, item_b, dimension, annotator_id ORDER BY revision DESC) = 1
"""
_IDS = """
SELECT annotator_id FROM people WHERE annotator_id IN (SELECT unnest($texts::VARCHAR[]))
UNION
SELECT annotator_id FROM label_events WHERE annotator_id IN (SELECT unnest($texts::VARCHAR[]))
"""


@dataclass(frozen=True)
class ComparisonsIngested:
    """What one file of comparisons held, row by row: the five counts and the refused are all."""

    read: int
    """Rows of the file."""
    new: int
    """Judgements never seen before."""
    changed: int
    """Judgements that are a revision of a known one."""
    known: int
    """Rows that say what is known already, or what an earlier row of the file says."""
    stale: int
    """Rows that claim an earlier time than the other judgement that is known; left alone."""
    refused: list[RefusedRow]
    annotators: int
    """People met for the first time."""
    written: bool


def ingest_comparisons(
    settings: Settings, file: Path, *, dry_run: bool = False
) -> ComparisonsIngested:
    """Take in the pairwise judgements of a CSV, JSONL or Parquet file, committed as one unit.

    Running it again adds nothing; a bad row is refused alone, with its reason. Items need not be
    known.
    Raises: AnnotationError where the file cannot be read; SettingsError and AnnotationError for
        categories that make no sense.
    """
    store, config = settings.store, comparison_config(settings)
    judgements, unreadable = read_comparisons(file, config, datetime.now(UTC))
    with store.batch("ingest comparisons", dry_run=dry_run) as batch:
        judgements, deleted = _remembered(judgements, forgotten(store))
        texts = {each.annotator.strip() for each in judgements}
        ids = _known_ids(store, texts)
        named, people = identified(judgements, store.read("people"), ids, random_id)
        kept, contradictions = settled(named)
        found = news(kept, known_judgements(store, kept))
        judges = found.rows["annotator_id"].combine_chunks()
        people = people.filter(pc.is_in(people["annotator_id"], value_set=judges))
        batch.add("people", people)
        batch.add("comparisons", found.rows)
    written = bool(batch.added) and not dry_run
    if written:
        publish(store)
    refused = sorted(unreadable + contradictions + deleted, key=lambda each: each.row)
    read = len(judgements) + len(unreadable) + len(deleted)
    told = found.new + found.changed + found.stale
    return ComparisonsIngested(
        read=read,
        new=found.new,
        changed=found.changed,
        known=read - told - len(refused),
        stale=found.stale,
        refused=refused,
        annotators=people.num_rows,
        written=written,
    )


def _remembered(
    judgements: Sequence[Judgement], known: Forgotten
) -> tuple[list[Judgement], list[RefusedRow]]:
    """Judgements of nobody, and of no item, that was deleted on request; the others are refused."""
    kept, refused = [], []
    for each in judgements:
        if known.person(comparable(each.annotator)):
            refused.append(RefusedRow(each.row, "its annotator was deleted on request"))
        elif known.item(each.item_a) or known.item(each.item_b):
            refused.append(RefusedRow(each.row, "an item of it was deleted on request"))
        else:
            kept.append(each)
    return kept, refused


def comparison_config(settings: Settings) -> ComparisonConfig:
    """Section `comparisons` of the settings."""
    return owned(ComparisonConfig, "comparisons", settings.comparisons)


def _known_ids(store: Store, texts: set[str]) -> list[str]:
    """Those of the texts that are ids of annotators."""
    found = store.query(_IDS, {"texts": sorted(texts)}, people=True)
    ids: list[str] = found["annotator_id"].to_pylist()
    return ids


def known_judgements(
    store: Store, judgements: Sequence[Judgement], source: str = SOURCE
) -> list[dict[str, Any]]:
    """Newest rows of `comparisons` of the judgements' pairs."""
    items = sorted({each.item_a for each in judgements})
    values = {"source": source, "items": items}
    rows: list[dict[str, Any]] = store.query(_KNOWN, values).to_pylist()
    return rows


def compare_tasks(
    settings: Settings, dimensions: Sequence[str] = (), unit: Unit | None = None
) -> Compared:
    """Agreement of the Pass/Fail labels and of the comparisons that people gave one by one.

    Imported sets are left out: they say what several people settled on, in one voice.
    unit: what the bootstrap draws; None: as the settings say.
    Raises: AgreementError where there are no comparisons, or no dimension was judged in both tasks.
    """
    store = settings.store
    judgements = store.query(
        "FROM judgements WHERE source = $source ORDER BY item_a, item_b, dimension, annotator_id",
        {"source": SOURCE},
    )
    if not judgements.num_rows:
        raise AgreementError(
            f"no comparisons in {store.home}; run `soli ingest --comparisons FILE` first"
        )
    config = owned(MeasureConfig, "agreement", settings.agreement)
    categories = comparison_config(settings).categories
    config = replace(config, unit=unit or config.unit)
    return compare(labels_of(store), judgements, categories, config, dimensions)
