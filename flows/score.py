"""Score: rewards of the warehouse's items."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from flows.score_list import Entry
from flows.score_output import row_of, saving, write_rows
from flows.train import media_of, newest_model
from warehouse.errors import StoreError
from warehouse.face import publish
from warehouse.store import Store

if TYPE_CHECKING:
    from training.reference import Reference
    from training.score import Device

Progress = Callable[[int, int], None]

COMMIT = 1000  # items whose rewards become rows of the warehouse together
SAID = """
SELECT item_id, uri, text, dimension, reward, split FROM rewards
WHERE model_id = $m ORDER BY item_id, dimension
"""


def quiet(_done: int, _total: int) -> None:
    """Progress that says nothing."""


def score(
    store: Store,
    *,
    model: str | None = None,
    device: Device = "auto",
    progress: Progress = quiet,
    held_out_of: str | None = None,
    threads: int | None = None,
    frame_cache_bytes: int | None = None,
) -> tuple[dict[str, Any], int, list[dict[str, str]]]:
    """Give every item a reward that has none of this model yet, and write the rewards.

    A run that is killed keeps what it wrote, a thousand items at a time; a rerun goes on.
    held_out_of: a pair set, of whose items alone those that are not in train get one.
    threads: CPU threads of torch, in the whole process; None: as they are.
    frame_cache_bytes: as `flows.train.train` takes it.
    Returns: the model's row of `runs`, the number of new rewards, and items that could not be read
        with reasons.
    """
    from training.score import Scorer, score_items
    from training.video import FrameCache

    run = newest_model(store, model)
    media = media_of(store, held_out_of, unscored_by=run["model_id"], held_out=True)
    scorer = Scorer.load(
        run["path"], device=device, weights_sha256=run["weights_sha256"], threads=threads
    )
    policy = scorer.model.spec.frames
    cache = FrameCache(store.home / "frames", policy, most_bytes=frame_cache_bytes)
    new, unreadable = 0, []
    for start in range(0, media.num_rows, COMMIT):
        rewards, bad = score_items(
            scorer.model,
            media.slice(start, COMMIT),
            _within(progress, start, media.num_rows),
            cache=cache,
        )
        models = pa.array([run["model_id"]] * rewards.num_rows, pa.string())
        with store.writing("write the scores"):
            store.append("scores", rewards.append_column("model_id", models))
        new += rewards.num_rows
        unreadable += bad.to_pylist()
    publish(store)
    return run, new, unreadable


def _within(progress: Progress, start: int, total: int) -> Callable[[int, int, str], None]:
    """Progress of a part that begins at `start`."""
    return lambda done, _total, _note: progress(start + done, total)


def write_scores(store: Store, run: dict[str, Any], out: Path) -> int:
    """All rewards of a model that the warehouse holds, as a file; returns the number of rows."""
    from training.reference import read_reference

    found = store.query(SAID, {"m": run["model_id"]}).to_pylist()
    reference = read_reference(run["path"], run["model_id"])
    entries: dict[str, Entry] = {}
    for row in found:
        item = row["item_id"]
        entries.setdefault(item, Entry(len(entries) + 1, item, row["uri"], row["text"]))
    with saving(out):
        write_rows(
            out,
            (
                row_of(entries[row["item_id"]], row["dimension"], row["reward"], reference)
                for row in found
            ),
        )
    return len(found)


def refer(store: Store, run: dict[str, Any]) -> Reference:
    """Write the model's reference from its rewards of the items it was validated on.

    In a dimension without validation items: of those it was trained on, else of all.
    Raises: StoreError where it has given no item a reward.
    """
    from training.reference import Reference, write_reference

    found = store.query(SAID, {"m": run["model_id"]}).to_pandas()
    if found.empty:
        raise StoreError(f"model {run['model_id']} has given no item a reward; run `soli score`")
    rewards = {}
    for name, part in found.groupby("dimension"):
        split = next(
            (each for each in ("validation", "train") if (part["split"] == each).any()), None
        )
        chosen = part if split is None else part[part["split"] == split]
        rewards[str(name)] = chosen["reward"].to_numpy()
    reference = Reference.build(run["model_id"], "validation", rewards)
    write_reference(run["path"], reference)
    return reference
