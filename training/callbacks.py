"""Who hears of a run while it goes on: its own curve, TensorBoard, and whatever else is given.

class Printer:
def on_line(self, line): print(line["step"], line["loss"])
def on_end(self, result): print(result["model_id"])

train("job", callbacks=[Printer()])
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol

from training.job import write_text

Line = dict[str, float | int]
"""One line of the curve."""


class Callback(Protocol):
    """Called by the first process alone."""

    def on_line(self, line: Line, /) -> None:
        """A line of the curve: its step, and means over the steps since the line before."""

    def on_end(self, result: dict[str, Any], /) -> None:
        """The run is done; result: what done.json holds."""


class CurveFile:
    """curve.jsonl, a line of JSON for each line of the curve."""

    def __init__(self, path: Path, step: int) -> None:
        """step: where the run starts; what stands there of later steps is cut off."""
        self.path = path
        kept = [line for line in _lines(path) if json.loads(line)["step"] <= step] if step else []
        write_text(path, "".join(line + "\n" for line in kept))

    def on_line(self, line: Line) -> None:
        """Append it."""
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def on_end(self, _result: dict[str, Any]) -> None:
        """Nothing is left to do."""


class TensorBoard:
    """Event files for `tensorboard --logdir JOB/tensorboard`."""

    def __init__(self, folder: Path, step: int) -> None:
        """step: where the run starts; what was shown of later steps is taken back."""
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(folder), purge_step=step + 1 if step else None)

    def on_line(self, line: Line) -> None:
        """One scalar for each value."""
        for name, value in line.items():
            if name != "step":
                self.writer.add_scalar(name, value, line["step"])
        self.writer.flush()

    def on_end(self, _result: dict[str, Any]) -> None:
        """Close the file."""
        self.writer.close()


def _lines(path: Path) -> list[str]:
    """Whole lines of a file; a kill may have torn the last."""
    text = path.read_text() if path.exists() else ""
    return text.split("\n")[:-1]
