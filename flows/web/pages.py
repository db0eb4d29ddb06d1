"""What each page shows: questions in, facts for its template out. Nothing is read but answers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from annotation.media import is_remote
from flows.web.answers import Answer, Ask, NotFound, Row
from flows.web.charts import charts
from warehouse.contracts import STATISTICS

Facts = dict[str, Any]
EVERY = "every"  # instead of a dimension: ranking all takes twice as long
PAGE, CARDS, PAIRS = 50, 12, 6  # rows of one page of items_found, disagreements, pair_set_examples
CHANCE = 0.5  # ACC of a model that knows nothing


def overview(ask: Ask) -> Facts:
    """How much there is, how far people agree, what was decided, how well models do."""
    return {
        "counts": ask("overview_counts"),
        "agreement": ask("overview_agreement"),
        "consensus": ask("overview_consensus"),
        "accuracy": ask("overview_accuracy"),
        "pulls": ask("overview_pulls"),
    }


def agreement(ask: Ask, statistic: str) -> Facts:
    """One statistic over time, and where it is lowest."""
    history = ask("agreement_history", statistic=statistic)
    weeks = ask("agreement_weeks", statistic=statistic)
    return {
        "statistic": statistic,
        "statistics": STATISTICS,
        "history": history,
        "history_charts": charts(history, "measured_at"),
        "weeks": weeks,
        "week_charts": charts(weeks, "week"),
        "every": ask("agreement_statistics"),
        "slices": ask("agreement_slices", statistic=statistic),
    }


def annotators(ask: Ask) -> Facts:
    """Everybody's numbers."""
    return {"annotators": flagged(ask("annotators"))}


def annotator(ask: Ask, identity: str) -> Facts:
    """One person's numbers and last answers."""
    history = ask("annotator_history", annotator=identity)
    said = ask("annotator_labels", annotator=identity)
    if not said:
        raise NotFound(f"nobody has the id {identity!r}; the annotators are on their page")
    return {
        "identity": identity,
        "quality": flagged(ask("annotator", annotator=identity)),
        "history": history,
        "history_charts": charts(history, "measured_at", CHANCE),
        "said": said,
    }


def flagged(answer: Answer) -> Answer:
    """The answer with each row's flags taken apart: flag and reason."""
    rows = [row | {"flags": json.loads(row["flags"] or "[]")} for row in answer]
    return replace(answer, rows=rows)


def items(ask: Ask, search: str, generator: str, page: int) -> Facts:
    """Items by id or prompt."""
    found = ask("items_found", search=search, generator=generator, page=str(page))
    total = found.rows[0]["found"] if found else 0
    return {
        "search": search,
        "generator": generator,
        "generators": ask("items_generators"),
        "found": found,
        "total": total,
        "page": page,
        "pages": pages_of(total, PAGE),
        "dimensions": sorted({d["dimension"] for row in found for d in row["decisions"] or ()}),
    }


def pages_of(total: int, size: int) -> int:
    """Number of pages, at least one.

    >>> pages_of(0, 50), pages_of(50, 50), pages_of(51, 50)
    (1, 1, 2)
    """
    return max(1, -(-total // size))


def item(ask: Ask, identity: str) -> Facts:
    """A clip beside what people said and what models give it."""
    known = ask("item_facts", item=identity)
    labels = ask("item_labels", item=identity)
    consensus = ask("item_consensus", item=identity)
    rewards = ask("item_rewards", item=identity)
    named = {row["dimension"] for rows in (labels, consensus, rewards) for row in rows}
    return {
        "known": known,
        "item": known.first,
        "asked": json.loads(known.first["asked"] or "{}"),
        "attributes": json.loads(known.first["attributes"] or "{}"),
        "remote": is_remote(known.first["uri"]),
        "dimensions": sorted(named),
        "labels": labels,
        "said": crossed(labels, "annotator_id"),
        "consensus": consensus,
        "decided": crossed(consensus, "method"),
        "rewards": rewards,
        "given": crossed(rewards, "model_id"),
    }


def crossed(rows: Iterable[Row], by: str) -> dict[str, dict[str, Row]]:
    """Rows by a column's value, then by dimension: a line of a table, a cell each.

    >>> crossed([{"who": "a", "dimension": "shape", "value": "pass"}], "who")["a"]["shape"]["value"]
    'pass'
    """
    lines: dict[str, dict[str, Row]] = {}
    for row in rows:
        lines.setdefault(row[by], {})[row["dimension"]] = row
    return lines


def disagreements(ask: Ask, between: str, model: str, dimension: str, page: int) -> Facts:
    """Clips about which people and a model, or people among themselves, disagree.

    between: model-high (people say fail), model-low (people say pass), or people.
    model: its id; empty: the newest one that gave rewards.
    dimension: or EVERY; empty: the first one.
    """
    models = [row for row in ask("models") if row["rewards"]]
    model = model or (models[0]["model_id"] if models else "")
    dimensions = [row["dimension"] for row in ask("overview_consensus")]
    dimension = dimension or next(iter(dimensions), EVERY)
    which = {"dimension": "" if dimension == EVERY else dimension, "page": str(page)}
    if between == "people":
        cards = ask("doubts", **which)
    else:
        label = "fail" if between == "model-high" else "pass"
        cards = ask("disagreements", model=model, label=label, **which)
    return {
        "between": between,
        "model": model,
        "models": models,
        "dimension": dimension,
        "dimensions": dimensions,
        "cards": cards,
        "page": page,
        "more": len(cards.rows) == CARDS,
    }


def pair_sets(ask: Ask) -> Facts:
    """Every pair set."""
    return {"sets": ask("pair_sets")}


def pair_set(ask: Ask, identity: str, page: int, *, dimension: str, split: str, kind: str) -> Facts:
    """What is in one, and some of its pairs, clip beside clip."""
    known = ask("pair_set", set=identity)
    counts = ask("pair_set_counts", set=identity)
    if counts and not dimension:
        chosen = next((row for row in counts if row["split"] == "train"), counts.rows[0])
        dimension, split, kind = (chosen[name] for name in ("dimension", "split", "kind"))
    examples = ask(
        "pair_set_examples", set=identity, dimension=dimension, split=split, kind=kind,
        page=str(page),
    )  # fmt: skip
    total = examples.rows[0]["found"] if examples else 0
    return {
        "known": known,
        "set": known.first,
        "recipe": json.dumps(json.loads(known.first["recipe"]), indent=1, ensure_ascii=False),
        "counts": counts,
        "generators": ask("pair_set_generators", set=identity),
        "leakage": ask("pair_set_leakage", set=identity),
        "examples": examples,
        "chosen": {"dimension": dimension, "split": split, "kind": kind},
        "page": page,
        "pages": pages_of(total, PAIRS),
    }


def models(ask: Ask, first: str, second: str) -> Facts:
    """Every model's accuracy, and two of them against each other.

    first, second: ids; empty: the two newest that gave rewards.
    """
    known, accuracy = ask("models"), ask("models_accuracy")
    scored = [row["model_id"] for row in known if row["rewards"]]
    first = first or (scored[1] if len(scored) > 1 else "")
    second = second or (scored[0] if len(scored) > 1 else "")
    both = {"first": first, "second": second}
    return {
        "models": known,
        "accuracy": accuracy,
        "charts": charts((r for r in accuracy if r["split"] == "test"), "model_id", CHANCE),
        "scored": scored,
        **both,
        "alike": ask("models_alike", **both) if first and second else None,
        "apart": ask("models_apart", **both) if first and second else None,
    }
