"""ZeRO on one and two processes; `make soak` does every stage, backbone and precision."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from soak.zero import (
    at,
    curve,
    difference,
    inputs,
    job_of,
    killed_at,
    run_of,
    together,
)
from training.run import train

ROOT = Path(__file__).parents[2]
STEPS = 4
LOOK = 3  # step of a look at validation after the kill, whose model is the best so far


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Folder with clips, pairs and a backbone, a run over them, and its curve by one process."""
    folder = tmp_path_factory.mktemp("zero")
    inputs(folder)
    run = run_of(folder, "internvl3", STEPS)
    job = job_of(folder, "alone", at(run, 0, "fp32"))
    train(job, quiet=True)
    return folder, run, curve(job)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "processes"), [(1, 1), (2, 1), (3, 1), (0, 2), (1, 2), (2, 2), (3, 2)]
)
def test_every_stage_on_one_or_two_processes_draws_the_same_curve(world, stage, processes):
    folder, run, alone = world
    job = job_of(folder, f"{stage}_{processes}", at(run, stage, "fp32"))
    together(job, processes)
    assert difference(alone, curve(job)) < 1e-5
    keys = [name for name in alone[-1] if name.startswith("validation_acc")]
    assert [curve(job)[-1][name] for name in keys] == [alone[-1][name] for name in keys]


@pytest.mark.slow
@pytest.mark.parametrize("stage", [0, 1])
def test_in_bf16_a_run_learns_as_in_fp32_with_and_without_zero(world, stage):
    folder, run, alone = world
    job = job_of(folder, f"bf16_{stage}", at(run, stage, "bf16"))
    together(job, 1)
    assert difference(alone, curve(job)) < 0.01


@pytest.mark.slow
def test_killed_with_zero_3_a_run_goes_on_past_a_new_best_model_to_the_same_weights(world):
    folder, run, _ = world
    run = at(replace(run, evaluate_every=LOOK), 3, "fp32")
    calm, killed = job_of(folder, "calm", run), job_of(folder, "killed", run)
    state = killed / "states" / "00000002" / "state.json"
    whole = together(calm, 1)
    assert killed_at(killed, 1, state.exists)
    assert together(killed, 1)["weights_sha256"] == whole["weights_sha256"]
    assert curve(killed) == curve(calm)


@pytest.mark.slow
def test_killed_on_two_processes_a_run_goes_on_alone_to_the_same_losses(world):
    folder, run, alone = world
    job = job_of(folder, "two_to_one", at(run, 3, "fp32"))
    assert killed_at(job, 2, lambda: len(curve(job)) >= 3)
    assert [path.name for path in (job / "states").glob("*[0-9]")] == ["00000002"]
    together(job, 1)
    assert difference(alone, curve(job)) < 1e-5


@pytest.mark.slow
def test_under_torchrun_a_killed_worker_ends_the_run_in_words_and_it_goes_on_after(world):
    folder, run, alone = world
    job = job_of(folder, "torchrun", at(run, 0, "fp32"))
    launch = ["-m", "torch.distributed.run", "--nproc_per_node", "2", "--standalone"]
    command = [sys.executable, "-W", "ignore", *launch, "-m", "training.run", str(job)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not list((job / "states").glob("*[0-9]/state.json")):
        time.sleep(0.01)
    os.kill(worker_of(process.pid, rank=1), signal.SIGKILL)
    _, said = process.communicate(timeout=300)
    assert process.returncode != 0
    assert "Signal 9 (SIGKILL)" in said
    assert not (job / "traceback.txt").exists()
    assert not (job / "done.json").exists()
    assert json.loads(next((job / "states").glob("*/state.json")).read_text())["world"] == 2
    together(job, 2)
    assert difference(alone, curve(job)) < 1e-5


def worker_of(launcher, rank):
    """Process id of a worker of torchrun."""
    children = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
    for child in children:
        if f"\0RANK={rank}\0" in "\0" + Path(f"/proc/{child}/environ").read_text():
            return int(child)
    raise AssertionError(children)
