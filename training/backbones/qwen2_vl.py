"""Qwen2-VL: a clip is one video of as many tokens as its size asks for, placed by M-RoPE.

Shapes: B items, T frames, H x W pixels, t x h x w the grid of a clip's patches, S tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from training.backbones.base import Backbone, Shape, shape_of
from training.backbones.pixels import Levels, read_preprocessor
from training.config import FrameConfig, Part
from training.video import FramePolicy
from warehouse.errors import TrainingError

VIDEO = 2  # in mm_token_type_ids: 0 text, 1 image, 2 video


@dataclass(frozen=True)
class Pixels:
    """How a checkpoint cuts frames into patches, from its preprocessor_config.json."""

    least: int
    """Height times width of a frame at least."""
    most: int
    """Height times width of a frame at most."""
    patch: int
    """Height and width of a patch in pixels."""
    merge: int
    """Patches a side that become one token."""
    temporal: int
    """Frames that become one patch."""
    levels: Levels

    @classmethod
    def of(cls, values: dict[str, Any]) -> Pixels:
        """The numbers in a preprocessor_config.json, of the older form or the newer."""
        size = values.get("size", {})
        return cls(
            least=int(values["min_pixels"] if "min_pixels" in values else size["shortest_edge"]),
            most=int(values["max_pixels"] if "max_pixels" in values else size["longest_edge"]),
            patch=int(values["patch_size"]),
            merge=int(values["merge_size"]),
            temporal=int(values["temporal_patch_size"]),
            levels=Levels.of(values),
        )

    @property
    def multiple(self) -> int:
        """What divides height and width of every frame."""
        return self.patch * self.merge

    def grid(self, clip: Shape) -> tuple[int, int, int]:
        """Patches of a clip along time, height and width; an odd frame out counts twice.

        Raises: TrainingError for frames that cannot be cut up.
        """
        frames, height, width = clip
        if height % self.multiple or width % self.multiple:
            raise TrainingError(
                f"frames of {width} x {height} pixels do not fit this model: both sides must be "
                f"multiples of {self.multiple}; read the clip under the model's frame policy"
            )
        return -(-frames // self.temporal), height // self.patch, width // self.patch

    def patches(self, clip: Tensor) -> Tensor:
        """uint8 (T, H, W, 3) to fp32 (t h w, 3 temporal patch patch); the last frame fills up.

        Patches that become one token stand together: in the order of time, row and column of the
        token, then of row and column of the patch in it; in a patch: channel, time, row, column.
        Source: the order of transformers' Qwen2-VL image and video processors.
        """
        frames, height, width = shape_of(clip)
        t, h, w = self.grid((frames, height, width))
        filled = torch.cat([clip, clip[-1:].expand(t * self.temporal - frames, -1, -1, -1)])
        cells = self.levels.normalised(filled).view(
            *(t, self.temporal),
            *(h // self.merge, self.merge, self.patch),
            *(w // self.merge, self.merge, self.patch),
            3,
        )
        return cells.permute(0, 2, 5, 3, 6, 8, 1, 4, 7).reshape(t * h * w, -1)


class Qwen2VL(Backbone):
    """A Qwen2-VL checkpoint in transformers' format."""

    model_type: ClassVar[str] = "qwen2_vl"
    names_frames: ClassVar[bool] = False

    def __init__(self, base: Any, tokenizer: Any, source: Path) -> None:
        super().__init__(base, tokenizer, source)
        needed = (
            "min_pixels, max_pixels, patch_size, merge_size, temporal_patch_size, image_mean "
            "and image_std"
        )
        self.pixels = read_preprocessor(source, Pixels.of, needed)

    @property
    def language(self) -> Any:
        """A Qwen2 model with positions in time, height and width."""
        return self.base.language_model

    def parts(self) -> dict[Part, nn.Module]:
        """Vision transformer, its merger as the projector, and language model."""
        visual = self.base.visual
        return {
            "vision": nn.ModuleList([visual.patch_embed, visual.blocks]),
            "projector": visual.merger,
            "language": self.language,
        }

    def policy(self, frames: FrameConfig) -> FramePolicy:
        """Frames of each clip's own ratio, within this checkpoint's numbers of pixels."""
        most = frames.most_pixels or self.pixels.most
        return FramePolicy(
            count=frames.count,
            height=None,
            width=None,
            sampling=frames.sampling,
            fps=frames.fps,
            store=frames.store,
            least_pixels=min(self.pixels.least, most),
            most_pixels=most,
            multiple=self.pixels.multiple,
        )

    def clip_tokens(self, clip: Shape, frame_text: str) -> list[int]:
        """One video: a token for each square of merged patches."""
        self.check_frame_text(frame_text)
        t, h, w = self.pixels.grid(clip)
        config = self.base.config
        video = [config.video_token_id] * (t * h * w // self.pixels.merge**2)
        return [config.vision_start_token_id, *video, config.vision_end_token_id]

    def encode(
        self,
        ids: Tensor,
        mask: Tensor,
        frames: Sequence[Tensor],
        seconds: Sequence[float] | None,
    ) -> Tensor:
        """Run the base model; see `Backbone.encode`."""
        grids = [self.pixels.grid(shape_of(clip)) for clip in frames]
        output = self.base(
            input_ids=ids,
            attention_mask=mask.long(),
            mm_token_type_ids=(ids == self.base.config.video_token_id).int() * VIDEO,
            pixel_values_videos=torch.cat([self.pixels.patches(clip) for clip in frames]),
            video_grid_thw=torch.tensor(grids, device=ids.device),
            use_cache=False,
            **self.timing(seconds),
        )
        last: Tensor = output.last_hidden_state
        return last

    def timing(self, seconds: Sequence[float] | None) -> dict[str, Any]:  # noqa: ARG002
        """What the model is told of time: nothing, its positions count patches."""
        return {}
