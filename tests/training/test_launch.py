import json
import subprocess
import sys
from pathlib import Path

import pytest

from soak.zero import at, curve, difference, inputs, job_of, run_of
from training.launch import launch_command
from training.run import train
from warehouse.errors import TrainingError

ROOT = Path(__file__).parents[2]


def test_one_process_needs_no_launcher():
    assert launch_command("a job") == [sys.executable, "-m", "training.run", "a job"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")  # of what DeepSpeed imports
def test_several_machines_go_by_deepspeeds_launcher_and_its_hostfile(tmp_path):
    from deepspeed.launcher.runner import fetch_hostfile

    hostfile = tmp_path / "hosts"
    hostfile.write_text("node1 slots=8\nnode2 slots=8\n")
    command = launch_command("job", processes=3, hostfile=hostfile)
    assert command[1:] == [
        *("-m", "deepspeed.launcher.runner", "--hostfile", str(hostfile)),
        *("--no_local_rank", "--module", "training.run", "job"),
    ]
    assert fetch_hostfile(command[4]) == {"node1": 8, "node2": 8}


def test_a_hostfile_that_is_not_there_is_an_error_and_not_a_run_on_this_machine_alone(tmp_path):
    with pytest.raises(TrainingError, match=r"hostfile .*none is not there"):
        launch_command("job", hostfile=tmp_path / "none")


@pytest.mark.slow
def test_deepspeeds_launcher_runs_two_processes_here(tmp_path):
    inputs(tmp_path)
    run = run_of(tmp_path, "internvl3", 2)
    alone = job_of(tmp_path, "alone", at(run, 0, "fp32"))
    train(alone, quiet=True)
    job = job_of(tmp_path, "launched", at(run, 1, "fp32"))
    (tmp_path / "hosts").write_text("localhost slots=2\n")
    python, module, runner, *rest = launch_command(job, hostfile=tmp_path / "hosts")
    command = [
        python,
        module,
        runner,
        "--no_ssh_check",
        "--master_addr",
        "127.0.0.1",
        *rest,
    ]  # nobody serves ssh here
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads((job / "done.json").read_text())["steps"] == 2
    assert difference(curve(alone), curve(job)) < 1e-5
