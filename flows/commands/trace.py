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
            metavar="MODEL[:ITEM]|CHECKPOINT|ANNOTATOR",
            help="A model (id, prefix, `latest` or checkpoint folder), with an item or without;"
            " or an annotator's id.",
        ),
    ],
    *,
    json: Json = False,
) -> None:
    """Show what a reward rests on: model, pair set, consensus, label events, annotators.

    Of a model that was trained on an imported set: the judgements that came in with it.

    \b
    Examples:
      soli trace latest:clip_0007
      soli trace 3f2a                          a model by the start of its id
      soli trace ANNOTATOR_ID                  the models that learned from somebody
    """
    from flows.console import show_json, visible
    from flows.trace import lines, resolve
    from flows.trace import trace as follow

    store = settings_of(context).store
    found = follow(store, resolve(store, what))
    if json:
        show_json(found)
    else:
        typer.echo("\n".join(map(visible, lines(found))))
