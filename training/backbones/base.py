"""What every backbone does: prompt and frames in, the chosen layers' hidden states out.

Only transformers' base model is loaded; the language-model head is neither built nor run.
Shapes: B items, T frames, H x W pixels, S tokens, D hidden size.
"""

from __future__ import annotations

import json
import shutil
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoModel, AutoTokenizer

from training.backbones.pixels import PREPROCESSOR
from training.config import FrameConfig, Part
from training.quiet import silence
from training.video import FramePolicy, Frames
from warehouse.errors import TrainingError

silence()

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}

Shape = tuple[int, int, int]
"""(T, H, W) of a clip's frames."""


@dataclass(frozen=True)
class Clip:
    """The place of the frames among the pieces of an item."""


CLIP = Clip()
Piece = str | int | Clip
"""What the model reads, in order: text (data, never special tokens), a token id, or the frames.

An id below 0 is no token of the tokenizer: -1 - k stands for the head's own input vector k.
"""


class Backbone(nn.Module, ABC):
    """Base model, tokenizer and pixel numbers of one checkpoint. One subclass per family."""

    model_type: ClassVar[str]
    """As config.json of a checkpoint says it."""
    names_frames: ClassVar[bool]
    """Whether there is a place for a text before each frame."""

    def __init__(self, base: Any, tokenizer: Any, source: Path) -> None:
        super().__init__()
        self.base = base
        self.tokenizer = tokenizer
        self.source = source

    @classmethod
    def from_pretrained(cls, folder: str | Path, precision: str = "fp32") -> Self:
        """Load a local checkpoint; safetensors only, no code of its own is ever run.

        Raises: TrainingError where the folder is no checkpoint of this family.
        """
        path = Path(folder)
        kind = model_type(path)
        if kind != cls.model_type:
            raise TrainingError(f"base model {path} is {kind!r}, not {cls.model_type!r}")
        try:
            base, missing = cls.load_base(path, DTYPES[precision])
            tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=False)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            said = repr(error) if isinstance(error, KeyError) else str(error)
            reason = said.partition("\n")[0]
            raise TrainingError(f"base model {path} cannot be loaded: {reason}") from error
        if missing:  # transformers would start them at random
            raise TrainingError(
                f"base model {path} lacks {len(missing)} of its weights (first: {min(missing)}); "
                "fetch it again"
            )
        return cls(base, tokenizer, path)

    @classmethod
    def load_base(cls, path: Path, dtype: torch.dtype) -> tuple[Any, Collection[str]]:
        """Transformers' base model of a checkpoint, and the names of weights it does not hold."""
        base, facts = AutoModel.from_pretrained(
            path,
            dtype=dtype,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
        return base, facts["missing_keys"]

    def save_pretrained(self, folder: str | Path) -> None:
        """Write base model, tokenizer and preprocessor_config.json; `from_pretrained` loads it."""
        self.base.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        shutil.copyfile(self.source / PREPROCESSOR, Path(folder) / PREPROCESSOR)

    @property
    def hidden_size(self) -> int:
        """D, width of the language model."""
        return int(self.base.config.text_config.hidden_size)

    @property
    def layers(self) -> int:
        """N, layers of the language model; also the highest index of a hidden state."""
        return int(self.base.config.text_config.num_hidden_layers)

    @property
    @abstractmethod
    def language(self) -> Any:
        """The language model; its decoder layers are `language.layers`."""

    @abstractmethod
    def parts(self) -> dict[Part, nn.Module]:
        """The parts of the base model that a run may freeze; no weight stands in two of them."""

    @abstractmethod
    def policy(self, frames: FrameConfig) -> FramePolicy:
        """Which frames are taken, at which size: the checkpoint's own numbers.

        Raises: TrainingError for a wish that this family cannot meet.
        """

    @abstractmethod
    def clip_tokens(self, clip: Shape, frame_text: str) -> list[int]:
        """Token ids that stand for a clip's frames."""

    @abstractmethod
    def encode(
        self,
        ids: Tensor,
        mask: Tensor,
        frames: Sequence[Tensor],
        seconds: Sequence[float] | None,
    ) -> Tensor:
        """Run the base model on what `forward` is given; returns (B, S, D), index N."""

    def check_frame_text(self, frame_text: str) -> None:
        """Raises: TrainingError for a frame text that this family has no place for."""
        if frame_text and not self.names_frames:
            raise TrainingError(
                f"training config: frame_text is {frame_text!r}; a {self.model_type} model reads "
                "a clip's frames in one piece, so set frame_text to ''"
            )

    def tokens(self, pieces: Sequence[Piece], clip: Shape, frame_text: str) -> list[int]:
        """Token ids of one item.

        Text is data: a special token's name inside it stays plain text.
        """
        ids: list[int] = []
        for piece in pieces:
            if isinstance(piece, Clip):
                ids += self.clip_tokens(clip, frame_text)
            elif isinstance(piece, int):
                ids.append(piece)
            else:
                ids += self.text_tokens(piece)
        return ids

    def text_tokens(self, text: str) -> list[int]:
        """Token ids of plain text."""
        encoded = self.tokenizer(text, add_special_tokens=False, split_special_tokens=True)
        ids: list[int] = encoded["input_ids"]
        return ids

    def checkpoint_activations(self) -> None:
        """Keep no layer's inner activations for the backward pass; compute them again there."""
        self.base.activation_checkpointing_enable({"use_reentrant": False})

    def collate(self, rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """Right-padded (B, S) token ids and their (B, S) bool mask."""
        length = max(len(row) for row in rows)
        ids = torch.full((len(rows), length), self.tokenizer.pad_token_id, dtype=torch.long)
        mask = torch.zeros(len(rows), length, dtype=torch.bool)
        for number, row in enumerate(rows):
            ids[number, : len(row)] = torch.tensor(row)
            mask[number, : len(row)] = True
        return ids, mask

    def forward(
        self,
        ids: Tensor,
        mask: Tensor,
        frames: Sequence[Tensor],
        layers: Sequence[int],
        seconds: Sequence[float] | None = None,
        *,
        vectors: Tensor | None = None,
    ) -> tuple[list[Tensor], Tensor]:
        """Hidden states of the chosen layers, and the last one (index N, after the final norm).

        ids, mask: (B, S). frames: B clips, uint8 (T, H, W, 3). layers: indices as in transformers'
        `hidden_states`: 0 the embeddings, i the input of layer i, N after the final norm.
        seconds: of each clip, from one frame to the next, for families that read time; None: no
            word of it.
        vectors: (K, D), what the model reads at ids below 0; None where there are none.
        Returns: states (B, S, D) in the order of `layers`; last (B, S, D). No other state is kept.
        """
        kept: dict[int, Tensor] = {}
        handles = [self._keep(index, kept) for index in layers if index < self.layers]
        if vectors is not None:
            handles.append(self._place(vectors, ids))
            ids = ids.where(ids >= 0, self.tokenizer.pad_token_id)
        try:
            last = self.encode(ids, mask, frames, seconds)
        finally:
            for handle in handles:
                handle.remove()
        return [last if index == self.layers else kept[index] for index in layers], last

    def _keep(self, index: int, kept: dict[int, Tensor]) -> Any:
        """Hook that keeps what enters layer `index`, which is hidden_states[index]."""

        def hook(_layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            kept.setdefault(index, inputs[0])

        return self.language.layers[index].register_forward_pre_hook(hook)

    def _place(self, vectors: Tensor, ids: Tensor) -> Any:
        """Hook that puts vectors where ids are below 0, in the place of embeddings."""
        places = ids < 0
        chosen = -1 - ids[places]

        def hook(_table: nn.Module, _inputs: tuple[Tensor, ...], embedded: Tensor) -> Tensor:
            return embedded.index_put((places,), vectors[chosen].to(embedded.dtype))

        return self.base.get_input_embeddings().register_forward_hook(hook)


def shape_of(clip: Tensor | Frames) -> Shape:
    """Shape of (T, H, W, 3) frames."""
    frames, height, width, _ = clip.shape
    return frames, height, width


def model_type(folder: Path) -> str:
    """What kind of model a checkpoint's config.json says it is.

    Raises: TrainingError where there is none.
    """
    try:
        return str(json.loads((folder / "config.json").read_text())["model_type"])
    except FileNotFoundError as error:
        message = f"base model {folder} has no config.json; give a checkpoint's folder"
        raise TrainingError(message) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"base model {folder}: config.json cannot be read ({error})") from error
