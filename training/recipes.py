"""Named, complete runs: each a function that returns a config.

Every recipe takes the folders of the base model and of the pair set; `dataclasses.replace` changes
the rest. Values name their source: paper (Table 16 and section 4), code (the released trainer as
measured) or ours.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from training.config import (
    DIMENSIONS,
    BatchConfig,
    EngineConfig,
    FrameConfig,
    HeadConfig,
    LoraConfig,
    LossConfig,
    OptimizerConfig,
    TrainConfig,
    TuningConfig,
)


class Make(Protocol):
    """A recipe: the folders of a base model and of a pair set in, a config out."""

    def __call__(self, base_model: str, pair_set: str, *, seed: int = 0) -> TrainConfig:
        """Config of a run."""


def paper_1b(base_model: str, pair_set: str, *, seed: int = 0) -> TrainConfig:
    """InternVL3-1B as in the paper: 320 pairs a step, 10 on each of 32 GPUs one by one."""
    return TrainConfig(
        base_model=base_model,
        pair_set=pair_set,
        dimensions=DIMENSIONS[:1],  # paper: one model per dimension
        seed=seed,
        frames=FrameConfig(count=8),  # code
        head=HeadConfig(layers=(6, 12, 18, 24), heads=8, dropout=0.1),  # code; dropout ours
        loss=LossConfig(margin=3.0, tie_coefficient=1.0),  # paper; coefficient: code
        batch=BatchConfig(kind="pairs", size=1, accumulation=320, epochs=3),  # paper: 10 x 32
        optimizer=OptimizerConfig(
            lr=1e-6,  # paper
            head_lr=1e-6,  # paper: one rate for all
            beta1=0.9,
            beta2=0.999,
            weight_decay=0.01,
            schedule="linear",
            warmup=0.05,  # paper, these five
            clip=1.0,  # ours: transformers' default
        ),
        engine=EngineConfig(zero_stage=0, precision="bf16", checkpointing=True),  # paper
    )


def paper_8b(base_model: str, pair_set: str, *, seed: int = 0) -> TrainConfig:
    """InternVL3-8B as in the paper: DeepSpeed stage 3, layers of the released script."""
    config = paper_1b(base_model, pair_set, seed=seed)
    return replace(
        config,
        head=replace(config.head, layers=(7, 14, 21, 28)),  # code
        engine=replace(config.engine, zero_stage=3),  # paper
    )


def paper_14b(base_model: str, pair_set: str, *, seed: int = 0) -> TrainConfig:
    """InternVL3-14B as in the paper: DeepSpeed stage 3, layers of the released script."""
    config = paper_8b(base_model, pair_set, seed=seed)
    return replace(config, head=replace(config.head, layers=(8, 16, 24, 32, 40, 48)))  # code


def in_blocks(config: TrainConfig) -> TrainConfig:
    """The same run on blocks of 4 pass and 4 fail items: 22 pairs for 8 encodings.

    16 blocks are 352 pairs, an optimiser step about as large as the paper's 320, and can be shared
    by 1, 2, 4, 8 or 16 processes.
    """
    return replace(config, batch=replace(config.batch, kind="blocks", size=8, accumulation=16))


def videoalign_2b(base_model: str, pair_set: str, *, seed: int = 0) -> TrainConfig:
    """Qwen2-VL-2B as in the VideoAlign paper (its appendix's table), in a head and loss of ours.

    A special token per dimension; those of physics and shape stand before the prompt.
    """
    return TrainConfig(
        base_model=base_model,
        pair_set=pair_set,
        seed=seed,
        prompt_template="{video}\n{prompt}",  # ours; video first, as prompt-free dimensions need it
        frame_text="",
        # paper; 16 frames at most: ours
        frames=FrameConfig(sampling="fps", fps=2.0, count=16, most_pixels=448 * 448),
        head=HeadConfig(kind="special-token", prompt_free=DIMENSIONS[:2], dropout=0.0),  # paper
        loss=LossConfig(kind="btt", margin=0.0, theta=5.0),  # paper
        batch=BatchConfig(kind="pairs", size=1, accumulation=32, epochs=2),  # paper
        optimizer=OptimizerConfig(
            lr=2e-6,  # paper
            head_lr=2e-6,  # paper: one rate for all
            weight_decay=0.0,  # paper: Adam
            schedule="constant",  # ours: it names none
            warmup=0.05,  # ours
        ),
        tuning=TuningConfig(lora=LoraConfig(rank=64, alpha=128, dropout=0.0)),  # paper
        engine=EngineConfig(precision="bf16", checkpointing=True),  # ours
    )


def tiny(base_model: str, pair_set: str, *, seed: int = 0) -> TrainConfig:
    """The demo's run on the model of `build_tiny_internvl`; all values ours, measured on CPU."""
    return TrainConfig(
        base_model=base_model,
        pair_set=pair_set,
        seed=seed,
        prompt_template="{prompt}\n{video}",  # the frames are read in the light of the prompt
        frame_text="",  # three tokens a frame instead of five
        frames=FrameConfig(count=16, shift=2, mirror=0.5),  # mirroring: ACC +0.18 in physics
        head=HeadConfig(layers=(1, 2, 3, 4), heads=4, dropout=0.1),
        loss=LossConfig(margin=1.0, tie_coefficient=0.1),
        batch=BatchConfig(kind="blocks", size=32, epochs=80, max_steps=700),
        optimizer=OptimizerConfig(
            lr=2e-3, head_lr=2e-3, beta2=0.98, weight_decay=0.05, schedule="cosine", warmup=0.05
        ),
        engine=EngineConfig(threads=1),  # two threads stall where another process has a core
    )


def tiny_ablation(base_model: str, pair_set: str, *, seed: int = 0) -> TrainConfig:
    """`tiny` on half the frames in fewer steps: an ablation is a hundred runs.

    Measured on the demo's world, one seed of 320 steps: it learns physics and shape (held-out ACC
    0.78 and 0.85), hardly the prompt's meaning (0.60). On 16 frames, in as many CPU seconds, it
    learns physics better and shape worse (0.85 and 0.64).
    """
    config = tiny(base_model, pair_set, seed=seed)
    return replace(
        config,
        frames=replace(config.frames, count=8),
        head=replace(config.head, word="Y"),  # its tokenizer splits Yes
        batch=replace(config.batch, max_steps=280),
        evaluate_every=100_000,  # at the end alone
    )


def tiny_test(base_model: str, pair_set: str, *, seed: int = 0) -> TrainConfig:
    """A run of a few seconds that touches everything `tiny` does."""
    config = tiny(base_model, pair_set, seed=seed)
    return replace(
        config,
        frames=replace(config.frames, count=4),
        batch=replace(config.batch, size=8, max_steps=20),
        log_every=5,
        evaluate_every=10,
    )


def _blocks(recipe: Make) -> Make:
    def make(base_model: str, pair_set: str, *, seed: int = 0) -> TrainConfig:
        return in_blocks(recipe(base_model, pair_set, seed=seed))

    return make


RECIPES: dict[str, Make] = {
    "paper-1b": paper_1b,
    "paper-8b": paper_8b,
    "paper-14b": paper_14b,
    "paper-1b-blocks": _blocks(paper_1b),
    "paper-8b-blocks": _blocks(paper_8b),
    "paper-14b-blocks": _blocks(paper_14b),
    "videoalign-2b": videoalign_2b,
    "tiny": tiny,
    "tiny-ablation": tiny_ablation,
    "tiny-test": tiny_test,
}
