"""What the options of `soli pairs import` say: which columns to read, how to split."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from flows.settings import Settings
from pairing.imported_set import IN_DOMAIN
from pairing.parts import Split
from pairing.recipe import Recipe
from warehouse.errors import PairingError


def columns_read(texts: Iterable[str]) -> dict[str, str]:
    """Columns and dimensions out of `COLUMN=DIMENSION`.

    >>> columns_read(["VQ=looks"])
    {'VQ': 'looks'}
    """
    found: dict[str, str] = {}
    for text in texts:
        column, _, dimension = (part.strip() for part in text.partition("="))
        if not column or not dimension or column in found or dimension in found.values():
            raise PairingError(
                f"--dimension {text!r}: write COLUMN=DIMENSION, such as VQ=looks, once a column and"
                " once a dimension"
            )
        found[column] = dimension
    return found


def split_read(text: str, settings: Settings) -> Split:
    """Shares out of `train=0.8,validation=0.1,test=0.1`; `train` alone is all of it.

    A split that is not named gets nothing. The salt is that of the section `pairs.split` of the
    settings, so that a prompt goes where sets built from labels have it.
    Raises: PairingError for another text, and for shares that do not add up to 1.
    """
    shares: dict[str, float] = {}
    for part in text.split(","):
        name, sign, value = (word.strip() for word in part.partition("="))
        share = None if sign else 1.0
        with suppress(ValueError):
            share = float(value)
        if share is None or name not in IN_DOMAIN or name in shares:
            raise PairingError(
                f"--split {text!r}: {part.strip()!r} is no share of a split; write"
                " train=0.8,validation=0.1,test=0.1, or train alone"
            )
        shares[name] = share
    recipe = {"dimensions": ["any"], "split": settings.pairs.get("split", {})}
    salt = Recipe.from_dict(recipe).split.salt
    return Split(**(dict.fromkeys(IN_DOMAIN, 0.0) | shares), salt=salt)
