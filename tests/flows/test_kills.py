"""`soli ingest` killed ten times on a real server; `make soak` does two hundred."""

import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


@pytest.mark.server
@pytest.mark.slow
def test_ten_kills_lose_nothing_and_double_nothing(label_studio):
    """The script compares tables, people, faces and the server itself after every round."""
    options = ["--kills", "10", "--tasks", "30", "--seed", "11", "--server", str(label_studio.home)]
    done = subprocess.run(
        [sys.executable, "-m", "soak.kills", *options],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "   10  in all" in done.stdout
    assert "0 lost, 0 doubled" in done.stdout
