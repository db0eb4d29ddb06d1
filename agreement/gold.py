"""What ground truth says of each item.

A gold label is one that the `labels` view gives the role gold. Which gold labels there are, and
what they say, is a matter of the view's moment: a gold label that was changed later counts as it
was then in a view as of then.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from agreement.labels import Coded, IntArray, check, places
from warehouse.contracts import LABELS

UNKNOWN = -1  # no gold label, or gold labels that contradict each other


def gold_of(coded: Coded, labels: pa.Table) -> IntArray:
    """Gold label of each item with design labels: (D, N), 1 pass, 0 fail, -1 unknown.

    labels: the view `labels`, of which `coded` holds the design labels.
    Raises: AgreementError for labels that cannot be read.

    >>> from agreement.labels import code
    >>> row = {"item_id": "v", "dimension": "shape", "annotator_id": "a", "value": "fail"}
    >>> labels = pa.Table.from_pylist([row | {"role": role} for role in ("design", "gold")])
    >>> gold_of(code(labels), labels)
    array([[0]])
    """
    check(labels)
    gold = labels.filter(pc.equal(labels["role"], "gold"))
    truth = np.full((len(coded.dimensions), len(coded.items)), UNKNOWN, dtype=np.int64)
    item = places(gold["item_id"], coded.items)
    dimension = places(gold["dimension"], pa.array(coded.dimensions, pa.string()))
    passed = pc.equal(gold["value"], LABELS[0]).to_numpy().astype(np.int64)
    known = (item >= 0) & (dimension >= 0)
    place = dimension[known], item[known]
    truth[place] = passed[known]
    contradicted = truth[place] != passed[known]
    truth[place[0][contradicted], place[1][contradicted]] = UNKNOWN
    return truth
