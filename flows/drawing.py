"""Draws one clip of the demo's world: a pure function of its `Scene`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from flows.motion import FLOOR, PIVOT, RAMP, object_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Field = NDArray[np.float32]
    Frames = NDArray[np.uint8]
    Rgb = tuple[int, int, int]

COLORS: Final[dict[str, Rgb]] = {
    "red": (235, 40, 40),
    "green": (30, 200, 70),
    "blue": (50, 105, 255),
    "yellow": (255, 222, 40),
    "white": (245, 245, 245),
}
# Words at the prompt's end -> colour of the wall and of the floor. All darker than any object.
PLACES: Final[dict[str, tuple[Rgb, Rgb]]] = {
    "": ((58, 60, 68), (98, 100, 106)),
    "at night": ((16, 18, 28), (46, 48, 60)),
    "above a wooden floor": ((62, 58, 62), (126, 88, 58)),
}
GENERATORS: Final = ("sketch-1", "sketch-2")  # the second one is out of domain
RADIUS: Final = (0.16, 0.185)  # half the object's width, share of the frame's width
DEFORMITIES: Final[dict[str, tuple[float, float]]] = {
    "flicker": (0.75, 0.9),  # how much of the object's opacity goes
    "stretch": (1.8, 2.2),  # width times this, height divided by it
    "split": (0.6, 0.8),  # how far each half moves aside, in radii
}
DEFORMED_BLOCK: Final = 2  # frames between two changes: seen at 8 fps, and in every second frame


@dataclass(frozen=True)
class Scene:
    """What one clip shows; `seed` and `index` feed everything that is left to chance."""

    seed: int
    index: int
    generator: str
    subject: str
    color: str
    motion: str
    place: str
    physics: str | None = None
    """None when right, else one of `flows.motion.BREAKS[motion]`."""
    shape: str | None = None
    """None when right, else one of DEFORMITIES."""


@dataclass(frozen=True)
class Stage:
    """A scene with everything decided that was left to chance, but no pixel drawn."""

    radius: float
    """Half the object's width, share of the frame's width."""
    path: NDArray[np.float64]
    """(F, 2) the object's centre."""
    physics_amount: float
    """Mean distance from the right path in frame widths; 0.0 when right."""
    shape_amount: float
    """Opacity lost (flicker), factor of the width (stretch), shift of each half in radii (split),
    in the frames that are `deformed`; 0.0 when right."""
    deformed: NDArray[np.bool_]
    """(F,) frames in which a deformity shows."""
    texture: int
    """Seed of the background's texture."""


def _ball(u: Field, v: Field) -> Field:
    distance: Field = np.hypot(u, v) - np.float32(1)
    return distance


def _square(u: Field, v: Field) -> Field:
    distance: Field = np.maximum(np.abs(u), np.abs(v)) - np.float32(0.88)
    return distance


def _triangle(u: Field, v: Field) -> Field:
    sides = np.float32(0.894) * np.abs(u) - np.float32(0.447) * (v + np.float32(1))
    distance: Field = np.maximum(sides, v - np.float32(0.95))
    return distance


def _star(u: Field, v: Field) -> Field:
    """Five points: radius falls linearly with the angle from 1 at a point to 0.42 between two."""
    turn = np.arctan2(u, -v) * np.float32(5 / (2 * np.pi))
    off_point = np.abs(turn - np.round(turn)) * np.float32(2)
    distance: Field = (
        np.hypot(u, v) - (np.float32(1.08) - np.float32(0.66) * off_point)
    ) * np.float32(0.75)
    return distance


def _ring(u: Field, v: Field) -> Field:
    distance: Field = np.abs(np.hypot(u, v) - np.float32(0.74)) - np.float32(0.26)
    return distance


# Signed distance to the outline in radii, negative inside; (u, v) from the centre, v downwards.
SUBJECTS: Final[dict[str, Callable[[Field, Field], Field]]] = {
    "ball": _ball,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "ring": _ring,
}


def _grid(size: int) -> tuple[Field, Field]:
    axis = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / np.float32(size)
    x, y = np.meshgrid(axis, axis)
    return x, y


def _cover(distance: Field, size: int) -> Field:
    """Share of a pixel inside, from a distance in frame widths."""
    return np.clip(np.float32(0.5) - distance * np.float32(size), 0, 1)


def _blend(under: Field, color: Field | Rgb, cover: Field) -> Field:
    return under + (np.asarray(color, np.float32) - under) * cover[..., None]


def _background(scene: Scene, size: int, rng: np.random.Generator) -> Field:
    """Wall, floor and, for a ramp, its wedge: (S, S, 3)."""
    x, y = _grid(size)
    wall, floor = PLACES[scene.place]
    picture = np.asarray(wall, np.float32) * (np.float32(1.1) - np.float32(0.25) * y)[..., None]
    picture = _blend(picture, floor, _cover(FLOOR - y, size))
    if scene.motion == "comes down a ramp":
        (x0, y0), (x1, y1) = RAMP
        surface = y0 + (y1 - y0) * (x - np.float32(x0)) / np.float32(x1 - x0)
        picture = _blend(picture, floor, _cover(surface - y, size))
    if scene.generator != GENERATORS[0]:
        picture = picture + _texture(x, y, rng)
    return picture.astype(np.float32)


def _texture(x: Field, y: Field, rng: np.random.Generator) -> Field:
    """Brighter paper, slanted hatching and grain: what makes a generator out of domain."""
    hatch = np.sin((x * rng.uniform(0.6, 1.4) + y) * np.float32(2 * np.pi * rng.uniform(9, 13)))
    grain = rng.normal(0, 7, x.shape)
    paper = np.array([26, 30, 22], np.float32)
    texture: Field = (paper + (9 * hatch + grain)[..., None]).astype(np.float32)
    return texture


def _string(path: NDArray[np.float64], size: int) -> Field:
    """Cover (F, S, S) of a line from the pivot to the object's centre."""
    x, y = _grid(size)
    px, py = np.float32(PIVOT[0]), np.float32(PIVOT[1])
    delta = (path - np.array(PIVOT)).astype(np.float32)[:, None, None]
    length2 = (delta**2).sum(axis=-1)
    along = np.clip(((x - px) * delta[..., 0] + (y - py) * delta[..., 1]) / length2, 0, 1)
    off = np.hypot(x - px - along * delta[..., 0], y - py - along * delta[..., 1])
    return _cover(off - np.float32(0.008), size)


def _deformed_frames(frames: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which frames a deformity is seen in: two on, two off."""
    phase = int(rng.integers(2))
    deformed: NDArray[np.bool_] = (np.arange(frames) + phase) // DEFORMED_BLOCK % 2 == 1
    return deformed


def _distance(scene: Scene, u: Field, v: Field, amount: float, on: NDArray[np.bool_]) -> Field:
    """Signed distance (F, S, S) in radii, stretched or split in the frames that are `on`."""
    outline = SUBJECTS[scene.subject]
    if scene.shape == "stretch":
        factor = np.where(on, np.float32(amount), np.float32(1))[:, None, None]
        stretched: Field = outline(u / factor, v * factor) / np.sqrt(factor)
        return stretched
    if scene.shape == "split":
        gap = np.where(on, np.float32(amount), np.float32(-1))[:, None, None]
        halves = outline(np.sign(u) * np.maximum(np.abs(u) - np.maximum(gap, 0), 0), v)
        split: Field = np.maximum(halves, np.where(gap > 0, gap - np.abs(u), halves))
        return split
    return outline(u, v)


def stage(scene: Scene, frames: int) -> Stage:
    """Decide a scene: a function of the scene alone, and cheap."""
    rng = np.random.default_rng((scene.seed, scene.index))
    radius = float(rng.uniform(*RADIUS))
    path, physics_amount = object_path(scene.motion, scene.physics, radius, frames, rng)
    amount = 0.0 if scene.shape is None else float(rng.uniform(*DEFORMITIES[scene.shape]))
    deformed = _deformed_frames(frames, rng)
    return Stage(radius, path, physics_amount, amount, deformed, int(rng.integers(2**31)))


def _paint(under: Field, color: Rgb, distance: Field, opacity: Field, outlined: bool) -> Field:
    size = distance.shape[-1]
    if outlined:
        ink = _cover(np.abs(distance + np.float32(0.008)) - np.float32(0.01), size) * opacity
        dimmed = np.asarray(color, np.float32) * np.float32(0.88)
        fill = _blend(under, dimmed, _cover(distance, size) * opacity)
        return _blend(fill, (14, 14, 14), ink)
    return _blend(under, color, _cover(distance, size) * opacity)


def draw(scene: Scene, size: int, frames: int) -> Frames:
    """Draw all frames of a scene, RGB (F, S, S, 3), S = `size` pixels."""
    set_up = stage(scene, frames)
    radius, amount, on = np.float32(set_up.radius), set_up.shape_amount, set_up.deformed
    x, y = _grid(size)
    centre = set_up.path.astype(np.float32)[:, None, None]
    u, v = (x - centre[..., 0]) / radius, (y - centre[..., 1]) / radius
    distance = _distance(scene, u, v, amount, on) * radius
    faded = on & (scene.shape == "flicker")
    opacity = np.where(faded, 1 - amount, 1.0).astype(np.float32)[:, None, None]
    background = _background(scene, size, np.random.default_rng(set_up.texture))
    picture = np.broadcast_to(background, (frames, size, size, 3))
    if scene.motion == "swings on a string":
        picture = _blend(picture, (150, 150, 150), _string(set_up.path, size))
    outlined = scene.generator != GENERATORS[0]
    picture = _paint(picture, COLORS[scene.color], distance, opacity, outlined)
    return np.clip(picture + np.float32(0.5), 0, 255).astype(np.uint8)
