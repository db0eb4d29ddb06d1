"""The crowd of data/crowd as a Label Studio export, and a home to take it in."""

import csv
import json
from pathlib import Path

import pytest

from flows.settings import Settings

DATA = Path(__file__).parents[1] / "data"
DIMENSION = "is_indigo_bunting"


def annotation(number, person, label):
    return {
        "id": number,
        "completed_by": person,
        "was_cancelled": False,
        "ground_truth": False,
        "lead_time": 2.0,
        "created_at": "2026-01-02T10:00:00.000000Z",
        "updated_at": "2026-01-02T10:00:01.000000Z",
        "result": [
            {
                "from_name": DIMENSION,
                "to_name": "video",
                "type": "choices",
                "value": {"choices": [label]},
            }
        ],
    }


@pytest.fixture(scope="session")
def crowd_rows():
    with (DATA / "crowd" / "bluebirds.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="session")
def crowd_tasks(crowd_rows):
    """39 people, 108 items: 4,212 annotations in the shape of Label Studio's own export."""
    tasks = {}
    for number, row in enumerate(crowd_rows, start=1):
        task = tasks.setdefault(
            row["item"],
            {
                "id": len(tasks) + 1,
                "project": 1,
                "created_at": "2026-01-01T00:00:00.000000Z",
                "updated_at": "2026-01-02T10:00:01.000000Z",
                "data": {
                    "item_id": row["item"],
                    "prompt": f"a bird, photograph {row['item']}",
                    "video": "https://clips.example/bird.mp4",
                },
                "annotations": [],
            },
        )
        label = "Pass" if row["label"] == "1" else "Fail"
        task["annotations"].append(annotation(number, int(row["annotator"]), label))
    return list(tasks.values())


@pytest.fixture
def crowd_export(tmp_path, crowd_tasks):
    path = tmp_path / "birds.json"
    path.write_text(json.dumps(crowd_tasks))
    return path


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """Settings of an empty home, with nothing of the caller's environment."""
    for name in ("LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY", "SOLI_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return Settings(home=tmp_path / "home")


@pytest.fixture
def soli(capsys, settings):
    """Run a command line in the home; returns exit code, stdout and stderr."""
    from flows.__main__ import run

    def call(*arguments):
        code = run(["--home", str(settings.home), *map(str, arguments)])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return call
