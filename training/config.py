"""Everything a training run depends on, as frozen dataclasses that check themselves.

A config is plain JSON outside (`config.json` of a job) and typed inside. Default values are the
paper's where it names one (Table 16); the named runs are in `recipes`.
"""

from __future__ import annotations

import json
import types
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from itertools import pairwise
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from warehouse.errors import TrainingError

T = TypeVar("T")

DIMENSIONS = ("physical_plausibility", "subject_deformity", "semantic_alignment")
PROMPT_TEMPLATE = "{video}\nThe video was made from this prompt: {prompt}"
FRAME_TEXT = "\nFrame{number}: "  # as transformers' InternVL processor writes it


def _require(holds: bool, name: str, value: object, need: str) -> None:
    if not holds:
        raise TrainingError(f"training config: {name} is {value!r}; it must be {need}")


@dataclass(frozen=True)
class FrameConfig:
    """Which frames of a clip the model sees; their size is the checkpoint's own."""

    count: int = 8
    """Frames taken at equal distances, the first and the last of the clip among them."""
    shift: int = 0
    """Training only: a clip is moved by up to this many pixels each way, edges repeated."""
    mirror: float = 0.0
    """Training only: share of clips mirrored; a prompt that names a side is then wrong."""

    def __post_init__(self) -> None:
        _require(self.count >= 1, "frames.count", self.count, "at least 1")
        _require(self.shift >= 0, "frames.shift", self.shift, "0 or more pixels")
        _require(0 <= self.mirror <= 1, "frames.mirror", self.mirror, "in [0, 1]")


@dataclass(frozen=True)
class HeadConfig:
    """The part that turns hidden states into rewards (HPQA, Eq. 3-6 of the paper)."""

    layers: tuple[int, ...] = (6, 12, 18, 24)
    """Indices into transformers' `hidden_states`, ascending; N is the state after the norm."""
    heads: int = 8
    """Attention heads; must divide the backbone's hidden size."""
    dropout: float = 0.1
    """Share of the reward head's hidden units dropped while training."""

    def __post_init__(self) -> None:
        _require(len(self.layers) >= 1, "head.layers", self.layers, "at least one index")
        ascending = all(a < b for a, b in pairwise(self.layers))
        _require(ascending and self.layers[0] >= 0, "head.layers", self.layers, "ascending, >= 0")
        _require(self.heads >= 1, "head.heads", self.heads, "at least 1")
        _require(0 <= self.dropout < 1, "head.dropout", self.dropout, "in [0, 1)")


@dataclass(frozen=True)
class LossConfig:
    """How pairs become a loss (BT-WT, Eq. 2 of the paper)."""

    margin: float = 3.0
    """Reward gap asked of a win-lose pair; ties have none."""
    tie_coefficient: float = 1.0
    """Weight of the mean over ties beside the mean over win-lose pairs; 0 is plain BT."""

    def __post_init__(self) -> None:
        _require(self.margin >= 0, "loss.margin", self.margin, "0 or more")
        _require(self.tie_coefficient >= 0, "loss.tie_coefficient", self.tie_coefficient, ">= 0")


@dataclass(frozen=True)
class BatchConfig:
    """What one micro-step sees."""

    kind: Literal["blocks", "pairs"] = "blocks"
    """blocks: items and all pairs of the set among them; pairs: a few pairs and their items."""
    size: int = 16
    """Items of a block, or number of pairs."""
    accumulation: int = 1
    """Micro-steps per optimiser step and process."""
    epochs: int = 3
    """Passes over all items (blocks) or all pairs (pairs)."""
    max_steps: int | None = None
    """Stop after this many optimiser steps; None: after the last epoch."""

    def __post_init__(self) -> None:
        least = 2 if self.kind == "blocks" else 1
        _require(self.size >= least, "batch.size", self.size, f"at least {least}")
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
    frame_cache: str | None = None
    """Folder of decoded frames, shared by runs; None: inside the job."""
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
        _require(self.log_every >= 1, "log_every", self.log_every, "at least 1 step")
        _require(self.evaluate_every >= 1, "evaluate_every", self.evaluate_every, ">= 1 step")
        once = all(self.prompt_template.count(slot) == 1 for slot in ("{video}", "{prompt}"))
        _require(once, "prompt_template", self.prompt_template, "a text with {video} and {prompt}")


def to_json(config: TrainConfig) -> dict[str, Any]:
    """Config as JSON-able values; `from_json` is its inverse."""
    values: dict[str, Any] = json.loads(json.dumps(asdict(config)))
    return values


def from_json(values: object) -> TrainConfig:
    """Config from the values of a `config.json`.

    Raises: TrainingError naming the first field that is unknown, missing or of another type.

    >>> from_json({"base_model": "b", "pair_set": "p", "batch": {"sise": 4}})
    Traceback (most recent call last):
        ...
    warehouse.errors.TrainingError: training config: batch has no field sise; it has kind, size, \
accumulation, epochs, max_steps
    """
    return _read(TrainConfig, values, "")


def _read(kind: type[T], values: object, where: str) -> T:
    """One dataclass from a JSON object."""
    name = where or "the file"
    if not isinstance(values, dict):
        raise TrainingError(f"training config: {name} is {values!r}; it must be a JSON object")
    assert is_dataclass(kind)
    hints = get_type_hints(kind)
    known = [f.name for f in fields(kind)]
    for key in values:
        if key not in known:
            raise TrainingError(
                f"training config: {name} has no field {key}; it has {', '.join(known)}"
            )
    prefix = f"{where}." if where else ""
    try:
        return kind(**{k: _value(hints[k], v, f"{prefix}{k}") for k, v in values.items()})
    except TypeError as error:  # a required field is not there
        raise TrainingError(f"training config: {name} is not complete: {error}") from error


def _value(hint: Any, value: Any, where: str) -> Any:
    """One field, checked against its annotation."""
    if is_dataclass(hint):
        assert isinstance(hint, type)
        return _read(hint, value, where)
    if get_origin(hint) is tuple and isinstance(value, (list, tuple)):
        return tuple(_value(get_args(hint)[0], item, where) for item in value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not _fits(hint, value):
        wanted = getattr(hint, "__name__", str(hint)) if not get_args(hint) else str(hint)
        raise TrainingError(f"training config: {where} is {value!r}; it must be {wanted}")
    return value


def _fits(hint: Any, value: Any) -> bool:
    """Whether a JSON value is of an annotated type: a plain one, a Literal, or `x | None`."""
    if get_origin(hint) is Literal:
        return any(value == a and type(value) is type(a) for a in get_args(hint))
    if isinstance(hint, types.UnionType):
        return any(_fits(part, value) for part in get_args(hint))
    return type(value) is hint
