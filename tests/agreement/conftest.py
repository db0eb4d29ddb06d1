"""Labels tables for tests of agreement."""

import csv
from collections.abc import Callable, Iterable
from pathlib import Path

import pyarrow as pa
import pytest

DATA = Path(__file__).parents[1] / "data"
SCHEMA = pa.schema(
    [
        ("item_id", pa.string()),
        ("prompt_id", pa.string()),
        ("generator", pa.string()),
        ("dimension", pa.string()),
        ("annotator_id", pa.string()),
        ("value", pa.string()),
        ("role", pa.string()),
        ("seconds", pa.float64()),
        ("changed", pa.bool_()),
    ]
)
Row = tuple[str, str, str]


@pytest.fixture(scope="session")
def make_labels() -> Callable[..., pa.Table]:
    """Table from (item, annotator, value) rows; further columns by name, one value for all."""

    def make(rows: Iterable[Row], **columns: object) -> pa.Table:
        default = {
            "generator": "solid",
            "dimension": "shape",
            "role": "design",
            "seconds": 4.0,
            "changed": False,
        }
        full = [
            {**default, "item_id": i, "prompt_id": f"p{i}", "annotator_id": a, "value": v} | columns
            for i, a, v in rows
        ]
        return pa.Table.from_pylist(full, schema=SCHEMA)

    return make


@pytest.fixture(scope="session")
def bluebirds(make_labels) -> tuple[pa.Table, dict[str, str]]:
    """The crowd's labels (39 people, 108 photos) and the truth per item."""
    with (DATA / "crowd" / "bluebirds.csv").open() as file:
        rows = list(csv.DictReader(file))
    word = {"1": "pass", "0": "fail"}
    labels = make_labels((row["item"], row["annotator"], word[row["label"]]) for row in rows)
    return labels, {row["item"]: word[row["gold"]] for row in rows}
