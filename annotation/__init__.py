"""Label Studio in, tidy label events out. Nothing heavy is imported before it is used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "Context": "annotation.judgement",
    "LabelStudio": "annotation.server",
    "probe": "annotation.media",
    "pull": "annotation.pull",
    "read_export": "annotation.export",
    "read_items": "annotation.items",
    "to_events": "annotation.events",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605 - the names stand in _HOMES


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'annotation' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
