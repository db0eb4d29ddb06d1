"""Words of messages."""

from __future__ import annotations


def counted(number: int, one: str, many: str) -> str:
    """A number with the words that go with it.

    >>> counted(1, "pair is left out", "pairs are left out")
    '1 pair is left out'
    >>> counted(2000, "pair is left out", "pairs are left out")
    '2,000 pairs are left out'
    """
    return f"{number:,} {one if number == 1 else many}"
