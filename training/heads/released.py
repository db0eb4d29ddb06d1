"""HPQA's parameters under the names of the released SoliReward checkpoints, and back.

One to one, tensor by tensor and without a change of shape, for a model of one dimension: its
queries are tables (1, D) in both. The first layer and the residual branch there are a query with a
list of one attention; further layers are attentions alone; the reward head has our names.
Source: names as in the released code; every attention is torch's `nn.MultiheadAttention`.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from warehouse.errors import TrainingError

FIRST = "attention_query_first_layer"
OTHER = "attention_query_other_layers"
FINAL = "attention_query_final_layer"
REWARD = "reward_head"


def prefixes(layers: int) -> dict[str, str]:
    """How the names start in HPQA with so many layers, and there.

    >>> prefixes(2)["attentions.1."]
    'attention_query_other_layers.0.'
    """
    return {
        "query": f"{FIRST}.query.weight",
        "residual_query": f"{FINAL}.query.weight",
        "attentions.0.": f"{FIRST}.attention.0.",
        **{f"attentions.{number}.": f"{OTHER}.{number - 1}." for number in range(1, layers)},
        "residual_attention.": f"{FINAL}.attention.0.",
        f"{REWARD}.": f"{REWARD}.",
    }


def to_released(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """State of an HPQA under the released names.

    Raises: TrainingError for a name that is not of an HPQA.
    """
    return _renamed(weights, prefixes(_count(weights, "attentions.")))


def from_released(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """State of an HPQA, out of a whole released checkpoint or its head alone.

    Raises: TrainingError where there is no such head, or a part of another one.
    """
    ours = {
        name: weight
        for name, weight in weights.items()
        if name.startswith(("attention_query", f"{REWARD}."))
    }
    if f"{FIRST}.query.weight" not in ours:
        raise TrainingError(
            f"released checkpoint: no {FIRST}.query.weight; only checkpoints with the head "
            "progressive_hierarchical_attention can be read"
        )
    names = prefixes(1 + _count(ours, f"{OTHER}."))
    return _renamed(ours, {there: here for here, there in names.items()})


def _count(weights: Mapping[str, Tensor], start: str) -> int:
    """How many numbers follow this start of a name."""
    return len(
        {name.removeprefix(start).split(".")[0] for name in weights if name.startswith(start)}
    )


def _renamed(weights: Mapping[str, Tensor], names: Mapping[str, str]) -> dict[str, Tensor]:
    renamed = {}
    for name, weight in weights.items():
        start = next((start for start in names if _is_of(name, start)), None)
        if start is None:
            raise TrainingError(f"HPQA has no parameter that belongs to {name}")
        renamed[names[start] + name.removeprefix(start)] = weight
    return renamed


def _is_of(name: str, start: str) -> bool:
    return name.startswith(start) if start.endswith(".") else name == start
