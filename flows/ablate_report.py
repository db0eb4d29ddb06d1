"""An ablation's tables and figures: into its folder, and onto the screen."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import typer

from flows.ablate import Ablation, Rows
from flows.ablate_arms import ARMS
from flows.ablate_plots import accuracy, blocks_and_pairs
from flows.ablate_table import markdown, shown, summary
from flows.console import show_rows

BATCHES = {"default": "blocks", "random-pairs": "random pairs"}
WIDE = {"margin OOD", "pass spread ID", "with ties ID", "pairs", "encodings"}  # in table.md alone


def write(ablation: Ablation) -> Rows:
    """Write what is there of an ablation, and return the rows of `summary`.

    table.parquet: those rows. runs.parquet: a row a run and metric. table.md: as shown, with each
    dimension. accuracy.svg and batches.svg.
    """
    measured = ablation.measured
    rows = summary(measured, ARMS)
    if not rows:
        return rows
    folder = ablation.folder
    pq.write_table(pa.Table.from_pylist(rows), folder / "table.parquet")
    runs = [
        {
            "arm": run.arm,
            "seed": run.seed,
            "model_id": run.model_id,
            "pair_set_id": run.pair_set_id,
            "steps": run.steps,
            "seconds": run.seconds,
            "pairs": run.pairs,
            "encodings": run.encodings,
        }
        | row
        for run in measured
        for row in run.rows
    ]
    pq.write_table(pa.Table.from_pylist(runs), folder / "runs.parquet")
    (folder / "table.md").write_text(markdown(rows, measured) + "\n")
    (folder / "accuracy.svg").write_text(accuracy(rows))
    if {run.arm for run in measured} >= set(BATCHES):
        (folder / "batches.svg").write_text(blocks_and_pairs(measured, BATCHES))
    return rows


def show(ablation: Ablation, rows: Rows) -> None:
    """The table over all dimensions, and where the rest lies."""
    asked = {job.arm.name for job in ablation.jobs}
    lines, columns = shown([row for row in rows if row["arm"] in asked], ablation.measured)
    show_rows(
        lines,
        [name for name in columns if name not in WIDE],
        f"Pair set {ablation.pair_set_id}, mean over dimensions",
    )
    typer.echo(f"each dimension, every metric, figures: {ablation.folder}")
    typer.echo(
        "the newest model and pair set of this home may be the ablation's: name yours, as in"
        f" `soli train --pair-set {ablation.pair_set_id[:8]}`"
    )
