"""What a model's rewards mean: their mean, spread and quantiles on a set of items, kept beside it.

A raw reward has no unit: only differences within one model and dimension mean something. Against a
reference it becomes a number of standard deviations, or a percentile. Shapes: N items.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from warehouse.errors import TrainingError

Floats = NDArray[np.float64]

FILE = "reference.json"
FORMAT = 1
STEPS = 100  # quantiles at 0, 1, ... 100 %
PERCENT = 100


@dataclass(frozen=True)
class Spread:
    """Rewards of a reference set in one dimension."""

    items: int
    mean: float
    std: float
    """Of the set itself (divided by N); 0 where all rewards are equal."""
    quantiles: tuple[float, ...]
    """At 0, 1, ... 100 %, linear between neighbours."""

    @classmethod
    def of(cls, rewards: ArrayLike) -> Spread:
        """Of (N,) finite rewards, N at least 1.

        >>> Spread.of([1.0, 3.0]).std
        1.0
        """
        values = np.asarray(rewards, float)
        levels = np.linspace(0, 1, STEPS + 1)
        quantiles = tuple(np.quantile(values, levels).tolist())
        return cls(len(values), float(values.mean()), float(values.std()), quantiles)

    def standardised(self, rewards: ArrayLike) -> Floats:
        """(r - mean) / std; NaN where the set has no spread.

        >>> Spread.of([1.0, 3.0]).standardised([2.0, 4.0]).tolist()
        [0.0, 2.0]
        """
        gap = np.asarray(rewards, float) - self.mean
        return gap / self.std if self.std else np.full(gap.shape, np.nan)

    def percentile(self, rewards: ArrayLike) -> Floats:
        """Share of the set below a reward, in 0-100: linear between quantiles, never falling.

        A reward that several quantiles share has their mean level.

        >>> Spread.of([0.0, 10.0]).percentile([-1.0, 2.5, 11.0]).tolist()
        [0.0, 25.0, 100.0]
        >>> Spread.of([5.0, 5.0]).percentile([4.0, 5.0, 6.0]).tolist()
        [0.0, 50.0, 100.0]
        """
        known, levels = _levels(self.quantiles)
        found = np.interp(np.asarray(rewards, float), known, levels, left=0, right=PERCENT)
        return np.asarray(found, float)


@cache
def _levels(quantiles: tuple[float, ...]) -> tuple[Floats, Floats]:
    """Distinct quantiles, ascending, and the mean of the levels (0-100) that each stands for."""
    known, place = np.unique(quantiles, return_inverse=True)
    levels = np.linspace(0, PERCENT, STEPS + 1)
    return known, np.bincount(place, levels) / np.bincount(place)


@dataclass(frozen=True)
class Reference:
    """Spreads by dimension, and of which rewards they are."""

    model_id: str
    of: str
    """The set, in words for people: `validation`, or the list that was scored."""
    dimensions: Mapping[str, Spread]

    @property
    def items(self) -> int:
        """Fewest items of a dimension."""
        return min((spread.items for spread in self.dimensions.values()), default=0)

    @classmethod
    def build(cls, model_id: str, of: str, rewards: Mapping[str, ArrayLike]) -> Reference:
        """Of the rewards in each dimension.

        Raises: TrainingError where there are none, or one is no finite number.
        """
        values = {name: np.asarray(each, float) for name, each in rewards.items()}
        for name, each in values.items():
            if not len(each) or not np.isfinite(each).all():
                raise TrainingError(
                    f"reference of {of}: {len(each)} rewards in {name}, and each must be a finite"
                    " number; score items that the model can read"
                )
        return cls(model_id, of, {name: Spread.of(each) for name, each in values.items()})


def write_reference(checkpoint: str | Path, reference: Reference) -> None:
    """Write reference.json into a checkpoint, whole or not at all."""
    path = Path(checkpoint) / FILE
    part = path.with_suffix(".part")
    try:
        part.write_text(json.dumps({"format": FORMAT, **asdict(reference)}, indent=1) + "\n")
        part.replace(path)
    except OSError as error:
        raise TrainingError(
            f"{path} cannot be written ({error.strerror}); make room, or mend its permissions"
        ) from error


def read_reference(checkpoint: str | Path, model_id: str) -> Reference | None:
    """The reference of a checkpoint; None where it has none.

    Raises: TrainingError where the file is torn, of another format, or of another model.
    """
    path = Path(checkpoint) / FILE
    if not path.exists():
        return None
    try:
        values = json.loads(path.read_text())
        if values["format"] != FORMAT:
            raise TrainingError(f"{path} has format {values['format']!r}; this is format {FORMAT}")
        spreads = {
            name: Spread(**{**each, "quantiles": tuple(each["quantiles"])})
            for name, each in values["dimensions"].items()
        }
        found = Reference(values["model_id"], values["of"], spreads)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TrainingError(
            f"{path} cannot be read ({error!r}); write it anew with `soli score --reference`"
        ) from error
    if found.model_id != model_id:
        raise TrainingError(
            f"{path} is of model {found.model_id}, not of {model_id}; write it anew with"
            " `soli score --reference`"
        )
    return found
