"""ms-swift's JSONL for reward models: a file per dimension, split and kind.

Source: ms-swift, docs/source_en/Customization/Custom-dataset.md, "RLHF" and "Multimodal";
`rejected_messages` with `rejected_videos` since 3.8 (pull request 5878), which cross-prompt pairs
need: `rejected_response` alone would keep the winner's prompt. The prompt is the user's message,
the video is the assistant's, as in that page's text-to-image example.

The trainer knows winners and losers, no ties: ties stand in files of their own, which are not to be
mixed in. It reads neither μ nor weight: they stand in `meta`, which it drops like any other key, a
pair of weight 0 counts like any other, and the card says how many pairs have their own. No pair is
left out. There is no `margin`: until August 2026 ms-swift mixed the margins of a batch (pull
request 9927).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from pairing.exports.files import (
    File,
    Json,
    file_name,
    json_lines,
    named_files,
    read_lines,
    read_pairs,
)
from pairing.exports.form import Form, refuse_placeholders, unseen_ties, unseen_weights
from pairing.exports.rows import Rows

VIDEO = "<video>"
PLACEHOLDERS = (VIDEO, "<image>", "<audio>", "<ref-object>", "<bbox>")


def _files(rows: Rows) -> Iterator[File]:
    refuse_placeholders(rows, PLACEHOLDERS)
    for block in rows.blocks:
        records = (_record(row) for part in rows.slices(block) for row in part.to_pylist())
        name = file_name(block.dimension, block.split, block.kind, "jsonl")
        yield name, json_lines(records)


def _record(row: Json) -> Json:
    return {
        "messages": _messages(row["winner_prompt"]),
        "videos": [row["winner_video"]],
        "rejected_messages": _messages(row["other_prompt"]),
        "rejected_videos": [row["other_video"]],
        "meta": {name: row[name] for name in ("winner", "other", "mu", "weight")},
    }


def _messages(prompt: str) -> list[Json]:
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": VIDEO}]


def _read(folder: Path) -> pa.Table:
    names = ("dimension", "split", "kind")
    return pa.concat_tables(
        read_pairs(path, read_lines, _pair, dict(zip(names, words, strict=True)))
        for words, path in named_files(folder, "jsonl", len(names))
    )


def _pair(record: Json) -> Json:
    pair = dict(record["meta"])
    for side, prefix in (("winner", ""), ("other", "rejected_")):
        user, assistant = record[f"{prefix}messages"]
        (video,) = record[f"{prefix}videos"]
        if assistant["content"] != VIDEO:
            raise ValueError(f"{assistant['content']!r} instead of {VIDEO}")
        pair |= {f"{side}_prompt": user["content"], f"{side}_video": video}
    return pair


def _unseen(rows: Rows) -> list[str]:
    return unseen_ties(rows, "files") + unseen_weights(rows)


MS_SWIFT = Form("ms-swift", _files, _read, _unseen)
