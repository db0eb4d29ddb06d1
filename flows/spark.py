"""Spark in DuckDB's place: the consensus by majority, and pair sets, out of the same tables."""

from __future__ import annotations

from datetime import datetime
from typing import Unpack

import pyarrow as pa

from agreement.consensus import ConsensusRule
from flows.runs import as_run
from flows.settings import Settings, environment_for_spark, owned
from pairing.pairset import Origin, PairSet
from pairing.portable import draw_pairs
from pairing.recipe import Recipe
from warehouse.contracts import TABLES
from warehouse.engines import keep_clips, keep_labels, majority, open_tables
from warehouse.errors import AgreementError
from warehouse.face import publish
from warehouse.moment import newest
from warehouse.spark import spark_engine
from warehouse.store import Store

MAJORITY = "majority"


def build_majority(
    settings: Settings,
    store: Store,
    master: str,
    *,
    moment: datetime | None = None,
    dry_run: bool = False,
) -> pa.Table:
    """Consensus by majority, as flows.measure.build decides it, but decided by Spark.

    master: Spark's, such as local[*]. moment: decide from what was known then, and write nothing.
    Returns: the rows that were written, or would be. The id of their run is one of Spark's own;
        what they say, and so their digest, is what DuckDB's way says.
    Raises: AgreementError where no label counts.
    """
    rule = owned(ConsensusRule, "consensus", settings.consensus | {"method": MAJORITY})
    dry_run = dry_run or moment is not None
    with store.writing("build the consensus", dry_run=dry_run):
        with spark_engine(master, environment_for_spark()) as engine:
            keep_labels(engine, store, moment or newest(store))
            decided = majority(engine, rule.roles, rule.minimum_votes, rule.tie)
        if not decided.num_rows:
            raise AgreementError(f"no labels that count in {store.home}; run `soli ingest` first")
        found = as_run(store, {"consensus": _rows(decided)}, "consensus_id", MAJORITY)
        if not dry_run and store.append("consensus", found["consensus"]):
            publish(store)
    return found["consensus"]


def _rows(decided: pa.Table) -> pa.Table:
    """Rows of the contract `consensus` without id and stamp."""
    table = decided.append_column("method", pa.repeat(MAJORITY, decided.num_rows))
    ours = (f for f in TABLES["consensus"].schema if f.name not in {"consensus_id", "observed_at"})
    schema = pa.schema(list(ours))
    return table.select(schema.names).cast(schema)


def draw(
    store: Store,
    recipe: Recipe,
    consensus_id: str,
    known: datetime,
    master: str,
    **origin: Unpack[Origin],
) -> PairSet:
    """The pair set that build_pairs makes of the same tables; Spark reads and sorts them.

    known: items as they were known then. master: Spark's. The others, and the errors: as in
    pairing.portable.draw_pairs.
    """
    with spark_engine(master, environment_for_spark()) as engine:
        keep_clips(engine, store, known)
        open_tables(engine, store, ("consensus",))
        return draw_pairs(engine, recipe, consensus_id, **origin)
