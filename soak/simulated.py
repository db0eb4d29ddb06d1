"""Labels whose true agreement is known exactly, to try intervals, gates and tests on.

An item has a true category; each of its annotators says a category with the chances in the
annotator's row for the truth. The chance of every cell of label counts then follows by adding one
annotator after another, and a data set is one multinomial draw over cells: no label is simulated
singly. The true value of a statistic is its value on the expected sums of infinitely many items.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from agreement.labels import FloatArray, IntArray
from agreement.statistics import RATIOS, Histogram, replicate_values

RESULTS = Path(__file__).parent / "results"
ENDLESS = 1e12  # items: what Krippendorff subtracts for a finite number of labels is gone
Annotator = tuple[tuple[float, ...], ...]  # rows: truth; columns: chance of each answer


def coin(sensitivity: float, specificity: float) -> Annotator:
    """Annotator who says pass with these chances of being right on what is pass, and fail."""
    return ((sensitivity, 1 - sensitivity), (1 - specificity, specificity))


@dataclass(frozen=True)
class World:
    """Items, annotators and how many labels an item gets.

    truth: share of items in each true category; for Pass/Fail, (prevalence, 1 - prevalence).
    panels: those who label an item together; every panel is as likely as the others.
    prompts: 0, or the number of prompts that share the items out equally. A prompt's items are
        then alike: its own shares of true categories come from a Dirichlet with twice `truth`, so
        that two of its items are equally true with a correlation of one third.
    own: measure the first of each panel against the others.
    """

    truth: tuple[float, ...]
    panels: tuple[tuple[Annotator, ...], ...]
    items: int
    prompts: int = 0
    own: bool = False

    @cached_property
    def cells(self) -> tuple[IntArray, FloatArray]:
        """Cells (C, K), or (C, 1 + K) led by `own`, and their chances given each truth (K, C)."""
        chances: dict[tuple[int, ...], FloatArray] = {}
        for panel in self.panels:
            for cell, chance in _panel_cells(panel, len(self.truth), self.own).items():
                chances[cell] = chances.get(cell, 0.0) + chance / len(self.panels)
        cells = sorted(chances)
        return np.array(cells), np.stack([chances[cell] for cell in cells], axis=1)

    @property
    def chances(self) -> FloatArray:
        """Chance of each cell: (C,)."""
        return np.asarray(self.truth) @ self.cells[1]

    def histogram(self, items: IntArray) -> Histogram:
        """items: (C,) number of items in each cell."""
        met = items > 0
        cells = self.cells[0][met]
        if self.own:
            return Histogram(cells[:, 1:], items[met], cells[:, 0])
        return Histogram(cells, items[met])

    def true_values(self) -> dict[str, float]:
        """The exact value of each statistic."""
        possible = np.ones(len(self.chances), dtype=np.int64)
        moments = np.array(self.histogram(possible).moments, dtype=np.float64)
        sums = ENDLESS * self.chances @ moments
        return {name: replicate_values(name, sums[None, :]).item() for name in RATIOS}

    def data_sets(self, count: int, seed: int) -> Iterator[tuple[Histogram, IntArray | None]]:
        """Simulated data sets, each with its prompts' counts of cells where there are prompts."""
        rng = np.random.default_rng(seed)
        for _ in range(count):
            if not self.prompts:
                yield self.histogram(rng.multinomial(self.items, self.chances)), None
                continue
            shares = rng.dirichlet(2 * np.asarray(self.truth), size=self.prompts)
            drawn = rng.multinomial(self.items // self.prompts, shares @ self.cells[1])
            items = drawn.sum(axis=0)
            yield self.histogram(items), drawn[:, items > 0]


def with_alpha(world: World, alpha: float) -> World:
    """The Pass/Fail world with annotators of one accuracy that gives this alpha.

    Found by halving: alpha grows with the accuracy, from 0 at one half to 1.
    """
    low, high = 0.5, 1.0
    while high - low > 1e-12:
        middle = (low + high) / 2
        person = coin(middle, middle)
        tried = replace(world, panels=tuple((person,) * len(panel) for panel in world.panels))
        low, high = (middle, high) if tried.true_values()["alpha"] < alpha else (low, middle)
    return tried


def _panel_cells(
    panel: tuple[Annotator, ...], categories: int, own: bool
) -> dict[tuple[int, ...], FloatArray]:
    """Chance of each cell given each truth, (K,), adding one annotator after another."""
    rows = [np.array(annotator) for annotator in panel]
    empty = (0,) * categories
    cells: dict[tuple[int, ...], FloatArray] = {empty: np.ones(categories)}
    if own:
        cells = {(c, *empty): rows[0][:, c] for c in range(categories)}
        rows = rows[1:]
    for row in rows:
        longer: dict[tuple[int, ...], FloatArray] = {}
        for cell, chance in cells.items():
            for category in range(categories):
                place = len(cell) - categories + category
                more = (*cell[:place], cell[place] + 1, *cell[place + 1 :])
                longer[more] = longer.get(more, 0.0) + chance * row[:, category]
        cells = longer
    return cells
