"""What every family's preprocessor_config.json says of pixels: the way from levels to numbers.

Shapes: T frames, H x W pixels.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from warehouse.errors import TrainingError

PREPROCESSOR = "preprocessor_config.json"

T = TypeVar("T")


@dataclass(frozen=True)
class Levels:
    """How a checkpoint wants the 0-255 levels of red, green and blue."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    scale: float
    """Factor on the levels before mean and std."""

    @classmethod
    def of(cls, values: dict[str, Any]) -> Levels:
        """The numbers in a preprocessor_config.json."""
        return cls(
            mean=tuple(float(number) for number in values["image_mean"]),
            std=tuple(float(number) for number in values["image_std"]),
            scale=float(values.get("rescale_factor", 1 / 255)),
        )

    def normalised(self, frames: Tensor) -> Tensor:
        """uint8 (T, H, W, 3) to fp32 (T, H, W, 3)."""
        mean = torch.tensor(self.mean, device=frames.device)
        std = torch.tensor(self.std, device=frames.device)
        result: Tensor = (frames.float() * self.scale - mean) / std
        return result


def read_preprocessor(folder: Path, read: Callable[[dict[str, Any]], T], needed: str) -> T:
    """What a family reads of a checkpoint's preprocessor_config.json; needed: the fields, in words.

    Raises: TrainingError where the file is missing or lacks one of them.
    """
    path = folder / PREPROCESSOR
    try:
        return read(json.loads(path.read_text()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{path}: {needed} are needed ({error!r})") from error
