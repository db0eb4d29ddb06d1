"""The two JSON forms of SoliReward: the one its README shows, and the one its code loads.

Source: README of github.com/lian700/SoliReward, "Data Format", for win/lose/meta; what its training
code was seen to load for the other: the two differ. Both are one JSON list per dimension and split.
A pass has quality 1.0, a fail 0.0: a tie has equal qualities, which is how the trainer finds ties
(loss BTT), two fails included. Its BCE term reads `quality > 0`. It reads neither μ nor weight:
they stand in `meta`, a pair of weight 0 counts like any other, and the card says how many pairs
have their own. No pair is left out; ties of which nobody knows whether they are good or bad (of
imported sets) are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from pairing.exports.files import (
    File,
    Json,
    file_name,
    json_list,
    named_files,
    read_list,
    read_pairs,
)
from pairing.exports.form import Form, refuse_placeholders, unseen_weights
from pairing.exports.rows import Rows
from warehouse.errors import PairingError
from warehouse.wording import counted

VIDEO = "<video>"  # the place of the next of `videos` in a message
QUALITY = {"win_lose": (1.0, 0.0), "win_tie": (1.0, 1.0), "lose_tie": (0.0, 0.0)}
_KINDS = {qualities: kind for kind, qualities in QUALITY.items()}


def _files(rows: Rows) -> Iterator[File]:
    refuse_placeholders(rows, [VIDEO])
    _refuse_unknown_ties(rows)
    for dimension, split, parts in rows.files():
        records = (_record(row) for part in parts for row in part.to_pylist())
        yield file_name(dimension, split, "json"), json_list(records)


def _record(row: Json) -> Json:
    """`rejected_response` replaces the last message; first half of `videos` is the winner's."""
    qualities = QUALITY[row["kind"]]
    return {
        "messages": [{"role": "user", "content": _content(row["winner_prompt"])}],
        "rejected_response": _content(row["other_prompt"]),
        "quality": list(qualities),
        "videos": [row["winner_video"], row["other_video"]],
        "meta": {
            "positive": {"item_id": row["winner"], "p_pass": row["winner_p_pass"]},
            "negative": {"item_id": row["other"], "p_pass": row["other_p_pass"]},
            "pair": {"mu": row["mu"], "weight": row["weight"]},
        },
    }


def _content(prompt: str) -> str:
    return f"{VIDEO}\n{prompt}"


def _read(folder: Path) -> pa.Table:
    return _read_with(folder, _pair)


def _read_with(folder: Path, pair: Callable[[Any], Json]) -> pa.Table:
    return pa.concat_tables(
        read_pairs(path, read_list, pair, {"dimension": dimension, "split": split})
        for (dimension, split), path in named_files(folder, "json", 2)
    )


def _pair(record: Json) -> Json:
    """Both sides as the code sees them: messages, each <video> being the next of its videos."""
    rejected = [*record["messages"][:-1], {"content": record["rejected_response"]}]
    half = len(record["videos"]) // 2
    meta = record["meta"]
    pair = {"kind": _KINDS[tuple(record["quality"])], **meta["pair"]}
    for side, who, messages, videos in (
        ("winner", "positive", record["messages"], record["videos"][:half]),
        ("other", "negative", rejected, record["videos"][half:]),
    ):
        text = "".join(message["content"] for message in messages)
        if len(videos) != text.count(VIDEO):
            raise ValueError(f"{len(videos)} videos for {text.count(VIDEO)} places")
        pair |= {side: meta[who]["item_id"], f"{side}_video": videos[0]}
        pair[f"{side}_prompt"] = text.removeprefix(_content(""))
    return pair


def _refuse_unknown_ties(rows: Rows) -> None:
    if ties := rows.count("tie"):
        raise PairingError(
            f"{counted(ties, 'pair is a tie', 'pairs are ties')} of items that are not known to be"
            " good or bad, but this format says a tie by two qualities, 1 or 0; choose another"
            " format"
        )


def _readme_files(rows: Rows) -> Iterator[File]:
    _refuse_unknown_ties(rows)
    for dimension, split, parts in rows.files():
        records = (_readme_record(row) for part in parts for row in part.to_pylist())
        yield file_name(dimension, split, "json"), json_list(records)


def _readme_record(row: Json) -> Json:
    win, lose = QUALITY[row["kind"]]
    return {
        "win": _messages(row["winner_video"], row["winner_prompt"]),
        "lose": _messages(row["other_video"], row["other_prompt"]),
        "meta": {
            "win": {"quality": win, "item_id": row["winner"], "p_pass": row["winner_p_pass"]},
            "lose": {"quality": lose, "item_id": row["other"], "p_pass": row["other_p_pass"]},
            "pair": {"mu": row["mu"], "weight": row["weight"]},
        },
    }


def _messages(video: str, prompt: str) -> list[Json]:
    content = [{"type": "video", "video": video}, {"type": "text", "text": prompt}]
    return [{"role": "user", "content": content}]


def _read_readme(folder: Path) -> pa.Table:
    return _read_with(folder, _readme_pair)


def _readme_pair(record: Json) -> Json:
    meta = record["meta"]
    pair = {"kind": _KINDS[meta["win"]["quality"], meta["lose"]["quality"]], **meta["pair"]}
    for side, who in (("winner", "win"), ("other", "lose")):
        (message,) = record[who]
        parts = {part["type"]: part[part["type"]] for part in message["content"]}
        pair |= {side: meta[who]["item_id"], f"{side}_video": parts["video"]}
        pair[f"{side}_prompt"] = parts["text"]
    return pair


SOLIREWARD = Form("solireward", _files, _read, unseen_weights)
SOLIREWARD_README = Form("solireward-readme", _readme_files, _read_readme, unseen_weights)
