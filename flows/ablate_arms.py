"""What an ablation compares: arms, each one factor away from the default, as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from flows.pair import merged
from warehouse.errors import TrainingError

DEFAULT = "default"
HALF = 0.5


@dataclass(frozen=True)
class Arm:
    """One way of training. Everything that is not named is as in the default."""

    name: str
    factor: str
    train: Mapping[str, Any] = field(default_factory=dict)
    """Options of the training config: dotted path -> value."""
    scaled: Mapping[str, float] = field(default_factory=dict)
    """Whole numbers of the default's config: dotted path -> factor on them; 1 at least."""
    picked: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Lists of the default's config: dotted path -> places of what is kept of them."""
    pairs: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the pair set's recipe; tables are merged."""
    against: str = DEFAULT
    """The arm that it is one factor away from."""

    def changes(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Changes to the default's config, as `training.changes.changed` takes them."""
        scaled = {
            path: max(1, round(share * _at(config, path))) for path, share in self.scaled.items()
        }
        picked = {
            path: [_at(config, path)[place] for place in places]
            for path, places in self.picked.items()
        }
        return {**self.train, **scaled, **picked}

    def recipe(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The default's recipe of pairs, changed; `pairing.recipe.Recipe.from_dict` takes it.

        values: a whole recipe. Its counts of a split `ood` that it cannot have go where ours come.
        """
        new = merged(values, self.pairs)
        if "counts" in self.pairs and not new["ood_generators"]:
            new["counts"] = {
                kind: {split: count for split, count in by.items() if split != "ood"}
                for kind, by in new["counts"].items()
            }
        return new


def _at(config: Mapping[str, Any], path: str) -> Any:
    """Value at a dotted path.

    >>> _at({"head": {"layers": [1, 2]}}, "head.layers")
    [1, 2]
    """
    value: Any = config
    for name in path.split("."):
        value = value[name]
    return value


def _head(kind: str, **options: Any) -> Arm:
    return Arm(kind, "head", {"head.kind": kind, **{f"head.{k}": v for k, v in options.items()}})


def _loss(kind: str) -> Arm:
    return Arm(kind, "loss", {"loss.kind": kind})


LOSE_TIES: Mapping[str, Any] = {  # as many as the paper adds for BTT (section 7.3)
    "kinds": ["win_lose", "win_tie", "lose_tie"],
    "counts": {"lose_tie": {"train": "up to 150000"}},
}
ARMS: tuple[Arm, ...] = (
    Arm(DEFAULT, DEFAULT),
    # Random pairs, both items of each encoded: as many encodings a step as a block has items.
    Arm("random-pairs", "batches", {"batch.kind": "naive"}, scaled={"batch.size": HALF}),
    _loss("bt"),  # Tables 3 and 10
    _loss("summed-tie"),
    _loss("btt"),
    _loss("bce"),  # Table 6
    _loss("bt-wt+bce"),
    _loss("regression"),
    # The paper's BTT learns from lose-ties, too (Table 10): one factor away from btt.
    Arm("btt, lose-ties", "kinds", {"loss.kind": "btt"}, pairs=LOSE_TIES, against="btt"),
    _head("attention"),  # Table 5, these six
    _head("last-token"),
    _head("mean-pool"),
    _head("max-pool"),
    _head("special-token"),
    _head("yes-token"),
    Arm("in-prompt", "strategy", pairs={"strategy": "in-prompt"}),  # Tables 7 and 8
    Arm("any-prompt", "strategy", pairs={"strategy": "any-prompt"}),
    Arm("hybrid", "strategy", pairs={"strategy": "hybrid", "in_prompt_share": HALF}),
    Arm("first layer", "layers", picked={"head.layers": (0,)}),  # Tables 11 and 12
    Arm("last layer", "layers", picked={"head.layers": (-1,)}),
    Arm("two layers", "layers", picked={"head.layers": (1, -1)}),
    Arm("three layers", "layers", picked={"head.layers": (1, 2, -1)}),
)
FACTORS = tuple(dict.fromkeys(arm.factor for arm in ARMS if arm.name != DEFAULT))


def chosen_arms(factors: Sequence[str] = (), names: Sequence[str] = ()) -> tuple[Arm, ...]:
    """Arms of these factors and of these names, all where neither is given, in our order.

    Arms that others are compared with come along.
    Raises: TrainingError for a name that there is not.
    """
    _refuse_unknown("factor", factors, FACTORS)
    _refuse_unknown("arm", names, [arm.name for arm in ARMS])
    everything = not (factors or names)
    wanted = [arm for arm in ARMS if everything or arm.factor in factors or arm.name in names]
    needed = {DEFAULT, *(arm.name for arm in wanted), *(arm.against for arm in wanted)}
    return tuple(arm for arm in ARMS if arm.name in needed)


def _refuse_unknown(what: str, names: Sequence[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, n=3) or known
            raise TrainingError(f"no {what} {name!r}; there is {', '.join(map(repr, near))}")
