"""The backbone of a training run: the folder that is given, or a tiny one built on the spot."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from warehouse.digest import value_digest
from warehouse.errors import TrainingError
from warehouse.lease import lease
from warehouse.store import Store


def backbone_of(store: Store, recipe: str, given: Path | None, media: pa.Table, seed: int) -> Path:
    """Folder of the backbone: the one given, else where the tiny recipes keep theirs."""
    if given is not None:
        if not (given / "config.json").is_file():
            raise TrainingError(f"no model in {given} (no config.json); correct --base-model")
        return given.absolute()
    if not recipe.startswith("tiny"):
        raise TrainingError(
            f"recipe {recipe!r} needs a backbone; name its folder with --base-model"
        )
    return store.home / "backbones" / f"tiny-{value_digest([_prompts(media), seed])[:12]}"


def build_tiny(folder: Path, media: pa.Table, seed: int) -> None:
    """Backbone of the tiny recipes: random weights, built on the spot and kept."""
    from training.job import room_for
    from training.tiny import build_tiny_internvl

    if folder.exists():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with lease(folder.parent / "lock", "building a tiny backbone"):
        if not folder.exists():
            building = folder.with_suffix(".part")
            with room_for(building, "nothing was trained"):
                build_tiny_internvl(building, seed, _prompts(media))
                building.rename(folder)


def ready_backbone(store: Store, recipe: str, media: pa.Table, seed: int) -> None:
    """Have the backbone there that a tiny recipe trains on these items; others are given."""
    if recipe.startswith("tiny"):
        build_tiny(backbone_of(store, recipe, None, media, seed), media, seed)


def _prompts(media: pa.Table) -> list[str]:
    return sorted(set(media["prompt"].to_pylist()))
