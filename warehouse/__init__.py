"""What the other packages agree on: contracts, errors, digests, and the store of tables."""

from __future__ import annotations

from importlib import import_module
from typing import Any

# Nothing is imported before it is used: `soli --help` needs the errors alone.
_HOMES = {
    "PlatformError": "warehouse.errors",
    "Store": "warehouse.store",
    "TABLES": "warehouse.contracts",
    "prompt_id": "warehouse.identity",
    "publish": "warehouse.face",
    "table_digest": "warehouse.digest",
    "value_digest": "warehouse.digest",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605 -- the names stand in _HOMES


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'warehouse' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
