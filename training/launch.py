"""The command that runs a job: one process, several on this machine, or several machines."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from warehouse.errors import TrainingError

RUN = "training.run"


def without_warnings() -> dict[str, str]:
    """Environment in which no process prints warnings; DeepSpeed hands it to other machines."""
    return os.environ | {"PYTHONWARNINGS": "ignore"}


def launch_command(
    job: str | Path, *, processes: int = 1, hostfile: str | Path | None = None
) -> list[str]:
    """Command line for a job; all machines need the job's folder and its inputs at the same paths.

    processes: on this machine, by torchrun. hostfile: lines `HOST slots=N`, by DeepSpeed's
        launcher, which reaches the other machines by ssh; processes is then not looked at.
    Raises: TrainingError for a hostfile that is not there, which DeepSpeed would only warn of.

    >>> launch_command("job", processes=4)[1:]
    ['-m', 'torch.distributed.run', '--standalone', '--nproc_per_node', '4', '-m', 'training.run', \
'job']
    """
    if hostfile is not None:
        if not Path(hostfile).is_file():
            raise TrainingError(
                f"hostfile {hostfile} is not there; it has lines like: node1 slots=8"
            )
        launcher = ["-m", "deepspeed.launcher.runner", "--hostfile", str(hostfile)]
        return [sys.executable, *launcher, "--no_local_rank", "--module", RUN, str(job)]
    if processes == 1:
        return [sys.executable, "-m", RUN, str(job)]
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    return [sys.executable, *launcher, "-m", RUN, str(job)]
