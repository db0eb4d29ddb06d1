"""A recipe: everything that decides which pairs a set holds, checked on construction."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, get_args

from pairing.checks import (
    check_choice,
    check_flag,
    check_keys,
    check_moment,
    check_names,
    check_owner,
    check_share,
    check_text,
    check_whole,
)
from pairing.combine import Combination
from pairing.counts import Count, parse_count
from pairing.grouping import DEFAULT_GROUPS, RIVALS, Grouping
from pairing.kind_counts import (
    DEFAULT_COUNTS,
    LOSE_TIE_REASON,
    KindCounts,
    SplitCounts,
    check_kind_counts,
    check_ood,
    default_counts,
)
from pairing.parts import Split, Thresholds
from pairing.plain import owned, read_toml, tupled
from pairing.strata import Quotas
from pairing.words import MADE, Kind, OodPrompts, SplitName, Strategy, Undecided, WinTies
from warehouse.errors import PairingError

__all__ = [
    "DEFAULT_COUNTS",
    "DEFAULT_GROUPS",
    "LOSE_TIE_REASON",
    "OWNERS",
    "Grouping",
    "KindCounts",
    "Quotas",
    "Recipe",
    "Split",
    "SplitCounts",
    "Thresholds",
    "default_counts",
    "read_toml",
]


@dataclass(frozen=True)
class Recipe:
    """What a pair set is made of. The same recipe and data give the same bytes anywhere."""

    dimensions: tuple[str, ...]  # qualities to make pairs in
    combined: Mapping[str, str] = field(default_factory=dict)  # such as {"both": "physics & shape"}
    name: str = "default"  # for people; no digest sees it
    kinds: tuple[Kind, ...] = ("win_lose", "win_tie")  # lose_tie only where it is named here
    counts: KindCounts = field(default_factory=lambda: DEFAULT_COUNTS)  # per dimension
    overrides: Mapping[str, KindCounts] = field(default_factory=dict)  # counts of one dimension
    strategy: Strategy = "cross-prompt"
    in_prompt_share: float | None = None  # hybrid: share of the pairs that stay inside a prompt
    soft: bool = False  # True: mu and weight from P(pass); False: from labels
    undecided: Undecided = "out"  # in: soft pairs use undecided items by their P(pass), too
    win_ties: Mapping[str, WinTies] = field(default_factory=dict)  # by dimension; others: test
    thresholds: Thresholds = field(default_factory=Thresholds)
    split: Split = field(default_factory=Split)
    ood_generators: tuple[str, ...] = ()  # their items go to the split `ood`, and nowhere else
    ood_prompts: OodPrompts = "any"  # unseen: leave out OOD items of training's prompts
    seed: int = 0
    max_per_item: int | None = None  # pairs per item in each dimension, split and kind
    max_per_prompt: int | None = None  # the same per prompt; a pair inside a prompt counts once
    quotas: Quotas | None = None  # shares of the pairs by generator, or by an attribute of prompts
    blocks: Grouping | None = None  # groups with all their pairs, instead of counts of pairs
    as_of: str | None = None  # the consensus that was the newest then, ISO 8601; None: now

    def __post_init__(self) -> None:
        check_names("dimensions", self.dimensions)
        check_names("kinds", self.kinds, MADE)
        check_names("ood_generators", self.ood_generators, empty=True)
        check_text("name", self.name)
        check_choice("strategy", self.strategy, get_args(Strategy))
        check_choice("ood_prompts", self.ood_prompts, get_args(OodPrompts))
        check_owner("split", self.split, Split)
        check_owner("thresholds", self.thresholds, Thresholds)
        check_flag("soft", self.soft)
        check_whole("seed", self.seed, 0)
        for name in ("max_per_item", "max_per_prompt"):
            if getattr(self, name) is not None:
                check_whole(name, getattr(self, name), 1)
        if self.quotas is not None:
            check_owner("quotas", self.quotas, Quotas)
        self._check_undecided()
        self._check_hybrid()
        self._check_combined()
        self._check_win_ties()
        if self.as_of is not None:
            check_moment("as_of", self.as_of)
        self._check_blocks()
        self._check_counts()

    @property
    def combinations(self) -> dict[str, Combination]:
        """What the combined dimensions are made of."""
        return {name: Combination(text) for name, text in self.combined.items()}

    @property
    def judged(self) -> tuple[str, ...]:
        """Dimensions that labels are needed of: the recipe's, combined ones by their parts."""
        made = self.combinations
        parts = [made[name].parts if name in made else (name,) for name in self.dimensions]
        return tuple(dict.fromkeys(part for each in parts for part in each))

    def makes(self, dimension: str, split: SplitName, kind: Kind) -> bool:
        """Whether anything but the numbers lets pairs of this kind be made there."""
        forbidden = kind == "win_tie" and self.win_ties.get(dimension) == "forbid"
        return not forbidden and (split != "ood" or bool(self.ood_generators))

    def count(self, dimension: str, split: SplitName, kind: Kind) -> Count:
        """Pairs asked for in one dimension, split and kind; none where nothing is said."""
        if not self.makes(dimension, split, kind):
            return parse_count(0)
        override = self.overrides.get(dimension, {}).get(kind, {})
        value = override.get(split, self.counts.get(kind, {}).get(split, 0))
        return parse_count(value, f"counts.{kind}.{split}")

    @property
    def tested(self) -> tuple[str, ...]:
        """Judged dimensions whose win-ties are made only where a shared pass means a tie."""
        made = self.combinations
        return tuple(
            part
            for name in self.dimensions
            if "win_tie" in self.kinds and self.win_ties.get(name, "test") == "test"
            for part in (made[name].parts if name in made else (name,))
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a manifest; `Recipe.from_dict` reads them back."""
        value: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        if self.blocks is not None:
            del value["counts"]  # they would say what does not hold
        return value

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """Recipe of plain values, as in TOML or a manifest.

        Raises: PairingError for an unknown key or a value that makes no sense.

        >>> Recipe.from_dict({"dimensions": ["physical_plausibility"], "seed": 7}).seed
        7
        """
        known = tuple(each.name for each in dataclasses.fields(cls))
        check_keys("recipe", values, known)
        if "dimensions" not in values:
            raise PairingError("recipe: dimensions is missing; name at least one dimension")
        plain = {key: tupled(value) for key, value in values.items()}
        if isinstance(when := plain.get("as_of"), date):  # TOML has times of its own
            plain["as_of"] = when.isoformat()
        for key, owner in OWNERS.items():
            if plain.get(key) is not None and not isinstance(plain[key], owner):
                plain[key] = owned(key, owner, plain[key])
        return cls(**plain)

    @classmethod
    def from_toml(cls, text: str) -> Recipe:
        """Recipe of a TOML text. Raises: PairingError where it is no TOML or no recipe."""
        return cls.from_dict(read_toml(text))

    def to_json(self) -> str:
        """One line of JSON with sorted keys."""
        return json.dumps(self.to_dict(), sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """Recipe of a JSON text. Raises: PairingError where it is no JSON or no recipe."""
        try:
            return cls.from_dict(json.loads(text))
        except json.JSONDecodeError as error:
            raise PairingError(f"recipe: this is no JSON ({error}); correct the file") from error

    def _check_undecided(self) -> None:
        check_choice("undecided", self.undecided, get_args(Undecided))
        if self.undecided == "in" and not self.soft:
            raise PairingError(
                "recipe: undecided is 'in' but soft is false; a hard label of an undecided item"
                " would be a guess: set soft = true, or leave undecided items out"
            )

    def _check_hybrid(self) -> None:
        if (self.strategy == "hybrid") != (self.in_prompt_share is not None):
            raise PairingError(
                f"recipe: strategy is {self.strategy!r} and in_prompt_share"
                f" {self.in_prompt_share!r}; give the share with the strategy hybrid, and only then"
            )
        if self.in_prompt_share is not None:
            check_share("in_prompt_share", self.in_prompt_share)

    def _check_combined(self) -> None:
        check_keys("recipe: combined", self.combined, self.dimensions)
        for name, text in self.combined.items():
            check_text(f"combined.{name}", text)
            if name in Combination(text).parts:
                raise PairingError(f"recipe: combined.{name} names itself; name what it is made of")

    def _check_win_ties(self) -> None:
        check_keys("recipe: win_ties", self.win_ties, self.dimensions)
        for name, value in self.win_ties.items():
            check_choice(f"win_ties.{name}", value, get_args(WinTies))

    def _check_blocks(self) -> None:
        """Refuse what could not hold of groups with all their pairs."""
        if self.blocks is None:
            return
        check_owner("blocks", self.blocks, Grouping)
        plain = Recipe(self.dimensions)
        for name in RIVALS:
            if (given := getattr(self, name)) != getattr(plain, name):
                raise PairingError(
                    f"recipe: {name} is {given!r}, but blocks give all pairs of each group, across"
                    f" prompts; leave {name} out, or blocks"
                )
        self.blocks.check_kinds(self.kinds)
        if self.blocks.groups != DEFAULT_GROUPS:
            check_ood("blocks.groups", self.blocks.groups, ood=bool(self.ood_generators))

    def _check_counts(self) -> None:
        if self.blocks is not None:
            return  # which then has the default ones
        ood = bool(self.ood_generators)
        check_kind_counts("counts", self.counts, self.kinds, ood=ood)
        for kind in self.kinds:
            if kind not in self.counts:
                raise PairingError(
                    f"recipe: kinds names {kind} but counts does not; add [counts.{kind}]"
                )
        check_keys("recipe: overrides", self.overrides, self.dimensions)
        for dimension, counts in self.overrides.items():
            check_kind_counts(f"overrides.{dimension}", counts, self.kinds, ood=ood)


OWNERS: Mapping[str, type[Any]] = {
    "split": Split,
    "thresholds": Thresholds,
    "quotas": Quotas,
    "blocks": Grouping,
}
