"""Backbones by what their checkpoints say they are; nowhere else is a family told from another."""

from __future__ import annotations

from pathlib import Path

from training.backbones.base import CLIP, Backbone, Piece, Shape, model_type, shape_of
from training.backbones.internvl import InternVL
from training.backbones.internvl_chat import InternVLChat
from training.backbones.qwen2_5_vl import Qwen25VL
from training.backbones.qwen2_vl import Qwen2VL
from warehouse.errors import TrainingError

__all__ = ["CLIP", "Backbone", "Piece", "Shape", "family_of", "load_backbone", "shape_of"]

FAMILIES: tuple[type[Backbone], ...] = (InternVL, InternVLChat, Qwen2VL, Qwen25VL)


def family_of(folder: str | Path) -> type[Backbone]:
    """Family of a local checkpoint.

    Raises: TrainingError for a folder that is no checkpoint, or one of no family known here.
    """
    kind = model_type(Path(folder))
    for family in FAMILIES:
        if family.model_type == kind:
            return family
    known = ", ".join(repr(family.model_type) for family in FAMILIES)
    raise TrainingError(f"base model {folder} is {kind!r}; this version trains {known}")


def load_backbone(folder: str | Path, precision: str = "fp32") -> Backbone:
    """Backbone of a local checkpoint.

    precision: fp32 or bf16.
    Raises: TrainingError as `family_of`, and where a weight or a file is missing.
    """
    return family_of(folder).from_pretrained(folder, precision)
