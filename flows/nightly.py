"""The night's work as a Prefect flow: agreement, gates, consensus, pairs, and the set's card.

Every step finds what it made before: the same labels and recipe end at the same pair set.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from pydantic import Field

from flows import pair, pair_plots
from flows.console import say
from flows.flow_run import PAIRS_BUILT, emit, failed, now, running, step
from flows.markdown import figure, table
from flows.measure import stop_at_gate
from flows.measuring import agree
from flows.pair import Built
from flows.pair_exports import card_facts
from flows.settings import Settings
from pairing.exports import card
from pairing.pairset import PairSet
from warehouse.errors import PlatformError, StoreError

KEY = "soli-nightly"
PAIRS, CARD = "soli-pairs", "soli-card"
Reason = Annotated[str, Field(pattern=r"\S")]
WHAT = "Measure agreement, judge the gates, decide a consensus, build pairs and write their card."


@step
def build_pairs(
    settings: Settings, changes: list[str], override: str | None
) -> tuple[Built, PairSet]:
    """The pair set of the newest consensus, as files and rows."""
    recipe = pair.recipe_of(settings, settings.store, changes=changes)
    return pair.build(settings, settings.store, recipe, override=override)


@step
def describe(settings: Settings, pair_set: PairSet, licence: str) -> str:
    """The data-set card of a pair set, in Markdown."""
    return card(pair_set, card_facts(settings.store, pair_set, licence))


@step
def keep_card(path: Path, text: str) -> None:
    """Write the card: the last thing of a night, by which a later one knows that it was told."""
    part = path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written ({error.strerror}); make room or mend its permissions, and"
            " run the night again"
        ) from error


@flow(name=KEY, description=WHAT, log_prints=False, persist_result=False)
def soli_nightly(
    changes: list[str] | None = None,
    override: Reason | None = None,
    licence: Annotated[str, Field(min_length=1)] = "not stated",
) -> Any:
    """Measure agreement, judge the gates, decide a consensus, build pairs, write their card.

    Args:
        changes: Changes of the recipe in soli.toml, each a line of TOML, such as seed = 7.
        override: Build although a gate says stop, for this reason; it is kept with the set.
        licence: What the card says of the data's licence, best an SPDX identifier.
    """
    try:
        with running(KEY) as settings:
            measured = agree(settings)
            if override is None:
                stop_at_gate(measured)
            built, pair_set = build_pairs(settings, changes or [], override)
            text = describe(settings, pair_set, licence)
            path = settings.home / "cards" / f"{built.pair_set_id}.md"
            _publish(settings, built, pair_set, text, new=not path.exists())
            keep_card(path, text)
    except PlatformError as error:
        return failed(error)
    return {"pair_set_id": built.pair_set_id, "digest": built.digest, "counts": built.counts}


def _publish(settings: Settings, built: Built, pair_set: PairSet, text: str, *, new: bool) -> None:
    """Artifacts of the set, and the event that a training may wait for."""
    statistics = pair.statistics_of(settings.store, pair_set)
    rows = {name: found.to_pylist() for name, found in statistics.items()}
    create_markdown_artifact(markdown(built, rows, new=new), key=PAIRS, description=WHAT)
    create_markdown_artifact(text, key=CARD, description=f"Card of {built.pair_set_id}")
    total = sum(row["pairs"] for row in built.counts)
    what = "new" if new else "as before"
    words = f"{now()} pair set {built.pair_set_id}, {total:,} pairs, {what}"
    say(words, "pairs.built", pair_set_id=built.pair_set_id, pairs=total, new=new)
    if new:
        emit(PAIRS_BUILT, f"pairs.{built.pair_set_id}", pair_set_id=built.pair_set_id, pairs=total)


def markdown(built: Built, rows: Mapping[str, list[dict[str, Any]]], *, new: bool) -> str:
    """What to decide from: whether the set is new, its pairs, who is in them, and what leaks.

    rows: by name, as `flows.pair.statistics_of` gives them.
    """
    counts = [
        [row["dimension"], row["split"], row["kind"], f"{row['pairs']:,}"] for row in built.counts
    ]
    leaks = [
        [row["what"], row["split"], row["other_split"], f"{row['shared']:,}"]
        for row in rows["leakage"]
        if row["shared"]
    ]
    figures = {
        "pairs by kind": (pair_plots.by_kind, rows["counts"]),
        "pairs by generators": (pair_plots.generators, rows["generators"]),
    }
    return "\n".join(
        [
            f"# Pair set {built.pair_set_id}",
            "",
            f"{'New' if new else 'The same as before'}; digest `{built.digest}`.",
            "",
            *table(["dimension", "split", "kind", "pairs"], counts),
            "",
            *(
                ["Shared by splits:", "", *table(["what", "in", "and in", "shared"], leaks)]
                * bool(leaks)
            ),
            "",
            *(figure(words, draw(found)) for words, (draw, found) in figures.items() if found),
        ]
    )


def run_once(
    changes: list[str] | None = None, override: str | None = None, licence: str = "not stated"
) -> dict[str, Any]:
    """Run the flow once, here; the set's id, digest and counts.

    Raises: GateStop where a gate says stop; PlatformError with the run's message where it failed.
    """
    found: Any = soli_nightly(changes=changes, override=override, licence=licence)
    assert isinstance(found, dict)  # Prefect raises what a failed run holds
    return found
