"""Lists and folders into files of rewards: resumed, with bad videos, in every form."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from flows.encoding import write_clip
from flows.score_files import score_files
from flows.score_journal import journal
from flows.score_list import read_folder, read_list
from flows.score_output import SCORED
from training.model import RewardModel
from training.recipes import tiny_test
from training.tiny import TinyShape, build_tiny_internvl
from warehouse.errors import AnnotationError, StoreError, TrainingError

ROOT = Path(__file__).parents[2]
ODD = 'a "red" ball,\nfalls 🎈 = 1'
SHAPE = TinyShape(image=16, patch=4, vision_hidden=16, vision_layers=1, hidden=16, layers=4)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Tiny tensors: a second thread only waits, longest where other tests run beside us."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """An untrained model with three dimensions."""
    folder = tmp_path_factory.mktemp("model")
    base = build_tiny_internvl(folder / "base", 0, ["a red ball falls"], SHAPE)
    RewardModel.create(tiny_test(str(base), "")).save_pretrained(folder / "checkpoint")
    return folder / "checkpoint"


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """A folder of eight clips, two of them in a folder of their own."""
    folder = tmp_path_factory.mktemp("clips")
    (folder / "more").mkdir()
    rng = np.random.default_rng(0)
    for number in range(8):
        name = f"more/{number}.mp4" if number > 5 else f"{number}.mp4"
        color = rng.integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
        write_clip(folder / name, np.repeat(color, 5, axis=0), 8)
    return folder


@pytest.fixture
def listed(tmp_path, clips):
    """Write a list of entries, a path being one of the clips; returns its entries as read."""

    def write(rows, name="list.json"):
        path = tmp_path / name
        lines = "".join(f"{json.dumps(row)}\n" for row in rows)
        path.write_text(json.dumps(rows) if name.endswith(".json") else lines)
        return read_list(path, (clips,), clips)

    return write


def rows_of(path):
    match path.suffix:
        case ".parquet":
            return pq.read_table(path).to_pylist()
        case ".csv":
            with path.open(newline="") as file:
                numbers = ("reward", "standardised", "percentile")
                return [
                    row
                    | {"line": int(row["line"])}
                    | {name: float(row[name]) if row[name] else None for name in numbers}
                    for row in csv.DictReader(file)
                ]
        case ".jsonl":
            return [json.loads(line) for line in path.read_text().splitlines()]
    return json.loads(path.read_text())


# Lists


def test_the_readme_s_list_is_read(tmp_path, clips):
    path = tmp_path / "list.json"
    path.write_text(
        json.dumps(
            [
                {"video_path": str(clips / "0.mp4")},
                {"video_path": "more/6.mp4", "prompt": ODD, "item_id": 7},
            ]
        )
    )
    one, two = read_list(path, (clips,), clips)
    assert (one.line, one.item_id, one.prompt) == (1, str(clips / "0.mp4"), "")
    assert (two.item_id, two.path, two.prompt) == ("7", str(clips / "more/6.mp4"), ODD)


@pytest.mark.parametrize("form", ["json", "jsonl", "csv"])
def test_a_list_says_the_same_in_every_form(tmp_path, clips, form):
    rows = [{"video_path": "0.mp4", "prompt": ODD}, {"video_path": "1.mp4", "prompt": ""}]
    path = tmp_path / f"list.{form}"
    if form == "csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, ["video_path", "prompt"])
            writer.writeheader()
            writer.writerows(rows)
    else:
        lines = "\n".join(map(json.dumps, rows))
        path.write_text(json.dumps(rows) if form == "json" else lines)
    found = read_list(path, (clips,), clips)
    assert [(each.item_id, each.prompt) for each in found] == [("0.mp4", ODD), ("1.mp4", "")]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({}, "entry 1 has no video_path"),
        (7, "entry 1 has no video_path ('7')"),
        ({"video_path": 7}, "entry 1 has no video_path"),
        ({"video_path": "a\0b.mp4"}, "entry 1 has no video_path"),
        ({"video_path": "0.mp4", "prompt": ["a"]}, "prompt is"),
        ({"video_path": "0.mp4", "prompt": "\ud800"}, "half a character"),
        ({"video_path": "https://clips.example/a.mp4"}, "is no local file"),
        ({"video_path": "../a.mp4"}, "--media-root"),
        ({"video_path": "/etc/passwd"}, "outside the media folders"),
    ],
)
def test_a_bad_entry_says_what_it_lacks(listed, row, words):
    (entry,) = listed([row])
    assert words in entry.problem
    json.dumps(entry.__dict__, ensure_ascii=False).encode()


@pytest.mark.parametrize("text", ["{", "{}", "7", "\xff"])
def test_a_file_that_is_no_list_is_named(tmp_path, text):
    path = tmp_path / "list.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(AnnotationError, match=r"list\.json: no "):
        read_list(path, (tmp_path,), tmp_path)


def test_a_folder_s_videos_are_found_in_the_order_of_their_names(clips):
    names = [each.item_id for each in read_folder(clips)]
    assert names == [*(f"{n}.mp4" for n in range(6)), "more/6.mp4", "more/7.mp4"]


def test_a_link_out_of_the_folder_is_a_bad_entry(tmp_path, clips):
    (tmp_path / "link.mp4").symlink_to(clips / "0.mp4")
    (entry,) = read_folder(tmp_path)
    assert "outside the media folders" in entry.problem


@pytest.mark.parametrize("place", ["nowhere", "."])
def test_a_folder_without_videos_is_named(tmp_path, place):
    with pytest.raises(AnnotationError, match="folder"):
        read_folder(tmp_path / place / "deeper")
    with pytest.raises(AnnotationError, match="holds no video"):
        read_folder(tmp_path)


# Rewards


@pytest.mark.parametrize("form", ["parquet", "csv", "json", "jsonl"])
def test_every_form_holds_the_same_rows(checkpoint, listed, tmp_path, form):
    entries = listed([{"video_path": "0.mp4", "prompt": ODD}, {"video_path": "1.mp4"}])
    first, second = tmp_path / "first.jsonl", tmp_path / f"second.{form}"
    score_files(checkpoint, entries, first)
    score_files(checkpoint, entries, second)
    rows = rows_of(second)
    assert rows == rows_of(first)
    assert list(rows[0]) == SCORED.names
    assert [row["line"] for row in rows] == [1, 1, 1, 2, 2, 2]
    assert rows[0]["prompt"] == ODD


def test_a_video_listed_twice_is_scored_once_and_stands_in_both_lines(
    checkpoint, listed, tmp_path, monkeypatch
):
    decoded = []
    from training import score

    read = score.read_clip
    monkeypatch.setattr(score, "read_clip", lambda *a: decoded.append(a[0]) or read(*a))
    names = ["0.mp4", "1.mp4", "0.mp4", "./0.mp4"]
    rows = [{"video_path": name} for name in names] + [{"video_path": "0.mp4", "prompt": "b"}]
    found = score_files(checkpoint, listed(rows), tmp_path / "out.jsonl")
    assert [Path(path).name for path in decoded] == ["0.mp4", "1.mp4"]
    assert (found.entries, found.videos, found.without_prompt) == (5, 3, 4)
    rewards = [row["reward"] for row in rows_of(tmp_path / "out.jsonl")]
    assert rewards[:3] == rewards[6:9] == rewards[9:12] != rewards[12:]


def test_bad_videos_lose_no_other_and_are_explained(checkpoint, clips, listed, tmp_path):
    (clips / "broken.mp4").write_bytes(b"broken")
    names = ["broken.mp4", "0.mp4", "gone.mp4", "../x.mp4", "1.mp4"]
    out = tmp_path / "out.csv"
    found = score_files(checkpoint, listed([{"video_path": name} for name in names]), out)
    assert [row["line"] for row in rows_of(out)] == [2, 2, 2, 5, 5, 5]
    errors = [json.loads(line) for line in (tmp_path / "out.csv.errors").read_text().splitlines()]
    assert errors == found.bad
    assert [each["line"] for each in errors] == [1, 3, 4]
    (clips / "broken.mp4").unlink()
    for word, each in zip(("decoded", "cannot be opened", "outside"), errors, strict=True):
        assert word in each["reason"]


def test_a_later_run_scores_what_is_new_or_mended_and_nothing_else(
    checkpoint, clips, listed, tmp_path
):
    out, late = tmp_path / "out.jsonl", clips / "late.mp4"
    rows = [{"video_path": "0.mp4"}, {"video_path": "late.mp4"}]
    assert len(score_files(checkpoint, listed(rows), out).bad) == 1
    late.write_bytes((clips / "3.mp4").read_bytes())
    found = score_files(checkpoint, listed([*rows, {"video_path": "1.mp4"}]), out)
    assert (found.kept, found.videos, found.bad) == (1, 3, [])
    assert not (tmp_path / "out.jsonl.errors").exists()
    before = rows_of(out)[3]["reward"]
    late.write_bytes((clips / "4.mp4").read_bytes())  # another video under the same name
    assert score_files(checkpoint, listed(rows), out).kept == 1
    assert rows_of(out)[3]["reward"] != before
    late.unlink()


def test_the_order_of_a_list_changes_no_reward(checkpoint, clips, listed, tmp_path):
    rows = [{"video_path": each.item_id, "prompt": ODD * n} for n, each in
            enumerate(read_folder(clips))]  # fmt: skip
    score_files(checkpoint, listed(rows), tmp_path / "a.jsonl", workers=3)
    score_files(checkpoint, listed(rows[::-1]), tmp_path / "b.jsonl")
    one, two = (rows_of(tmp_path / name) for name in ("a.jsonl", "b.jsonl"))

    def by_item(rows):
        return {(row["item_id"], row["dimension"]): row["reward"] for row in rows}

    assert by_item(one) == by_item(two)


def test_a_reference_is_made_of_a_list_and_kept_beside_the_model(
    checkpoint, clips, tmp_path, listed
):
    entries = read_folder(clips)
    made = score_files(checkpoint, entries, tmp_path / "known.jsonl", reference="clips")
    assert made.reference == "clips"
    rows = rows_of(tmp_path / "known.jsonl")
    for name in {row["dimension"] for row in rows}:
        mine = [row for row in rows if row["dimension"] == name]
        rewards = np.array([row["reward"] for row in mine])
        expected = (rewards - rewards.mean()) / rewards.std()
        assert [row["standardised"] for row in mine] == pytest.approx(expected.tolist(), abs=1e-6)
        ranks = rewards.argsort().argsort() / 7 * 100
        assert [row["percentile"] for row in mine] == pytest.approx(ranks.tolist(), abs=1)
    later = score_files(checkpoint, listed([{"video_path": "0.mp4"}]), tmp_path / "later.jsonl")
    assert later.reference == "clips"
    assert rows_of(tmp_path / "later.jsonl") == [
        row | {"path": row["path"]} for row in rows if row["item_id"] == "0.mp4"
    ]
    (checkpoint / "reference.json").unlink()


# The command


@pytest.fixture
def mixed(clips, tmp_path):
    """A list of a clip without a prompt, one that is gone, and one with a prompt."""
    rows = [{"video_path": "0.mp4"}, {"video_path": "gone.mp4"}]
    path = tmp_path / "mixed.json"
    path.write_text(json.dumps([*rows, {"video_path": "1.mp4", "prompt": ODD}]))
    return path


def test_the_command_scores_a_list_and_counts_what_it_could_not(
    soli, settings, checkpoint, clips, mixed
):
    out = mixed.parent / "new" / "out.csv"
    line = ("--checkpoint", checkpoint, "--list", mixed, "--media-root", clips, "--out", out)
    code, shown, err = soli("score", *line)
    assert code == 1
    assert "not scored: line 2: video " in err
    assert "1 entries have no prompt" in err
    assert err.splitlines()[-1] == f"1 of 3 entries have no reward: {out}.errors"
    assert len(rows_of(out)) == 2 * 3
    assert not settings.home.exists()
    code, shown, _ = soli("score", *line, "--json")
    found = json.loads(shown)
    assert (code, found["kept"], len(found["bad"])) == (1, 2, 1)


def test_a_dry_run_of_a_list_says_what_would_be_scored(soli, clips, mixed, tmp_path, unchanged):
    line = ("--checkpoint", "nowhere", "--list", mixed, "--media-root", clips)
    with unchanged(tmp_path):
        code, shown, _ = soli("score", *line, "--out", tmp_path / "a.csv", "--dry-run")
    found = json.loads(shown)
    assert code == 0
    assert (found["entries"], found["videos"], found["bad"]) == (3, 3, [])
    assert found["goes on"] is False


@pytest.mark.parametrize(
    "arguments",
    [
        ["--list", "a.json"],
        ["--list", "a.json", "--folder", ".", "--out", "a.csv"],
        ["--list", "a.json", "--out", "a.csv", "--push"],
        ["--folder", ".", "--out", "a.csv", "--checkpoint", "x", "--model", "y"],
        ["--checkpoint", "x"],
        ["--workers", "2"],
    ],
)
def test_options_that_do_not_go_together_end_with_2(soli, settings, arguments):
    code, shown, err = soli("score", *arguments)
    assert (code, shown) == (2, "")
    assert "go with --list or --folder" in err or "goes with --out" in err
    assert not settings.home.exists()


# What goes wrong


@pytest.mark.parametrize("name", ["out.txt", "out"])
def test_an_unknown_ending_is_refused_before_the_model_is_loaded(tmp_path, name):
    with pytest.raises(StoreError, match=r"is none of \.parquet, \.csv, \.json, \.jsonl"):
        score_files(tmp_path / "no model", [], tmp_path / name)


def test_a_folder_that_is_no_model_is_named(tmp_path):
    with pytest.raises(TrainingError, match=r"no checkpoint of Soli"):
        score_files(tmp_path, [], tmp_path / "out.csv")


def test_a_second_run_on_the_same_file_is_told_so(tmp_path):
    first = journal(tmp_path / "j", "a")
    with first, pytest.raises(StoreError, match="is being written by"):
        journal(tmp_path / "j", "a").__enter__()


def test_a_journal_of_another_model_is_refused(tmp_path):
    with journal(tmp_path / "j", "a"):
        pass
    with pytest.raises(StoreError, match="holds rewards of model a, not of b"):
        journal(tmp_path / "j", "b").__enter__()


@pytest.mark.parametrize("text", ["no json\n", "[]\n", '{"model_id": "a"}\n{}\n'])
def test_a_file_that_is_no_journal_is_refused(tmp_path, text):
    (tmp_path / "j").write_text(text)
    with pytest.raises(StoreError, match="is no journal"):
        journal(tmp_path / "j", "a").__enter__()


def test_a_torn_line_is_cut_off_and_scored_again(tmp_path, clips):
    from flows.score_journal import stamp

    path, clip = tmp_path / "j", str(clips / "0.mp4")
    with journal(path, "a") as known:
        known.add(clip, stamp(clip), {ODD: (0.1, -1e-17)})
    whole = path.read_bytes()
    for cut in (1, whole.index(b"\n"), whole.index(b"\n") + 1, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with journal(path, "a") as known:
            assert not known.rewards
            known.add(clip, stamp(clip), {ODD: (0.1, -1e-17)})
        assert path.read_bytes() == whole


@pytest.mark.slow
def test_killed_with_9_and_run_again_it_ends_with_the_same_bytes(checkpoint, clips, tmp_path):
    """Killed twice, the second time some videos later."""
    many = [{"video_path": f"{n % 6}.mp4", "prompt": f"a ball {n}"} for n in range(6)]
    many += [{"video_path": f"more/{n}.mp4"} for n in (6, 7)] + [{"video_path": "gone.mp4"}]
    (clips / "list.json").write_text(json.dumps(many))
    whole = tmp_path / "whole.parquet"
    score_files(checkpoint, read_list(clips / "list.json", (clips,), clips), whole)
    out = tmp_path / "killed.parquet"
    kept = []
    for videos in (1, 4):
        kill_after(videos, checkpoint, clips / "list.json", out)
        assert not out.exists()
        kept.append(len(out.with_name("killed.parquet.rewards").read_bytes().splitlines()) - 1)
    assert kept == sorted(kept)
    assert kept[0] >= 1
    found = score_files(checkpoint, read_list(clips / "list.json", (clips,), clips), out)
    assert found.kept >= kept[-1]
    assert out.read_bytes() == whole.read_bytes()
    errors = [path.with_name(f"{path.name}.errors").read_bytes() for path in (out, whole)]
    assert errors[0] == errors[1]


SLOWLY = """
import sys, time
from pathlib import Path
import torch
from flows.score_files import score_files
from flows.score_list import read_list
torch.set_num_threads(1)
checkpoint, listed, out = map(Path, sys.argv[1:])
entries = read_list(listed, (listed.parent,), listed.parent)
score_files(checkpoint, entries, out, progress=lambda done, total: time.sleep(0.3))
"""


def kill_after(videos, checkpoint, listed, out):
    """Run in a process of its own until so many videos stand in the journal, then kill -9."""
    command = [sys.executable, "-c", SLOWLY, str(checkpoint), str(listed), str(out)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    beside = out.with_name(f"{out.name}.rewards")
    deadline = time.monotonic() + 120
    while not beside.exists() or beside.read_bytes().count(b"\n") <= videos:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
