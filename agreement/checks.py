"""Labels compared with something: with the majority of the others, or with ground truth."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from agreement.gold import UNKNOWN, gold_of
from agreement.labels import BoolArray, Coded, IntArray, code, places
from agreement.others import Answers
from warehouse.errors import AgreementError


class Checks(NamedTuple):
    """L labels that were compared: of whom, in which dimension, right or not, and when.

    person, dimension: positions in Answers. time: microseconds. order: breaks ties of time.
    """

    person: IntArray
    dimension: IntArray
    right: BoolArray
    time: IntArray
    order: IntArray


def peer_checks(answers: Answers, coded: Coded) -> Checks:
    """Design labels on which the others have a majority; right is what it says."""
    rows = np.flatnonzero(answers.decided)
    given = answers.row[rows]
    return Checks(
        answers.person[rows],
        answers.dimension[rows],
        answers.agrees[rows],
        _times(coded)[given],
        coded.item[given],
    )


def gold_checks(labels: pa.Table, answers: Answers) -> Checks:
    """All labels but gold ones, of people with design labels, on items whose truth is known.

    labels: the view `labels`.
    """
    golden = labels.filter(pc.equal(labels["role"], "gold"))["item_id"].unique()
    near = labels.filter(pc.is_in(labels["item_id"], value_set=golden))
    answered = near.filter(pc.not_equal(near["role"], "gold"))
    role = near.schema.get_field_index("role")
    same = answered.set_column(role, "role", pa.repeat("design", answered.num_rows))
    coded = code(same, ["created_at"])
    truth = gold_of(coded, near)[coded.dimension, coded.item]
    person = places(coded.annotators, answers.people)[coded.annotator]
    named = places(pa.array(coded.dimensions, pa.string()), pa.array(answers.dimensions))
    dimension = named[coded.dimension]
    known = (truth != UNKNOWN) & (person >= 0) & (dimension >= 0)
    return Checks(
        person[known],
        dimension[known],
        (truth == coded.passed)[known],
        _times(coded)[known],
        coded.item[known],
    )


def _times(coded: Coded) -> IntArray:
    """When each label was given, in microseconds.

    Raises: AgreementError where that is unknown.
    """
    column = coded.table["created_at"]
    if column.null_count:
        raise AgreementError(
            f"labels: {column.null_count} of {len(column)} rows have no created_at; "
            "pass the view `labels`, where every label has its time"
        )
    times: IntArray = column.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64()).to_numpy()
    return times
