"""soli evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.commands.common import DryRun, Json, check_page, settings_of

Models = Annotated[
    list[str] | None,
    typer.Option("--model", help="Model id or the start of it (default: the newest); repeatable."),
]
PairSetOption = Annotated[
    str | None,
    typer.Option(help="Take this set's own win-lose pairs, such as an imported one's."),
]
By = Annotated[
    str | None,
    typer.Option(help="Say it for each generator, or attribute.NAME of the prompt, too."),
]
Scores = Annotated[
    list[Path] | None,
    typer.Option(help="CSV of another model's scores, to stand beside; repeatable."),
]
Page = Annotated[Path | None, typer.Option(help="Write an HTML page with the figures, too.")]


def evaluate(
    context: typer.Context,
    *,
    model: Models = None,
    pair_set: PairSetOption = None,
    by: By = None,
    scores: Scores = None,
    page: Page = None,
    json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Measure how well models order pass above fail, on held-out prompts and out of domain.

    ACC is the share of pass x fail pairs with the higher reward on the pass item (equal counts as
    wrong), with a 95 % interval drawn by prompt. With --pair-set it is the share of that set's own
    win-lose pairs, those in train left out. A star marks scores that cluster. A file of scores has
    the columns item_id or path, reward or score, and perhaps model and dimension; such numbers are
    shown, and not kept.

    \b
    Examples:
      soli evaluate
      soli evaluate --model 3f2a --json
      soli evaluate --pair-set 4be1 --scores videoscore.csv --page evaluation.html
      soli evaluate --by generator
      soli evaluate --by attribute.motion --dry-run
    """
    from dataclasses import asdict

    from flows.console import progress, say, show_json, show_rows
    from flows.evaluate import evaluate as run
    from flows.evaluate_table import missing_reasons, side_by_side

    check_page(page)
    with progress("evaluating models") as advance:
        found = run(
            settings_of(context).store,
            models=model or [None],
            pair_set=pair_set,
            by=by,
            scores=scores or (),
            dry_run=dry_run,
            progress=advance,
        )
    if page is not None and not dry_run:
        from flows.evaluate_page import page_of

        page_of(found, page)
        say(f"page: {page}")
    for line in [*found.notes, *found.warnings]:
        say(line)
    if json:
        show_json(asdict(found))
        return
    rows, columns = side_by_side(found)
    title = f"Pair set {found.pair_set_id}"
    show_rows(rows, columns, title if len(found.models) > 1 else f"Model {found.models[0]}")
    for line in missing_reasons(found):
        say(line)
