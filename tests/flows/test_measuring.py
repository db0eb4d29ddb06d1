"""Measuring as a flow: an artifact to decide from, exit 3 and a pause where a gate says stop."""

import json
import os
import re
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from pydantic import SecretStr

from annotation.labeling import DEFAULT_DIMENSIONS
from annotation.projects import ensure_project
from annotation.queue import paused_overlap
from flows.choose import chosen_method
from flows.measure import build, measure
from flows.measuring import markdown, pause_where_asked

SOLI = Path(sys.executable).with_name("soli")
STOP = {"threshold": 0.9, "pause_queue": True, "dimension": "subject_deformity"}
CALM = {"threshold": 0.9, "dimension": "semantic_alignment"}


def stopped(settings):
    """A measurement whose gates stop two dimensions; one of them asks for a pause."""
    strict = settings.model_copy(update={"gates": (STOP, CALM)})
    return measure(strict, settings.store, dry_run=True)


def consensus(settings):
    """The consensus that pairs are built from."""
    found = build(settings, settings.store, dry_run=True)
    return found[chosen_method(settings)].table


@pytest.mark.slow
def test_the_artifact_says_why_and_where_it_is_worst(small):
    text = markdown(stopped(small), consensus(small))
    (line,) = (
        line for line in text.splitlines() if line.startswith("| subject_deformity | **stop")
    )
    assert "lies below 0.9" in line
    assert "\n| subject_deformity | generator=" in text
    assert "| semantic_alignment | alpha | 0." in text
    assert "![alpha by week](data:image/svg+xml;base64," in text
    decided = re.findall(r"^\| (\w+) \| (\d+) \| (\d+) \| (\d+) \|$", text, re.MULTILINE)
    assert len(decided) == 3
    assert all(sum(map(int, counts)) == 40 for _, *counts in decided)


@pytest.mark.slow
def test_a_bar_in_a_name_stays_in_its_cell(small):
    measured = stopped(small)
    rows = measured.gates.to_pylist()
    worst = [{"slice": "generator=a|b", "value": 0.1, "low": 0, "high": 1, "items": 40}]
    table = type(measured.gates).from_pylist(
        [row | {"worst": json.dumps(worst)} for row in rows], schema=measured.gates.schema
    )
    changed = type(measured)(**{**vars(measured), "gates": table})
    assert r"generator=a\|b 0.100" in markdown(changed, consensus(small))


@pytest.mark.slow
def test_only_a_stop_whose_rule_asks_for_it_pauses(small):
    assert stopped(small).pausing == ["subject_deformity"]
    loose = {"threshold": 0.1, "pause_queue": True}
    calm = small.model_copy(update={"gates": (loose,)})
    assert measure(calm, small.store, dry_run=True).pausing == []


@pytest.mark.server
def test_a_stop_pauses_the_queue_and_says_so_to_annotators(small, label_studio, admin, capsys):
    project = ensure_project(admin, str(uuid.uuid4()), "Gated", DEFAULT_DIMENSIONS, 3)
    access = {
        "label_studio_url": label_studio.url,
        "label_studio_api_key": SecretStr(label_studio.token),
    }
    pause_where_asked(small.model_copy(update=access), stopped(small))
    paused = admin.project(project.id)
    assert paused_overlap(paused) == 3
    assert paused.overlap == 0
    assert "the gate stopped subject_deformity" in paused.description
    assert f"project {project.id}: paused" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.xdist_group("prefect")
def test_the_flow_leaves_rows_and_an_artifact_and_exits_with_the_gates_verdict(small, tmp_path):
    (tmp_path / "soli.toml").write_text("[[gates]]\nthreshold = 0.9\n")
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    quiet = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}
    run = subprocess.run(
        [SOLI, "--home", small.home, "flows", "run", "measure"],
        cwd=tmp_path, env={**kept, **quiet}, capture_output=True, text=True, check=False,
        timeout=300,
    )  # fmt: skip
    assert run.returncode == 3, run.stderr
    assert "gate says stop for physical_plausibility" in run.stderr
    assert "stop" in small.store.read("gates")["verdict"].to_pylist()
    import sqlite3

    with sqlite3.connect(small.home / "prefect" / "prefect.db") as db:
        (found,) = db.execute("SELECT data FROM artifact WHERE key = 'soli-measure'").fetchall()
    assert "lies below 0.9" in found[0]
