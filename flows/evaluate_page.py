"""An evaluation as a page: the table, what clusters, and the figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from flows import evaluate_plots as plots
from flows.evaluate import Evaluation, Rows
from flows.evaluate_table import MAIN, missing_reasons, side_by_side
from flows.page import write_page


def page_of(found: Evaluation, path: Path) -> None:
    """Write the page; a figure without rows is left out.

    Raises: StoreError where it cannot be written.
    """
    rows, columns = side_by_side(found)
    labelled = [row for row in found.scores if row["passed"] or row["failed"]]
    judged = [row for row in found.reliability if row["pairs"]]
    models = found.models
    facts = {
        "found": found,
        "rows": rows,
        "main": [row for row in rows if row["metric"] in MAIN],
        "columns": columns,
        "starred": any(row["clustered"] for row in found.scores),
        "reasons": missing_reasons(found),
        "reliability": judged,
        "plots": {
            "distributions": _figure(plots.distributions, found.scores, models),
            "pass_and_fail": _figure(plots.pass_and_fail, labelled, models),
            "reliability": _figure(plots.reliability, judged, models),
            "advantages": _figure(plots.advantages, found.advantages, models),
        },
    }
    write_page(path, "evaluation.html", facts)


def _figure(draw: Callable[[Rows, Sequence[str]], str], rows: Rows, models: Sequence[str]) -> str:
    return draw(rows, models) if rows else ""
