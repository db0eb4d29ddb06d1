"""Which item deserves one more label: the one whose label would tell most about the truth.

With P(pass) = p, and an average annotator who says pass on a passing item with probability s and
fail on a failing item with probability t, the next label says pass with probability

    q = p s + (1 - p) (1 - t)

and the information that it is expected to give about the item's truth, in bits, is their mutual
information: the entropy of the label minus what of it is the annotator's own noise,

    I = H(q) - p H(s) - (1 - p) H(t),      H(x) = -x log2 x - (1 - x) log2(1 - x)

It is 0 for an item that is decided and for annotators who guess (s = 1 - t), and at most 1, for an
open item and annotators who never err. An item is shown with all its dimensions at once, so items
are ranked by the sum over dimensions.

Sources: Lindley (1956), On a measure of the information provided by an experiment; Settles (2012),
Active learning, ch. 3 (expected information as a reason to query).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from agreement.labels import FloatArray, number
from warehouse.errors import AgreementError

KEY = ("item_id", "dimension")
TINY = 1e-15  # has no entropy that shows
DIGITS = 6  # information is rounded to a millionth of a bit, so that equal items tie


@dataclass(frozen=True)
class Escalation:
    """What one more label is worth.

    labels: item_id, dimension, p_pass, labels, information (bits), rank. items: item_id,
    information summed over dimensions, rank. Rank 1 comes first; ties go by item and dimension.
    """

    labels: pa.Table
    items: pa.Table


def escalation(
    consensus: pa.Table,
    annotators: pa.Table,
    given: pa.Table | None = None,
    most_labels: int | None = None,
) -> Escalation:
    """Items by what one more label of an average annotator is expected to tell.

    consensus: rows of the contract `consensus`, one run. annotators: rows of `annotators`, one
        measurement; the average coin of a dimension weighs each annotator by their labels.
    given: the view `labels`, to count labels of all roles; without it those of the consensus count.
        Give it where escalated labels do not decide, or one item comes back for ever.
    most_labels: an item and dimension with so many labels gets no more; its row is left out.
    Raises: AgreementError for a dimension without annotators, a limit below 1.

    >>> row = {"dimension": "shape", "n_pass": 2, "n_fail": 1}
    >>> rows = [row | {"item_id": i, "p_pass": p} for i, p in [("v1", 0.99), ("v2", 0.6)]]
    >>> coin = {"dimension": "shape", "labels": 9, "sensitivity": 0.9, "specificity": 0.8}
    >>> found = escalation(pa.Table.from_pylist(rows), pa.Table.from_pylist([coin]))
    >>> found.items.to_pylist()[0]
    {'item_id': 'v2', 'information': 0.387873, 'rank': 1}
    """
    if most_labels is not None and most_labels < 1:
        raise AgreementError(f"most_labels={most_labels}: give 1 or more, or none for no limit")
    coins = average_coins(annotators)
    rows = _open(consensus, given)
    if most_labels is not None:
        rows = rows.filter(pc.less(rows["labels"], most_labels))
    names, dimension = number(rows["dimension"])
    p_pass, bits = rows["p_pass"].to_numpy(), np.empty(rows.num_rows)
    for position, name in enumerate(names.to_pylist()):
        if name not in coins:
            raise AgreementError(
                f"escalation: no annotator of {name!r} among those of"
                f" {', '.join(sorted(coins)) or 'no dimension'}; measure agreement first"
            )
        asked = dimension == position
        bits[asked] = expected_information(p_pass[asked], *coins[name])
    rows = rows.append_column("information", pa.array(np.round(bits, DIGITS)))
    items = rows.group_by("item_id", use_threads=False).aggregate([("information", "sum")])
    items = items.rename_columns({"information_sum": "information"})
    return Escalation(_ranked(rows, KEY), _ranked(items, KEY[:1]))


def expected_information(p: FloatArray, sensitivity: float, specificity: float) -> FloatArray:
    """Mutual information of an item's truth and the next label on it, in bits: (N,).

    p: (N,) P(pass). sensitivity, specificity: of who gives the label.

    >>> expected_information(np.array([0.5, 0.9, 1.0]), 0.9, 0.9).round(3)
    array([0.531, 0.211, 0.   ])
    """
    said = p * sensitivity + (1 - p) * (1 - specificity)
    noise = p * _entropy(sensitivity) + (1 - p) * _entropy(specificity)
    bits: FloatArray = np.maximum(_entropy(said) - noise, 0)
    return bits


def average_coins(annotators: pa.Table) -> dict[str, tuple[float, float]]:
    """Mean sensitivity and specificity by dimension, each annotator weighed by their labels."""
    rows = annotators.select(["dimension", "labels", "sensitivity", "specificity"]).to_pylist()
    by_dimension: dict[str, list[dict[str, float]]] = {}
    for row in rows:
        by_dimension.setdefault(row["dimension"], []).append(row)
    return {
        dimension: (_mean(people, "sensitivity"), _mean(people, "specificity"))
        for dimension, people in by_dimension.items()
    }


def _mean(people: list[dict[str, float]], coin: str) -> float:
    """Weighed mean; fsum is exact, so the order of the people changes no bit."""
    total = fsum(row["labels"] * row[coin] for row in people)
    return total / fsum(row["labels"] for row in people)


def _open(consensus: pa.Table, given: pa.Table | None) -> pa.Table:
    """item_id, dimension, p_pass, labels: what is known of each item and dimension."""
    if given is None:
        rows = consensus.select([*KEY, "p_pass"])
        votes = pc.add(consensus["n_pass"], consensus["n_fail"]).cast(pa.int64())
        return rows.append_column("labels", votes)
    counts = given.group_by(list(KEY)).aggregate([([], "count_all")])
    rows = consensus.select([*KEY, "p_pass"]).join(counts, keys=list(KEY)).sort_by(list(_up(KEY)))
    rows = rows.rename_columns([*KEY, "p_pass", "labels"])
    return rows.set_column(3, "labels", pc.fill_null(rows["labels"], 0))


def _ranked(rows: pa.Table, key: tuple[str, ...]) -> pa.Table:
    """Rows with most information first, numbered from 1; ties by key."""
    place = rows.column_names.index("information")
    bits = np.round(rows["information"].to_numpy(), DIGITS)  # again: sums have digits of their own
    rows = rows.set_column(place, "information", pa.array(bits))
    rows = rows.sort_by([("information", "descending"), *_up(key)])
    return rows.append_column("rank", pa.array(np.arange(1, rows.num_rows + 1)))


def _up(key: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(name, "ascending") for name in key]


def _entropy(share: FloatArray | float) -> FloatArray:
    """Of a coin, in bits; 0 at 0 and 1."""
    inside = np.clip(share, TINY, 1 - TINY)
    bits: FloatArray = -inside * np.log2(inside) - (1 - inside) * np.log2(1 - inside)
    return bits
