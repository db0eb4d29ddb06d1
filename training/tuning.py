"""Which weights learn: parts of the backbone stay as they are, or learn through adapters (LoRA)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from peft import LoraConfig as PeftConfig
from peft import inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import nn

from training.config import TuningConfig
from training.model import RewardModel


def tune(model: RewardModel, config: TuningConfig, seed: int) -> None:
    """Freeze parts of the backbone and give its language model adapters, in place.

    An adapter adds (alpha / rank) B A x to a linear layer's W x; B starts at 0, A by the seed.
    Source: Hu et al. (2021), LoRA: Low-Rank Adaptation of Large Language Models.
    """
    parts = model.backbone.parts()
    for part in config.frozen:
        for weight in parts[part].parameters():
            weight.requires_grad_(False)
    if config.lora is not None:
        language = model.backbone.language
        linear = [name for name, layer in language.named_modules() if isinstance(layer, nn.Linear)]
        adapters = PeftConfig(
            r=config.lora.rank,
            lora_alpha=config.lora.alpha,
            lora_dropout=config.lora.dropout,
            target_modules=linear,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            inject_adapter_in_model(adapters, language)
        for name, weight in language.named_parameters():
            weight.requires_grad_("lora_" in name)
        language.to(model.backbone.base.dtype)


@contextmanager
def merged(model: RewardModel) -> Iterator[RewardModel]:
    """The model with each adapter added to its layer's weights, as transformers knows it.

    Its own weights are neither touched nor rounded: the run goes on as if nothing had been.
    """
    language = model.backbone.language
    adapted = {n: layer for n, layer in language.named_modules() if isinstance(layer, LoraLayer)}
    for name, layer in adapted.items():
        language.set_submodule(name, _plain(layer))
    try:
        yield model
    finally:
        for name, layer in adapted.items():
            language.set_submodule(name, layer)


@torch.no_grad()
def _plain(layer: Any) -> nn.Linear:
    """A linear layer with W + (alpha / rank) B A of one with an adapter."""
    base = layer.get_base_layer()
    plain = nn.Linear(base.in_features, base.out_features, device="meta", bias=False)
    plain.weight = nn.Parameter(base.weight + layer.get_delta_weight("default"))
    plain.bias = base.bias
    return plain
