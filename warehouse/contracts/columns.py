"""What a table of record is made of: columns, their types, words and constraints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

Role = Literal["content", "bookkeeping"]
Kind = Literal["string", "int32", "int64", "float64", "bool", "timestamp", "json"]

ARROW_TYPES: dict[Kind, pa.DataType] = {
    "string": pa.string(),
    "json": pa.string(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}
SQL_TYPES: dict[Kind, str] = {
    "string": "VARCHAR",
    "json": "VARCHAR",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "float64": "DOUBLE",
    "bool": "BOOLEAN",
    "timestamp": "TIMESTAMPTZ",
}

LABELS = ("pass", "fail")
EVENTS = ("seen", "changed", "skipped", "unskipped", "withdrawn", "gold_changed")
STATISTICS = ("alpha", "kappa", "ac1", "raw", "prevalence")
METHODS = ("majority", "one_coin", "dawid_skene")
# tie: equal, not known whether good or bad; of imported judgements only, no recipe makes it.
KINDS = ("win_lose", "win_tie", "lose_tie", "tie")
SPLITS = ("train", "validation", "test", "ood")
VERDICTS = ("go", "stop")
# forget: a deletion request was carried out; not_rebuildable: what rests on what it deleted.
ACTIONS = ("override_gate", "forget", "not_rebuildable")
SUITABILITIES = ("suitable", "unsuitable", "too_little_data")
UNITS = ("item", "prompt")
# random: agrees with the others no more than chance; drifts: changed over time; fast: answers too
# quickly to have looked; copies: agrees with somebody more than two independent people can.
FLAGS = ("random", "drifts", "fast", "copies")
ORIGINS = ("server", "export", "replay")
# mended: a label or skip came instead; replayed: read again under a better mapping; gone: the
# annotation or its task left the server; changed: rejected again, for another reason or payload.
OUTCOMES = ("mended", "replayed", "gone", "changed")


def one_of(column: str, values: tuple[str, ...]) -> str:
    """SQL CHECK that a column holds one of these values."""
    return f"{column} IN ({', '.join(repr(value) for value in values)})"


def share(column: str) -> str:
    """SQL CHECK that a column is a probability."""
    return f"{column} BETWEEN 0 AND 1"


@dataclass(frozen=True)
class Column:
    """One column: what it holds, in which unit, and whether a digest sees it."""

    name: str
    kind: Kind
    doc: str
    nullable: bool = False
    check: str | None = None
    role: Role = "content"
    once_required: bool = False  # nullable since a later version; see manifest.digest_sql


@dataclass(frozen=True)
class Table:
    """One table of record. `key` is unique over all its rows."""

    name: str
    doc: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    version: int = 1
    private: bool = False  # True: stored apart, never in the face, never exported

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        assert len(names) == len(set(names)), f"{self.name}: a column stands twice"
        assert set(self.key) <= set(names), f"{self.name}: key {self.key} is not among the columns"

    @property
    def schema(self) -> pa.Schema:
        """Arrow schema in column order; `nullable` as the contract says."""
        return pa.schema(
            [pa.field(c.name, ARROW_TYPES[c.kind], nullable=c.nullable) for c in self.columns]
        )

    @property
    def content(self) -> tuple[str, ...]:
        """Names of the columns that a digest sees."""
        return tuple(c.name for c in self.columns if c.role == "content")


OBSERVED_AT = Column(
    "observed_at",
    "timestamp",
    "when we committed the row; monotone over the table; as-of T means observed_at <= T",
    role="bookkeeping",
)
ANNOTATOR = Column(
    "annotator_id",
    "string",
    "random id of the annotator; names live in people only",
    role="bookkeeping",
)
DIMENSION = Column("dimension", "string", "quality asked about, e.g. physical_plausibility")
ITEM = Column("item_id", "string", "the generated video")
PROMPT = Column("prompt_id", "string", "digest of the prompt's text")
SOURCE = Column(
    "source", "string", "UUID of the labelling project, stored in it", role="bookkeeping"
)
MEASUREMENT = Column(
    "measurement_id",
    "string",
    "digest of the labels and settings the row was computed from",
    role="bookkeeping",
)
PAIR_SET = Column("pair_set_id", "string", "first 16 hex digits of the set's digest")
MODEL = Column("model_id", "string", "digest of the model's weights and config", role="bookkeeping")


def table(name: str, doc: str, key: tuple[str, ...], *columns: Column, version: int = 1) -> Table:
    """A table whose rows say when we committed them."""
    return Table(name, doc, key, (*columns, OBSERVED_AT), version)
