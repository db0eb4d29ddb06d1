"""The one row of a language-model head that a word needs.

Shapes: D hidden size.
"""

from __future__ import annotations

from pathlib import Path

from safetensors import safe_open
from torch import Tensor

from training.backbones.base import Backbone
from warehouse.errors import TrainingError

LM_HEAD = "lm_head.weight"  # how the key ends in transformers' and in InternVL's own layout


def word_row(backbone: Backbone, word: str) -> Tensor:
    """(D,) row of the language-model head that gives a word's logit.

    Read from the checkpoint's files, or from the input embeddings where both are one (the flag that
    transformers itself goes by: `tie_word_embeddings` of the whole model's config).
    Raises: TrainingError where the word is not a single token, or the checkpoint has no such head.
    """
    ids = backbone.text_tokens(word)
    if len(ids) != 1:
        raise TrainingError(
            f"head.word {word!r} is {len(ids)} tokens for the tokenizer of {backbone.source}; "
            "give a word that is a single token"
        )
    row = _stored_row(backbone.source, ids[0])
    if row is not None:
        return row
    if not backbone.base.config.tie_word_embeddings:
        raise TrainingError(
            f"base model {backbone.source} holds no {LM_HEAD}, and its embeddings are not tied; "
            "give the checkpoint with its language-model head"
        )
    weight: Tensor = backbone.base.get_input_embeddings().weight
    return weight[ids[0]].detach().clone()


def _stored_row(folder: Path, number: int) -> Tensor | None:
    """One row of the language-model head in a checkpoint's files; nothing else is read."""
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            for name in sorted(file.keys()):
                if name.endswith(LM_HEAD):
                    row: Tensor = file.get_slice(name)[number]
                    return row
    return None
