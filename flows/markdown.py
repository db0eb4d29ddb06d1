"""Markdown of artifacts: tables whose cells stay cells, figures inside the text."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a table; what a cell holds is shown as it is. No lines where there are no rows.

    >>> table(["slice", "value"], [["a|b <i>", "0.1"]])
    ['| slice | value |', '| --- | --- |', '| a\\\\|b &lt;i> | 0.1 |']
    """
    below = list(rows)
    lines = [head, ["---"] * len(head), *below] if below else []
    return ["| " + " | ".join(map(_cell, line)) + " |" for line in lines]


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())


def number(value: float | int | None) -> str:  # noqa: PYI041  # mypy tells them apart
    """Three decimals, or a dash; a whole number as it is.

    >>> number(0.5), number(1339), number(None)
    ('0.500', '1,339', '–')
    """
    if isinstance(value, int):
        return f"{value:,}"
    return "–" if value is None else f"{value:.3f}"


def figure(words: str, svg: str) -> str:
    """An SVG element as an image within the text: an artifact has no files beside it."""
    whole = svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    known = svg if "xmlns=" in svg.split(">", 1)[0] else whole
    return f"![{words}](data:image/svg+xml;base64,{base64.b64encode(known.encode()).decode()})"
