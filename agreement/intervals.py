"""Intervals of shares."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from agreement.bootstrap import LEVEL
from agreement.labels import FloatArray, IntArray


def wilson(
    successes: IntArray, trials: IntArray, level: float = LEVEL
) -> tuple[FloatArray, FloatArray]:
    """Ends of Wilson's score interval of each share; NaN of no trials.

    Source: Wilson (1927), Probable inference, the law of succession, and statistical inference.

    >>> low, high = wilson(np.array([8]), np.array([10]))
    >>> low.round(4).tolist(), high.round(4).tolist()
    ([0.4902], [0.9433])
    """
    z = NormalDist().inv_cdf((1 + level) / 2)
    n = np.where(trials > 0, trials, np.nan)
    centre = (successes + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * np.sqrt(successes * (n - successes) / n + z * z / 4)
    return np.maximum(centre - half, 0), np.minimum(centre + half, 1)
