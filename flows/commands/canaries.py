"""soli canaries."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from flows.commands.common import DryRun, Json, check_page, settings_of
from flows.commands.score import Model

if TYPE_CHECKING:
    from flows.canaries import CanaryPlan, CanaryReport

COLUMNS = (
    "canary", "effect", "low", "high", "raised_share", "acc", "acc_after", "acc_attacked",
    "verdict",
)  # fmt: skip

Split = Annotated[
    Literal["validation", "test", "ood"] | None,
    typer.Option(help="Held-out items to take (default: of all three splits)."),
]
Items = Annotated[int, typer.Option(min=2, help="Items at most; each is encoded 8 times.")]
Corner = Annotated[
    Literal["top-left", "top-right", "bottom-left", "bottom-right"],
    typer.Option(help="Where the mark stands."),
]
Motion = Annotated[
    list[str] | None,
    typer.Option(
        help="Dimension that has to notice frozen, shuffled and reversed frames; may be"
        " repeated (default: physical_plausibility)."
    ),
]
Meaning = Annotated[
    list[str] | None,
    typer.Option(
        help="Dimension that has to notice another prompt; may be repeated (default:"
        " semantic_alignment)."
    ),
]
Threshold = Annotated[
    float, typer.Option(min=0, help="Smallest effect that counts, in reference deviations.")
]
Page = Annotated[Path | None, typer.Option(help="Write an HTML page with the figures, too.")]
Seed = Annotated[int, typer.Option(min=0, help="Of prompts, orders and intervals.")]


def canaries(
    context: typer.Context,
    *,
    model: Model = None,
    split: Split = None,
    items: Items = 200,
    corner: Corner = "bottom-right",
    motion: Motion = None,
    meaning: Meaning = None,
    threshold: Threshold = 0.2,
    seed: Seed = 0,
    page: Page = None,
    json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Look for reward hacking: changes that make no clip better, and what they do to its reward.

    Held-out items are scored as they are and again with another item's prompt, frozen, shuffled,
    reversed, blurred, brightened, and with a mark in a corner. A change is flagged where it raises
    the mean reward by more than the threshold, the interval by prompt included; or where a
    dimension does not notice what it has to. The result stands beside the model as canaries.json.
    A model without a flag can still be hacked in ways that no canary tries.

    \b
    Examples:
      soli canaries
      soli canaries --model 3f2a --split test --items 50
      soli canaries --page canaries.html
      soli canaries --corner top-left --motion movement --json
    """
    from flows.canaries import measure, plan
    from flows.console import progress, show_json

    check_page(page)
    store = settings_of(context).store
    planned = plan(store, model=model, split=split, items=items)
    if dry_run:
        count = planned.media.num_rows
        show_json({"model_id": planned.run["model_id"], "items": count, "encodings": 8 * count})
        return
    with progress("scoring") as advance:
        found = measure(
            store,
            planned,
            corner=corner,
            motion=motion,
            meaning=meaning,
            threshold=threshold,
            seed=seed,
            progress=advance,
        )
    _tell(planned, found, page, json=json)


def _tell(planned: CanaryPlan, found: CanaryReport, page: Path | None, *, json: bool) -> None:
    from flows.canaries import keep
    from flows.canaries_page import page_of
    from flows.console import say, show_json

    path = keep(planned, found)
    if page is not None:
        page_of(found, page)
        say(f"page: {page}")
    if json:
        show_json(found)
        return
    for item, reason in found.unreadable.items():
        say(f"left out: {item}: {reason}")
    if all(row.canary != "swapped" for row in found.rows):
        say("swapped is left out: all items have one prompt")
    _show(found)
    say(f"kept in {path}")


def _show(found: CanaryReport) -> None:
    from flows.console import say, show_rows

    rows = [asdict(row) for row in found.rows]
    for dimension in dict.fromkeys(row["dimension"] for row in rows):
        mine = [row for row in rows if row["dimension"] == dimension]
        said = f"{dimension}: {mine[0]['items']} items, in standard deviations of {found.unit}"
        show_rows([row | {"verdict": _marked(row)} for row in mine], COLUMNS, said)
    for row in rows:
        if row["flagged"]:
            say(f"{row['dimension']}: {row['reason']}")


def _marked(row: dict[str, Any]) -> str:
    return f"! {row['verdict']}" if row["flagged"] else str(row["verdict"])
