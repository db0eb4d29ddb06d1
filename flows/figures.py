"""What every figure shares: style, colours safe for colour-blind readers, SVG text out."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, ParamSpec

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

PASS, FAIL, GREEN, VIOLET = "#0072B2", "#D55E00", "#009E73", "#CC79A7"  # Okabe and Ito
GREY, INK = "#9AA0A6", "#202124"
WIDTH = 9.2  # inches
STYLE: Any = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "text.color": INK,
    "svg.hashsalt": "soli",  # same numbers, same bytes
    "svg.fonttype": "none",
    "text.parse_math": False,  # a $ in a name is a $
}
Rows = Sequence[dict[str, Any]]
P = ParamSpec("P")


def styled(draw: Callable[P, Figure]) -> Callable[P, str]:
    """Draw under our style; the SVG element of the figure, without the XML head."""

    @wraps(draw)
    def drawn(*arguments: P.args, **options: P.kwargs) -> str:
        buffer = io.StringIO()
        with mpl.rc_context(STYLE), warnings.catch_warnings():
            # An emoji in a name: our font lacks it, the browser that shows the text does not.
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")
            draw(*arguments, **options).savefig(buffer, format="svg", metadata={"Date": None})
        text = buffer.getvalue()
        return text[text.index("<svg") :]

    return drawn


def dimensions_of(rows: Rows) -> list[str]:
    """Dimensions that the rows are about: a panel each."""
    return sorted({row["dimension"] for row in rows})


def of_dimension(rows: Rows, dimension: str) -> list[dict[str, Any]]:
    """Rows of a dimension, in the same order whatever order they came in."""
    mine = [row for row in rows if row["dimension"] == dimension]
    return sorted(mine, key=lambda row: str(sorted(row.items())))


def color_key(figure: Figure, colors: Mapping[str, str]) -> None:
    """Names of the colours above the panels, of those too that no panel shows."""
    handles = [Patch(color=color, label=name) for name, color in colors.items()]
    figure.legend(handles=handles, loc="outside upper right", ncols=6, frameon=False, fontsize=8)


def legend(figure: Figure, columns: int) -> None:
    """Each name once; nothing where nothing was drawn."""
    handles, names = figure.axes[0].get_legend_handles_labels()
    if once := dict(zip(names, handles, strict=True)):
        figure.legend(
            handles=list(once.values()),
            labels=list(once),
            loc="outside upper right",
            ncols=columns,
            frameon=False,
        )


def interval(axis: Axes, row: dict[str, Any], y: float, color: str, label: str) -> None:
    """A row's value as a point, its interval as a line through it."""
    low, high = row["low"], row["high"]
    if low is not None and high is not None:
        axis.plot([low, high], [y, y], color=color, lw=2.2, solid_capstyle="round")
    axis.plot([row["value"]], [y], "o", color=color, ms=5, label=label)


def new_figure(rows: int, columns: int, height: float) -> tuple[Figure, list[Axes]]:
    """A figure of our width with its panels, row by row; height in inches."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False).flat)
