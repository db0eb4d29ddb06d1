"""What the others said: every design label beside the labels of others on the same question."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from agreement.labels import BoolArray, Coded, IntArray, canonical_annotators


@dataclass(frozen=True)
class Answers:
    """L design labels in an order that depends neither on the rows given nor on ids.

    A question is an item in a dimension; answers to one question are neighbours. People are
    ranked by what they said, so sums over people are the same bits whatever they are called.

    people (A,): annotator ids by rank. questions: their number.
    row (L,): position of the label in Coded. question, dimension, person (L,): positions.
    passed (L,): the label says pass. others (L, 2): pass and fail labels of the others.
    """

    people: pa.Array
    dimensions: list[str]
    questions: int
    row: IntArray
    question: IntArray
    dimension: IntArray
    person: IntArray
    passed: BoolArray
    others: IntArray

    @property
    def decided(self) -> BoolArray:
        """Whether the others have a majority: (L,)."""
        decided: BoolArray = self.others[:, 0] != self.others[:, 1]
        return decided

    @property
    def agrees(self) -> BoolArray:
        """Whether the label says what more of the others say than not: (L,)."""
        decided = self.decided
        agrees: BoolArray = decided & ((self.others[:, 0] > self.others[:, 1]) == self.passed)
        return agrees


def answers_of(coded: Coded) -> Answers:
    """Design labels beside those of the others.

    Cost: two sorts of the labels.
    """
    place = coded.dimension * len(coded.items) + coded.item
    rank = canonical_annotators(place, coded.annotator, coded.passed)
    people = max(len(rank), 1)
    row = np.argsort(place * people + rank[coded.annotator], kind="stable")
    place, passed = place[row], coded.passed[row]
    question = np.cumsum(np.diff(place, prepend=place[:1]) > 0, dtype=np.int64)
    questions = int(question[-1]) + 1 if len(question) else 0
    counts = np.bincount(question * 2 + ~passed, minlength=questions * 2).reshape(-1, 2)
    others = counts[question]
    others[:, 0] -= passed
    others[:, 1] -= ~passed
    named = np.empty_like(rank)
    named[rank] = np.arange(len(rank))
    return Answers(
        coded.annotators.take(pa.array(named)),
        coded.dimensions,
        questions,
        row,
        question,
        coded.dimension[row],
        rank[coded.annotator[row]],
        passed,
        others,
    )
