"""Tokens added to a base model, and the one row of a language-model head that a word needs.

Shapes: V tokens of the vocabulary, D hidden size.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from training.backbones.base import Backbone
from warehouse.errors import TrainingError

EMBEDDING_STD = 0.02  # of new rows; `initializer_range` of the backbones' language models
LM_HEAD = "lm_head.weight"  # how the key ends in transformers' and in InternVL's own layout


def add_tokens(backbone: Backbone, names: Sequence[str]) -> None:
    """Enlarge tokenizer and input embeddings by special tokens; those there already stay.

    The new rows are drawn from torch's generator, which moves on alike whether the table had rows
    to spare or had to grow.
    """
    known = backbone.tokenizer.get_vocab()
    missing = [name for name in names if name not in known]
    if not missing:
        return
    rows = torch.randn(len(missing), backbone.hidden_size) * EMBEDDING_STD
    backbone.tokenizer.add_tokens(missing, special_tokens=True)
    ids = token_ids(backbone, missing)
    table = backbone.base.get_input_embeddings()
    if max(ids) >= table.num_embeddings:
        with torch.random.fork_rng(devices=[]):  # what transformers draws is overwritten below
            table = backbone.base.resize_token_embeddings(max(ids) + 1, mean_resizing=False)
    with torch.no_grad():
        table.weight[ids] = rows.to(table.weight)


def token_ids(backbone: Backbone, names: Sequence[str]) -> list[int]:
    """Ids of special tokens.

    Raises: TrainingError naming the first that the tokenizer lacks.
    """
    known = backbone.tokenizer.get_vocab()
    missing = [name for name in names if name not in known]
    if missing:
        raise TrainingError(
            f"base model {backbone.source}: its tokenizer has no token {missing[0]}; give the "
            "checkpoint as training wrote it"
        )
    return [known[name] for name in names]


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
            for name in file.keys():  # noqa: SIM118 -- no mapping: it has no iterator
                if name.endswith(LM_HEAD):
                    row: Tensor = file.get_slice(name)[number]
                    return row
    return None
