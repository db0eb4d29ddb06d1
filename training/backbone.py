"""InternVL as a backbone: prompt and frames in, the chosen layers' hidden states out.

Only transformers' base model is loaded; the language-model head is neither built nor run.
Shapes: B items, T frames, H x W pixels, S tokens, D hidden size.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging as transformers_logging

from training.video import FramePolicy
from warehouse.errors import TrainingError

transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]

PREPROCESSOR = "preprocessor_config.json"
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Pixels:
    """How a checkpoint wants its frames, from its preprocessor_config.json."""

    height: int
    width: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    scale: float
    """Factor on the 0-255 levels before mean and std."""


class InternVL(nn.Module):
    """Base model, tokenizer and pixel numbers of one InternVL3 or InternVL3.5 checkpoint."""

    def __init__(self, base: Any, tokenizer: Any, source: Path) -> None:
        super().__init__()
        self.base = base
        self.tokenizer = tokenizer
        self.source = source
        self.pixels = read_pixels(source)

    @classmethod
    def from_pretrained(cls, folder: str | Path, precision: str = "fp32") -> InternVL:
        """Load a local checkpoint; safetensors only, no code of its own is ever run.

        Raises: TrainingError where the folder is no InternVL checkpoint.
        """
        path = Path(folder)
        if not (path / "config.json").is_file():
            raise TrainingError(f"base model {path} has no config.json; give a checkpoint's folder")
        try:
            base = AutoModel.from_pretrained(
                path, dtype=DTYPES[precision], use_safetensors=True, trust_remote_code=False
            )
            tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=False)
        except (OSError, ValueError, KeyError) as error:
            reason = str(error).splitlines()[0]
            raise TrainingError(f"base model {path} cannot be loaded: {reason}") from error
        if base.config.model_type != "internvl":
            kind = base.config.model_type
            raise TrainingError(f"base model {path} is {kind!r}; this version trains 'internvl'")
        return cls(base, tokenizer, path)

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

    def policy(self, count: int) -> FramePolicy:
        """Frame policy for `count` frames at this checkpoint's size."""
        return FramePolicy(count, self.pixels.height, self.pixels.width)

    def tokens(self, prompt: str, template: str, frame_text: str, frames: int) -> list[int]:
        """Token ids of one item: the template with its frames' places and the prompt filled in.

        The prompt is data: a special token's name inside it stays plain text.
        """
        before, after = template.split("{video}")
        ids = [token for text in _around(before, prompt) for token in self._text_tokens(text)]
        ids += self._frame_tokens(frame_text, frames)
        return ids + [token for text in _around(after, prompt) for token in self._text_tokens(text)]

    def _text_tokens(self, text: str) -> list[int]:
        encoded = self.tokenizer(text, add_special_tokens=False, split_special_tokens=True)
        ids: list[int] = encoded["input_ids"]
        return ids

    def _frame_tokens(self, frame_text: str, frames: int) -> list[int]:
        start = self.tokenizer.convert_tokens_to_ids(self.tokenizer.start_image_token)
        end = self.tokenizer.convert_tokens_to_ids(self.tokenizer.end_image_token)
        config = self.base.config
        image = [start, *[config.image_token_id] * config.image_seq_length, end]
        ids: list[int] = []
        for number in range(frames):
            text = frame_text.replace("{number}", str(number + 1))
            ids += [*self._text_tokens(text if number else text.removeprefix("\n")), *image]
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
        self, ids: Tensor, mask: Tensor, frames: Tensor, layers: Sequence[int]
    ) -> tuple[list[Tensor], Tensor]:
        """Hidden states of the chosen layers, and the last one (index N, after the final norm).

        ids, mask: (B, S). frames: uint8 (B, T, H, W, 3). layers: indices as in transformers'
        `hidden_states`: 0 the embeddings, i the input of layer i, N after the final norm.
        Returns: states (B, S, D) in the order of `layers`; last (B, S, D). No other state is kept.
        """
        kept: dict[int, Tensor] = {}
        handles = [self._keep(index, kept) for index in layers if index < self.layers]
        try:
            output = self.base(
                input_ids=ids,
                attention_mask=mask.long(),
                pixel_values=self.normalised(frames),
                use_cache=False,
            )
        finally:
            for handle in handles:
                handle.remove()
        last: Tensor = output.last_hidden_state
        return [last if index == self.layers else kept[index] for index in layers], last

    def _keep(self, index: int, kept: dict[int, Tensor]) -> Any:
        """Hook that keeps what enters layer `index`, which is hidden_states[index]."""

        def hook(_layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            kept.setdefault(index, inputs[0])

        return self.base.language_model.layers[index].register_forward_pre_hook(hook)

    def normalised(self, frames: Tensor) -> Tensor:
        """uint8 (B, T, H, W, 3) to the model's dtype (B * T, 3, H, W), by the pixel numbers."""
        images = frames.flatten(0, 1).permute(0, 3, 1, 2).float() * self.pixels.scale
        mean, std = (
            torch.tensor(numbers, device=frames.device).view(1, 3, 1, 1)
            for numbers in (self.pixels.mean, self.pixels.std)
        )
        result: Tensor = ((images - mean) / std).to(self.base.dtype)
        return result


def read_pixels(folder: Path) -> Pixels:
    """Pixel numbers of a checkpoint.

    Raises: TrainingError where preprocessor_config.json is missing or lacks one of them.
    """
    path = folder / PREPROCESSOR
    try:
        values = json.loads(path.read_text())
        return Pixels(
            height=int(values["size"]["height"]),
            width=int(values["size"]["width"]),
            mean=tuple(np.asarray(values["image_mean"], float).tolist()),
            std=tuple(np.asarray(values["image_std"], float).tolist()),
            scale=float(values.get("rescale_factor", 1 / 255)),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(
            f"{path}: size (height and width), image_mean and image_std are needed ({error!r})"
        ) from error


def _around(text: str, prompt: str) -> list[str]:
    """The pieces of a text around its {prompt}, with the prompt between them; no empty piece."""
    before, slot, after = text.partition("{prompt}")
    return [piece for piece in (before, prompt if slot else "", after) if piece]
