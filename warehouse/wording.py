"""Words of messages and pages."""

from __future__ import annotations


def counted(number: int, one: str, many: str) -> str:
    """A number with the words that go with it.

    >>> counted(1, "pair is left out", "pairs are left out")
    '1 pair is left out'
    >>> counted(2000, "pair is left out", "pairs are left out")
    '2,000 pairs are left out'
    """
    return f"{number:,} {one if number == 1 else many}"


def words(dimension: str) -> str:
    """Name of a dimension as people read it.

    >>> words("physical_plausibility")
    'Physical plausibility'
    """
    return dimension.replace("_", " ").capitalize()
