"""Pairs of a recipe straight into a folder: more of them than a set should hold."""

from __future__ import annotations

from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from flows.choose import chosen_method
from flows.clearance import clearance
from flows.pair import items_known, latest_run, read_both
from flows.settings import Settings
from pairing.freeze import freeze
from pairing.recipe import Recipe
from pairing.stream_files import Advance, write_stream
from warehouse.store import Store


def stream(
    settings: Settings,
    store: Store,
    recipe: Recipe,
    folder: Path,
    advance: Advance,
    *,
    override: str | None = None,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Write the pairs of a recipe and the latest consensus, or the recipe's; see `write_stream`.

    Nothing is added to the warehouse. override: a reason to go past gates, kept in stream.json.
    Raises: GateStop and PairingError as `flows.pair.build`.
    """
    moment = datetime.fromisoformat(recipe.as_of) if recipe.as_of else None
    cleared = clearance(store, recipe, override, moment)
    known = items_known(store, moment)
    run = latest_run(store, chosen_method(settings), moment)
    frozen = freeze(*read_both(store, run, known, recipe), recipe)
    said = {
        "items_as_of": known.isoformat(),
        "code_version": version("soli"),
        "override": cleared.override,
        "warnings": [*cleared.warnings, *frozen.warnings],
    }
    return write_stream(frozen, recipe, folder, said, advance, dry_run=dry_run)
