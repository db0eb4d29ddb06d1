"""From consensus and items to the frozen items of a set: decided, split, numbered."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pairing.codes import codes_of, equal
from pairing.inputs import checked_consensus, checked_items
from pairing.recipe import Recipe
from pairing.split import split_by_prompt, unseen_ood
from pairing.words import Bools, Floats, Ints, SplitName
from warehouse.digest import P_DIGITS
from warehouse.wording import counted

EVEN = 0.5  # P(pass) from which an undecided item counts among the passes


@dataclass(frozen=True)
class Frozen:
    """Items of a pair set. Rows of `items` are numbered 0, 1, ... in the order of item_id.

    items: item_id, prompt_id, group, split, generator, media_sha256, stratum; one row per ordinal.
    decided: ordinal, dimension, label, p_pass; one row per dimension and item, in this order.
    left_out: how many consensus rows were not used, by dimension and reason.
    warnings: what a reader of the set should know.
    """

    items: pa.Table
    decided: pa.Table
    consensus_id: str
    left_out: dict[str, dict[str, int]]
    warnings: tuple[str, ...]

    def side(self, dimension: str, split: SplitName, label: str) -> Ints:
        """Ordinals of the items with that label, in the order of item_id."""
        here = equal(self.decided["dimension"], dimension) & equal(self.decided["label"], label)
        ordinals = self.decided["ordinal"].to_numpy()[here]
        return np.asarray(ordinals[self._in_split(split)[ordinals]].astype(np.int64))

    def p_pass(self, dimension: str) -> Floats:
        """P(pass) by ordinal; NaN where the item is not decided in the dimension."""
        found = np.full(self.items.num_rows, np.nan)
        rows = self.of_dimension(dimension)
        found[rows["ordinal"].to_numpy()] = rows["p_pass"].to_numpy()
        return found

    def of_dimension(self, dimension: str) -> pa.Table:
        """Rows of `decided` in a dimension."""
        return self.decided.filter(pc.equal(self.decided["dimension"], dimension))

    def _in_split(self, split: SplitName) -> Bools:
        return equal(self.items["split"], split)

    @cached_property
    def groups(self) -> Ints:
        """(N,) number of each item's split group, by ordinal."""
        return codes_of(self.items["group"])

    @cached_property
    def prompts(self) -> Ints:
        """(N,) number of each item's prompt, by ordinal."""
        return codes_of(self.items["prompt_id"])


def freeze(consensus: pa.Table, items: pa.Table, recipe: Recipe) -> Frozen:
    """Decide which items a set holds, where they go, and number them.

    Raises: PairingError where the tables contradict themselves, each other or the recipe.
    """
    items = checked_items(items, recipe)
    with ThreadPoolExecutor(1) as beside:
        split = beside.submit(split_by_prompt, items, recipe.split, recipe.ood_generators)
        decided, splits = checked_consensus(consensus, items, recipe), split.result()
    stays = unseen_ood(items, splits) if recipe.ood_prompts == "unseen" else None
    used, left_out = _used(decided, recipe, stays)
    kept = np.zeros(items.num_rows, dtype=np.bool_)
    kept[used["place"].to_numpy()] = True
    frozen = splits.filter(pa.array(kept))
    for column in ("generator", "media_sha256", "stratum"):
        frozen = frozen.append_column(column, items[column].filter(pa.array(kept)))
    return Frozen(
        items=frozen,
        decided=_numbered(used, kept, recipe.dimensions),
        consensus_id=consensus["consensus_id"][0].as_py(),
        left_out=left_out,
        warnings=warnings_about(frozen),
    )


def _used(
    consensus: pa.Table, recipe: Recipe, stays: Bools | None
) -> tuple[pa.Table, dict[str, dict[str, int]]]:
    """Rows that make pairs, and how many do not, by dimension and reason.

    stays: (items,) whether an item may be used; None: all may.
    """
    p = pc.round(consensus["p_pass"], P_DIGITS)
    consensus = consensus.set_column(consensus.column_names.index("p_pass"), "p_pass", p)
    if recipe.undecided == "in":
        consensus = _sided(consensus)
    passes, fails = (equal(consensus["label"], label) for label in ("pass", "fail"))
    least, most = recipe.thresholds.pass_at_least, recipe.thresholds.fail_at_most
    sure = np.where(
        passes,
        p.to_numpy() >= (0.0 if least is None else least),
        p.to_numpy() <= (1.0 if most is None else most),
    )
    decided = passes | fails
    free = np.True_ if stays is None else stays[consensus["place"].to_numpy()]
    reasons = {
        "undecided": ~decided,
        "unsure": decided & ~sure,
        "ood_seen": decided & sure & ~free,
    }
    left_out = {}
    for dimension in recipe.dimensions:
        here = equal(consensus["dimension"], dimension)
        left_out[dimension] = {name: int((here & why).sum()) for name, why in reasons.items()}
    return consensus.filter(pa.array(decided & sure & free)), left_out


def _sided(consensus: pa.Table) -> pa.Table:
    """Undecided items on the side where their P(pass) lies; soft pairs weigh them by it."""
    label, p = consensus["label"], consensus["p_pass"]
    side = pc.if_else(pc.greater_equal(p, EVEN), "pass", "fail")
    sided = pc.if_else(pc.equal(label, "undecided"), side, label)
    return consensus.set_column(consensus.column_names.index("label"), "label", sided)


def _numbered(used: pa.Table, kept: Bools, dimensions: tuple[str, ...]) -> pa.Table:
    """Rows by dimension and ordinal, the number of the item among those kept."""
    ordinal = (np.cumsum(kept) - 1)[used["place"].to_numpy()].astype(np.int32)
    rank = pc.index_in(used["dimension"], pa.array(dimensions, pa.string())).to_numpy()
    table = used.drop_columns("place").add_column(0, "ordinal", pa.array(ordinal))
    return table.take(pa.array(np.lexsort((ordinal, rank))))


def warnings_about(items: pa.Table) -> tuple[str, ...]:
    """What a reader of a set with these frozen items should know."""
    return (*_twins(items), *_seen_by_ood(items))


def _twins(frozen: pa.Table) -> list[str]:
    media = codes_of(frozen["media_sha256"].drop_null())
    twins = len(media) - np.count_nonzero(np.bincount(media))
    if not twins:
        return []
    said = counted(twins, "item has", "items have")
    return [f"{said} the same file as another item; they share its split group"]


def _seen_by_ood(frozen: pa.Table) -> list[str]:
    ood = equal(frozen["split"], "ood")
    if not ood.any():
        return []
    kept = pc.is_in(frozen["split"], pa.array(["train", "validation"]))
    seen = frozen["prompt_id"].filter(kept).combine_chunks()
    shared = pc.is_in(frozen["prompt_id"].filter(pa.array(ood)), seen)
    count = int(pc.sum(shared).as_py() or 0)
    if not count:
        return []
    shares = f"{count} of {ood.sum()} out-of-domain items share a prompt with train or validation"
    return [f"{shares}; ood_prompts = 'unseen' leaves them out"]
