"""Agreement on 250,000 synthetic items: pandas + krippendorff and ours, in turn, in one run.

    python -m benchmarks.agreement [--items 250000] [--rounds 3] [--annotators 5]

Three dimensions, 3 to 5 labels per item and dimension, shuffled, zstd Parquet; each method reads
the file itself. The baselines give alpha only; ours gives five statistics with 10,000-replicate
intervals. The report adds what a measurement needs beside them: slices, digest, annotators.
crowd-kit and our Dawid-Skene run on a tenth of the first dimension, in CPU time. Walls on a shared
machine wander: read the ratios.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import krippendorff
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from crowdkit.aggregation import DawidSkene

from agreement import agreement_report, build_consensus
from agreement.bootstrap import bootstrap_intervals
from agreement.dawid_skene import Prior, fit
from agreement.labels import COLUMNS, code
from agreement.statistics import histogram, measure

DIMENSIONS = ["physical_plausibility", "semantic_alignment", "subject_deformity"]
Alphas = dict[str, float]


def synthetic_labels(items: int, annotators: int, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    names = pa.array([f"item_{n:08d}" for n in range(items)])
    tables = []
    for dimension in DIMENSIONS:
        item = np.repeat(np.arange(items), rng.integers(3, 6, items))
        first = rng.integers(annotators, size=items)
        step = np.arange(len(item)) - np.searchsorted(item, item)
        annotator = (first[item] + step) % annotators
        truth, right = rng.random(items) < 0.6, rng.uniform(0.75, 0.95, annotators)
        passed = truth[item] == (rng.random(len(item)) < right[annotator])
        tables.append(
            pa.table(
                {
                    "item_id": names.take(pa.array(item)),
                    "generator": pa.array(["solid", "liquid"]).take(pa.array(item % 2)),
                    "dimension": pa.repeat(dimension, len(item)),
                    "annotator_id": pa.array([f"a{n}" for n in range(annotators)]).take(
                        pa.array(annotator)
                    ),
                    "value": pa.array(["fail", "pass"]).take(pa.array(passed.astype(int))),
                    "role": pa.repeat("design", len(item)),
                    "seconds": rng.gamma(4, 2, len(item)),
                    "changed": pa.repeat(pa.scalar(value=False), len(item)),
                }
            )
        )
    labels = pa.concat_tables(tables)
    return labels.take(pa.array(rng.permutation(labels.num_rows)))


def pivot_krippendorff(path: Path) -> Alphas:
    columns = ["item_id", "dimension", "annotator_id", "value"]
    frame = pd.read_parquet(path, columns=columns)
    frame["passed"] = (frame["value"] == "pass").astype(float)
    return {
        str(dimension): float(
            krippendorff.alpha(
                part.pivot(  # noqa: PD010 -- pivot_table also takes means, and is slower
                    index="annotator_id", columns="item_id", values="passed"
                ).to_numpy(),
                level_of_measurement="nominal",
            )
        )
        for dimension, part in frame.groupby("dimension")
    }


def counts_krippendorff(path: Path) -> Alphas:
    frame = pd.read_parquet(path, columns=["item_id", "dimension", "value"])
    frame["passed"] = frame["value"] == "pass"
    grouped = frame.groupby(["dimension", "item_id"])["passed"].agg(["sum", "count"])
    grouped["failed"] = grouped["count"] - grouped["sum"]
    return {
        str(dimension): float(
            krippendorff.alpha(
                value_counts=part[["sum", "failed"]].to_numpy(), level_of_measurement="nominal"
            )
        )
        for dimension, part in grouped.groupby(level=0)
    }


def ours(path: Path) -> Alphas:
    coded = code(pq.read_table(path, columns=list(COLUMNS)))
    alphas = {}
    for dimension, counts in zip(coded.dimensions, coded.counts, strict=True):
        cells = histogram(counts)
        bootstrap_intervals(cells)
        value = measure(cells)["alpha"].value
        alphas[dimension] = float("nan") if value is None else float(value)
    return alphas


def our_report(path: Path) -> Alphas:
    rows = agreement_report(pq.read_table(path)).agreement.to_pylist()
    return {
        row["dimension"]: row["value"]
        for row in rows
        if (row["slice"], row["statistic"]) == ("all", "alpha")
    }


def compare(path: Path, rounds: int) -> None:
    methods: dict[str, Callable[[Path], Alphas]] = {
        "pandas pivot + krippendorff": pivot_krippendorff,
        "pandas value counts + krippendorff": counts_krippendorff,
        "ours, 5 statistics with intervals": ours,
        "ours, whole report": our_report,
    }
    walls: dict[str, list[float]] = {name: [] for name in methods}
    cpus: dict[str, list[float]] = {name: [] for name in methods}
    found: dict[str, Alphas] = {}
    for _ in range(rounds):
        for name, method in methods.items():
            wall, cpu = time.perf_counter(), time.process_time()
            found[name] = method(path)
            walls[name].append(time.perf_counter() - wall)
            cpus[name].append(time.process_time() - cpu)
    base = statistics.median(walls["pandas pivot + krippendorff"])
    for name in methods:
        wall, cpu = statistics.median(walls[name]), statistics.median(cpus[name])
        alpha = found[name][DIMENSIONS[0]]
        print(f"{name:36s} {wall:6.2f} s {cpu:6.2f} s CPU {base / wall:5.1f} x   {alpha:.15f}")


def compare_consensus(labels: pa.Table) -> None:
    start = time.process_time()
    build_consensus(labels)
    print(f"consensus of all {labels.num_rows} labels: {time.process_time() - start:.2f} s CPU")
    coded = code(labels)
    share = np.flatnonzero((coded.dimension == 0) & (coded.item < len(coded.items) // 10))
    _, item = np.unique(coded.item[share], return_inverse=True)
    annotator, passed = coded.annotator[share], coded.passed[share]
    frame = pd.DataFrame({"task": item, "worker": annotator, "label": passed})
    start = time.process_time()
    with warnings.catch_warnings(action="ignore"):
        theirs = DawidSkene(n_iter=20, tol=0).fit(frame)
    crowdkit_s = time.process_time() - start
    start = time.process_time()
    fitted = fit(item, annotator, passed, Prior(right=0, wrong=0, iterations=20, tolerance=1e-300))
    ours_s = time.process_time() - start
    gap = np.abs(theirs.probas_.sort_index()[True].to_numpy() - fitted.p_pass).max()
    print(
        f"Dawid-Skene, 20 rounds, {item.max() + 1} items: crowd-kit {crowdkit_s:.2f} s CPU, ",
        end="",
    )
    print(f"ours {ours_s:.3f} s, {crowdkit_s / ours_s:.0f} x, largest difference {gap:.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--items", type=int, default=250_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--annotators", type=int, default=5)
    args = parser.parse_args()
    labels = synthetic_labels(args.items, args.annotators)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "labels.parquet"
        pq.write_table(labels, path, compression="zstd")
        compare(path, args.rounds)
    compare_consensus(labels)


if __name__ == "__main__":
    main()
