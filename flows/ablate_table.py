"""What an ablation measured, as tables: a row an arm, beside what it is compared with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from flows.ablate import Measured, Rows
from flows.ablate_arms import DEFAULT, Arm
from flows.ablate_stats import Estimate, mean_over, paired_difference, t_interval
from warehouse.wording import words

ALL = "all dimensions"
METRICS = (
    "acc", "acc_ties", "auc", "margin", "pass_std", "pass_relative", "top_advantage",
    "equal_share", "levels",
)  # fmt: skip
SPLIT_NAMES = {"test": "ID", "ood": "OOD"}
SHOWN = {  # column -> metric, split, decimals, and whether its difference stands beside
    "ACC ID": ("acc", "test", 3, True),
    "ACC OOD": ("acc", "ood", 3, True),
    "margin ID": ("margin", "test", 2, False),
    "margin OOD": ("margin", "ood", 2, False),
    "pass spread ID": ("pass_relative", "test", 2, True),
    "with ties ID": ("acc_ties", "test", 3, False),
}
MISSING = "–"
Values = dict[tuple[str, str, str, str], dict[int, float]]


def summary(measured: Sequence[Measured], arms: Sequence[Arm]) -> Rows:
    """A row an arm, dimension, split and metric: mean over seeds, and difference, with intervals.

    The dimension ALL is the mean over dimensions within each run. A difference is that of the runs
    with the same seed; `clustered` is the share of runs whose scores cluster.
    """
    values, clustered = _values(measured)
    rows = []
    for arm in arms:
        for name, dimension, split, metric in sorted(values, key=_order):
            if name != arm.name:
                continue
            mine = values[name, dimension, split, metric]
            theirs = values.get((arm.against, dimension, split, metric), {})
            apart = None if arm.name == DEFAULT else paired_difference(mine, theirs)
            starred = clustered[name, dimension, split].values()
            rows.append(
                {"factor": arm.factor, "arm": arm.name, "against": arm.against}
                | {"dimension": dimension, "split": split, "metric": metric}
                | _flat(t_interval(list(mine.values())), "mean", "")
                | _flat(apart, "difference", "difference_")
                | {"clustered": sum(starred) / len(starred)}
            )
    return rows


def _values(measured: Sequence[Measured]) -> tuple[Values, dict[tuple[str, str, str], Any]]:
    """Seed -> value of each arm, dimension, split and metric; and whether its scores cluster."""
    values: Values = {}
    clustered: dict[tuple[str, str, str], dict[int, bool]] = {}
    for run in measured:
        several: dict[tuple[str, str], list[float | None]] = {}
        for row in run.rows:
            split, metric, value = row["split"], row["metric"], row["value"]
            if metric not in METRICS:
                continue
            for dimension in (row["dimension"], ALL):
                seeds = clustered.setdefault((run.arm, dimension, split), {})
                seeds[run.seed] = seeds.get(run.seed, False) or row["clustered"]
            several.setdefault((split, metric), []).append(value)
            if value is not None:
                values.setdefault((run.arm, row["dimension"], split, metric), {})[run.seed] = value
        for (split, metric), parts in several.items():
            if (mean := mean_over(parts)) is not None:
                values.setdefault((run.arm, ALL, split, metric), {})[run.seed] = mean
    return values, clustered


def _order(key: tuple[str, str, str, str]) -> tuple[bool, str, int, int]:
    _, dimension, split, metric = key
    return dimension != ALL, dimension, [*SPLIT_NAMES].index(split), METRICS.index(metric)


def _flat(found: Estimate | None, name: str, before: str) -> dict[str, Any]:
    """An estimate as columns; None where there is none."""
    if found is None:
        return {name: None, **{f"{before}{end}": None for end in ("low", "high", "seeds")}}
    values = asdict(found)
    return {name: values.pop("mean"), **{f"{before}{end}": value for end, value in values.items()}}


def shown(rows: Rows, measured: Sequence[Measured], dimension: str = ALL) -> tuple[Rows, list[str]]:
    """Rows and columns as people read them: one an arm, of one dimension or of their mean.

    A number has half the width of its interval after ±; a difference that its interval keeps apart
    from 0 has an exclamation mark, an ACC of clustered scores a star.
    """
    known = {(row["arm"], row["split"], row["metric"]): row for row in rows
             if row["dimension"] == dimension}  # fmt: skip
    found = []
    for name in dict.fromkeys(row["arm"] for row in rows):
        runs = [run for run in measured if run.arm == name]
        factor = next(row["factor"] for row in rows if row["arm"] == name)
        cells = {"factor": factor, "arm": name, "seeds": str(len(runs))}
        for column, (metric, split, decimals, differs) in SHOWN.items():
            row = known.get((name, split, metric))
            cells[column] = _cell(row, decimals)
            if differs:
                cells[f"Δ {column}"] = _difference(row, decimals)
        for fact in ("pairs", "encodings"):
            cells[fact] = f"{sum(getattr(run, fact) for run in runs) / len(runs):.0f}"
        found.append(cells)
    empty = {name for name in found[0] if all(row[name] == MISSING for row in found)}
    return found, [name for name in found[0] if name not in empty]


def _cell(row: dict[str, Any] | None, decimals: int) -> str:
    """Mean and half the width of its interval.

    >>> _cell({"mean": 0.5, "high": 0.625, "metric": "acc", "clustered": 0.2}, 3)
    '0.500* ± 0.125'
    """
    if row is None:
        return MISSING
    star = "*" if row["metric"] == "acc" and row["clustered"] else ""
    mean = f"{row['mean']:.{decimals}f}{star}"
    return mean if row["high"] is None else f"{mean} ± {row['high'] - row['mean']:.{decimals}f}"


def _difference(row: dict[str, Any] | None, decimals: int) -> str:
    """Signed difference, with an exclamation mark where the interval leaves out 0.

    >>> _difference({"difference": -0.25, "difference_low": -0.375, "difference_high": -0.125}, 3)
    '-0.250 ± 0.125 !'
    """
    if row is None or row["difference"] is None:
        return MISSING
    mean, low, high = (row[name] for name in ("difference", "difference_low", "difference_high"))
    if high is None:
        return f"{mean:+.{decimals}f}"
    mark = "" if low <= 0 <= high else " !"
    return f"{mean:+.{decimals}f} ± {high - mean:.{decimals}f}{mark}"


def markdown(rows: Rows, measured: Sequence[Measured]) -> str:
    """The tables of all dimensions together and of each."""
    return "\n".join(_markdown(rows, measured))


def _markdown(rows: Rows, measured: Sequence[Measured]) -> Iterator[str]:
    for dimension in dict.fromkeys(row["dimension"] for row in rows):
        lines, columns = shown(rows, measured, dimension)
        yield f"## {words(dimension)}\n"
        yield f"| {' | '.join(columns)} |"
        yield f"|{'---|' * len(columns)}"
        yield from (f"| {' | '.join(line[name] for name in columns)} |" for line in lines)
        yield ""
