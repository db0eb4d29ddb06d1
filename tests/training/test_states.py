import json
import multiprocessing
import os
import random
import signal
import time
from dataclasses import replace

import pytest
import torch

from training.model import RewardModel, weights_digest
from training.run import main, train
from training.states import newest
from warehouse.errors import TrainingError

STEPS = 12


@pytest.fixture(scope="module")
def forks():
    """Processes that have imported everything when they begin: each costs a fraction of a start."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["training.run", "deepspeed", "torch.utils.tensorboard"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DS_ACCELERATOR", "cpu")  # else DeepSpeed looks for others, and says so
        yield context


@pytest.fixture
def run(config):
    """All that is drawn at random, two micro-batches a step, states between lines and looks."""
    return replace(
        config,
        frames=replace(config.frames, shift=1, mirror=0.5),
        batch=replace(config.batch, max_steps=STEPS, accumulation=2),
        log_every=1,
        evaluate_every=3,
        save_every=2,
    )


def lines(job):
    """The curve without its clock."""
    text = (job / "curve.jsonl").read_text() if (job / "curve.jsonl").exists() else ""
    found = [json.loads(line) for line in text.splitlines()]
    return [{name: v for name, v in line.items() if name != "seconds"} for line in found]


def kill_at(forks, job, step):
    """Run the job and kill it with 9 as soon as its curve shows the step; whether it was alive."""
    process = forks.Process(target=main, args=([str(job)],))
    process.start()
    while process.is_alive() and not any(line["step"] >= step for line in lines(job)):
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    return process.exitcode == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_killed_with_9_five_times_a_run_ends_at_the_same_losses_and_weights(
    forks, run, write_job, precision
):
    run = replace(run, engine=replace(run.engine, precision=precision))
    calm, killed = write_job(run, "calm"), write_job(run, "killed")
    whole = train(calm, quiet=True)
    moments = sorted(random.Random(precision).sample(range(1, STEPS), 5))
    for step in moments:
        assert kill_at(forks, killed, step)
    assert not (killed / "done.json").exists()
    reached = newest(killed, whole["inputs"])
    assert reached is not None
    assert reached.step >= moments[-1] - 2
    assert train(killed, quiet=True)["weights_sha256"] == whole["weights_sha256"]
    assert lines(killed) == lines(calm)
    assert [line["step"] for line in lines(calm)] == list(range(1, STEPS + 1))
    best = [weights_digest(RewardModel.from_pretrained(job / "best")) for job in (calm, killed)]
    assert best[0] == best[1]
    assert not (killed / "states").exists()


def stopped(job, at):
    """Run a job until its curve shows a step, and stop there as an error would."""

    class Stop:
        def on_line(self, line):
            if line["step"] == at:
                raise KeyboardInterrupt

        def on_end(self, result):
            raise AssertionError(result)

    with pytest.raises(KeyboardInterrupt):
        train(job, quiet=True, callbacks=[Stop()])


@pytest.mark.slow
def test_a_run_that_goes_on_says_from_which_step(run, write_job, capsys):
    job = write_job(run)
    stopped(job, 3)
    train(job)
    assert "goes on from step 2\n" in capsys.readouterr().err


@pytest.mark.slow
def test_a_full_disk_at_a_state_leaves_the_one_before_whole(run, write_job, monkeypatch):
    calm = train(write_job(run, "calm"), quiet=True)
    job = write_job(run)
    written = []

    def save(state, path, **kwargs):
        written.append(path)
        if len(written) > 1:
            os.write(os.open("/dev/full", os.O_WRONLY), b"x")  # errno 28, from the system itself
        real(state, path, **kwargs)

    real = torch.save
    monkeypatch.setattr(torch, "save", save)
    with pytest.raises(TrainingError, match=r"No space left on device.*the state before it stands"):
        train(job, quiet=True)
    monkeypatch.undo()
    assert [path.name for path in (job / "states").iterdir()] == ["00000002"]
    assert train(job, quiet=True)["weights_sha256"] == calm["weights_sha256"]


@pytest.mark.slow
def test_states_of_other_inputs_and_half_written_ones_are_not_used(run, write_job):
    job = write_job(run)
    stopped(job, 3)
    (job / "states" / "00000009.part").mkdir()
    (job / "states" / "00000009.part" / "state.json").write_text("{")
    other = {**json.loads((job / "config.json").read_text()), "seed": 99}
    (job / "config.json").write_text(json.dumps(other))
    fresh = train(write_job(replace(run, seed=99), "fresh"), quiet=True)
    assert train(job, quiet=True)["weights_sha256"] == fresh["weights_sha256"]
    assert [line["step"] for line in lines(job)] == list(range(1, STEPS + 1))


@pytest.mark.slow
def test_a_torn_state_is_named_with_what_to_do(run, write_job):
    job = write_job(run)
    stopped(job, 3)
    (weights,) = (job / "states").rglob("*model_states.pt")
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(TrainingError, match=r"state .*00000002 cannot be read .*to start over"):
        train(job, quiet=True)
