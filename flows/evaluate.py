"""How good models' rewards are on the held-out items and pairs of a set, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from flows.evaluate_part import Part, metrics_of, reliability_of, tie_threshold
from flows.held_out import HeldOut, Judge, held_out, learned_prompts, own_judge, rewarded
from flows.other_scores import read_scores
from flows.pair import newest_pair_set
from flows.score import Progress
from flows.train import newest_model
from training.metrics import by_rank, group_advantages, score_levels
from warehouse.contracts import SPLITS
from warehouse.errors import StoreError, TrainingError
from warehouse.face import publish
from warehouse.store import Store
from warehouse.wording import counted

Rows = list[dict[str, Any]]
NO_THRESHOLD = "no win-lose pairs and ties in validation to choose a threshold on"
SAME = "the threshold was chosen on this split; see acc_ties_same"


@dataclass
class Evaluation:
    """What models make of a set. Rows are keyed by model, dimension and split."""

    pair_set_id: str
    models: list[str]
    explicit: bool
    """Win-lose pairs are the set's own; else every pass x fail of its items."""
    metrics: Rows = field(default_factory=list)
    """A row a metric; group: of the items, NULL for all."""
    reliability: Rows = field(default_factory=list)
    """A row a bin of the favourite's probability."""
    advantages: Rows = field(default_factory=list)
    """A row a rank within the items of one prompt."""
    scores: Rows = field(default_factory=list)
    """passed, failed, unlabelled: rewards; levels: (score, share of the items)."""
    warnings: list[str] = field(default_factory=list)
    """Whose scores cluster."""
    notes: list[str] = field(default_factory=list)
    """What was left out, and what may flatter."""


def evaluate(
    store: Store,
    *,
    models: Sequence[str | None] = (None,),
    pair_set: str | None = None,
    by: str | None = None,
    scores: Sequence[Path] = (),
    seed: int = 0,
    dry_run: bool = False,
    progress: Progress = lambda _done, _total: None,
) -> Evaluation:
    """How well models order pass above fail: on held-out prompts and out of domain.

    models: ids or starts of them; None: the newest. pair_set: its own pairs count, train left out;
        None: every pass x fail of the held-out items of the set that the first model was trained
        on, or its own pairs where it was imported. by: see `flows.held_out`. scores: files of other
        models; see `flows.other_scores`.
    Rows of our models over whole splits are kept in `evaluations`; intervals are drawn by prompt.
    Raises: StoreError where there is no such model or set, where a model has no reward of a
        held-out item, and, unless it is a dry run, where the set's own pairs are asked for of the
        model that was trained on it; TrainingError for bad files or a bad `by`.
    """
    runs = _runs(store, models, alone=pair_set is None or not scores)
    row = newest_pair_set(store, pair_set or runs[0]["pair_set_id"])
    chosen, labelled = row["pair_set_id"], row["consensus_id"] is not None
    _refuse_own(runs, chosen, explicit=labelled and pair_set is not None, dry_run=dry_run)
    held = held_out(store, chosen, by)
    judges = [own_judge(store, run) for run in runs]
    found = Evaluation(chosen, [], explicit=not labelled or pair_set is not None)
    if scores:
        read = read_scores(store, scores, sorted(set(held.items["dimension"])))
        judges += read.judges()
        found.notes += [f"no pair of dimension {name} in the set" for name in sorted(read.left_out)]
    _refuse_namesakes(judges)
    for number, judge in enumerate(judges):
        progress(number, len(judges))
        _judge(found, store, held, judge, by=by, seed=seed)
    if not dry_run:
        _keep(store, found, runs)
    return found


def _runs(store: Store, models: Sequence[str | None], *, alone: bool) -> Rows:
    """Rows of `runs`; none where there is no model of ours and others may stand alone."""
    if not alone and list(models) == [None] and not store.query("FROM runs LIMIT 1").num_rows:
        return []
    runs = [newest_model(store, model) for model in models]
    return list({run["model_id"]: run for run in runs}.values())


def _refuse_own(runs: Rows, pair_set_id: str, *, explicit: bool, dry_run: bool) -> None:
    own = [run["model_id"] for run in runs if run["pair_set_id"] == pair_set_id]
    if explicit and own and not dry_run:  # the rows of both would have the same keys
        raise StoreError(
            f"model {own[0]} was trained on pair set {pair_set_id}, and `soli evaluate` without"
            " --pair-set keeps its numbers there, over all held-out pairs; to see those of the"
            " set's own pairs, add --dry-run"
        )


def _refuse_namesakes(judges: Sequence[Judge]) -> None:
    names = [judge.name for judge in judges]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise TrainingError(f"two models are called {twice[0]!r}; rename the one in the file")


def _judge(
    found: Evaluation, store: Store, held: HeldOut, judge: Judge, *, by: str | None, seed: int
) -> None:
    """Add what one model makes of the set."""
    items, pairs = rewarded(held, judge)
    _check_scored(found, judge, items, pairs)
    if judge.run is not None and judge.run["pair_set_id"] != held.pair_set_id:
        _note_learned(found, judge, items, pairs, learned_prompts(store, judge, held.pair_set_id))
    found.models.append(judge.name)
    for dimension in sorted(set(items["dimension"])):
        mine = items[items["dimension"] == dimension]
        known = pairs[pairs["dimension"] == dimension]
        clusters: list[str] = []
        threshold = tie_threshold(_part(mine, known, "validation", found.explicit)) or NO_THRESHOLD
        for split in (name for name in SPLITS if (mine["split"] == name).any()):
            key = {"model": judge.name, "dimension": dimension, "split": split}
            part = _part(mine, known, split, found.explicit)
            calibrated = SAME if split == "validation" else threshold
            clusters += filter(None, [_add_pictures(found, key, part)])
            for group, smaller in [(None, part), *_groups(part, by)]:
                rows = metrics_of(smaller, calibrated, seed)
                found.metrics += [key | {"group": group} | row for row in rows]
        if clusters:
            found.warnings.append(
                f"{judge.name}, {dimension}: scores cluster ({'; '.join(clusters)})"
            )


def _check_scored(
    found: Evaluation, judge: Judge, items: pd.DataFrame, pairs: pd.DataFrame
) -> None:
    """Say what has no reward; refuse a model that has none at all."""
    if found.explicit:
        won = pairs[pairs["kind"] == "win_lose"]
        without = won[["winner_reward", "other_reward"]].isna().any(axis=1)
        if without.all():
            raise StoreError(
                f"model {judge.name} has given rewards to both items of none of the {len(won)}"
                f" held-out win-lose pairs of {found.pair_set_id}; run `soli score`, and check that"
                " the model and the set name their dimensions alike"
            )
        why = "left out: an item has no reward"
        kinds = (f"win-lose pair is {why}", f"win-lose pairs are {why}")
    else:
        without = items["reward"].isna()
        if without.all():
            raise StoreError(
                f"model {judge.name} has no reward of a held-out item; run `soli score` first, or"
                " train on a pair set with a validation, test or ood split"
            )
        of = "of the held-out items and dimensions"
        kinds = (f"{of} has no reward", f"{of} have no reward")
    if without.any():
        found.notes.append(f"{judge.name}: {counted(int(without.sum()), *kinds)}")


def _note_learned(
    found: Evaluation, judge: Judge, items: pd.DataFrame, pairs: pd.DataFrame, learned: set[str]
) -> None:
    """Say how much of the set the model may know from training: it may flatter it."""
    if found.explicit:
        scored = pairs[pairs["kind"] == "win_lose"].dropna(subset=["winner_reward", "other_reward"])
        sides = (scored[f"{side}_prompt_id"].isin(learned) for side in ("winner", "other"))
        number = int((next(sides) | next(sides)).sum())
        kinds = ("pair holds", "pairs hold")
    else:
        mine = items[items["reward"].notna() & items["prompt_id"].isin(learned)]
        number, kinds = mine["item_id"].nunique(), ("item has", "items have")
    if number:
        what = f"{counted(number, *kinds)} a prompt that the model was trained on"
        found.notes.append(f"{judge.name}: {what}")


def _part(items: pd.DataFrame, pairs: pd.DataFrame, split: str, explicit: bool) -> Part:
    """Of one split, without what has no reward."""
    return Part(
        items[(items["split"] == split) & items["reward"].notna()].sort_values("item_id"),
        pairs[pairs["split"] == split].dropna(subset=["winner_reward", "other_reward"]),
        explicit,
    )


def _groups(part: Part, by: str | None) -> Iterator[tuple[str, Part]]:
    """Items of each group, and the pairs of which both items are of it."""
    for group in sorted(set(part.items["group"])) if by else ():
        inside = (part.pairs["winner_group"] == group) & (part.pairs["other_group"] == group)
        items = part.items[part.items["group"] == group]
        yield group, Part(items, part.pairs[inside], part.explicit)


def _add_pictures(found: Evaluation, key: dict[str, Any], part: Part) -> str | None:
    """Add what figures show of a part; a warning where its scores cluster."""
    items = part.items
    found.reliability += [key | asdict(each) for each in reliability_of(part).bins]
    ranked = by_rank(group_advantages(items["reward"], items["prompt_id"].tolist()))
    found.advantages += [key | asdict(each) for each in ranked]
    seen = score_levels(items["reward"])
    found.scores.append(
        key
        | {
            "passed": part.passed.tolist(),
            "failed": part.failed.tolist(),
            "unlabelled": items.loc[items["label"].isna(), "reward"].tolist(),
            "levels": [list(level) for level in seen.marked],
            "clustered": seen.clustered,
        }
    )
    return f"{key['split']}: {seen.warning}" if seen.warning else None


def _keep(store: Store, found: Evaluation, runs: Rows) -> None:
    """Write the rows of our models over whole splits.

    Of all pass x fail, only those of models trained on the set: the rows of its own pairs, which
    are those of other models, have the same keys.
    """
    kept = {
        run["model_id"] for run in runs if found.explicit or run["pair_set_id"] == found.pair_set_id
    }
    schema = store.read("evaluations").drop_columns(["observed_at"]).schema
    rows = [
        {name: row.get(name) for name in schema.names}
        | {"model_id": row["model"], "pair_set_id": found.pair_set_id}
        for row in found.metrics
        if row["model"] in kept and row["group"] is None
    ]
    if rows:
        with store.writing("write the evaluation"):
            store.append("evaluations", pa.Table.from_pylist(rows, schema=schema))
            publish(store)
