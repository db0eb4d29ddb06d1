"""From consensus to preference pairs: recipes, splits, samplers, and sets with a digest."""

from pairing.blocks import fingerprint
from pairing.folder import read_pair_set, write_pair_set
from pairing.pairset import PairSet, build_pairs
from pairing.recipe import Recipe
from pairing.split import split_by_prompt

__all__ = [
    "PairSet",
    "Recipe",
    "build_pairs",
    "fingerprint",
    "read_pair_set",
    "split_by_prompt",
    "write_pair_set",
]
