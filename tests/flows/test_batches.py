import json
import random
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.batches import planned_batches
from soak.zero import inputs, job_of, run_of
from training.data import plan_batches, read_plan, read_split
from training.run import train
from warehouse.errors import TrainingError

DIMENSIONS = ("physics",)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A pair set with its clips."""
    folder = tmp_path_factory.mktemp("set")
    inputs(folder)
    return folder


@pytest.fixture
def plan(folder, tmp_path):
    """Its plan in batches of 5 items, with the rows in another order."""
    table = planned_batches(folder, list(DIMENSIONS), 5)
    rows = list(range(table.num_rows))
    random.Random(0).shuffle(rows)
    pq.write_table(table.take(pa.array(rows)), tmp_path / "plan.parquet")
    return tmp_path / "plan.parquet"


def test_every_pair_is_served_once_an_epoch_in_batches_of_few_items(folder, plan):
    split = read_split(folder, DIMENSIONS, "train")
    batch = read_plan(plan, folder, DIMENSIONS, "train")
    blocks = list(plan_batches(split, batch, epochs=2, seed=1))
    half = len(blocks) // 2
    for epoch in (blocks[:half], blocks[half:]):
        served = np.sort(np.concatenate([block.pairs for block in epoch]))
        assert (served == np.arange(split.pairs)).all()
    for block in blocks:
        ends = np.concatenate([split.winner[block.pairs], split.other[block.pairs]])
        assert len(block.items) <= 5
        assert set(block.items) == set(ends)
    assert [tuple(b.pairs) for b in blocks[:half]] != [tuple(b.pairs) for b in blocks[half:]]


def test_a_plan_of_other_pairs_or_none_at_all_is_named(folder, plan, tmp_path):
    with pytest.raises(TrainingError, match=r"none\.parquet cannot be read .*set batch\.kind"):
        read_plan(tmp_path / "none.parquet", folder, DIMENSIONS, "train")
    pq.write_table(pq.read_table(plan).slice(1), plan)
    with pytest.raises(TrainingError, match=r"not just the .* of the split train"):
        read_plan(plan, folder, DIMENSIONS, "train")


def test_a_set_without_train_pairs_has_no_plan(folder):
    with pytest.raises(TrainingError, match="no pair to train on"):
        planned_batches(folder, ["semantics"], 5)


@pytest.mark.slow
def test_a_job_trains_on_its_plan_and_uses_every_pair(folder, tmp_path):
    run = run_of(folder, "internvl3", 1)
    batch = replace(run.batch, kind="planned", size=5, accumulation=1, max_steps=None, epochs=1)
    job = job_of(folder, "planned", replace(run, batch=batch, save_every=None))
    table = planned_batches(folder, list(DIMENSIONS), 5)
    pq.write_table(table, job / "plan.parquet")
    assert train(job, quiet=True)["steps"] == len(set(table["batch"].to_pylist()))
    coverage = json.loads((job / "metrics.json").read_text())["coverage"]
    assert coverage["used"] == coverage["pairs"] == coverage["pair_uses"]
