"""What the demo's world shows: prompts, clips, and what is right and wrong in each.

Nothing is drawn here. A plan is a function of its `WorldSpec`: which prompts there are, which clip
is of which prompt and generator, and which dimensions it breaks, how and by how much.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from flows.drawing import COLORS, DEFORMITIES, GENERATORS, PLACES, SUBJECTS, Scene, stage
from flows.motion import BREAKS, MOTIONS
from warehouse.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable

DIMENSIONS: Final = ("physical_plausibility", "subject_deformity", "semantic_alignment")
MISMATCHES: Final = ("color", "motion", "color", "subject")  # what a clip gets wrong, in turn
ONE_CLIP_SHARE: Final = 1 / 3  # of the prompts; the others share the rest of the clips
DESIGN_K: Final = 3
CALIBRATION_K: Final = 6
TRUTH: Final = pa.schema(
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("dimension", pa.string(), nullable=False),
        pa.field("label", pa.string(), nullable=False),
        pa.field("amount", pa.float64(), nullable=False),
        pa.field("defect", pa.string(), nullable=False),
    ]
)


@dataclass(frozen=True)
class WorldSpec:
    """Everything that a world depends on."""

    seed: int = 7
    prompts: int = 180
    """Distinct prompts: combinations of colour, subject, motion and place."""
    clips: int = 720
    """At least one for each prompt."""
    size: int = 128
    """Width and height of a clip in pixels, a multiple of 16."""
    frames: int = 16
    fps: int = 8
    calibration: int = 40
    """Items that get CALIBRATION_K design labels instead of DESIGN_K."""
    ood_share: float = 0.18
    """Share of the clips that come from the out-of-domain generator."""

    def __post_init__(self) -> None:
        most = len(COLORS) * len(SUBJECTS) * len(MOTIONS) * len(PLACES)
        ranges: dict[str, tuple[float, float]] = {
            "seed": (0, 2**31),
            "prompts": (1, most),
            "clips": (self.prompts, 9999),
            "size": (32, 1024),
            "frames": (8, 240),
            "fps": (1, 60),
            "calibration": (0, self.clips),
            "ood_share": (0, 1),
        }
        for name, (low, high) in ranges.items():
            if not low <= getattr(self, name) <= high:
                raise SettingsError(
                    f"world: {name} is {getattr(self, name)}; choose from {low} to {high}"
                )
        if self.size % 16:
            raise SettingsError(f"world: size is {self.size}; choose a multiple of 16")


FULL: Final = WorldSpec()
TINY: Final = WorldSpec(prompts=24, clips=60, calibration=6)


@dataclass(frozen=True)
class Clip:
    """One item of the plan: what was asked for, and what is drawn."""

    item_id: str
    prompt: str
    attributes: dict[str, str]
    """subject, color, motion of the prompt (not of the clip)."""
    scene: Scene
    mismatch: str | None
    """Which attribute the scene has other than the prompt; None when it keeps all."""
    design_k: int

    @property
    def media(self) -> str:
        """Path of the clip inside the world's folder."""
        return f"clips/{self.item_id}.mp4"


def prompt_text(color: str, subject: str, motion: str, place: str = "") -> str:
    """Sentence that a clip is generated from.

    >>> prompt_text("red", "ball", "falls and bounces")
    'a red ball falls and bounces'
    """
    return f"a {color} {subject} {motion} {place}".strip()


def _prompts(spec: WorldSpec, rng: np.random.Generator) -> list[tuple[str, str, str, str]]:
    """(colour, subject, motion, place), every combination of the first three before any twice."""
    combinations = list(product(COLORS, SUBJECTS, MOTIONS))
    places, order = list(PLACES), rng.permutation(len(combinations))
    shift = rng.integers(len(places), size=len(combinations))
    return [
        (*combinations[order[at]], places[(shift[at] + lap) % len(places)])
        for lap, at in (divmod(i, len(combinations)) for i in range(spec.prompts))
    ]


def _prompt_of_clip(spec: WorldSpec, rng: np.random.Generator) -> list[int]:
    """Which prompt each clip is of: one clip for some prompts, several for the others."""
    several = range(min(int(spec.prompts * ONE_CLIP_SHARE), spec.prompts - 1), spec.prompts)
    extra = [several[i % len(several)] for i in range(spec.clips - spec.prompts)]
    return [int(i) for i in rng.permutation([*range(spec.prompts), *extra])]


def _wrong(asked: dict[str, str], mismatch: str, rng: np.random.Generator) -> dict[str, str]:
    """Replace one of the attributes asked for by another value."""
    values = {"color": [*COLORS], "subject": [*SUBJECTS], "motion": [*MOTIONS]}[mismatch]
    values.remove(asked[mismatch])
    return asked | {mismatch: str(rng.choice(values))}


def plan_world(spec: WorldSpec) -> list[Clip]:
    """All clips of a world in the order of their ids, without drawing any.

    In each generator, every eighth clip has the same combination of right and wrong in the three
    dimensions: each is right in half of the clips, and none tells anything about another.
    """
    rng = np.random.default_rng((spec.seed, spec.prompts, spec.clips))
    prompts, of_clip = _prompts(spec, rng), _prompt_of_clip(spec, rng)
    numbers = [int(i) for i in rng.permutation(spec.clips)]
    calibration = {int(i) for i in rng.permutation(spec.clips)[: spec.calibration]}
    first_ood = spec.clips - round(spec.ood_share * spec.clips)
    clips = []
    for at, (prompt, number) in enumerate(zip(of_clip, numbers, strict=True)):
        turn = at - first_ood if at >= first_ood else at
        generator = GENERATORS[int(at >= first_ood)]
        k = CALIBRATION_K if number in calibration else DESIGN_K
        clips.append(
            _clip(spec, number, words=prompts[prompt], generator=generator, turn=turn, design_k=k)
        )
    return sorted(clips, key=lambda clip: clip.item_id)


def _clip(
    spec: WorldSpec,
    number: int,
    *,
    words: tuple[str, str, str, str],
    generator: str,
    turn: int,
    design_k: int,
) -> Clip:
    """Clip `number`; `turn` decides which dimensions are broken, the seed decides how."""
    rng = np.random.default_rng((spec.seed, number, 1))
    color, subject, motion, place = words
    asked = {"subject": subject, "color": color, "motion": motion}
    mismatch = MISMATCHES[turn // 8 % len(MISMATCHES)] if turn & 4 else None
    shown = _wrong(asked, mismatch, rng) if mismatch else asked
    physics = str(rng.choice(BREAKS[shown["motion"]])) if turn & 1 else None
    shape = list(DEFORMITIES)[turn // 8 % len(DEFORMITIES)] if turn & 2 else None
    scene = Scene(spec.seed, number, generator, **shown, place=place, physics=physics, shape=shape)
    text = prompt_text(color, subject, motion, place)
    return Clip(f"clip_{number + 1:04d}", text, asked, scene, mismatch, design_k)


def items_jsonl(clips: list[Clip]) -> str:
    """One JSON object per item and line; holds nothing from which the truth could be read."""
    rows = (
        {
            "item_id": clip.item_id,
            "prompt": clip.prompt,
            "media": clip.media,
            "generator": clip.scene.generator,
            "attributes": clip.attributes,
            "design_k": clip.design_k,
        }
        for clip in clips
    )
    return "".join(json.dumps(row) + "\n" for row in rows)


def truth_table(clips: list[Clip], frames: int) -> pa.Table:
    """Right and wrong of every item and dimension (item_id, dimension, label, amount, defect).

    amount: 0.0 when right; else mean distance from the right path in frame widths (physics), the
        `Stage.shape_amount` of the defect (shape), number of attributes that differ (alignment).
    """
    return pa.Table.from_pylist([row for clip in clips for row in _truth(clip, frames)], TRUTH)


def _truth(clip: Clip, frames: int) -> Iterable[dict[str, object]]:
    decided = stage(clip.scene, frames)
    defects = (clip.scene.physics, clip.scene.shape, clip.mismatch)
    amounts = (decided.physics_amount, decided.shape_amount, float(clip.mismatch is not None))
    for dimension, defect, amount in zip(DIMENSIONS, defects, amounts, strict=True):
        label = "pass" if defect is None else "fail"
        yield {
            "item_id": clip.item_id,
            "dimension": dimension,
            "label": label,
            "amount": amount,
            "defect": defect or "none",
        }
