import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from training.block_loss import LOSSES
from training.config import HeadConfig, LossConfig
from training.model import RewardModel, weights_digest
from training.plan import check_shares
from training.run import main, train
from warehouse.errors import TrainingError

ROOT = Path(__file__).parents[2]


def lines(job):
    return [json.loads(line) for line in (job / "curve.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_a_job_leaves_all_it_promises(config, write_job):
    job = write_job(config)
    result = train(job, quiet=True)
    assert json.loads((job / "done.json").read_text()) == result
    assert result["steps"] == 4
    assert result["peak_rss_bytes"] > 2**20
    assert result["seconds"] > 0
    model = RewardModel.from_pretrained(job / "checkpoint")
    assert weights_digest(model) == result["weights_sha256"]
    first, last = lines(job)
    assert (first["step"], last["step"]) == (2, 4)
    assert {"loss", "win_lose_loss", "win_tie_loss", "train_acc", "lr", "seconds"} <= first.keys()
    assert "validation_acc/subject_deformity" in last
    metrics = json.loads((job / "metrics.json").read_text())
    assert set(metrics["validation"]) == set(config.dimensions)
    assert 0 < metrics["coverage"]["used"] <= metrics["coverage"]["pairs"]
    assert not list(job.glob("*.part"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "loss"),
    [
        ("attention", "bt"),
        ("last-token", "summed-tie"),
        ("mean-pool", "btt"),
        ("max-pool", "regression"),
        ("special-token", "bce"),
        ("yes-token", "bt-wt+bce"),
    ],
)
def test_other_heads_and_losses_train_and_come_back(kind, loss, config, write_job):
    head = HeadConfig(kind, heads=4, word="Y")
    job = write_job(replace(config, head=head, loss=LossConfig(loss, margin=1.0)))
    result = train(job, quiet=True)
    model = RewardModel.from_pretrained(job / "checkpoint")
    assert weights_digest(model) == result["weights_sha256"]
    parts = {f"{name}_loss" for name in LOSSES[loss].parts}
    assert all(parts <= line.keys() for line in lines(job))
    left = json.loads((job / "metrics.json").read_text())["left_out"]
    assert set(left) == ({"win_tie"} if loss == "bt" else set())


@pytest.mark.slow
def test_a_finished_job_is_not_trained_again_but_another_config_is(config, write_job):
    job = write_job(config)
    first = train(job, quiet=True)
    changed = (job / "checkpoint" / "head.safetensors").stat().st_mtime_ns
    assert train(job, quiet=True) == first
    assert (job / "checkpoint" / "head.safetensors").stat().st_mtime_ns == changed
    values = json.loads((job / "config.json").read_text())
    (job / "config.json").write_text(json.dumps({**values, "seed": 99}))
    assert train(job, quiet=True)["weights_sha256"] != first["weights_sha256"]
    assert len(lines(job)) == 2


@pytest.mark.slow
def test_two_runs_end_at_the_same_weights_and_leave_torch_as_it_was(config, write_job):
    torch.manual_seed(1)
    before = torch.random.get_rng_state(), torch.get_num_threads()
    one = train(write_job(config, "one"), quiet=True)
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert torch.get_num_threads() == before[1]
    assert not torch.are_deterministic_algorithms_enabled()
    torch.manual_seed(2)
    two = train(write_job(config, "two"), quiet=True)
    assert (one["weights_sha256"], one["model_id"]) == (two["weights_sha256"], two["model_id"])


@pytest.mark.slow
def test_what_a_killed_run_left_behind_does_not_change_the_weights(config, write_job):
    clean = train(write_job(config, "clean"), quiet=True)
    job = write_job(config, "killed")
    (job / "checkpoint.part" / "base").mkdir(parents=True)
    (job / "checkpoint.part" / "base" / "model.safetensors").write_bytes(b"torn")
    (job / "curve.jsonl").write_text('{"step": 1')
    assert train(job, quiet=True)["weights_sha256"] == clean["weights_sha256"]
    assert [line["step"] for line in lines(job)] == [2, 4]


@pytest.mark.slow
def test_training_reads_no_clip_and_no_pair_of_the_held_out_splits(config, write_job, media):
    """Their clips are not even there; a run over a set without their pairs ends the same."""
    rows = media.to_pylist()
    for number, row in enumerate(rows):
        if number >= 16:
            row["path"] = "/nowhere.mp4"
    blind = pa.Table.from_pylist(rows, media.schema)
    with_all = train(write_job(config, "all"), quiet=True)
    without = train(write_job(config, "blind", blind), quiet=True)
    assert without["weights_sha256"] == with_all["weights_sha256"]


def test_pairs_instead_of_blocks_and_accumulation_train_too(config, write_job):
    batch = replace(config.batch, kind="pairs", size=2, accumulation=2, max_steps=2)
    assert train(write_job(replace(config, batch=batch)), quiet=True)["steps"] == 2


@pytest.mark.slow
def test_bf16_with_checkpointing_trains_and_reloads(config, write_job):
    engine = replace(config.engine, precision="bf16", checkpointing=True)
    job = write_job(replace(config, engine=engine))
    result = train(job, quiet=True)
    model = RewardModel.from_pretrained(job / "checkpoint")
    assert weights_digest(model) == result["weights_sha256"]
    assert model.backbone.base.dtype == torch.bfloat16


def test_a_loss_that_is_no_number_stops_and_names_items(config, write_job):
    optimizer = replace(config.optimizer, lr=1e30, head_lr=1e30, warmup=0.0, schedule="constant")
    with pytest.raises(TrainingError, match=r"the loss is (nan|inf) on items item_\d\d, "):
        train(write_job(replace(config, optimizer=optimizer)), quiet=True)


def test_a_set_without_pairs_to_train_on_is_named(config, write_job, pair_set, tmp_path):
    for name in ("items", "pairs"):
        table = pq.read_table(pair_set / f"{name}.parquet")
        rows = [{**row, "split": "test"} for row in table.to_pylist()]
        pq.write_table(pa.Table.from_pylist(rows, table.schema), tmp_path / f"{name}.parquet")
    with pytest.raises(TrainingError, match="no pair to train on"):
        train(write_job(replace(config, pair_set=str(tmp_path))), quiet=True)


def test_too_few_blocks_for_a_step_are_counted(config, write_job):
    batch = replace(config.batch, epochs=1, size=12, accumulation=5)
    with pytest.raises(TrainingError, match="1 blocks of 12 are fewer than one step takes"):
        train(write_job(replace(config, batch=batch)), quiet=True)


def test_processes_that_cannot_share_a_step_are_refused_with_what_would_do():
    check_shares(6, 3)
    with pytest.raises(TrainingError, match=r"6 micro-batches .* 4 processes .*accumulation=8"):
        check_shares(6, 4)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda job: (job / "config.json").unlink(), r"config\.json cannot be read as JSON"),
        (lambda job: (job / "config.json").write_text("{"), r"config\.json cannot be read as JSON"),
        (lambda job: (job / "media.parquet").unlink(), r"media\.parquet is not there"),
        (lambda job: (job / "media.parquet").write_bytes(b"x"), r"media\.parquet cannot be read"),
    ],
)
def test_a_damaged_job_ends_in_one_line(config, write_job, damage, words, capsys):
    job = write_job(config)
    damage(job)
    assert main([str(job)]) == 1
    shown = capsys.readouterr().err
    assert shown.startswith("error: ")
    assert shown.count("\n") == 1
    with pytest.raises(TrainingError, match=words):
        train(job)


def test_a_bad_clip_ends_the_run_and_is_named(config, write_job, media, tmp_path, capsys):
    rows = media.to_pylist()
    (tmp_path / "torn.mp4").write_bytes(Path(rows[3]["path"]).read_bytes()[:200])
    rows[3]["path"] = str(tmp_path / "torn.mp4")
    job = write_job(config, media=pa.Table.from_pylist(rows, media.schema))
    assert main([str(job)]) == 1
    assert "torn.mp4" in capsys.readouterr().err


def test_an_interrupted_job_is_one_line_and_exit_code_130(tmp_path, monkeypatch, capsys):
    def interrupted(_job):
        raise KeyboardInterrupt

    monkeypatch.setattr("training.run.train", interrupted)
    assert main([str(tmp_path)]) == 130
    assert capsys.readouterr().err == "error: interrupted; run the same command again\n"


def test_wrong_usage_is_exit_code_2(capsys):
    assert main([]) == 2
    assert "usage: python -m training.run JOB_DIR" in capsys.readouterr().err


def start(job, *launcher):
    command = [sys.executable, "-W", "error", *launcher, "-m", "training.run", str(job)]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.slow
def test_killed_with_9_and_run_again_it_ends_at_the_same_weights_and_says_little(config, write_job):
    config = replace(config, batch=replace(config.batch, max_steps=30))
    whole, killed = write_job(config, "whole"), write_job(config, "killed")
    process = start(whole)
    shown, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert shown == ""
    assert all(line.startswith(("decode ", "train ")) for line in said.splitlines()), said
    process = start(killed)
    while not (killed / "curve.jsonl").exists() and process.poll() is None:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (killed / "done.json").exists()
    assert (
        train(killed, quiet=True)["weights_sha256"]
        == (json.loads((whole / "done.json").read_text())["weights_sha256"])
    )
