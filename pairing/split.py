"""Splits that share no prompt and no video.

A split group is a connected component of in-domain items that share a prompt or a media digest.
A group's split follows from a hash of (salt, group) alone, compared with the fractions: items
added later never move a group that stays as it is, so a model trained on an older set is never
tested on prompts it was trained on. The price is that small worlds miss the fractions by chance;
the manifest reports what came out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pairing.codes import ascending, codes_of, equal, whole
from pairing.parts import Split
from pairing.words import SPLITS, Bools, Ints
from warehouse.errors import PairingError

DIGITS = 13  # hex digits of a hash that are exact in a float64 (52 bits)
_RANGE = float(16**DIGITS)


def split_by_prompt(items: pa.Table, split: Split, ood_generators: Iterable[str] = ()) -> pa.Table:
    """Split of every item: no prompt and no video stands in two of train, validation and test.

    items: item_id, prompt_id, generator, media_sha256 (null where the file was not read).
    ood_generators: items of these go to `ood` and join no groups of the others.
    Returns: item_id, prompt_id, group, split in the order of item_id; `group` is the smallest
        prompt_id of the item's split group.
    Raises: PairingError for a generator of which there is no item.
    """
    if not ascending(items["item_id"]):
        items = items.sort_by("item_id")
    ood = _is_ood(items["generator"], tuple(ood_generators))
    group = split_groups(items["prompt_id"], items["media_sha256"], ood)
    return pa.table(
        {
            "item_id": items["item_id"],
            "prompt_id": items["prompt_id"],
            "group": group,
            "split": _splits_of(group, split, ood),
        }
    )


def unseen_ood(items: pa.Table, splits: pa.Table) -> Bools:
    """Whether an item may stay where OOD items must share nothing with train and validation.

    items, splits: the tables of `split_by_prompt`, both in the order of item_id.
    """
    seen = equal(splits["split"], "train") | equal(splits["split"], "validation")
    shared = np.zeros(items.num_rows, dtype=bool)
    for column in ("prompt_id", "media_sha256"):
        codes = codes_of(items[column])
        known = codes >= 0
        uses = np.bincount(codes[known & seen], minlength=codes.max(initial=0) + 1)
        shared |= known & (uses[codes] > 0)
    return np.asarray(~(shared & equal(splits["split"], "ood")))


def split_groups(prompts: pa.ChunkedArray, media: pa.ChunkedArray, ood: Bools) -> pa.Array:
    """Smallest prompt_id of each item's group; OOD items form groups among themselves.

    Cost: O(N log N) in numpy; the loop runs only over videos that stand under several prompts.
    """
    encoded = whole(prompts).dictionary_encode()
    order = np.asarray(pc.array_sort_indices(encoded.dictionary).to_numpy().astype(np.int64))
    code = np.argsort(order)[encoded.indices.to_numpy()]
    node = code * 2 + ood  # a prompt is one node in domain and another one out of it
    parent: Ints = np.arange(2 * len(order), dtype=np.int64)
    for first, second in _links(node, codes_of(media), ood):
        _join(parent, int(first), int(second))
    while (parent != parent[parent]).any():
        parent = parent[parent]
    return encoded.dictionary.take(pa.array(order[parent[node] // 2]))


def _links(node: Ints, media: Ints, ood: Bools) -> Ints:
    """Pairs of nodes, (K, 2), that a shared video joins."""
    have = media >= 0
    shared = have & (np.bincount(media[have], minlength=1)[media] > 1)
    both = np.unique(np.stack([(media * 2 + ood)[shared], node[shared]], axis=1), axis=0)
    same = both[1:, 0] == both[:-1, 0]
    return np.stack([both[:-1, 1][same], both[1:, 1][same]], axis=1)


def _root(parent: Ints, node: int) -> int:
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = int(parent[node])
    return node


def _join(parent: Ints, first: int, second: int) -> None:
    """Union of two groups; the smaller node stays root, whatever the order of links."""
    low, high = sorted((_root(parent, first), _root(parent, second)))
    parent[high] = low


def _is_ood(generators: pa.ChunkedArray, ood: tuple[str, ...]) -> Bools:
    check_generators(ood, pc.unique(generators).to_pylist())
    return np.asarray(
        pc.is_in(generators, pa.array(ood, pa.string())).to_numpy(zero_copy_only=False)
    )


def check_generators(ood: Iterable[str], known: Iterable[str]) -> None:
    """Refuse OOD generators that made no item.

    Raises: PairingError naming the first.
    """
    unknown = sorted(set(ood) - set(known))
    if unknown:
        raise PairingError(
            f"recipe: ood_generators names {unknown[0]!r}, but no item has it; "
            f"the items' generators are {', '.join(map(repr, sorted(known)))}"
        )


def _splits_of(groups: pa.Array, split: Split, ood: Bools) -> pa.Array:
    encoded = groups.dictionary_encode()
    points = np.array([_point(split.salt, name) for name in encoded.dictionary.to_pylist()])
    edges = np.array([split.train, split.train + split.validation])
    edges[1] = 1.0 if split.test == 0 else edges[1]  # no rounding may leave a sliver for test
    chosen = np.searchsorted(edges, points, side="right")[encoded.indices.to_numpy()]
    return pa.array(SPLITS, pa.string()).take(pa.array(np.where(ood, SPLITS.index("ood"), chosen)))


def _point(salt: str, group: str) -> float:
    """Place of a group in [0, 1), the same on every machine.

    >>> round(_point("soli", "p1"), 6)
    0.20159
    """
    digest = hashlib.md5(f"{salt}:{group}".encode(), usedforsecurity=False).hexdigest()
    return int(digest[:DIGITS], 16) / _RANGE


def realised_splits(splits: pa.Table, split: Split) -> dict[str, dict[str, float]]:
    """What the fractions came out as: items, groups and share of the in-domain items, by split."""
    found: dict[str, dict[str, float]] = {}
    in_domain = max(1, pc.sum(pc.not_equal(splits["split"], "ood")).as_py() or 0)
    for name in ("train", "validation", "test", "ood"):
        rows = splits.filter(pc.equal(splits["split"], name))
        found[name] = {
            "items": rows.num_rows,
            "prompts": pc.count_distinct(rows["prompt_id"]).as_py(),
            "groups": pc.count_distinct(rows["group"]).as_py(),
        }
        if name != "ood":
            found[name]["share"] = round(rows.num_rows / in_domain, 6)
            found[name]["asked"] = getattr(split, name)
    return found
