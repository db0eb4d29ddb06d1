"""The composition root: settings, the `soli` command, Prefect flows and the demo."""

from __future__ import annotations

from importlib import import_module
from typing import Any

# Nothing is imported before it is used: Prefect alone takes more than a second.
_HOMES = {
    "Settings": "flows.settings",
    "load": "flows.settings",
    "main": "flows.__main__",
    "run_demo": "flows.demo",
    "story": "flows.demo",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605 -- the names stand in _HOMES


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'flows' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
