"""What a form of export is: files out of rows, pairs out of files, and what gets lost between."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from pairing.exports.files import File
from pairing.exports.rows import Rows
from warehouse.errors import PairingError
from warehouse.wording import counted


def _no_front(_names: Iterable[str], _licence: str) -> str:
    return ""


@dataclass(frozen=True)
class Form:
    """A trainer's format.

    files: rows -> files, without the card.
    read: folder -> pairs with the columns PAIRS, by the format's documentation.
    unseen: rows -> what the trainer does not see of them, a sentence each; the card says it.
    front: names of the files, licence -> what stands in the card's file before the card.
    needs: columns of the items beyond those that every form reads.
    """

    name: str
    files: Callable[[Rows], Iterator[File]]
    read: Callable[[Path], pa.Table]
    unseen: Callable[[Rows], list[str]]
    card: str = "CARD.md"
    front: Callable[[Iterable[str], str], str] = _no_front
    needs: tuple[str, ...] = ()


def unseen_weights(rows: Rows) -> list[str]:
    """Of a trainer that reads neither μ nor weight."""
    soft = rows.soft()
    if not soft:
        return []
    one, many = "pair has a μ or weight of its own", "pairs have a μ or weight of their own"
    sentence = (
        f"{counted(soft, one, many)} (soft labels). The file says them, but the trainer reads only"
        " which item wins, and weighs every pair 1, even one of weight 0."
    )
    return [sentence]


def unseen_ties(rows: Rows, places: str) -> list[str]:
    """Of a trainer that knows only winners and losers."""
    ties = rows.count("win_tie", "lose_tie", "tie")
    if not ties:
        return []
    sentence = (
        f"{counted(ties, 'pair is a tie', 'pairs are ties')}, in {places} of their own (win_tie,"
        " lose_tie, tie). The trainer knows only winners and losers: mixed in, a tie would teach it"
        " an order that nobody saw."
    )
    return [sentence]


def refuse_placeholders(rows: Rows, placeholders: Iterable[str]) -> None:
    """Refuse prompts that hold a text which the format takes for the place of a medium.

    Raises: PairingError naming the item and the text.
    """
    columns = (rows.facts[name].to_pylist() for name in ("item_id", "prompt"))
    for item, prompt in zip(*columns, strict=True):
        for placeholder in placeholders:
            if placeholder in prompt:
                raise PairingError(
                    f"items: the prompt of item {item!r} holds {placeholder}, which this format"
                    " takes for the place of a medium; choose another format, or leave it out"
                )
