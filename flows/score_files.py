"""Score the videos of a list or folder into a file; a killed run goes on where it stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flows.score_journal import Journal, Key, Rewards, Stamp, journal, stamp
from flows.score_list import Entry
from flows.score_output import Row, row_of, saving, write_lines, write_rows, writer_of

if TYPE_CHECKING:
    from training.reference import Reference
    from training.score import Device, Scorer

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class FilesScored:
    """What came of a list or folder."""

    model_id: str
    out: Path
    entries: int
    videos: int
    """Distinct videos and prompts among them."""
    kept: int
    """Of those, how many an earlier run had scored."""
    without_prompt: int
    """Entries that were scored with an empty prompt."""
    reference: str | None
    """What the standardised rewards stand against; None: the model has no reference."""
    reference_items: int
    bad: list[Row]
    """line, item_id, path and reason of each entry that has no reward."""


def score_files(
    checkpoint: Path,
    entries: Sequence[Entry],
    out: Path,
    *,
    reference: str | None = None,
    weights_sha256: str | None = None,
    device: Device = "auto",
    workers: int = 1,
    progress: Progress = lambda _done, _total: None,
) -> FilesScored:
    """Rewards of the entries, in a file, with a row for each entry and dimension.

    A video is decoded once, however often and with however many prompts it is listed. Beside `out`
    stand `out`.rewards, the journal from which a killed run goes on and which spares a later one
    what was scored already, and `out`.errors, the entries without a reward with reasons.
    reference: name of these entries, which then become what the model's rewards are set against.
    workers: threads that decode ahead of the model.
    Raises: TrainingError for a checkpoint that cannot be used; StoreError where files cannot be
        written, or another run writes them.
    Memory: entries and rewards, and the frames of a few videos.
    """
    from training.score import Scorer

    writer_of(out)
    scorer = Scorer.load(checkpoint, device=device, weights_sha256=weights_sha256)
    keys = dict.fromkeys((each.path, each.prompt) for each in entries if not each.problem)
    with saving(out), journal(_beside(out, "rewards"), scorer.model_id) as known:
        missing = [key for key in keys if key not in known.rewards]
        reasons = _fill(scorer, known, missing, workers, progress)
        rewards = {key: known.rewards[key] for key in keys if key not in reasons}
        against = _reference(scorer, rewards, checkpoint, reference)
        bad = [_bad(each, reasons) for each in entries if _reason(each, reasons)]
        good = [each for each in entries if not _reason(each, reasons)]
        write_lines(_beside(out, "errors"), bad)
        write_rows(out, _rows(good, rewards, scorer.model.spec.dimensions, against))
    return FilesScored(
        model_id=scorer.model_id,
        out=out,
        entries=len(entries),
        videos=len(keys),
        kept=len(keys) - len(missing),
        without_prompt=sum(not each.prompt for each in good),
        reference=against.of if against else None,
        reference_items=against.items if against else 0,
        bad=bad,
    )


def already_scored(out: Path) -> bool:
    """Whether an earlier run left rewards beside this output."""
    return _beside(out, "rewards").exists()


def _beside(out: Path, ending: str) -> Path:
    return out.with_name(f"{out.name}.{ending}")


def _fill(
    scorer: Scorer, known: Journal, missing: Sequence[Key], workers: int, progress: Progress
) -> dict[Key, str]:
    """Score what the journal does not know; returns the reasons of what has no reward."""
    from training.score import Video, stream

    prompts: dict[str, list[str]] = {}
    for path, prompt in missing:
        prompts.setdefault(path, []).append(prompt)
    stamps: dict[str, Stamp] = {}

    def videos() -> Iterator[Video]:
        for path, each in prompts.items():
            stamps[path] = stamp(path)  # before it is read: a later change will be seen
            yield Video(path, tuple(each))

    reasons: dict[Key, str] = {}
    for done, found in enumerate(stream(scorer.model, videos(), workers=workers), start=1):
        video, seen = found.video, stamps.pop(found.video.path)
        if found.rewards is None:
            reasons |= {(video.path, prompt): str(found.reason) for prompt in video.prompts}
        else:
            rewards = [tuple(row) for row in found.rewards.tolist()]
            known.add(video.path, seen, dict(zip(video.prompts, rewards, strict=True)))
        progress(done, len(prompts))
    return reasons


def _reference(
    scorer: Scorer, rewards: Mapping[Key, Rewards], checkpoint: Path, name: str | None
) -> Reference | None:
    """The checkpoint's reference, made first from these rewards where it gets a name."""
    from training.reference import Reference, read_reference, write_reference

    if name is None:
        return read_reference(checkpoint, scorer.model_id)
    columns = {
        dimension: [row[at] for row in rewards.values()]
        for at, dimension in enumerate(scorer.model.spec.dimensions)
    }
    made = Reference.build(scorer.model_id, name, columns)
    write_reference(checkpoint, made)
    return made


def _reason(entry: Entry, reasons: Mapping[Key, str]) -> str | None:
    return entry.problem or reasons.get((entry.path, entry.prompt))


def _bad(entry: Entry, reasons: Mapping[Key, str]) -> Row:
    facts: Row = {"line": entry.line, "item_id": entry.item_id, "path": entry.path}
    return facts | {"reason": _reason(entry, reasons)}


def _rows(
    entries: Sequence[Entry],
    rewards: Mapping[Key, Rewards],
    dimensions: Sequence[str],
    reference: Reference | None,
) -> Iterator[Row]:
    """Rows by entry and then in the model's order of dimensions."""
    for entry in entries:
        found = zip(dimensions, rewards[entry.path, entry.prompt], strict=True)
        yield from (row_of(entry, name, reward, reference) for name, reward in found)
