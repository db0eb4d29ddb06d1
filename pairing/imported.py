"""What a manifest says of a set that no recipe made."""

from __future__ import annotations

from collections.abc import Mapping
from shlex import quote
from typing import Any

from warehouse.errors import PairingError


def imported_from(manifest: Mapping[str, Any]) -> Mapping[str, str] | None:
    """Form, name and sha256 of the file that a set was imported from; None of a built set."""
    found: Mapping[str, str] | None = manifest["recipe"].get("imported")
    return found


def for_evaluation(recipe: Mapping[str, Any]) -> bool:
    """Whether a set with this recipe was imported for evaluation alone: all its pairs are in test.

    >>> for_evaluation({"imported": {}}), for_evaluation({"imported": {}, "split": {"train": 1.0}})
    (True, False)
    """
    return "imported" in recipe and "split" not in recipe


def refuse_imported(manifest: Mapping[str, Any], what: str) -> None:
    """Refuse to do with an imported set what only a recipe can.

    what: the refused deed, as in "cannot be extended".
    Raises: PairingError naming the command that imports it.
    """
    if source := imported_from(manifest):
        raise PairingError(
            f"pair set {manifest['pair_set_id']} {what}: no recipe made it, it was imported; run"
            f" `soli pairs import {source['form']} FILE --name {quote(source['name'])}` again, with"
            f" the file whose SHA-256 begins with {source['sha256'][:12]}"
        )
