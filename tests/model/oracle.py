"""What `labels` must say, told naively: dicts and loops, from DESIGN.md and nothing else.

A pull sees all tasks of a project as they stand. The oracle compares them with what the pull before
saw, one (annotation, dimension) at a time, and keeps the last thing seen of each. Who says what
follows from that: see `Oracle.labels`.
"""

from dataclasses import dataclass, replace

VALUES = {"Pass": "pass", "Fail": "fail"}
SKIPPED, WITHDRAWN = "skipped", "withdrawn"


@dataclass(frozen=True)
class Seen:
    """Last thing seen of one annotation in one dimension. says: pass, fail, skipped, withdrawn."""

    item: str
    person: str
    says: str
    gold: bool
    revision: int = 1
    answer: bool = True
    """Whether it holds a slot: an answer or a withdrawn answer, not a skip or a withdrawn skip."""


@dataclass(frozen=True)
class Label:
    """One row of `labels`, without what is random."""

    item: str
    dimension: str
    person: str
    value: str
    role: str
    source: str
    annotation: int
    created_at: object
    revision: int


class Oracle:
    """Everything that pulls have seen so far, of any number of projects."""

    def __init__(self, dimensions):
        self.dimensions = dimensions
        self.seen = {}
        """(source, annotation id, created_at, dimension) → Seen."""
        self.design_k = {}
        self.unsound = {}

    def pull(self, source, tasks, people):
        """See a project: tasks are (data, [annotation]), by rising id.

        people: who is meant by completed_by; the same in all sources where the e-mail is the same.
        """
        now = {}
        self.unsound[source] = set()
        for data, annotations in tasks:
            if "item_id" in data:
                self.design_k.setdefault(data["item_id"], data["design_k"])
                for annotation in annotations:
                    now |= self._read(source, data["item_id"], annotation, people)
        for key in [key for key in self.seen if key[0] == source and key not in now]:
            before = self.seen[key]
            if before.says != WITHDRAWN:
                self.seen[key] = replace(before, says=WITHDRAWN, revision=before.revision + 1)
        for key, found in now.items():
            self.seen[key] = _after(self.seen.get(key), found)

    def _read(self, source, item, annotation, people):
        """Units of an annotation that can be stored; the others go to quarantine."""
        person = people[annotation["completed_by"]]
        found = {}
        for dimension in self.dimensions:
            says = SKIPPED if annotation["was_cancelled"] else _answer(annotation, dimension)
            key = (source, annotation["id"], annotation["created_at"], dimension)
            if says is None:
                self.unsound[source].add(key)
            else:
                gold = annotation["ground_truth"]
                found[key] = Seen(item, person, says, gold, answer=says != SKIPPED)
        return found

    def labels(self):
        """Rows of `labels` now.

        Of one person's answers on an item and dimension, the earliest one that is no ground truth
        counts, else the earliest ground truth. The first k people to answer hold the design slots,
        in the order of their first answers that are no ground truth, withdrawn ones included.
        """
        groups = {}
        for key, seen in self.seen.items():
            if seen.answer:
                source, annotation, created_at, dimension = key
                order = (created_at, annotation, source)
                groups.setdefault((seen.item, dimension), []).append((order, key, seen))
        return {
            label
            for (item, dimension), answers in groups.items()
            for label in self._of_item(item, dimension, sorted(answers, key=lambda one: one[0]))
        }

    def _of_item(self, item, dimension, answers):
        people = []  # in the order of their first answers
        first = {}
        for _, key, seen in answers:
            if not seen.gold and seen.person not in first:
                first[seen.person] = key
                people.append(seen.person)
        designers = people[: self.design_k[item]]
        chosen = {}
        for want_gold in (False, True):
            for _, key, seen in answers:
                if seen.says in VALUES.values() and seen.gold == want_gold:
                    chosen.setdefault(seen.person, (key, seen))
        for person, (key, seen) in chosen.items():
            if seen.gold:
                role = "gold"
            elif first[person] != key:
                role = "repeat"
            else:
                role = "design" if person in designers else "escalation"
            source, annotation, created_at, _ = key
            yield Label(
                item,
                dimension,
                person,
                seen.says,
                role,
                source,
                annotation,
                created_at,
                seen.revision,
            )

    def quarantined(self):
        """(source, annotation, created_at, dimension) of what is there and cannot be stored."""
        return set().union(*self.unsound.values())


def _answer(annotation, dimension):
    """pass, fail, or None where that is not what it says, once."""
    picked = [r["value"]["choices"] for r in annotation["result"] if r["from_name"] == dimension]
    return VALUES.get(picked[0][0]) if len(picked) == 1 and len(picked[0]) == 1 else None


def _after(before, now):
    """A revision is counted where what is seen differs; the flag of a skip says nothing."""
    if before is None:
        return now
    gold = before.gold != now.gold and now.says != SKIPPED
    if (before.item, before.says) != (now.item, now.says) or gold:
        return replace(now, revision=before.revision + 1)
    return before
