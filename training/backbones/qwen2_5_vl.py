"""Qwen2.5-VL: Qwen2-VL whose positions along time are seconds."""

from __future__ import annotations

from typing import Any, ClassVar

from training.backbones.qwen2_vl import Qwen2VL


class Qwen25VL(Qwen2VL):
    """A Qwen2.5-VL checkpoint in transformers' format."""

    model_type: ClassVar[str] = "qwen2_5_vl"

    def timing(self, clips: int, fps: float | None) -> dict[str, Any]:
        """Seconds from one patch to the next along time.

        fps: of the frame policy; a clip thinned to its `count` is placed as if it were shorter.
        None: frames at equal distances of clips of any length, a second from patch to patch, which
        is what transformers does where nothing is said.
        """
        seconds = 1.0 if fps is None else self.pixels.temporal / fps
        return {"second_per_grid_ts": [seconds] * clips}
