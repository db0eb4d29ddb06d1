"""The reward model: a backbone, a head beside it, and what scoring must know about both.

A checkpoint folder holds base/ (loadable by transformers), head.safetensors and soli.json.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from training import released
from training.backbones import Backbone, Piece, Shape, load_backbone, shape_of
from training.chunks import in_chunks
from training.config import HeadConfig, TrainConfig
from training.config_json import read_fields
from training.heads import HEADS, Encoded, Head
from training.video import FramePolicy
from warehouse.digest import value_digest
from warehouse.errors import TrainingError

FORMAT = 1
MODEL_DIGITS = 16  # hex digits of a model id, as for pair sets


@dataclass(frozen=True)
class ModelSpec:
    """What soli.json says: everything besides weights that a reward depends on."""

    dimensions: tuple[str, ...]
    head: HeadConfig
    frames: FramePolicy
    prompt_template: str
    frame_text: str
    precision: str = "fp32"


class RewardModel(nn.Module):
    """Rewards of items, one per dimension, from one encoding each."""

    def __init__(self, backbone: Backbone, head: Head, spec: ModelSpec) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.spec = spec

    @classmethod
    def create(cls, config: TrainConfig) -> RewardModel:
        """Pretrained backbone and a fresh head, whose weights depend on the seed alone.

        An HPQA starts as the head of the base model where that is a released SoliReward checkpoint.
        Raises: TrainingError for a base model, or a head that does not fit it.
        """
        backbone = load_backbone(config.base_model, config.engine.precision)
        backbone.check_frame_text(config.frame_text)
        spec = ModelSpec(
            config.dimensions,
            config.head,
            backbone.policy(config.frames),
            config.prompt_template,
            config.frame_text,
            config.engine.precision,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            head = HEADS[spec.head.kind].fresh(spec.head, spec.dimensions, backbone)
        released.start(head, config)
        return cls(backbone, head.to(backbone.base.dtype), spec)

    @classmethod
    def from_pretrained(cls, checkpoint: str | Path) -> RewardModel:
        """Load a checkpoint, or a released SoliReward checkpoint, in evaluation mode.

        Raises: TrainingError where a part is missing, of another format, or does not fit.
        """
        folder = Path(checkpoint)
        if released.found(folder):
            return cls.create(released.use_of(folder)).eval()
        spec = read_spec(folder)
        backbone = load_backbone(folder / "base", spec.precision)
        head = HEADS[spec.head.kind].build(spec.head, spec.dimensions, backbone)
        path = folder / "head.safetensors"
        try:
            weights = load_file(path)
            head.load_state_dict(weights)
        except (OSError, SafetensorError, RuntimeError) as error:
            raise TrainingError(f"{path}: not the head of this model: {error}") from error
        dtype = next(iter(weights.values())).dtype  # one for the whole head
        return cls(backbone, head.to(dtype), spec).eval()

    def save_pretrained(self, checkpoint: str | Path) -> None:
        """Write base/, head.safetensors and soli.json into a folder."""
        folder = Path(checkpoint)
        self.backbone.save_pretrained(folder / "base")
        state = self.head.state_dict()
        weights = {name: weight.detach().cpu().contiguous() for name, weight in state.items()}
        save_file(weights, folder / "head.safetensors")
        text = json.dumps({"format": FORMAT, **spec_json(self.spec)}, indent=2)
        (folder / "soli.json").write_text(text + "\n")

    def forward(
        self,
        ids: Tensor,
        mask: Tensor,
        frames: Sequence[Tensor],
        seconds: Sequence[float] | None = None,
        *,
        chunk: int | None = None,
    ) -> Tensor:
        """Rewards (B, Q) of (B, S) ids and mask, and B clips of uint8 (T, H, W, 3) frames.

        seconds: of each clip, from one frame to the next (`Clip.spacing`); None: no word of it.
        chunk: items held in memory at a time, where gradients are wanted; None: all.
        """
        if chunk is not None and chunk < len(ids):
            batch = (ids, mask, frames) if seconds is None else (ids, mask, frames, seconds)
            return in_chunks(self.forward, batch, chunk)
        vectors = self.head.inputs()
        states, last = self.backbone(ids, mask, frames, self.head.layers, seconds, vectors=vectors)
        rewards: Tensor = self.head(Encoded(tuple(states), last, mask, ids))
        return rewards

    def pieces(self, prompt: str) -> list[Piece]:
        """What is read of an item with this prompt: the template, filled in, and the head's own."""
        before, after = self.spec.prompt_template.split("{video}")
        return self.head.pieces(_around(before, prompt), _around(after, prompt))

    def tokens(self, prompt: str, clip: Shape) -> list[int]:
        """Token ids of an item with this prompt and frames of this shape."""
        return self.backbone.tokens(self.pieces(prompt), clip, self.spec.frame_text)

    @torch.no_grad()
    def rewards(
        self,
        prompts: Sequence[str],
        frames: Sequence[Tensor],
        seconds: Sequence[float] | None = None,
    ) -> Tensor:
        """Rewards (B, Q) in fp32 of items given by prompt and uint8 (T, H, W, 3) frames.

        seconds: as `forward`; only some backbones read it.
        """
        device = next(self.parameters()).device
        clips = [clip.to(device) for clip in frames]
        rows = [
            self.tokens(prompt, shape_of(clip)) for prompt, clip in zip(prompts, clips, strict=True)
        ]
        ids, mask = self.backbone.collate(rows)
        rewards: Tensor = self(ids.to(device), mask.to(device), clips, seconds)
        return rewards.float().cpu()


def _around(text: str, prompt: str) -> list[str]:
    """The pieces of a text around its {prompt}, with the prompt between them; no empty piece."""
    before, slot, after = text.partition("{prompt}")
    return [piece for piece in (before, prompt if slot else "", after) if piece]


def weights_digest(model: nn.Module) -> str:
    """SHA-256 over names, types, shapes and bytes of all weights, 64 hex digits."""
    sha = hashlib.sha256()
    for name, weight in sorted(model.state_dict().items()):
        plain = weight.detach().cpu().contiguous()
        sha.update(f"{name} {plain.dtype} {tuple(plain.shape)}\n".encode())
        sha.update(plain.view(torch.uint8).numpy().tobytes() if plain.numel() else b"")
    return sha.hexdigest()


def model_id(weights_sha256: str, spec: ModelSpec) -> str:
    """Identity of a model: the same weights used the same way, on any machine and path."""
    return value_digest({"weights": weights_sha256, "spec": spec_json(spec)})[:MODEL_DIGITS]


def spec_json(spec: ModelSpec) -> dict[str, object]:
    """The spec as JSON-able values."""
    values: dict[str, object] = json.loads(json.dumps(asdict(spec)))
    return values


def read_spec(checkpoint: Path) -> ModelSpec:
    """What soli.json of a checkpoint says.

    Raises: TrainingError where it is missing, of another format, or not complete.
    """
    path = checkpoint / "soli.json"
    try:
        values = json.loads(path.read_text())
        if values["format"] != FORMAT:
            raise TrainingError(f"{path} has format {values['format']!r}; this is format {FORMAT}")
        return ModelSpec(
            dimensions=tuple(values["dimensions"]),
            head=read_fields(HeadConfig, values["head"], "head"),
            frames=read_fields(FramePolicy, values["frames"], "frames"),
            prompt_template=values["prompt_template"],
            frame_text=values["frame_text"],
            precision=values["precision"],
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(
            f"{path}: no checkpoint of Soli can be read here ({error!r}); give the folder that "
            "training wrote, or a released SoliReward checkpoint in safetensors (no pickle is read)"
        ) from error
