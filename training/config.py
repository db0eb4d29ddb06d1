"""Everything a training run depends on, as frozen dataclasses that check themselves.

Default values are the paper's where it names one (Table 16); the named runs are in `recipes`, the
way to and from JSON in `config_json`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from warehouse.errors import TrainingError

HeadKind = Literal[
    "hpqa", "attention", "last-token", "mean-pool", "max-pool", "special-token", "yes-token"
]
LossKind = Literal["bt", "bt-wt", "summed-tie", "btt", "bce", "bt-wt+bce", "regression"]
Part = Literal["vision", "projector", "language"]

EVEN = 0.5  # a smoothed target from which the loser would be preferred
DIMENSIONS = ("physical_plausibility", "subject_deformity", "semantic_alignment")
SEEDS = 2**63  # torch takes no larger one
PROMPT_TEMPLATE = "{video}\nThe video was made from this prompt: {prompt}"
FRAME_TEXT = "\nFrame{number}: "  # as transformers' InternVL processor writes it


def _require(holds: bool, name: str, value: object, need: str) -> None:
    if not holds:
        raise TrainingError(f"training config: {name} is {value!r}; it must be {need}")


@dataclass(frozen=True)
class FrameConfig:
    """Which frames of a clip the model sees; how their size is found is the checkpoint's own."""

    sampling: Literal["uniform", "fps"] = "uniform"
    """uniform: `count` frames at equal distances, the first and the last of the clip among them;
    fps: `fps` frames a second from the first on; of a clip that has more than `count` so, `count`
    at equal distances in time, the first and the last among them."""
    count: int = 8
    """Frames of a clip, at most."""
    fps: float | None = None
    """Frames a second of the clip's own time, where sampling is fps."""
    most_pixels: int | None = None
    """Qwen: height times width of a frame at most, its ratio kept; None: the checkpoint's."""
    store: Literal["raw", "jpeg"] = "raw"
    """What the frame cache holds, and so what the model sees: raw pixels, or JPEG of quality 95."""
    shift: int = 0
    """Training only: a clip is moved by up to this many pixels each way, edges repeated."""
    mirror: float = 0.0
    """Training only: share of clips mirrored; a prompt that names a side is then wrong."""

    def __post_init__(self) -> None:
        _require(self.count >= 1, "frames.count", self.count, "at least 1")
        fits = (self.fps is not None and self.fps > 0) is (self.sampling == "fps")
        _require(fits, "frames.fps", self.fps, "above 0 where sampling is 'fps', else not given")
        fits = self.most_pixels is None or self.most_pixels >= 1
        _require(fits, "frames.most_pixels", self.most_pixels, "at least 1")
        _require(self.shift >= 0, "frames.shift", self.shift, "0 or more pixels")
        _require(0 <= self.mirror <= 1, "frames.mirror", self.mirror, "in [0, 1]")


@dataclass(frozen=True)
class HeadConfig:
    """The part that turns hidden states into rewards; all kinds but hpqa read the last state."""

    kind: HeadKind = "hpqa"
    """hpqa: Eq. 3-6 of the paper; attention: one learned query over the last state; last-token,
    mean-pool, max-pool: a linear layer on it; special-token: a linear layer on a token per
    dimension (VideoAlign); yes-token: the language model's logit of a word."""
    layers: tuple[int, ...] = (6, 12, 18, 24)
    """hpqa: indices into transformers' `hidden_states`, ascending; N is the one after the norm."""
    heads: int = 8
    """hpqa, attention: attention heads; must divide the backbone's hidden size."""
    prompt_free: tuple[str, ...] = ()
    """special-token: dimensions whose token stands before the prompt and cannot see it."""
    word: str = "Yes"
    """yes-token: the word, a single token of the tokenizer."""
    dropout: float = 0.1
    """hpqa, attention: share of the reward head's hidden units dropped while training."""

    def __post_init__(self) -> None:
        _require(len(self.layers) >= 1, "head.layers", self.layers, "at least one index")
        ascending = all(a < b for a, b in pairwise(self.layers))
        _require(ascending and self.layers[0] >= 0, "head.layers", self.layers, "ascending, >= 0")
        _require(self.heads >= 1, "head.heads", self.heads, "at least 1")
        _require(0 <= self.dropout < 1, "head.dropout", self.dropout, "in [0, 1)")
        free = self.prompt_free
        _require(
            not free or self.kind == "special-token",
            "head.prompt_free",
            free,
            "empty for this kind",
        )


@dataclass(frozen=True)
class LossConfig:
    """How pairs and items become a loss."""

    kind: LossKind = "bt-wt"
    """bt: Eq. 1 of the paper, win-lose pairs alone; bt-wt: Eq. 2; summed-tie: the tie term of the
    reference's code; btt: Rao-Kupper; bce: items by their labels (P(pass) in soft sets);
    bt-wt+bce: Eq. 2 with a penalty on items (Table 6); regression: rewards to P(pass)."""
    margin: float = 3.0
    """Reward gap asked of a win-lose pair; ties have none but in summed-tie."""
    tie_coefficient: float = 1.0
    """Weight of the mean over ties beside the mean over win-lose pairs."""
    bce_coefficient: float = 1.0
    """bt-wt+bce: weight of the mean over items."""
    label_smoothing: float = 0.0
    """bt, bt-wt, summed-tie: share of the target that goes to the loser; 0 is none."""
    theta: float = 5.0
    """btt: width of the ties, above 1; VideoAlign's value."""

    def __post_init__(self) -> None:
        _require(self.margin >= 0, "loss.margin", self.margin, "0 or more")
        _require(self.tie_coefficient >= 0, "loss.tie_coefficient", self.tie_coefficient, ">= 0")
        _require(self.bce_coefficient >= 0, "loss.bce_coefficient", self.bce_coefficient, ">= 0")
        smoothing = self.label_smoothing
        _require(0 <= smoothing < EVEN, "loss.label_smoothing", smoothing, "in [0, 0.5)")
        smoothed = self.kind not in {"btt", "bce", "regression"}
        _require(smoothed or not smoothing, "loss.label_smoothing", smoothing, "0 for this kind")
        _require(self.theta > 1, "loss.theta", self.theta, "above 1")


@dataclass(frozen=True)
class BatchConfig:
    """What one micro-step sees."""

    kind: Literal["blocks", "planned", "pairs", "naive"] = "blocks"
    """blocks: items and all pairs of the set among them; planned: every pair once an epoch, in
    batches with few items; pairs: a few pairs and their items; naive: the same, both items of each
    pair encoded, as the reference does."""
    size: int = 16
    """Items of a block or a planned batch, or number of pairs."""
    chunk: int | None = None
    """Items encoded at once where a batch does not fit into memory: rewards first, without a graph,
    then the gradients of the rewards chunk by chunk; None: the whole batch."""
    accumulation: int = 1
    """Micro-batches of an optimiser step, which its processes share out evenly."""
    epochs: int = 3
    """Passes over all items (blocks) or all pairs (pairs)."""
    max_steps: int | None = None
    """Stop after this many optimiser steps; None: after the last epoch."""

    def __post_init__(self) -> None:
        least = 2 if self.kind in {"blocks", "planned"} else 1
        _require(self.size >= least, "batch.size", self.size, f"at least {least}")
        _require(self.chunk is None or self.chunk >= 1, "batch.chunk", self.chunk, "at least 1")
        _require(self.accumulation >= 1, "batch.accumulation", self.accumulation, "at least 1")
        _require(self.epochs >= 1, "batch.epochs", self.epochs, "at least 1")
        _require(
            self.max_steps is None or self.max_steps >= 1, "batch.max_steps", self.max_steps, ">= 1"
        )


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW and its schedule."""

    lr: float = 1e-6
    """Peak learning rate of the backbone."""
    head_lr: float = 1e-6
    """Peak learning rate of the head, which starts from scratch."""
    beta1: float = 0.9
    """Decay of the first moment."""
    beta2: float = 0.999
    """Decay of the second moment."""
    weight_decay: float = 0.01
    """Decoupled decay; vectors (biases, norms, queries) have none."""
    clip: float = 1.0
    """Largest norm of the whole gradient."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """Course after the warm-up; linear and cosine end at 0."""
    warmup: float = 0.05
    """Share of the steps during which the rate rises from 0."""

    def __post_init__(self) -> None:
        _require(self.lr >= 0, "optimizer.lr", self.lr, "0 or more")
        _require(self.head_lr > 0, "optimizer.head_lr", self.head_lr, "above 0")
        _require(0 <= self.beta1 < 1, "optimizer.beta1", self.beta1, "in [0, 1)")
        _require(0 <= self.beta2 < 1, "optimizer.beta2", self.beta2, "in [0, 1)")
        _require(self.weight_decay >= 0, "optimizer.weight_decay", self.weight_decay, ">= 0")
        _require(self.clip > 0, "optimizer.clip", self.clip, "above 0")
        _require(0 <= self.warmup < 1, "optimizer.warmup", self.warmup, "in [0, 1)")


@dataclass(frozen=True)
class LoraConfig:
    """Low-rank adapters of the language model's linear layers (peft), instead of its weights."""

    rank: int = 64
    """Rank of each update."""
    alpha: int = 128
    """Numerator of the scale alpha / rank."""
    dropout: float = 0.05
    """Share of an adapter's inputs dropped while training."""

    def __post_init__(self) -> None:
        _require(self.rank >= 1, "tuning.lora.rank", self.rank, "at least 1")
        _require(self.alpha >= 1, "tuning.lora.alpha", self.alpha, "at least 1")
        _require(0 <= self.dropout < 1, "tuning.lora.dropout", self.dropout, "in [0, 1)")


@dataclass(frozen=True)
class TuningConfig:
    """Which weights learn; the head always does."""

    frozen: tuple[Part, ...] = ()
    """Parts of the backbone that stay as they are: vision, projector, language."""
    lora: LoraConfig | None = None
    """Adapters of the language model, whose own weights then stay as they are."""


@dataclass(frozen=True)
class EngineConfig:
    """How DeepSpeed runs it."""

    zero_stage: Literal[0, 1, 2, 3] = 0
    """What is cut up among processes: nothing, optimiser, gradients too, weights too."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Number format of forward and backward; the optimiser keeps fp32."""
    checkpointing: bool = False
    """Recompute the language model's layers in the backward pass instead of keeping them."""
    threads: int = 2
    """CPU threads of torch; part of what makes a run bit-exact."""

    def __post_init__(self) -> None:
        _require(self.threads >= 1, "engine.threads", self.threads, "at least 1")


@dataclass(frozen=True)
class TrainConfig:
    """One training run."""

    base_model: str
    """Folder of the base model: weights, tokenizer, preprocessor_config.json."""
    pair_set: str
    """Folder of the pair set: items.parquet, pairs.parquet, manifest.json."""
    dimensions: tuple[str, ...] = DIMENSIONS
    """Qualities that the model rewards, one query each."""
    seed: int = 0
    """Of the head's initial weights, the order of batches, dropout and shifts."""
    prompt_template: str = PROMPT_TEMPLATE
    """Text given to the model; {video} and {prompt} stand once each."""
    frame_text: str = FRAME_TEXT
    """Text before each frame, {number} from 1; a leading line break falls away before the first."""
    log_every: int = 10
    """Optimiser steps between two lines of the curve."""
    evaluate_every: int = 100
    """Optimiser steps between two looks at the validation split."""
    save_every: int | None = None
    """Optimiser steps between two states to resume from; None: only the end is kept."""
    frame_cache: str | None = None
    """Folder of decoded frames, shared by runs; None: inside the job."""
    frame_cache_bytes: int | None = None
    """Size of that folder above which clips not used for longest are removed; None: no limit."""
    frames: FrameConfig = field(default_factory=FrameConfig)
    """See FrameConfig."""
    head: HeadConfig = field(default_factory=HeadConfig)
    """See HeadConfig."""
    loss: LossConfig = field(default_factory=LossConfig)
    """See LossConfig."""
    batch: BatchConfig = field(default_factory=BatchConfig)
    """See BatchConfig."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """See OptimizerConfig."""
    tuning: TuningConfig = field(default_factory=TuningConfig)
    """See TuningConfig."""
    engine: EngineConfig = field(default_factory=EngineConfig)
    """See EngineConfig."""

    def __post_init__(self) -> None:
        names = self.dimensions
        _require(
            len(names) >= 1 and len(set(names)) == len(names),
            "dimensions",
            names,
            "at least one name, none twice",
        )
        _require(0 <= self.seed < SEEDS, "seed", self.seed, "at least 0 and below 2^63")
        _require(self.log_every >= 1, "log_every", self.log_every, "at least 1 step")
        _require(self.evaluate_every >= 1, "evaluate_every", self.evaluate_every, ">= 1 step")
        saved = self.save_every is None or self.save_every >= 1
        _require(saved, "save_every", self.save_every, "at least 1 step")
        room = self.frame_cache_bytes is None or self.frame_cache_bytes >= 1
        _require(room, "frame_cache_bytes", self.frame_cache_bytes, "at least 1 byte")
        once = all(self.prompt_template.count(slot) == 1 for slot in ("{video}", "{prompt}"))
        _require(once, "prompt_template", self.prompt_template, "a text with {video} and {prompt}")
        self._check_prompt_free()

    def _check_prompt_free(self) -> None:
        free, template = self.head.prompt_free, self.prompt_template
        _require(set(free) <= set(self.dimensions), "head.prompt_free", free, "among dimensions")
        unseen = template.index("{video}") < template.index("{prompt}")
        need = "a text with {video} before {prompt}: else prompt-free tokens see the prompt"
        _require(not free or unseen, "prompt_template", template, need)
