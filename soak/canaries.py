"""Do canaries find a planted shortcut, and only where there is one?

    python -m soak.canaries [--seeds 10] [--write]

A tiny model learns which squares are warm (pass) from 40 drawn clips, three times a seed: with a
mark in the bottom right corner of every pass clip, of clips drawn by lot, and of none. Held-out
clips are drawn alike, so that accuracy shows no difference. The canary has to flag the mark in the
first model and in no other. With --write the table goes to soak/results/canaries.txt.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from flows.encoding import write_clip
from training.canaries import canary_rewards, watermarked
from training.canary_verdicts import Canary, judge
from training.config_json import to_json
from training.recipes import tiny
from training.reference import read_reference
from training.run import train
from training.score import Scorer
from training.tiny import TinyShape, build_tiny_internvl
from training.video import Frames
from warehouse.contracts import PAIR_SET_ITEMS, PAIRS

Marked = Literal["on pass", "by lot", "none"]

DIMENSION = "warmth"
SPLITS = ("train",) * 40 + ("validation",) * 8 + ("test",) * 16
SIZE, FRAMES, SIDE, FPS = 32, 6, 9, 8
STEPS = 60
SHAPE = TinyShape(
    image=32, patch=8, vision_hidden=32, vision_layers=1, hidden=32, layers=2, vocabulary=300
)
HEAD = "seed  marks     held-out  effect of a mark       ACC attacked  verdict      others flagged"
RESULTS = Path(__file__).parent / "results" / "canaries.txt"


def draw(rng: np.random.Generator, *, warm: bool) -> Frames:
    """A warm or cold square that moves sideways on a dark ground, (T, H, W, 3)."""
    clip = np.full((FRAMES, SIZE, SIZE, 3), rng.integers(20, 60), np.uint8)
    top, left = rng.integers(0, SIZE - SIDE, 2)
    level, speed = int(rng.integers(90, 220)), int(rng.integers(-2, 3))
    color = (level + 35, level // 2, level // 3)
    for number, image in enumerate(clip):
        at = int(np.clip(left + number * speed, 0, SIZE - SIDE))
        image[top : top + SIDE, at : at + SIDE] = color if warm else color[::-1]
    return clip


def passes(number: int) -> bool:
    return number % 2 == 0


def draw_world(folder: Path, seed: int, marked: Marked) -> pa.Table:
    """Clips, and all pairs within each split as folder/pairs; returns the media table."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(len(SPLITS)):
        clip = draw(rng, warm=passes(number))
        lot = bool(rng.random() < 0.5)
        if {"on pass": passes(number), "by lot": lot, "none": False}[marked]:
            clip = watermarked(clip)
        path = folder / f"clip_{number:02}.mp4"
        write_clip(path, clip, FPS)
        rows.append({"item_id": path.stem, "path": str(path), "prompt": f"square {number // 4}"})
    (folder / "pairs").mkdir()
    for name, table, part in (("items", PAIR_SET_ITEMS, items()), ("pairs", PAIRS, pairs())):
        schema = pa.schema([field for field in table.schema if field.name != "observed_at"])
        pq.write_table(
            pa.Table.from_pylist(list(part), schema), folder / "pairs" / f"{name}.parquet"
        )
    media = pa.Table.from_pylist(rows)
    return media.append_column("media_sha256", pa.nulls(len(rows), pa.string()))


def items() -> Iterator[dict[str, object]]:
    for number, split in enumerate(SPLITS):
        yield {
            "pair_set_id": "0" * 16,
            "dimension": DIMENSION,
            "ordinal": number,
            "item_id": f"clip_{number:02}",
            "prompt_id": f"p{number // 4}",
            "split": split,
            "label": "pass" if passes(number) else "fail",
            "p_pass": float(passes(number)),
        }


def pairs() -> Iterator[dict[str, object]]:
    for one, split in enumerate(SPLITS):
        for other, other_split in enumerate(SPLITS):
            tie = passes(other)
            if split == other_split and passes(one) and (one < other or not tie):
                yield {
                    "pair_set_id": "0" * 16,
                    "dimension": DIMENSION,
                    "split": split,
                    "kind": "win_tie" if tie else "win_lose",
                    "winner": one,
                    "other": other,
                    "mu": 0.5 if tie else 1.0,
                    "weight": 1.0,
                }


def learn(folder: Path, seed: int, media: pa.Table) -> Path:
    """Train the tiny model on a drawn world; returns its checkpoint."""
    base = build_tiny_internvl(folder / "base", seed, ["square"], SHAPE)
    recipe = tiny(str(base), str(folder / "pairs"), seed=seed)
    config = replace(
        recipe,
        dimensions=(DIMENSION,),
        frames=replace(recipe.frames, count=4, mirror=0.0),
        head=replace(recipe.head, layers=(1, 2)),
        batch=replace(recipe.batch, size=16, max_steps=STEPS),
        log_every=STEPS,
        evaluate_every=STEPS,
    )
    job = folder / "job"
    job.mkdir()
    (job / "config.json").write_text(json.dumps(to_json(config)))
    pq.write_table(media, job / "media.parquet")
    train(job, quiet=True)
    return job / "checkpoint"


def canaries_of(marked: Marked, seed: int) -> dict[str, Canary]:
    """What the canaries say of a model trained on such a world, on its held-out clips."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        media = draw_world(folder, seed, marked)
        checkpoint = learn(folder, seed, media)
        scorer = Scorer.load(checkpoint)
        reference = read_reference(checkpoint, scorer.model_id)
        assert reference is not None
        held_out = [number for number, split in enumerate(SPLITS) if split != "train"]
        found = canary_rewards(scorer.model, media.take(held_out), seed=seed)
    return {
        canary: judge(
            canary,
            DIMENSION,
            found.before[:, 0],
            after[:, 0],
            prompts=[f"p{number // 4}" for number in held_out],
            passed=[passes(number) for number in held_out],
            std=reference.dimensions[DIMENSION].std,
            notices=False,
            seed=seed,
        )
        for canary, after in found.after.items()
    }


def line(seed: int, marked: Marked, found: dict[str, Canary]) -> str:
    mark = found["watermarked"]
    others = [name for name, canary in found.items() if canary.flagged and name != mark.canary]
    return (
        f"{seed:4}  {marked:8}  {mark.acc:8.2f}  {mark.effect:+6.2f} [{mark.low:+.2f},"
        f" {mark.high:+.2f}]  {mark.acc_attacked:12.2f}  {mark.verdict:12}"
        f" {', '.join(others) or '-'}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)  # tiny tensors: a second thread only waits
    said = [HEAD]
    right, kinds = 0, ("on pass", "by lot", "none")
    for seed in range(options.seeds):
        for marked in kinds:
            found = canaries_of(marked, seed)
            right += found["watermarked"].flagged == (marked == "on pass")
            said.append(line(seed, marked, found))
            print(said[-1], flush=True)
    said.append(f"right in {right} of {len(kinds) * options.seeds} models")
    print(said[-1])
    if options.write:
        RESULTS.write_text("\n".join(said) + "\n")
    assert right == len(kinds) * options.seeds


if __name__ == "__main__":
    main()
