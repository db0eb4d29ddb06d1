"""InternVL3 and InternVL3.5: each frame an image of a fixed size, with a text of its own before it.

Shapes: B items, T frames, H x W pixels, S tokens, D hidden size.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from training.backbones.base import PREPROCESSOR, Backbone, Shape
from training.config import FrameConfig, Part
from training.video import FramePolicy
from warehouse.errors import TrainingError


@dataclass(frozen=True)
class Pixels:
    """How a checkpoint wants its frames, from its preprocessor_config.json."""

    height: int
    width: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    scale: float
    """Factor on the 0-255 levels before mean and std."""


class InternVL(Backbone):
    """An InternVL3 or InternVL3.5 checkpoint in transformers' format."""

    model_type: ClassVar[str] = "internvl"

    def __init__(self, base: Any, tokenizer: Any, source: Path) -> None:
        super().__init__(base, tokenizer, source)
        self.pixels = read_pixels(source)

    @property
    def language(self) -> Any:
        """A Qwen2 or Qwen3 model."""
        return self.base.language_model

    def parts(self) -> dict[Part, nn.Module]:
        """Vision tower, projector and language model."""
        return {
            "vision": self.base.vision_tower,
            "projector": self.base.multi_modal_projector,
            "language": self.language,
        }

    def policy(self, frames: FrameConfig) -> FramePolicy:
        """Frames at this checkpoint's size."""
        size = self.pixels
        return FramePolicy(frames.count, size.height, size.width, frames.sampling, frames.fps)

    def clip_tokens(self, clip: Shape, frame_text: str) -> list[int]:
        """Each frame's text and its image tokens."""
        start = self.tokenizer.convert_tokens_to_ids(self.tokenizer.start_image_token)
        end = self.tokenizer.convert_tokens_to_ids(self.tokenizer.end_image_token)
        config = self.base.config
        image = [start, *[config.image_token_id] * config.image_seq_length, end]
        ids: list[int] = []
        for number in range(clip[0]):
            text = frame_text.replace("{number}", str(number + 1))
            ids += [*self.text_tokens(text if number else text.removeprefix("\n")), *image]
        return ids

    def encode(self, ids: Tensor, mask: Tensor, frames: Sequence[Tensor]) -> Tensor:
        """Run the base model; see `Backbone.encode`."""
        output = self.base(
            input_ids=ids,
            attention_mask=mask.long(),
            pixel_values=self.normalised(torch.cat(list(frames))),
            use_cache=False,
        )
        last: Tensor = output.last_hidden_state
        return last

    def normalised(self, frames: Tensor) -> Tensor:
        """uint8 (F, H, W, 3) to the model's dtype (F, 3, H, W), by the pixel numbers."""
        images = frames.permute(0, 3, 1, 2).float() * self.pixels.scale
        mean, std = (
            torch.tensor(numbers, device=frames.device).view(1, 3, 1, 1)
            for numbers in (self.pixels.mean, self.pixels.std)
        )
        result: Tensor = ((images - mean) / std).to(self.base.dtype)
        return result


def read_pixels(folder: Path) -> Pixels:
    """Pixel numbers of a checkpoint.

    Raises: TrainingError where preprocessor_config.json is missing or lacks one of them.
    """
    path = folder / PREPROCESSOR
    try:
        values = json.loads(path.read_text())
        return Pixels(
            height=int(values["size"]["height"]),
            width=int(values["size"]["width"]),
            mean=tuple(np.asarray(values["image_mean"], float).tolist()),
            std=tuple(np.asarray(values["image_std"], float).tolist()),
            scale=float(values.get("rescale_factor", 1 / 255)),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(
            f"{path}: size (height and width), image_mean and image_std are needed ({error!r})"
        ) from error
