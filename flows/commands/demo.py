"""soli demo."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from flows.commands.common import Json, settings_of


class World(StrEnum):
    """Size of the demo's world."""

    FULL = "full"
    TINY = "tiny"


def demo(
    context: typer.Context,
    *,
    world: Annotated[World, typer.Option(help="full learns; tiny only runs.")] = World.FULL,
    seed: Annotated[int, typer.Option(min=0, help="Of clips, people, pairs and training.")] = 7,
    keep_server: Annotated[
        bool, typer.Option("--keep-server", help="Leave Label Studio running at the end.")
    ] = False,
    json: Json = False,
) -> None:
    """Run the whole story on this machine, from labelling to report.

    A world of clips is drawn, a real Label Studio is started, six people judge the clips through
    its API, their labels are pulled, measured, decided and paired, a reward model learns from the
    pairs, and every reward can be traced to labels. Interrupted, the same command goes on.

    \b
    Examples:
      soli demo
      soli demo --world tiny
      soli --home /tmp/again demo --seed 11
    """
    from flows.settings import environment_for_prefect

    settings = settings_of(context)
    environment_for_prefect(settings.home, debug=context.obj["debug"])  # before Prefect is imported
    from flows.console import show_json
    from flows.demo import run_demo, show

    outcome = run_demo(settings, world=world.value, seed=seed, keep_server=keep_server)
    if json:
        show_json(outcome)
    else:
        show(outcome)
