"""The only package that imports torch: reward models, their training, scores and metrics.

Names are loaded on first use, so that `import training` stays cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "RewardModel": "training.model",
    "TrainConfig": "training.config",
    "build_tiny_internvl": "training.tiny",
    "split_metrics": "training.metrics",
    "tie_loss": "training.losses",
    "train": "training.run",
    "win_loss": "training.losses",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605 - the names stand in _HOMES


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'training' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
