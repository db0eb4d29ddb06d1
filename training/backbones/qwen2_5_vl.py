"""Qwen2.5-VL: Qwen2-VL whose positions along time are seconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from training.backbones.qwen2_vl import Qwen2VL


class Qwen25VL(Qwen2VL):
    """A Qwen2.5-VL checkpoint in transformers' format."""

    model_type: ClassVar[str] = "qwen2_5_vl"

    def timing(self, seconds: Sequence[float] | None) -> dict[str, Any]:
        """Seconds from one patch to the next; where nothing is said, transformers takes one."""
        if seconds is None:
            return {}
        return {"second_per_grid_ts": [step * self.pixels.temporal for step in seconds]}
