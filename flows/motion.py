"""Where an object is in each frame: right motions, and motions that no world allows.

Coordinates: x to the right, y downwards, the frame is the unit square; time runs from 0 (first
frame) to 1 (last frame). A path is an array (F, 2) of the object's centre. Right motions are still
moving in the last frame, so an object that stands still is always a broken one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Path2 = NDArray[np.float64]
    Motion = Callable[[NDArray[np.float64], float, np.random.Generator], Path2]

FLOOR: Final = 0.88
PIVOT: Final = (0.5, -0.05)
RAMP: Final = ((0.0, 0.38), (1.0, 0.86))  # the ramp's surface, left edge to right edge
TELEPORT_FRAMES: Final = 0.4  # share of the clip that a teleported object spends elsewhere
TELEPORT_REACH: Final = 0.46  # how far away that is, before the frame's edge limits it


def _path(x: NDArray[np.float64] | float, y: NDArray[np.float64] | float) -> Path2:
    return np.stack(np.broadcast_arrays(x, y), axis=-1).astype(np.float64)


def _bounce(t: NDArray[np.float64], first: float, restitution: float) -> NDArray[np.float64]:
    """Height over the floor (1 at the start) of something dropped that lands at `first`."""
    height = np.maximum(1 - (t / first) ** 2, 0.0)
    start, speed = first, restitution
    while start < 1:
        rise = (t - start) / first
        arc = 2 * speed * rise - rise**2
        height = np.where(t > start, np.maximum(arc, 0.0), height)
        start, speed = start + 2 * speed * first, speed * restitution
    return height


def _fall(t: NDArray[np.float64], radius: float, rng: np.random.Generator) -> Path2:
    height = _bounce(t, rng.uniform(0.33, 0.38), rng.uniform(0.72, 0.8))
    ground, drop = FLOOR - radius, FLOOR - 2 * radius - 0.02
    return _path(rng.uniform(0.35, 0.65), ground - drop * height)


def _slide_right(t: NDArray[np.float64], radius: float, rng: np.random.Generator) -> Path2:
    start = radius + rng.uniform(0.0, 0.04)
    end = 1 - radius - rng.uniform(0.0, 0.04)
    return _path(start + (end - start) * t, FLOOR - radius)


def _slide_left(t: NDArray[np.float64], radius: float, rng: np.random.Generator) -> Path2:
    path = _slide_right(t, radius, rng)
    return _path(1 - path[:, 0], path[:, 1])


def _rise(t: NDArray[np.float64], radius: float, rng: np.random.Generator) -> Path2:
    ground, top = FLOOR - radius, radius + rng.uniform(0.0, 0.03)
    return _path(rng.uniform(0.3, 0.7), ground + (top - ground) * t)


def _swing(t: NDArray[np.float64], radius: float, rng: np.random.Generator) -> Path2:
    """Let go at the highest point; a little more than one period long."""
    angle = rng.uniform(0.42, 0.48) * np.cos(2 * np.pi * t * rng.uniform(1.05, 1.2))
    length = 0.84 - radius
    sign = rng.choice((-1.0, 1.0))
    return _path(PIVOT[0] + sign * length * np.sin(angle), PIVOT[1] + length * np.cos(angle))


def _on_ramp(progress: NDArray[np.float64], radius: float) -> Path2:
    (x0, y0), (x1, y1) = RAMP
    slope = np.hypot(x1 - x0, y1 - y0)
    along = 0.1 + 0.67 * progress
    x = x0 + (x1 - x0) * along + radius * (y1 - y0) / slope
    y = y0 + (y1 - y0) * along - radius * (x1 - x0) / slope
    return _path(x, y)


def _ramp(t: NDArray[np.float64], radius: float, rng: np.random.Generator) -> Path2:
    push = rng.uniform(0.3, 0.45)
    return _on_ramp(push * t + (1 - push) * t**2, radius)


MOTIONS: Final[dict[str, Motion]] = {
    "falls and bounces": _fall,
    "slides to the right": _slide_right,
    "slides to the left": _slide_left,
    "rises into the air": _rise,
    "swings on a string": _swing,
    "comes down a ramp": _ramp,
}


def _teleport(path: Path2, radius: float, rng: np.random.Generator) -> Path2:
    """Elsewhere for some frames in the middle of the clip, then back on the old way.

    Of 16 directions the one is taken that lands farthest from every point of the right path: an
    object that is merely early or late on it would be hard to see.
    """
    frames = len(path)
    away = max(2, round(TELEPORT_FRAMES * frames))
    first = int(rng.integers(frames // 4, frames - away - frames // 8))
    window = path[first : first + away]
    angles = np.linspace(0, 2 * np.pi, 16, endpoint=False) + rng.uniform(0, 0.3)
    reach = TELEPORT_REACH * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    landed = np.clip(window[None] + reach[:, None], radius, [1 - radius, FLOOR - radius])
    off_path = np.linalg.norm(landed[:, :, None] - path, axis=-1).min(axis=(1, 2))
    broken = path.copy()
    broken[first : first + away] = landed[off_path.argmax()]
    return broken


# When a stop looks least like any right motion: in mid-air, at a swing's far end, high on the ramp.
STOP_AT: Final = {
    "falls and bounces": 0.2,
    "rises into the air": 0.4,
    "swings on a string": 0.45,
    "comes down a ramp": 0.4,
}


def _stop(path: Path2, motion: str) -> Path2:
    broken = path.copy()
    at = round(STOP_AT[motion] * (len(path) - 1))
    broken[at:] = broken[at]
    return broken


# Share of the clip after which gravity turns; a fall has just landed by then.
REVERSED_AT: Final = {
    "falls and bounces": 0.35,
    "slides to the right": 0.35,
    "slides to the left": 0.35,
    "comes down a ramp": 0.55,
}
# How many times the way to the ceiling fits in what is left of the clip; it stays there.
CLIMB: Final = {
    "falls and bounces": 1.6,
    "slides to the right": 1.0,
    "slides to the left": 1.0,
}


def _reverse(path: Path2, motion: str, radius: float) -> Path2:
    """From some frame on, gravity pulls the wrong way: back up the ramp, or to the ceiling."""
    last, broken = len(path) - 1, path.copy()
    at = round(REVERSED_AT[motion] * last)
    since = np.arange(last + 1 - at) / (last - at)
    if motion == "comes down a ramp":
        broken[at:] += (path[0] - path[at]) * since[:, None] ** 1.5 + path[at] - path[at:]
    else:
        climb = np.minimum(CLIMB[motion] * since**2, 1.0)
        broken[at:, 1] = path[at, 1] + (radius + 0.01 - path[at, 1]) * climb
    return broken


# Which broken physics cannot be mistaken for a right motion, given the motion.
BREAKS: Final[dict[str, tuple[str, ...]]] = {
    "falls and bounces": ("teleport", "stop", "reversal"),
    "slides to the right": ("teleport", "reversal"),
    "slides to the left": ("teleport", "reversal"),
    "rises into the air": ("teleport", "stop"),
    "swings on a string": ("teleport", "stop"),
    "comes down a ramp": ("teleport", "stop", "reversal"),
}


def object_path(
    motion: str, defect: str | None, radius: float, frames: int, rng: np.random.Generator
) -> tuple[Path2, float]:
    """Centre of the object in each frame (F, 2), and how far it is from the right path.

    defect: None, or one of BREAKS[motion].
    Returns: the path, and the mean distance (share of the frame's width) over all frames between
        it and the right path of the same random draw; 0.0 exactly when nothing is broken.
    """
    right = MOTIONS[motion](np.linspace(0.0, 1.0, frames, dtype=np.float64), radius, rng)
    if defect is None:
        return right, 0.0
    if defect == "teleport":
        broken = _teleport(right, radius, rng)
    elif defect == "stop":
        broken = _stop(right, motion)
    else:
        broken = _reverse(right, motion, radius)
    return broken, float(np.linalg.norm(broken - right, axis=1).mean())
