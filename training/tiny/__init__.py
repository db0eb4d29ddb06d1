"""Tiny models made on the spot: transformers' own classes, random weights, nothing downloaded.

They have every part of a real checkpoint (vision tower, projector, language model, tokenizer,
preprocessor_config.json), so the demo and the tests run the code that real models run.
"""

from __future__ import annotations

from types import MappingProxyType

from training.tiny.internvl import build_tiny_internvl, build_tiny_internvl3_5
from training.tiny.parts import TinyShape
from training.tiny.qwen import build_tiny_qwen2_5_vl, build_tiny_qwen2_vl

__all__ = [
    "BUILDERS",
    "TinyShape",
    "build_tiny_internvl",
    "build_tiny_internvl3_5",
    "build_tiny_qwen2_5_vl",
    "build_tiny_qwen2_vl",
]

BUILDERS = MappingProxyType(
    {
        "internvl3": build_tiny_internvl,
        "internvl3.5": build_tiny_internvl3_5,
        "qwen2-vl": build_tiny_qwen2_vl,
        "qwen2.5-vl": build_tiny_qwen2_5_vl,
    }
)
"""Builder of each family's tiny checkpoint: (folder, seed, texts, shape) in, the folder out."""
