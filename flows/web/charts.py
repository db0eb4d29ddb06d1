"""Small line charts with intervals: where each point lies; a template draws them as SVG.

matplotlib's figures bring style sheets of their own, which the page's policy forbids.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

WIDTH, HEIGHT = 300, 150  # units of the SVG; it grows with its column
LEFT, RIGHT, TOP, BOTTOM = 34, 8, 8, 22  # margins


@dataclass(frozen=True)
class Point:
    """One number in SVG units: y grows downwards. No interval: low and high are None.

    words, row: what it says, and where it comes from.
    """

    x: float
    y: float
    low: float | None
    high: float | None
    words: str
    row: dict[str, Any]


@dataclass(frozen=True)
class Chart:
    """One panel: a title, points from left to right, lines of the scale (y, label)."""

    title: str
    points: tuple[Point, ...]
    scale: tuple[tuple[float, str], ...]
    first: str
    last: str

    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT

    @property
    def line(self) -> str:
        """Points of a polyline."""
        return " ".join(f"{point.x:.1f},{point.y:.1f}" for point in self.points)


def charts(rows: Iterable[dict[str, Any]], at: str, bottom: float = 0.0) -> list[Chart]:
    """A panel for each dimension.

    rows: dimension, value, low, high, and `at`, which names the place on the x axis; in the order
        in which they are to be drawn. Those without a value are left out.
    bottom: where the scale begins, unless a number lies below; it ends at 1.
    """
    panels: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if row["value"] is not None:
            panels.setdefault(row["dimension"], []).append(row)
    return [_chart(dimension, mine, at, bottom) for dimension, mine in panels.items()]


def _chart(title: str, rows: Sequence[dict[str, Any]], at: str, bottom: float) -> Chart:
    floor = min([bottom, *(row[end] for row in rows for end in ("value", "low") if row[end])])
    inner = HEIGHT - TOP - BOTTOM

    def y(value: float | None) -> float | None:
        return None if value is None else round(TOP + inner * (1 - value) / (1 - floor), 1)

    step = (WIDTH - LEFT - RIGHT) / len(rows)
    points = [
        Point(
            round(LEFT + step * (number + 0.5), 1),
            y(row["value"]) or 0.0,
            y(row["low"]),
            y(row["high"]),
            f"{label(row[at])}: {row['value']:.3f}",
            row,
        )
        for number, row in enumerate(rows)
    ]
    marks = [floor, (floor + 1) / 2, 1.0]
    scale = tuple((y(mark) or 0.0, f"{mark:.2f}") for mark in marks)
    ends = label(rows[0][at]), label(rows[-1][at]) if len(rows) > 1 else ""
    return Chart(title, tuple(points), scale, *ends)


def label(place: object) -> str:
    """A place on the x axis in few letters: a day, a week, the start of an id.

    >>> label("b53ab51eeacefd61"), label("2026-W47")
    ('b53ab51e', '2026-W47')
    """
    return str(place)[:10] if hasattr(place, "year") else str(place)[:8]
