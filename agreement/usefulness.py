"""Which item people should look at next: uncertainty x disagreement x coverage.

    usefulness = c x mean over dimensions of  I(b) x (1 + |p - q|) / 2        (0 to 1)

- **Uncertainty** I(b): bits that one more label is expected to tell (`agreement.escalation`), where
  b is what is believed now: people's P(pass) p and the model's q, as two independent witnesses,
  logit b = logit p + logit q - logit prior; or the one of them that there is; or the prior, which
  is the mean of p. Without it labels go to items that everybody is sure of.
- **Disagreement** (1 + |p - q|) / 2: |p - q| is the slope of the model's log loss in its reward, so
  what it would learn if people are right, and what would be found if they are not. An item on which
  both agree, or only one has spoken, counts half of one where they contradict each other.
- **Coverage** c = 1 / sqrt(1 + n), with n other items of the same cell (prompt and generator) that
  have labels: the standard error of what a cell's labels say falls as one over the root of their
  number, so the next one tells that much less.

A product, so that an item which one of the three speaks against does not come first for the others.

The model has a say in a dimension only where its rewards, on at least `MINIMUM` decided items that
it was not trained on, predict the consensus better than the share of passes does; on items that it
was trained on it repeats their label, and has none.

Sources: Lindley (1956), On a measure of the information provided by an experiment; Settles (2012),
Active learning, ch. 2-4 (uncertainty, expected gradient length, density weighting).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from agreement.calibration import MINIMUM_GOLD, calibrate
from agreement.escalation import DIGITS, KEY, escalation
from agreement.labels import BoolArray, FloatArray, IntArray

MINIMUM = MINIMUM_GOLD
NEAREST = 1e-6  # probabilities count as this far from 0 and 1
DECIDED = {"pass": 1, "fail": 0}
NO_REWARDS = pa.schema(
    [
        ("item_id", pa.string()),
        ("dimension", pa.string()),
        ("reward", pa.float64()),
        ("split", pa.string()),
    ]
).empty_table()


@dataclass(frozen=True)
class Usefulness:
    """What a look at each item is worth.

    labels: item_id, dimension, p_pass (people's, NULL: none), q_pass (the model's, NULL: no say),
    belief, labels (given so far), information (bits), disagreement (|p - q|), in order of item.
    items: item_id, usefulness, information (summed), coverage, beside (labelled items of its cell),
    rank; most useful first, ties by item.
    """

    labels: pa.Table
    items: pa.Table


def usefulness(
    consensus: pa.Table,
    annotators: pa.Table,
    cells: pa.Table,
    rewards: pa.Table | None = None,
    *,
    given: pa.Table | None = None,
    most_labels: int | None = None,
) -> Usefulness:
    """All items by what a look at them is worth, those that nobody has judged among them.

    consensus: rows of the contract `consensus`, one run. annotators: rows of `annotators`, one
        measurement. cells: item_id, cell (a text), of every item.
    rewards: item_id, dimension, reward, split (of the model's pair set, NULL: not in it).
    given, most_labels: as `agreement.escalation.escalation` takes them.
    Raises: AgreementError as `escalation`.
    """
    known = _opinions(consensus, cells, rewards)
    p, q = (known[name].to_numpy(zero_copy_only=False) for name in ("p_pass", "q_pass"))
    belief = np.empty(len(p))
    names = known["dimension"].to_numpy(zero_copy_only=False)
    for name in np.unique(names):
        mine = names == name
        belief[mine] = believed(p[mine], q[mine])
    rows = pa.table(
        {
            **{name: known[name] for name in KEY},
            "p_pass": belief,
            "n_pass": known["n_pass"],
            "n_fail": known["n_fail"],
        }
    )
    found = escalation(rows, annotators, given, most_labels).labels.drop_columns(["rank"])
    opinions = known.select([*KEY, "p_pass", "q_pass"])
    labels = found.rename_columns({"p_pass": "belief"}).join(opinions, list(KEY))
    labels = labels.sort_by([(name, "ascending") for name in KEY])
    gap = np.abs(pc.subtract(labels["p_pass"], labels["q_pass"]).to_numpy(zero_copy_only=False))
    labels = labels.append_column("disagreement", pa.array(np.round(np.nan_to_num(gap), DIGITS)))
    return Usefulness(labels, _items(labels, cells, consensus["item_id"]))


def believed(p: FloatArray, q: FloatArray) -> FloatArray:
    """P(pass) by people and model together: (N,).

    p, q: (N,) P(pass) by people and by the model, NaN where one has not spoken. The prior is the
    mean of p, 1/2 where nobody has spoken.

    >>> nan = float("nan")
    >>> believed(np.array([0.5, 0.9, 0.1, nan]), np.array([0.5, 0.9, nan, 0.7])).round(3)
    array([0.5  , 0.988, 0.1  , 0.7  ])
    """
    spoken = ~np.isnan(p)
    prior = float(p[spoken].mean()) if spoken.any() else 0.5
    known, second = np.where(spoken, p, prior), np.where(np.isnan(q), prior, q)
    odds = _logit(known) + _logit(second) - _logit(np.array([prior]))
    belief: FloatArray = 1 / (1 + np.exp(-odds))
    return belief


def second_opinion(rewards: FloatArray, truth: IntArray, held_out: BoolArray) -> FloatArray:
    """P(pass) of items by a model's rewards: (N,), NaN where it has no say.

    rewards: (N,). truth: (N,) 1 pass, 0 fail, -1 undecided or without labels. held_out: (N,) the
        model was not trained on the item.
    """
    nobody = np.full(len(rewards), np.nan)
    check = held_out & (truth >= 0)
    if check.sum() < MINIMUM or not rewards.std():
        return nobody
    odds = (rewards - rewards.mean()) / rewards.std()
    raw = 1 / (1 + np.exp(-odds))
    line = calibrate(raw, np.where(check, truth, -1), MINIMUM)
    p = line.apply(raw)
    y = truth[check]
    if ((p[check] - y) ** 2).mean() >= y.mean() * (1 - y.mean()):
        return nobody
    return np.where(held_out, p, np.nan)


def _opinions(consensus: pa.Table, items: pa.Table, rewards: pa.Table | None) -> pa.Table:
    """item_id, dimension, p_pass, q_pass, n_pass, n_fail of every item in every dimension."""
    said = _alike(consensus.select([*KEY, "p_pass", "n_pass", "n_fail", "label"]))
    given = _alike((NO_REWARDS if rewards is None else rewards).select(NO_REWARDS.column_names))
    names = np.array(sorted(said["dimension"].unique().to_pylist()), object)
    every = np.array(items["item_id"].to_pylist(), object)
    both = pa.table(
        {
            "item_id": pa.array(np.repeat(every, len(names)), pa.string()),
            "dimension": pa.array(np.tile(names, len(every)), pa.string()),
        }
    )
    both = both.join(said, list(KEY)).join(given, list(KEY))
    both = both.sort_by([(name, "ascending") for name in KEY])
    opinion = _by_dimension(both)
    both = both.append_column("q_pass", pa.array(opinion, mask=np.isnan(opinion)))
    for name in ("n_pass", "n_fail"):
        place = both.column_names.index(name)
        both = both.set_column(place, name, pc.fill_null(both[name], 0))
    return both.drop_columns(["label", "reward", "split"])


def _by_dimension(both: pa.Table) -> FloatArray:
    """The model's P(pass) of each row."""
    names = both["dimension"].to_numpy(zero_copy_only=False)
    rewards = both["reward"].to_numpy(zero_copy_only=False).astype(float)
    truth = np.array([DECIDED.get(label, -1) for label in both["label"].to_pylist()], np.int64)
    held_out = pc.fill_null(pc.not_equal(both["split"], "train"), True).to_numpy(
        zero_copy_only=False
    )
    opinion = np.full(both.num_rows, np.nan)
    for name in np.unique(names):
        mine = np.flatnonzero((names == name) & ~np.isnan(rewards))
        opinion[mine] = second_opinion(rewards[mine], truth[mine], held_out[mine])
    return opinion


def _items(labels: pa.Table, cells: pa.Table, labelled: pa.ChunkedArray) -> pa.Table:
    weights = (1 + labels["disagreement"].to_numpy()) / 2
    worth = np.round(labels["information"].to_numpy() * weights, DIGITS)
    rows = labels.append_column("worth", pa.array(worth)).group_by("item_id", use_threads=False)
    items = rows.aggregate([("worth", "mean"), ("information", "sum")])
    items = items.join(_beside(cells, labelled), "item_id").sort_by("item_id")
    coverage = 1 / np.sqrt(1 + items["beside"].to_numpy())
    value = np.round(items["worth_mean"].to_numpy() * coverage, DIGITS)
    table = pa.table(
        {
            "item_id": items["item_id"],
            "usefulness": value,
            "information": np.round(items["information_sum"].to_numpy(), DIGITS),
            "coverage": np.round(coverage, DIGITS),
            "beside": items["beside"],
        }
    ).sort_by([("usefulness", "descending"), ("item_id", "ascending")])
    return table.append_column("rank", pa.array(np.arange(1, table.num_rows + 1)))


def _beside(cells: pa.Table, labelled: pa.ChunkedArray) -> pa.Table:
    """item_id, beside: other items of its cell that have labels."""
    names = labelled.unique().cast(pa.string())
    has = pc.is_in(cells["item_id"].cast(pa.string()), value_set=names)
    has = has.cast(pa.int64())
    rows = cells.append_column("has", has)
    totals = rows.group_by("cell", use_threads=False).aggregate([("has", "sum")])
    rows = rows.join(totals, "cell")
    return pa.table(
        {"item_id": rows["item_id"], "beside": pc.subtract(rows["has_sum"], rows["has"])}
    )


def _alike(table: pa.Table) -> pa.Table:
    """Texts as plain texts: joins want both sides alike."""
    plain = [
        field.with_type(field.type.value_type if pa.types.is_dictionary(field.type) else field.type)
        for field in table.schema
    ]
    return table.cast(pa.schema(plain))


def _logit(p: FloatArray) -> FloatArray:
    inside = np.clip(p, NEAREST, 1 - NEAREST)
    odds: FloatArray = np.log(inside) - np.log1p(-inside)
    return odds
