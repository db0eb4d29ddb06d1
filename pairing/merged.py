"""Several decks dealt as one, each with its share of the pairs; and a cap on what a code gives."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pairing.sampler import Sampler
from pairing.words import Floats, Ints, Ordinals

PATIENCE = 8  # times as many pairs as a cap could leave are looked at before it counts as met
LEAST_SEEN = 2**20  # pairs are looked at in any case
_BLOCK = 2**18


@dataclass(frozen=True)
class Part:
    """A deck that gives a share of the pairs.

    name: what it holds, for people.
    first, second: where the deck's positions lie on the whole sides; second is None for a deck of
        ties within first.
    """

    name: str
    sampler: Sampler
    share: float
    first: Ints
    second: Ints | None

    def times(self, number: int) -> Floats:
        """When each of the first `number` pairs comes."""
        return np.asarray((np.arange(number) + 0.5) / self.share)

    def before(self, end: float, *, or_then: bool) -> int:
        """How many pairs would come before a time, or then; computed without listing them."""
        near = max(0, int(end * self.share - 0.5) - 1)
        window = np.arange(near, near + 4)
        times = (window + 0.5) / self.share
        return near + int(np.searchsorted(times, end, side="right" if or_then else "left"))


@dataclass(frozen=True)
class Merged:
    """Decks dealt in turn: pair number j of a deck comes at (j + 1/2) / share.

    So every prefix holds each deck's share, but for a pair or two. At equal times the earlier deck
    comes first. No two decks may hold the same pair.
    """

    parts: tuple[Part, ...]

    @cached_property
    def available(self) -> int:
        """How many pairs there are before a deck lacks one that its share asks for."""
        end, last = self._end
        return sum(
            part.before(end, or_then=number < last) for number, part in enumerate(self.parts)
        )

    @property
    def scarcest(self) -> Part:
        """The deck that runs out first."""
        return self.parts[self._end[1]]

    @cached_property
    def _end(self) -> tuple[float, int]:
        """When a deck first lacks a pair, and which one."""
        lacks = ((part.sampler.available + 0.5) / part.share for part in self.parts)
        return min((time, number) for number, time in enumerate(lacks))

    def take(self, number: int) -> tuple[Ordinals, Ordinals]:
        """First pairs of all decks."""
        counts = [self._most(part, number) for part in self.parts]
        times = np.concatenate(
            [p.times(count) for p, count in zip(self.parts, counts, strict=True)]
        )
        turns = np.argsort(times, kind="stable")[:number]
        deck = np.repeat(np.arange(len(counts)), counts)[turns]
        first, second = np.empty(number, dtype=np.int32), np.empty(number, dtype=np.int32)
        for place, part in enumerate(self.parts):
            here = deck == place
            one, two = part.sampler.take(int(here.sum()))
            first[here] = part.first[one]
            second[here] = (part.first if part.second is None else part.second)[two]
        return first, second

    def _most(self, part: Part, number: int) -> int:
        """No fewer pairs than a deck gives among the first `number`."""
        return int(part.share * (number + len(self.parts))) + 2


@dataclass(frozen=True)
class Capped:
    """The pairs of a deck in their order, leaving out those whose code has given `cap` already.

    first, second: codes of the positions on the sides; second is None for ties within first. A pair
        of equal codes counts once for its code.
    """

    sampler: Sampler
    first: Ints
    second: Ints | None
    cap: int

    @cached_property
    def available(self) -> int:
        """How many of the deck's pairs the cap leaves, as far as they are looked at."""
        return len(self._kept[0])

    def take(self, number: int) -> tuple[Ordinals, Ordinals]:
        """First pairs that the cap leaves."""
        first, second = self._kept
        return first[:number], second[:number]

    @property
    def _both(self) -> Ints:
        return np.concatenate([side for side in (self.first, self.second) if side is not None])

    @cached_property
    def _kept(self) -> tuple[Ordinals, Ordinals]:
        codes = len(np.unique(self._both))
        seen = min(self.sampler.available, max(LEAST_SEEN, PATIENCE * self.cap * codes))
        first, second = self.sampler.take(seen)
        ones = self.first[first]
        twos = (self.first if self.second is None else self.second)[second]
        left = np.full(int(max(ones.max(initial=-1), twos.max(initial=-1))) + 1, self.cap)
        kept = []
        for start in range(0, len(ones), _BLOCK):
            block = np.arange(start, min(start + _BLOCK, len(ones)))
            open_ = block[(left[ones[block]] > 0) & (left[twos[block]] > 0)]
            kept.append(open_[_greedy(ones[open_], twos[open_], left)])
        chosen = np.concatenate(kept) if kept else np.empty(0, dtype=np.int64)
        return first[chosen], second[chosen]


def _greedy(ones: Ints, twos: Ints, left: Ints) -> Ints:
    """Numbers of the pairs that are kept, one after the other; `left` is what codes still give."""
    rest = left.tolist()
    kept = []
    for number, (one, two) in enumerate(zip(ones.tolist(), twos.tolist(), strict=True)):
        if rest[one] > 0 and rest[two] > 0:
            rest[one] -= 1
            if two != one:
                rest[two] -= 1
            kept.append(number)
    left[:] = rest
    return np.array(kept, dtype=np.int64)
