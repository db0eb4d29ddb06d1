"""VideoAlign's training CSV: a file per dimension and split.

Source: github.com/KwaiVGI/VideoAlign, datasets/train/README.md: path_A, path_B, prompt; VQ, MQ, TA
with A, B or same; fps_A, num_frames_A, fps_B, num_frames_B. Its loader masks any other label, an
empty one included, so a file says only the column of its dimension (`--eval_dim`). Paths are joined
to `--data_dir`; URLs cannot be read. A fair coin keyed by the pair says on which side the winner
stands; `same` is any tie, two fails included. Columns beyond the documented ones are ours: ids,
kind, the prompt of B, μ and weight, which the trainer does not read: a pair of weight 0 counts like
any other, and the card says how many pairs have a weight of their own. No pair is left out.

A row has one prompt, the one of A. VideoAlign reads its VQ and MQ tokens before the prompt, so
that pairs of two prompts do them no harm; its TA token reads it (paper, section 3.2), so that pairs
of two prompts are refused there.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import pyarrow as pa

from pairing.blocks import Block
from pairing.exports.files import File, Json, file_name, named_files, read_pairs
from pairing.exports.form import Form, unseen_weights
from pairing.exports.rows import Rows, coins
from warehouse.errors import PairingError
from warehouse.wording import counted

COLUMNS = {
    "subject_deformity": "VQ",  # single-frame reasonableness
    "physical_plausibility": "MQ",  # dynamic reasonableness
    "semantic_alignment": "TA",
}
LABELS = ("VQ", "MQ", "TA")
READS_PROMPT = "TA"
DOCUMENTED = (
    *("path_A", "path_B", "prompt", *LABELS),
    *("fps_A", "num_frames_A", "fps_B", "num_frames_B"),
)
OURS = ("item_A", "item_B", "prompt_B", "kind", "mu", "weight")
_TWO_PROMPTS = (
    "two prompts. The column prompt holds the one of A; prompt_B holds the other one, but the"
    " trainer does not read it."
)
_TWO_FAILS = "two fails, which the trainer reads as same, like two passes."


def videoalign_form(columns: Mapping[str, str] = COLUMNS) -> Form:
    """The form, with columns: dimension -> VQ, MQ or TA.

    Raises: PairingError for another column.
    """
    for dimension, column in columns.items():
        if column not in LABELS:
            raise PairingError(
                f"videoalign: {dimension!r} is to go to column {column!r}; choose VQ, MQ or TA"
            )
    return Form("videoalign", partial(_files, columns), _read, _unseen, needs=("fps", "frames"))


def _files(columns: Mapping[str, str], rows: Rows) -> Iterator[File]:
    _refuse_urls(rows)
    for block in rows.blocks:
        _check_column(columns, block.dimension)
        _refuse_two_prompts(rows, block, columns[block.dimension])
    for dimension, split, parts in rows.files():
        yield file_name(dimension, split, "csv"), _lines(parts, columns[dimension])


def _lines(parts: Iterator[pa.Table], column: str) -> Iterator[bytes]:
    names = (*DOCUMENTED, *OURS)
    yield _text([names])
    for part in parts:
        heads = coins(part["winner"], part["other"]).tolist()
        pairs = zip(part.to_pylist(), heads, strict=True)
        records = (_record(row, column, head=head) for row, head in pairs)
        yield _text([record[name] for name in names] for record in records)


def _record(row: Json, column: str, *, head: bool) -> Json:
    tie = row["kind"] != "win_lose"
    winner_first = tie or head
    sides = ("winner", "other") if winner_first else ("other", "winner")
    record = dict.fromkeys(LABELS, "") | {name: row[name] for name in ("kind", "mu", "weight")}
    record[column] = "same" if tie else "A" if winner_first else "B"
    for letter, side in zip("AB", sides, strict=True):
        record |= {
            f"path_{letter}": row[f"{side}_video"],
            f"fps_{letter}": row[f"{side}_fps"],
            f"num_frames_{letter}": row[f"{side}_frames"],
            f"item_{letter}": row[side],
        }
    prompts = (row[f"{side}_prompt"] for side in sides)
    return record | dict(zip(("prompt", "prompt_B"), prompts, strict=True))


def _text(lines: Iterable[Sequence[object]]) -> bytes:
    """CSV lines; every text is quoted, so that no character in it needs another rule."""
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n").writerows(lines)
    return text.getvalue().encode()


def _read(folder: Path) -> pa.Table:
    return pa.concat_tables(
        read_pairs(path, _records, _pair, {"dimension": dimension, "split": split})
        for (dimension, split), path in named_files(folder, "csv", 2)
    )


def _records(path: Path) -> list[Json]:
    with path.open(encoding="utf-8", newline="") as lines:
        try:
            return list(csv.DictReader(lines, strict=True))
        except csv.Error as error:
            raise ValueError(*error.args) from error


def _pair(record: Json) -> Json:
    (label,) = (record[column] for column in LABELS if record[column])
    letters = {"A": "AB", "B": "BA", "same": "AB"}[label]
    prompts = {"A": record["prompt"], "B": record["prompt_B"]}
    pair = {name: float(record[name]) for name in ("mu", "weight")} | {"kind": record["kind"]}
    for side, letter in zip(("winner", "other"), letters, strict=True):
        pair |= {
            side: record[f"item_{letter}"],
            f"{side}_video": record[f"path_{letter}"],
            f"{side}_prompt": prompts[letter],
        }
    return pair


def _check_column(columns: Mapping[str, str], dimension: str) -> None:
    if dimension not in columns:
        raise PairingError(
            f"videoalign: no column for dimension {dimension!r}; say which of VQ, MQ and TA it is"
        )


def _refuse_urls(rows: Rows) -> None:
    columns = (rows.facts[name].to_pylist() for name in ("item_id", "video"))
    for item, video in zip(*columns, strict=True):
        if "://" in video:
            raise PairingError(
                f"items: the video of item {item!r} is {video!r}, but VideoAlign reads only paths"
                " under its --data_dir; fetch the videos and give their paths"
            )


def _refuse_two_prompts(rows: Rows, block: Block, column: str) -> None:
    two = rows.two_prompts(block)
    if column == READS_PROMPT and two:
        raise PairingError(
            f"videoalign: {two} of {len(block)} {block.kind} pairs of {block.dimension!r} join two"
            f" prompts, but {READS_PROMPT} judges both videos by one; build the set with"
            " strategy = 'in-prompt', or choose another format"
        )


def _unseen(rows: Rows) -> list[str]:
    sentences = unseen_weights(rows)
    if two := sum(rows.two_prompts(block) for block in rows.blocks):
        sentences += [f"{counted(two, 'pair joins', 'pairs join')} {_TWO_PROMPTS}"]
    if fails := rows.count("lose_tie"):
        sentences += [f"{counted(fails, 'pair is', 'pairs are')} {_TWO_FAILS}"]
    return sentences
