from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from pairing import Recipe, build_pairs
from pairing.exports import CardFacts, export, videoalign_form
from pairing.imported_set import imported_set, settled
from pairing.imports import read_foreign
from pairing.recipe import Split

MADE = ("win_lose", "win_tie", "lose_tie")
COLUMNS = ("path_A", "path_B", "prompt", "VQ", "MQ", "TA")


def pairs_of(pair_set):
    """(dimension, kind, item, item) of every pair; the items of a tie in order."""
    ids = {row["ordinal"]: row["item_id"] for row in pair_set.items.to_pylist()}
    found = []
    for row in pair_set.pairs.to_pylist():
        ends = ids[row["winner"]], ids[row["other"]]
        ordered = ends if row["kind"] == "win_lose" else tuple(sorted(ends))
        found.append((row["dimension"], row["kind"], *ordered))
    return sorted(found)


def imported(path, form, items, columns=None):
    """The evaluation set of a file whose videos are the items of its own ids, or of their keys."""
    foreign = read_foreign(path, form, columns)
    assert foreign.refused == []
    keys = {video.key for each in foreign.judged for video in (each.a, each.b)}
    kept, refused = settled(foreign.judged, {key: key for key in keys})
    assert refused == []
    source = {"form": form, "name": "x", "sha256": foreign.sha256}
    return imported_set(kept.values(), items, source)


def exported(form, pair_set, known, folder):
    """A pair set in a form, as (file, evaluation set read from it)."""
    chosen = videoalign_form({"looks": "VQ", "moves": "MQ"}) if form == "videoalign" else form
    files = export(pair_set, known, folder, chosen, card_facts=CardFacts("A set", "MIT"))
    return [
        (path, imported(path, form, known)) for path in files if path.suffix in (".csv", ".json")
    ]


def built(consensus, items, *dimensions):
    """All pairs of all kinds in two splits."""
    counts = {kind: dict.fromkeys(("train", "test"), "up to 100000") for kind in MADE}
    recipe = Recipe(
        dimensions,
        kinds=MADE,
        counts=counts,
        split=Split(0.5, 0.0, 0.5),
        strategy="any-prompt",
    )
    return build_pairs(consensus, items, recipe)


def known_of(items):
    ids = items["item_id"].to_pylist()
    return (
        items.append_column("prompt", [[f"a {p}" for p in items["prompt_id"].to_pylist()]])
        .append_column("video", [[f"videos/{each}.mp4" for each in ids]])
        .append_column("fps", [[24.0] * len(ids)])
        .append_column("frames", [[48] * len(ids)])
    )


@pytest.fixture(scope="session")
def kit():
    return SimpleNamespace(
        pairs=pairs_of, imported=imported, exported=exported, built=built, known=known_of
    )


@pytest.fixture
def csv_file(tmp_path):
    """Write a CSV of texts that need no quotes."""

    def write(*rows, header=COLUMNS, newline="\n", start=""):
        path = tmp_path / "pairs.csv"
        lines = [",".join(cells) for cells in (header, *rows)]
        path.write_bytes((start + newline.join([*lines, ""])).encode())
        return path

    return write


@pytest.fixture
def json_file(tmp_path):
    def write(value, name="pairs.json"):
        path = tmp_path / name
        path.write_text(value if isinstance(value, str) else json.dumps(value))
        return path

    return write
