"""Train, score, evaluate: what they refuse, and the four real clips through every step."""

import json
import shlex
import subprocess
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pytest

from flows import train as steps
from flows.encoding import write_clip
from flows.evaluate import evaluate
from flows.pair_imports import import_set
from flows.score import score
from pairing.parts import Split
from warehouse.errors import StoreError, TrainingError
from warehouse.store import Store

MODEL = "0123456789abcdef" * 4


def only_line(err):
    assert "Traceback" not in err
    (line,) = err.splitlines()
    return line


# Refused before anything starts


def items(store, **uris):
    row = store.read("items").drop_columns(["observed_at"]).to_pylist()[0]
    rows = [row | {"item_id": name, "uri": uri} for name, uri in uris.items()]
    store.append("items", pa.Table.from_pylist(rows))


def test_videos_elsewhere_are_counted_and_the_first_is_named(small):
    items(small.store, far="https://clips.example/a.mp4", cloud="s3://bucket/b.mp4", none="")
    with pytest.raises(TrainingError, match=r"3 of 43 videos are no local files \(first: 's3://"):
        steps.media_of(small.store)
    with pytest.raises(TrainingError, match="3 of 3"):  # the others have their rewards
        score(small.store)


def test_only_the_pair_set_s_own_videos_matter_for_training(small):
    items(small.store, far="https://clips.example/a.mp4")
    pair_set = small.store.read("pair_sets")["pair_set_id"][0].as_py()
    assert steps.media_of(small.store, pair_set).num_rows == 40


def test_what_a_model_has_scored_is_not_to_be_scored_again(small):
    items(small.store, fresh="fresh.mp4")
    media = steps.media_of(small.store, unscored_by=MODEL)
    assert media["item_id"].to_pylist() == ["fresh"]
    assert media.column_names == ["item_id", "path", "prompt", "media_sha256"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"recipe": "enormous"},
            "no recipe 'enormous'; the recipes are paper-14b, paper-14b-blocks, paper-1b",
        ),
        ({"recipe": "paper-1b"}, "name its folder with --base-model"),
    ],
)
def test_what_cannot_be_trained_is_refused_at_once(small, unchanged, options, words):
    with unchanged(small.home), pytest.raises(TrainingError, match=words):
        steps.train(small.store, **options)


def test_a_missing_base_model_is_named_before_training_starts(small, unchanged, tmp_path):
    for folder in (tmp_path / "nowhere", tmp_path):
        with unchanged(small.home), pytest.raises(TrainingError, match=str(folder)):
            steps.train(small.store, base_model=folder, recipe="paper-1b")


def test_a_dry_run_shows_the_job_and_the_same_job_has_the_same_id(small):
    one = steps.train(small.store, recipe="tiny-test", dry_run=True)
    two = steps.train(small.store, recipe="tiny-test", dry_run=True)
    capped = steps.train(small.store, recipe="tiny-test", frame_cache_bytes=10**9, dry_run=True)
    other = steps.train(small.store, recipe="tiny-test", seed=1, dry_run=True)
    assert one == two
    assert one["run_id"] == capped["run_id"] != other["run_id"]
    assert capped["config"]["frame_cache_bytes"] == 10**9
    assert one["config"]["dimensions"] == [
        "physical_plausibility", "semantic_alignment", "subject_deformity"
    ]  # fmt: skip


def test_a_dry_run_prints_the_launcher_s_command_and_processes_are_no_part_of_the_run(
    small, soli, tmp_path
):
    hosts = tmp_path / "my hosts"
    hosts.write_text("node1 slots=8\nnode2 slots=8\n")
    planned = {}
    for options in ((), ("--processes", "2"), ("--hostfile", hosts)):
        shared = "--set", "batch.accumulation=2"
        code, out, _ = soli("train", "--recipe", "tiny-test", *shared, *options, "--dry-run")
        assert code == 0
        planned[options] = json.loads(out)
    one, two, many = planned.values()
    job = small.home / "runs" / one["run_id"]
    assert shlex.split(one["command"])[1:] == ["-m", "training.run", str(job)]
    assert shlex.split(two["command"])[1:] == [
        *("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"),
        *("-m", "training.run", str(job)),
    ]
    assert shlex.split(many["command"])[1:] == [
        *("-m", "deepspeed.launcher.runner", "--hostfile", str(hosts)),
        *("--no_local_rank", "--module", "training.run", str(job)),
    ]
    assert one["run_id"] == two["run_id"] == many["run_id"]


def test_a_hostfile_that_is_not_there_or_not_alone_is_refused(small, soli, unchanged):
    with unchanged(small.home):
        code, _, err = soli("train", "--recipe", "tiny-test", "--hostfile", "nowhere")
        assert code == 1
        assert "hostfile nowhere is not there" in only_line(err)
        code, _, err = soli("train", "--hostfile", "hosts", "--processes", "2")
        assert code == 2


@pytest.mark.slow
@pytest.mark.xdist_group("training")
def test_two_processes_train_a_foreign_file(settings, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    file = Path(__file__).parents[1] / "data" / "four_clips.csv"
    import_set(settings, "videoalign", file, split=Split(1.0, 0.0, 0.0))
    shared = {"batch.accumulation": 2}
    trained = steps.train(settings.store, recipe="tiny-test", changes=shared, processes=2)
    assert trained.steps == 20
    assert settings.store.read("runs")["model_id"].to_pylist() == [trained.model_id]
    assert (trained.path / "soli.json").is_file()


def test_a_full_disk_at_the_tiny_backbone_is_told_and_leaves_nothing(small, monkeypatch):
    def full(folder, *_):
        folder.mkdir(parents=True)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("training.tiny.build_tiny_internvl", full)
    with pytest.raises(TrainingError, match=r"No space left .* nothing was trained: make room"):
        steps.train(small.store, recipe="tiny-test")
    assert not list(small.home.glob("backbones/tiny*"))


def test_evaluating_before_scoring_says_what_to_do(small):
    store = small.store
    run = store.read("runs").drop_columns(["observed_at"]).to_pylist()[0]
    store.append("runs", pa.Table.from_pylist([run | {"model_id": "fresh"}]))
    with pytest.raises(StoreError, match=r"model fresh has no reward .* `soli score` first"):
        evaluate(store)


# The four real clips


CLIPS = ("example_1_A", "example_1_B", "example_2_A", "example_3_B")
DIMENSIONS = ("physical_plausibility", "semantic_alignment", "subject_deformity")
VARIANTS = 5


def frames_of(path, wanted=24, size=64):
    """The first frames of a clip, small."""
    with path.open("rb") as file, av.open(file) as container:
        shown = []
        for frame in container.decode(video=0):
            shown.append(frame.reformat(size, size, format="rgb24").to_ndarray())
            if len(shown) == wanted:
                break
    return np.stack(shown)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """A folder with the four clips, small variants of each, and a list of them all."""
    from pathlib import Path

    source = Path(__file__).parents[1] / "data" / "videos"
    folder = tmp_path_factory.mktemp("clips")
    rows = []
    for number, name in enumerate(CLIPS):
        (folder / f"{name}.mp4").write_bytes((source / f"{name}.mp4").read_bytes())
        rows.append((name, f"the scene of {name}"))
        frames = frames_of(folder / f"{name}.mp4")
        for variant in range(VARIANTS):
            other = f"{name}_v{variant}"
            write_clip(folder / f"{other}.mp4", np.roll(frames, 5 * variant, axis=2), fps=12)
            rows.append((other, f"scene {number} seen another way, {variant}"))
    lines = [
        {"item_id": name, "prompt": text, "media": f"{name}.mp4", "generator": "real"}
        for name, text in rows
    ]
    (folder / "clips.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return folder


def export_of(rows):
    """Three people's answers to every clip in every dimension, in the shape of an export."""

    def result(name, choice):
        value = {"choices": [choice]}
        return {"from_name": name, "to_name": "video", "type": "choices", "value": value}

    def choice(item, person, position):
        slip = (item + 3 * person + position) % 10 == 0
        return ("Pass", "Fail")[((item + item // 6 + position) % 2 == 0) != slip]

    return [
        {
            "id": item + 1,
            "created_at": "2026-03-01T00:00:00Z",
            "updated_at": "2026-03-02T00:00:00Z",
            "data": {"item_id": row["item_id"], "prompt": row["prompt"], "video": row["media"]},
            "annotations": [
                {
                    "id": 10 * item + person,
                    "completed_by": person,
                    "created_at": f"2026-03-01T0{person}:00:00Z",
                    "updated_at": f"2026-03-01T0{person}:00:00Z",
                    "result": [
                        result(name, choice(item, person, position))
                        for position, name in enumerate(DIMENSIONS)
                    ],
                }
                for person in (1, 2, 3)
            ],
        }
        for item, row in enumerate(rows)
    ]


class Shell:
    """`soli ... --json` in one home, and what it answers."""

    def __init__(self, home, capsys):
        self.home, self.capsys = home, capsys
        self.store = Store(home)

    def __call__(self, *arguments):
        from flows.__main__ import run

        code = run(["--home", str(self.home), *map(str, arguments), "--json"])
        shown = self.capsys.readouterr()
        assert code == 0, shown.err
        return json.loads(shown.out)


RECIPE_FOR_FEW = """
[pairs.counts]
win_lose = {train = 'up to 60', validation = 'up to 60', test = 'up to 60'}
win_tie = {train = 'up to 60'}
[pairs.split]
train = 0.5
validation = 0.2
test = 0.3
"""


@pytest.mark.slow
@pytest.mark.xdist_group("training")
def test_the_four_real_clips_go_through_every_step_that_takes_a_video(
    clips, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "soli.toml").write_text(RECIPE_FOR_FEW)
    soli = Shell(tmp_path / "home", capsys)
    count = probed_and_imported(soli, clips)
    (tmp_path / "labels.json").write_text(json.dumps(export_of(read_rows(clips))))
    (taken,) = soli("ingest", "--export", tmp_path / "labels.json")
    assert taken["events"] == {"seen": 9 * count}
    assert taken["items"] == 0
    soli("agreement", "report")
    soli("consensus", "build")
    manifest = soli("pairs", "build")
    model = trained_once(soli)
    scored_once(soli, count)
    written_to_a_file(soli, count, tmp_path / "rewards.csv")
    canaries_asked(soli, tmp_path)
    accuracies = [row for row in soli("evaluate")["metrics"] if row["metric"] == "acc"]
    assert {row["dimension"] for row in accuracies} == set(DIMENSIONS)
    for name in CLIPS:
        traced(soli, name, model, manifest["pair_set_id"])
    scored_later(soli, clips)
    soli("evaluate")
    assert not any(row["problems"] for row in soli("warehouse", "verify"))


def read_rows(clips):
    return [json.loads(line) for line in (clips / "clips.jsonl").read_text().splitlines()]


def probed_and_imported(soli, clips):
    added = soli("annotate", "items", clips / "clips.jsonl")
    assert (added["items"], added["refused"]) == (len(CLIPS) * (VARIANTS + 1), [])
    facts = {row["item_id"]: row for row in soli.store.read("items").to_pylist()}
    for name in CLIPS:
        assert facts[name]["codec"] == "h264"
        assert facts[name]["frames"] > 24
        assert facts[name]["duration"] > 1
    return added["items"]


def trained_once(soli):
    """Trained again, the finished run is found."""
    trained = soli("train", "--recipe", "tiny-test")
    checkpoint = soli.store.home / "runs" / trained["run_id"] / "checkpoint"
    assert trained["steps"] > 0
    assert (checkpoint / "soli.json").is_file()
    assert soli("train", "--recipe", "tiny-test")["model_id"] == trained["model_id"]
    assert soli.store.read("runs").num_rows == 1
    return trained["model_id"]


def scored_once(soli, count):
    """Every clip in every dimension, and nothing twice."""
    assert soli("score")["new rewards"] == 3 * count
    assert soli("score")["new rewards"] == 0
    assert np.isfinite(soli.store.read("scores")["reward"].to_numpy()).all()


def written_to_a_file(soli, count, path):
    """With the standing that training's own reference gives, and one made anew of its items."""
    import pandas as pd

    soli("score", "--out", path)
    trained = pd.read_csv(path)
    assert len(trained) == 3 * count
    soli("score", "--reference", "--out", path)
    made = pd.read_csv(path)
    assert (made["reward"] == trained["reward"]).all()
    close = {"rtol": 0, "atol": 1e-3}  # training's own came from a batch
    assert np.allclose(made["standardised"], trained["standardised"], **close)


def canaries_asked(soli, folder):
    """Seven changes in three dimensions; the result stands beside the model."""
    wanted = soli("canaries", "--items", "6", "--dry-run")
    assert wanted["encodings"] == 8 * 6
    found = soli("canaries", "--items", "6", "--corner", "top-left", "--motion", DIMENSIONS[2])
    assert found["unit"] == "validation"
    assert len(found["rows"]) == 7 * 3
    assert {row["items"] for row in found["rows"]} == {6}
    (kept,) = folder.glob("home/runs/*/canaries.json")
    assert json.loads(kept.read_text()) == found
    same = ("--items", "6", "--corner", "top-left", "--motion", DIMENSIONS[2])
    assert soli("canaries", *same, "--page", folder / "canaries.html") == found
    assert (folder / "canaries.html").read_text().count("<svg") == 2


def traced(soli, name, model, pair_set_id):
    """One clip's rewards, down to the nine answers about it."""
    found = soli("trace", f"latest:{name}")
    people = set(soli.store.read("people")["annotator_id"].to_pylist())
    assert found["model"]["model_id"] == model
    assert found["pair_set"]["pair_set_id"] == pair_set_id
    assert [reward["dimension"] for reward in found["rewards"]] == list(DIMENSIONS)
    for reward in found["rewards"]:
        assert {event["annotator_id"] for event in reward["events"]} == people


def scored_later(soli, clips):
    """A clip that came later is scored, one that broke is named, older rewards stay."""
    before = soli.store.read("scores").to_pylist()
    whole = (clips / "example_2_A_v1.mp4").read_bytes()
    (clips / "a_later.mp4").write_bytes(whole + b"\0")
    (clips / "a_broken.mp4").write_bytes(whole + b"\0\0")
    more = [
        {"item_id": name, "prompt": "one more scene", "media": f"{name}.mp4"}
        for name in ("a_later", "a_broken")
    ]
    (clips / "more.jsonl").write_text("\n".join(map(json.dumps, more)))
    assert soli("annotate", "items", clips / "more.jsonl")["items"] == 2
    (clips / "a_broken.mp4").write_bytes(b"broken")
    scored = soli("score")
    assert scored["new rewards"] == 3
    (bad,) = scored["not scored"]
    assert bad["item_id"] == "a_broken"
    assert "a_broken.mp4" in bad["reason"]
    after = soli.store.read("scores").to_pylist()
    assert all(row in after for row in before)


@pytest.mark.slow
@pytest.mark.xdist_group("training")
def test_a_video_that_is_gone_ends_training_with_its_name_and_no_traceback(small, capfd, tmp_path):
    """The child says which; the parent says what to do next."""
    from flows.__main__ import run

    code = run(["--home", str(small.home), "train", "--recipe", "tiny-test"])
    shown = capfd.readouterr()
    assert code == 1
    assert shown.out == ""
    assert "Traceback" not in shown.err
    assert "clips/" in shown.err
    assert shown.err.splitlines()[-1].startswith("soli: training ended with exit code 1")
    assert Store(small.home).read("runs").num_rows == 1


@pytest.mark.parametrize(
    ("ending", "words"),
    [(137, "ended with exit code 137"), (-9, "was killed by signal 9 (SIGKILL)")],
)
def test_a_child_that_fails_is_one_line_of_ours(small, monkeypatch, soli, ending, words):
    def failing(command, **_options):
        return subprocess.CompletedProcess(command, ending)

    monkeypatch.setattr(subprocess, "run", failing)
    monkeypatch.setattr(steps, "build_tiny", lambda *_: None)
    code, out, err = soli("train", "--recipe", "tiny-test")
    assert (code, out) == (1, "")
    line = only_line(err)
    assert line.startswith(f"soli: training {words}")
    assert str(small.home / "runs") in line
