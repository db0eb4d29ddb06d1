"""Versions of a project's labelling, and which of them an answer is to be read by.

Label Studio lets anybody rename a choice that is in use, and says neither when nor what it was
before. What is known are bounds by the server's clock: until when the version before was certainly
in force, and when the new one was first read. An answer given in between may belong to either.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any, NamedTuple

from annotation.labeling import CHOICES
from annotation.moments import Micros, micros

Mapped = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Version:
    """One row of `projects`: a labelling configuration, and how its answers are read."""

    number: int
    """1, 2, ... in the order seen."""
    dimensions: tuple[str, ...]
    """Dimensions that every annotation must answer."""
    mapping: Mapped = field(default_factory=dict)
    """dimension → choice text → 'pass' or 'fail', beyond Pass and Fail."""
    config_digest: str = ""
    changed_after: datetime | None = None
    """Server's time up to which the version before was certainly in force; None: not known."""
    in_force_at: datetime | None = None
    """Server's time at which this version was first read; None: not known."""


@dataclass(frozen=True)
class Period:
    """Consecutive versions of one configuration: only how its answers are read was corrected."""

    newest: Version
    """Its mapping counts for the whole period."""
    changed_after: Micros | None
    in_force_at: Micros | None


class Choice(NamedTuple):
    """What a choice means, and the number of the version that says so."""

    label: str | None
    """None: skipped."""
    version: int


@dataclass(frozen=True)
class Reading:
    """How answers of one moment are read, by every period that may have been in force."""

    number: int
    """Version noted where no choice is read: for skips and withdrawals."""
    required: tuple[str, ...]
    """Dimensions of all of these periods: an answer to each must be there."""
    choices: Mapping[str, Mapping[str, Choice]]
    """Dimension of any of these periods → choice text → what it means."""
    ambiguous: frozenset[tuple[str, str]]
    """(dimension, choice text) that these periods read differently."""


def read_versions(rows: Iterable[Mapping[str, Any]]) -> tuple[Version, ...]:
    """Versions of one source from its rows of `projects`, by number."""
    found = [
        Version(
            number=row["version"],
            dimensions=tuple(json.loads(row["dimensions"])),
            mapping=json.loads(row["mapping"]),
            config_digest=row["config_digest"],
            changed_after=row["changed_after"],
            in_force_at=row["in_force_at"],
        )
        for row in rows
    ]
    return tuple(sorted(found, key=lambda version: version.number))


class Readings:
    """How a source's answers are read, by the time they were last changed.

    versions: by rising number; at least one.
    """

    def __init__(self, versions: Sequence[Version]) -> None:
        assert versions, "a source is read under one version at least"
        self.newest = versions[-1]
        self._periods = periods(versions)
        self._made: dict[tuple[int, int], Reading] = {}
        # Where all that changed is undated, nothing can be told apart: the newest counts.
        dated = any((p.changed_after, p.in_force_at) != (None, None) for p in self._periods[1:])
        last = len(self._periods) - 1
        self.always = None if last and dated else self._reading(last, last)
        """The one reading of all times; None where it depends on the time."""

    def at(self, changed: Micros) -> Reading:
        """Reading of an annotation last changed at this time, by the server's clock."""
        return self.always or self._reading(*candidates(self._periods, changed))

    def _reading(self, first: int, last: int) -> Reading:
        if (first, last) not in self._made:
            found = [period.newest for period in self._periods[first : last + 1]]
            self._made[first, last] = combined(found, self.newest)
        return self._made[first, last]


def periods(versions: Sequence[Version]) -> list[Period]:
    """Runs of consecutive versions with the same configuration and dimensions."""
    found: list[Period] = []
    for version in versions:
        before = found[-1] if found else None
        if before and _configuration(before.newest) == _configuration(version):
            found[-1] = Period(version, before.changed_after, before.in_force_at)
        else:
            found.append(Period(version, _us(version.changed_after), _us(version.in_force_at)))
    return found


def candidates(found: Sequence[Period], changed: Micros) -> tuple[int, int]:
    """First and last index of the periods that may have been in force at a time.

    A period begins after its `changed_after` and at its `in_force_at` at the latest; an unknown
    bound excludes nothing. Bounds that contradict each other (the server's clock went back) leave
    all the periods between them.
    """
    first, last = 0, len(found) - 1
    for index, period in enumerate(found):
        if index and period.in_force_at is not None and changed > period.in_force_at:
            first = index
    for index in range(last, 0, -1):
        after = found[index].changed_after
        if after is not None and changed <= after:
            last = index - 1
    return min(first, last), max(first, last)


def combined(versions: Sequence[Version], newest: Version) -> Reading:
    """Reading by versions of which each may have been in force, the newest of all to help out.

    Pass and Fail mean what they say. Another choice means what those of the versions say that
    know it; where none does, what the newest mapping says: that is how an engineer mends it.
    """
    dimensions = list(dict.fromkeys(d for v in reversed(versions) for d in v.dimensions))
    choices: dict[str, dict[str, Choice]] = {}
    ambiguous: set[tuple[str, str]] = set()
    for dimension in dimensions:
        known = _known_choices(dimension, versions)
        ambiguous.update((dimension, c) for c, found in known.items() if _disagree(found))
        helped = _known_choices(dimension, [newest])
        read = {c: found[-1] for c, found in {**helped, **known}.items()}
        read.update({c: Choice(c.lower(), versions[-1].number) for c in CHOICES})
        choices[dimension] = {c: r for c, r in read.items() if (dimension, c) not in ambiguous}
    required = [d for d in dimensions if all(d in version.dimensions for version in versions)]
    return Reading(versions[-1].number, tuple(required), choices, frozenset(ambiguous))


def _known_choices(dimension: str, versions: Sequence[Version]) -> dict[str, list[Choice]]:
    """What each version that knows a choice reads it as, beyond Pass and Fail."""
    found: dict[str, list[Choice]] = {}
    for version in versions:
        for choice, label in version.mapping.get(dimension, {}).items():
            if choice not in CHOICES:
                found.setdefault(choice, []).append(Choice(label, version.number))
    return found


def _disagree(found: Sequence[Choice]) -> bool:
    return any(one.label != other.label for one, other in pairwise(found))


def _configuration(version: Version) -> tuple[str, tuple[str, ...]]:
    return version.config_digest, version.dimensions


def _us(moment: datetime | None) -> Micros | None:
    return None if moment is None else micros(moment)
