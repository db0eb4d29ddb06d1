"""soli trace."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.commands.common import Json, settings_of


def trace(
    context: typer.Context,
    what: Annotated[
        str,
        typer.Argument(
            metavar="MODEL[:ITEM]|CHECKPOINT|ANNOTATOR|ITEM|LABEL",
            help="A model (id, prefix, `latest` or checkpoint folder), with an item or without;"
            " or an annotator's id (its first eight letters will do), an item's, or a label as the"
            " first form shows it; annotator:ID and item:ID say which where a name is both.",
        ),
    ],
    *,
    json: Json = False,
) -> None:
    """Show what a reward rests on, or what rests on an annotator, an item or a single label.

    Downwards: model, pair set, consensus, label events with the labelling configuration that each
    was given under, annotators by random id. Upwards: every consensus, pair set and model, with the
    number of labels, items and pairs. Of a model that was trained on an imported set, downwards:
    the judgements that came in with it.

    \b
    Examples:
      soli trace latest:clip_0007
      soli trace 3f2a                          # a model by the start of its id
      soli trace ANNOTATOR_ID                  # what somebody's labels went into
      soli trace clip_0007                     # and an item's
      soli trace label:1203/subject_deformity  # and a single label
    """
    from flows.console import show_json, visible
    from flows.trace import resolve
    from flows.trace import trace as follow
    from flows.trace_lines import lines

    store = settings_of(context).store
    found = follow(store, resolve(store, what))
    if json:
        show_json(found)
    else:
        typer.echo("\n".join(map(visible, lines(found))))
