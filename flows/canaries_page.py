"""What canaries found, as a page: what is flagged, the figures, and every number."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from flows import canaries_plots as plots
from flows.canaries import CanaryReport
from flows.page import write_page


def page_of(found: CanaryReport, path: Path) -> None:
    """Write the page; accuracies are drawn where the items are labelled.

    Raises: StoreError where it cannot be written.
    """
    rows = [asdict(row) for row in found.rows]
    labelled = [row for row in rows if row["acc"] is not None]
    facts = {
        "found": found,
        "rows": rows,
        "flagged": [row for row in rows if row["flagged"]],
        "items": max(row["items"] for row in rows),
        "plots": {
            "effects": plots.effects(rows, found.threshold),
            "accuracies": plots.accuracies(labelled) if labelled else "",
        },
    }
    write_page(path, "canaries.html", facts)
