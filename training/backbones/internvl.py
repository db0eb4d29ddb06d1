"""InternVL3 and InternVL3.5: each frame an image of a fixed size, with a text of its own before it.

Shapes: B items, T frames, H x W pixels, S tokens, D hidden size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from training.backbones.base import Backbone, Shape
from training.backbones.pixels import Levels, read_preprocessor
from training.config import FrameConfig, Part
from training.video import FramePolicy
from warehouse.errors import TrainingError

START, END, CONTEXT = "<img>", "</img>", "<IMG_CONTEXT>"  # an image is START, CONTEXT..., END


@dataclass(frozen=True)
class Pixels:
    """How a checkpoint wants its frames, from its preprocessor_config.json."""

    height: int
    width: int
    levels: Levels

    @classmethod
    def of(cls, values: dict[str, Any]) -> Pixels:
        """The numbers in a preprocessor_config.json, where a square's size is one number."""
        size = values["size"]
        sides = size if isinstance(size, dict) else {"height": size, "width": size}
        return cls(int(sides["height"]), int(sides["width"]), Levels.of(values))


class InternVL(Backbone):
    """An InternVL3 (Qwen2) or InternVL3.5 (Qwen3) checkpoint in transformers' format."""

    model_type: ClassVar[str] = "internvl"
    names_frames: ClassVar[bool] = True

    def __init__(self, base: Any, tokenizer: Any, source: Path) -> None:
        super().__init__(base, tokenizer, source)
        needed = "size (height and width), image_mean and image_std"
        self.pixels = read_preprocessor(source, Pixels.of, needed)
        self._check_tokens()

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
        if frames.most_pixels is not None:
            raise TrainingError(
                f"training config: frames.most_pixels is {frames.most_pixels}; an InternVL model "
                "has one size of frames, so leave it out"
            )
        size = self.pixels
        return FramePolicy(
            frames.count, size.height, size.width, frames.sampling, frames.fps, frames.store
        )

    def clip_tokens(self, clip: Shape, frame_text: str) -> list[int]:
        """Each frame's text and its image tokens."""
        start, end = self.tokenizer.convert_tokens_to_ids([START, END])
        config = self.base.config
        image = [start, *[config.image_token_id] * config.image_seq_length, end]
        ids: list[int] = []
        for number in range(clip[0]):
            text = frame_text.replace("{number}", str(number + 1))
            ids += [*self.text_tokens(text if number else text.removeprefix("\n")), *image]
        return ids

    def encode(
        self,
        ids: Tensor,
        mask: Tensor,
        frames: Sequence[Tensor],
        seconds: Sequence[float] | None,  # noqa: ARG002  # frames have numbers here, not times
    ) -> Tensor:
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
        return self.pixels.levels.normalised(frames).permute(0, 3, 1, 2).to(self.base.dtype)

    def _check_tokens(self) -> None:
        """Raises: TrainingError where frames of this size do not give the tokens of the config."""
        config, pixels = self.base.config, self.pixels
        high, wide = config.vision_config.patch_size
        patches = (pixels.height // high) * (pixels.width // wide)
        if patches * config.downsample_ratio**2 != config.image_seq_length:
            raise TrainingError(
                f"base model {self.source}: frames of {pixels.height} x {pixels.width} pixels do "
                f"not give the {config.image_seq_length} tokens that config.json says; "
                "one of its files is another checkpoint's"
            )
