"""Weights of a checkpoint in safetensors files: all of them, or a released reward head's alone.

Source of the head's names: the released SoliReward code; any prefix may stand before them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

Weights = dict[str, Tensor]

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
HEAD = re.compile(
    r"(?:.*\.)?((?:attention_query_(?:first_layer|other_layers|final_layer)|reward_head)\..+)"
)


def weight_files(folder: Path) -> list[Path]:
    """The safetensors file of a checkpoint, or the several that its index names.

    Raises: OSError or ValueError where there are none, or the index points elsewhere.
    """
    if (folder / SINGLE).exists():
        return [folder / SINGLE]
    if not (folder / INDEX).exists():
        raise FileNotFoundError(f"there is no {SINGLE} in it, and nothing else is read")
    names = sorted(set(json.loads((folder / INDEX).read_text())["weight_map"].values()))
    for name in names:
        if Path(name).name != name:
            raise ValueError(f"{INDEX} names {name!r}, which is no file beside it")
    return [folder / name for name in names]


def read_weights(folder: Path) -> Weights:
    """All weights of a checkpoint. Raises: as `weight_files`."""
    weights: Weights = {}
    for path in weight_files(folder):
        weights |= load_file(path)
    return weights


def read_head(folder: Path) -> Weights:
    """A released reward head by its own names, without what stands beside it; empty: there is none.

    Raises: as `weight_files`; SafetensorError for a file that is torn.
    """
    head: Weights = {}
    for path in weight_files(folder):
        with safe_open(path, framework="pt") as file:
            for name in sorted(file.keys()):
                if found := HEAD.fullmatch(name):
                    head[found[1]] = file.get_tensor(name)
    return head


def split_head(weights: Mapping[str, Tensor]) -> tuple[Weights, Weights]:
    """Weights of the backbone, and those of a released reward head by its own names.

    >>> import torch
    >>> one = torch.zeros(1)
    >>> backbone, head = split_head({"mlp1.0.bias": one, "model.reward_head.0.bias": one})
    >>> list(backbone), list(head)
    (['mlp1.0.bias'], ['reward_head.0.bias'])
    """
    backbone, head = {}, {}
    for name, weight in weights.items():
        if found := HEAD.fullmatch(name):
            head[found[1]] = weight
        else:
            backbone[name] = weight
    return backbone, head
