"""Tallies of the design labels: small tables from which every agreement statistic follows.

Labels are counted in DuckDB, in one pass per kind of question, and never read into memory:
agreement needs to know how many items have so many pass and so many fail labels, not which items.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import resources

import duckdb
import pyarrow as pa

from warehouse import engine
from warehouse.errors import AgreementError
from warehouse.views import quoted

ALL = "all"
ATTRIBUTES, ATTRIBUTE = "attributes", "attribute."
# Slicings by who labelled, with the queries for their cells and for the number of annotators.
PEOPLE = {
    "annotator": ("tally_own", "tally_partners"),
    "annotator_pair": ("tally_pair_cells", "tally_couples"),
}
NO_FACTS = ("item_id", "dimension", "annotator_id", "value", "role", ATTRIBUTES)

READS = ("labels", "measured_labels")  # views that `tally_warehouse` counts in

_TEXT, _COUNT = pa.string(), pa.int64()
_SLICE = [("slicing", _TEXT), ("dimension", _TEXT), ("value", _TEXT)]
_COUNTS = [("n_pass", _COUNT), ("n_fail", _COUNT), ("items", _COUNT)]
_PAIR = [("dimension", _TEXT), ("first", _TEXT), ("second", _TEXT)]
_TWO_BY_TWO = ("both_pass", "first_pass", "second_pass", "both_fail")

CELLS = pa.schema([*_SLICE, ("prompt_id", _TEXT), ("own", pa.bool_()), *_COUNTS])
ANNOTATORS = pa.schema([*_SLICE, ("annotators", _COUNT)])
PAIRS = pa.schema([*_PAIR, *((name, _COUNT) for name in _TWO_BY_TWO)])
ROLES = pa.schema(
    [("dimension", _TEXT), ("role", _TEXT), ("labels", _COUNT), ("corrected", _COUNT)]
)


@dataclass(frozen=True)
class Tallies:
    """What was counted, in ascending order. A slice is a slicing (week) and one of its values.

    slicings: `all`, then in the order asked for, each attribute by itself.
    cells: slicing, dimension, value ('' for `all`), prompt_id (NULL unless asked for), own, n_pass,
        n_fail, items. own: for the slicing annotator, whether the annotator said pass; n_pass and
        n_fail are then labels of the others.
    annotators: slicing, dimension, value, annotators: who gave design labels in the slice.
    roles: dimension, role, labels, corrected: labels of every role, and how many were corrected.
    pairs: dimension, first, second (annotators), and numbers of items: both_pass, first_pass (only
        the first says pass), second_pass, both_fail; empty unless a slicing is about people.
    """

    slicings: tuple[str, ...]
    cells: pa.Table
    annotators: pa.Table
    roles: pa.Table
    pairs: pa.Table


def tally_warehouse(
    db: duckdb.DuckDBPyConnection,
    slices: Sequence[str],
    *,
    by_prompt: bool = False,
    moment: datetime | None = None,
) -> Tallies:
    """Count the design labels of a warehouse, as they were known at a moment, or now.

    db: a connection that knows the views in `READS`, as `Store.connect` gives one.
    slices, by_prompt: as `tally`, and so are the errors.
    """
    at = "" if moment is None else f"_as_of(TIMESTAMPTZ {quoted(moment.isoformat())})"
    # The view's joins and windows cost far more than a look at their result, and several look.
    db.execute(f"CREATE OR REPLACE TEMP TABLE tally_labels AS FROM measured_labels{at}")
    return tally(db, slices, design="tally_labels", labels=f"labels{at}", by_prompt=by_prompt)


def tally_table(labels: pa.Table, slices: Sequence[str], *, by_prompt: bool = False) -> Tallies:
    """Count the design labels of a table in memory.

    labels: one row per label: item_id, dimension, annotator_id, value, role, changed, and facts
        about items.
    slices, by_prompt: as `tally`.
    Raises: AgreementError as `tally`; where an annotator has two design labels for one item and
        dimension; where a fact is not the same on all labels of an item and dimension.
    """
    if by_prompt and (nulls := labels["prompt_id"].null_count):
        raise AgreementError(
            f"labels: {nulls} of {labels.num_rows} rows have no prompt_id, which intervals by"
            " prompt need; take items as the unit, or import the prompts"
        )
    with engine.cursor() as db:
        db.register("tally_given", labels)
        db.execute("CREATE TEMP VIEW tally_labels AS FROM tally_given WHERE role = 'design'")
        _check_once(db)
        for fact in _facts(db, "tally_labels", slices, by_prompt=by_prompt):
            _check_same(db, fact)
        return tally(db, slices, design="tally_labels", labels="tally_given", by_prompt=by_prompt)


def tally(
    db: duckdb.DuckDBPyConnection,
    slices: Sequence[str],
    *,
    design: str,
    labels: str,
    by_prompt: bool = False,
) -> Tallies:
    """Count design labels.

    design: relation with one row per design label: item_id, dimension, annotator_id, value, and
        facts about the item in the dimension. labels: dimension, role and changed of all labels.
    slices: names of facts; attribute.NAME out of the JSON in the fact attributes, or `attributes`
        for every NAME found; annotator (each against the others); annotator_pair.
    by_prompt: count the cells of each prompt_id apart.
    Raises: AgreementError for a fact that is not there.
    """
    facts = _facts(db, design, slices, by_prompt=by_prompt)
    db.execute(_sql("tally_people", design=design, facts=_named(facts)))
    _count_items(db, design, facts)
    slicings = _slicings(db, facts, slices)
    people = [name for name in slicings if name in PEOPLE]
    values = {name: _value(name, facts) for name in slicings if name not in PEOPLE}
    prompt = facts["prompt_id"] if by_prompt else "NULL"
    cells = {n: _ask(db, "tally_cells", value=v, prompt=prompt) for n, v in values.items()}
    annotators = {n: _ask(db, "tally_annotators", value=v) for n, v in values.items()}
    if people:
        _count_votes(db, design, "prompt_id" if by_prompt else "NULL")
        cells |= {name: _ask(db, PEOPLE[name][0]) for name in people}
        annotators |= {name: _ask(db, PEOPLE[name][1]) for name in people}
    return Tallies(
        slicings,
        _together(cells, CELLS),
        _together(annotators, ANNOTATORS),
        _sorted(_ask(db, "tally_roles", labels=labels), ROLES),
        _sorted(_ask(db, "tally_pair_sums"), PAIRS) if people else PAIRS.empty_table(),
    )


def _facts(
    db: duckdb.DuckDBPyConnection, design: str, slices: Sequence[str], *, by_prompt: bool
) -> dict[str, str]:
    """Columns of facts that are needed, each with its name in the tally tables."""
    found = [name for name, *_ in db.execute(f"DESCRIBE {design}").fetchall()]
    known = [name for name in found if name not in NO_FACTS]
    asked = [ATTRIBUTES, f"{ATTRIBUTE}NAME"] if ATTRIBUTES in found else []
    needed = []
    for name in (*slices, *(["prompt_id"] if by_prompt else [])):
        if name in known:
            needed.append(name)
        elif asked and (name == ATTRIBUTES or name.startswith(ATTRIBUTE)):
            needed.append(ATTRIBUTES)
        elif name not in (ALL, *PEOPLE):
            raise AgreementError(
                f"labels: nothing called {name!r} is known about the items; slices are made of"
                f" {', '.join([ALL, *known, *asked, *PEOPLE])}"
            )
    return {name: f"fact_{n}" for n, name in enumerate(dict.fromkeys(needed))}


def _slicings(
    db: duckdb.DuckDBPyConnection, facts: Mapping[str, str], slices: Sequence[str]
) -> tuple[str, ...]:
    """Slicings in the order asked for, `all` first, each attribute by itself."""
    each = []
    if ATTRIBUTES in facts:
        found = _ask(db, "tally_attributes", attributes=facts[ATTRIBUTES])
        each = [f"{ATTRIBUTE}{name}" for name in found["name"].to_pylist()]
        for name in slices:
            if name.startswith(ATTRIBUTE) and name not in each:
                raise AgreementError(
                    f"labels: no prompt has the attribute {name.removeprefix(ATTRIBUTE)!r}; there"
                    f" are {', '.join(each) or 'none'}"
                )
    parts = (each if name == ATTRIBUTES else [name] for name in (ALL, *slices))
    return tuple(dict.fromkeys(name for part in parts for name in part))


def _value(slicing: str, facts: Mapping[str, str]) -> str:
    """Value that a slicing gives an item: SQL over the facts of the tally tables."""
    if slicing == ALL:
        return "''"
    if slicing in facts:
        return f"{facts[slicing]}::VARCHAR"
    name = quoted(slicing.removeprefix(ATTRIBUTE))
    return f"({facts[ATTRIBUTES]}::JSON::MAP(VARCHAR, VARCHAR))[{name}]"


def _count_items(db: duckdb.DuckDBPyConnection, design: str, facts: Mapping[str, str]) -> None:
    """Make the table tally_items."""
    found = db.execute("SELECT DISTINCT dimension FROM tally_people ORDER BY dimension").fetchall()
    kinds = [f"kind_{n}" for n in range(2 * len(found))]
    counters = [f", count(*) FILTER (kind = {n}) AS {kind}" for n, kind in enumerate(kinds)]
    sql = _sql(
        "tally_items",
        design=design,
        facts=_named(facts),
        names="".join(f", {alias}" for alias in facts.values()),
        counters="".join(counters),
        passes=f"[{', '.join(kinds[::2])}]::BIGINT[]",
        fails=f"[{', '.join(kinds[1::2])}]::BIGINT[]",
    )
    db.execute(sql, {"dimensions": [name for (name,) in found]})


def _count_votes(db: duckdb.DuckDBPyConnection, design: str, prompt: str) -> None:
    """Make the tables tally_numbers, tally_votes and tally_pairs."""
    db.execute(_sql("tally_numbers"))
    db.execute(_sql("tally_votes", design=design, prompt=prompt))
    db.execute(_sql("tally_pairs"))


def _named(facts: Mapping[str, str]) -> str:
    return "".join(f", {_identifier(name)} AS {alias}" for name, alias in facts.items())


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _ask(db: duckdb.DuckDBPyConnection, name: str, **parts: str) -> pa.Table:
    return db.sql(_sql(name, **parts)).to_arrow_table()


def _sql(name: str, **parts: str) -> str:
    """Text of warehouse/sql/NAME.sql with its {parts} filled in."""
    text = resources.files("warehouse").joinpath(f"sql/{name}.sql").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("--")]
    return "\n".join(lines).format(**parts)


def _together(tables: Mapping[str, pa.Table], schema: pa.Schema) -> pa.Table:
    """Tables of several slicings as one, with the slicing in front."""
    parts = [
        table.append_column("slicing", pa.repeat(name, table.num_rows))
        .select(schema.names)
        .cast(schema)
        for name, table in tables.items()
    ]
    return _sorted(pa.concat_tables(parts), schema)


def _sorted(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table in a schema, its rows in ascending order."""
    order = [(name, "ascending") for name in schema.names]
    return table.select(schema.names).cast(schema).sort_by(order)


def _check_once(db: duckdb.DuckDBPyConnection) -> None:
    """Refuse two labels of one annotator in tally_labels for one item and dimension."""
    found = db.execute(_sql("tally_repeats")).fetchone()
    if found:
        item, dimension, count = found
        raise AgreementError(
            f"labels: {count} design labels repeat an annotator's answer (first: item {item}, "
            f"dimension {dimension}); pass the view `labels`, which gives such rows the role repeat"
        )


def _check_same(db: duckdb.DuckDBPyConnection, fact: str) -> None:
    """Refuse labels in tally_labels of one item and dimension that differ in a fact."""
    found = db.execute(_sql("tally_differing", fact=_identifier(fact))).fetchone()
    if found:
        raise AgreementError(
            f"labels: item {found[0]} has more than one value of {fact}; slices are made of facts"
            " about items"
        )
