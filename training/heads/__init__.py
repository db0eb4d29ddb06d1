"""Reward heads by the name that a config gives them; nowhere else is one told from another."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from training.config import HeadKind
from training.heads.base import Encoded, Head
from training.heads.hpqa import HPQA, SingleAttention
from training.heads.linear import LastToken, MaxPool, MeanPool, SpecialToken, YesToken

__all__ = ["HEADS", "HPQA", "Encoded", "Head"]

HEADS: Mapping[HeadKind, type[Head]] = MappingProxyType(
    {
        "hpqa": HPQA,
        "attention": SingleAttention,
        "last-token": LastToken,
        "mean-pool": MeanPool,
        "max-pool": MaxPool,
        "special-token": SpecialToken,
        "yes-token": YesToken,
    }
)
