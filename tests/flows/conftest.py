"""The crowd of data/crowd as a Label Studio export, and a home to take it in."""

import csv
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from flows.settings import Settings

DATA = Path(__file__).parents[1] / "data"
CHECKOUT = Path(__file__).parents[2]
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
def soli(capsys, settings, monkeypatch):
    """Run a command line in the home; returns exit code, stdout and stderr."""
    from flows.__main__ import run

    for name in {"SOLI_HOME", "SOLI_LOG_JSON"} - os.environ.keys():  # commands set them
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)  # as it will be after the test

    def call(*arguments):
        code = run(["--home", str(settings.home), *map(str, arguments)])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return call


THREE = ("physical_plausibility", "semantic_alignment", "subject_deformity")


def judgement(number, person, choices, minute=0):
    """One annotation of a task: a choice for each dimension named."""
    return {
        **annotation(number, person, "Pass"),
        "created_at": f"2026-01-02T10:{minute:02d}:00.000000Z",
        "updated_at": f"2026-01-02T10:{minute:02d}:01.000000Z",
        "result": [
            {
                "from_name": dimension,
                "to_name": "video",
                "type": "choices",
                "value": {"choices": [choice]},
            }
            for dimension, choice in choices.items()
        ],
    }


def said(item, person, dimension):
    """Pass or Fail: every other item is good in a dimension, and one answer in eleven is wrong."""
    good = (item >> THREE.index(dimension)) % 2 == 0
    slip = (7 * item + 5 * person + 3 * THREE.index(dimension)) % 11 == 0
    return "Pass" if good != slip else "Fail"


def small_tasks(items=40, people=(11, 12, 13)):
    """Two items a prompt, three people an item, three dimensions; two generators.

    Prompts and generators are of the kind that breaks a page that does not escape them.
    """
    return [
        {
            "id": item + 1,
            "project": 5,
            "created_at": "2026-01-01T00:00:00.000000Z",
            "updated_at": "2026-01-02T10:30:00.000000Z",
            "data": {
                "item_id": f"clip_{item:03d}",
                "prompt": f"a ball <script>alert({item // 2})</script> & a $ or $ two",
                "video": f"/data/local-files/?d=clips/{item:03d}.mp4",
                "generator": ("no<b>rth", "south")[item % 5 == 0],
            },
            "annotations": [
                judgement(
                    100 * item + person,
                    person,
                    {name: said(item, person, name) for name in THREE},
                    minute=person,
                )
                for person in people
            ],
        }
        for item in range(items)
    ]


@pytest.fixture
def tasks():
    """A small project in the shape of Label Studio's export, to be changed at will."""
    return small_tasks()


@pytest.fixture
def export(tmp_path):
    """Write tasks to an export file."""

    def write(tasks, name="project.json"):
        path = tmp_path / name
        path.write_text(json.dumps(tasks))
        return path

    return write


@pytest.fixture(scope="session")
def small_home(tmp_path_factory):
    """The small project taken in, measured, decided, paired; a hand-made model has scored it.

    Every step is the real one but training, whose rows are written by hand. Never written to:
    tests that write take a copy (`small`).
    """
    from flows.exports import ingest_export
    from flows.labelling import Labelling
    from flows.measure import build, measure
    from flows.pair import build as build_set
    from flows.pair import recipe_of

    folder = tmp_path_factory.mktemp("small")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        settings = Settings(home=folder / "home", pairs=RECIPE)
        store = settings.store
        (folder / "project.json").write_text(json.dumps(small_tasks()))
        ingest_export(store, folder / "project.json", labelling=Labelling(THREE))
        measure(settings, store)
        build(settings, store)
        built, _ = build_set(settings, store, recipe_of(settings, store))
        hand_made_model(store, built.pair_set_id)
    return settings.home


FEW = "up to 16"
RECIPE = {
    "counts": {  # fewer pairs than there are, so that the seed decides which
        "win_lose": {"train": 20, "validation": FEW, "test": FEW, "ood": FEW},
        "win_tie": {"train": 8, "validation": FEW, "test": FEW, "ood": FEW},
    },
    "split": {"train": 0.5, "validation": 0.2, "test": 0.3, "salt": "tests"},
    "ood_generators": ["south"],
}
MODEL = "0123456789abcdef" * 4


def hand_made_model(store, pair_set_id):
    """A run, its curve, and rewards that mostly follow the labels: `runs`, `scores`."""
    import pyarrow as pa

    from flows.evaluate import evaluate
    from warehouse.face import publish

    job = store.home / "runs" / "feedfacefeedface"
    job.mkdir(parents=True)
    curve = [{"step": n, "loss": 1 / n, "train_acc": 0.5 + n / 20} for n in range(1, 9)]
    (job / "curve.jsonl").write_text("".join(json.dumps(line) + "\n" for line in curve))
    run = {
        "model_id": MODEL,
        "run_id": "feedfacefeedface",
        "pair_set_id": pair_set_id,
        "config": "{}",
        "weights_sha256": "ab" * 32,
        "metrics": "{}",
        "seconds": 1.0,
        "path": str(job / "checkpoint"),
    }
    rewards = [
        {
            "model_id": MODEL,
            "item_id": f"clip_{item:03d}",
            "dimension": name,
            "reward": (1.0 if said(item, 1, name) == "Pass" else -1.0) + item / 100,
        }
        for item in range(40)
        for name in THREE
    ]
    store.append("runs", pa.Table.from_pylist([run]))
    store.append("scores", pa.Table.from_pylist(rewards))
    evaluate(store, models=[MODEL])
    publish(store)


@pytest.fixture
def small(settings, small_home):
    """Settings of a home of one's own that holds what `small_home` holds."""
    shutil.copytree(small_home, settings.home, symlinks=True)
    return settings.model_copy(update={"pairs": RECIPE})


@pytest.fixture
def latest_consensus():
    """Rows of a method's newest consensus run: call it with store and method."""
    from flows.pair import consensus_of, latest_run

    return lambda store, method: consensus_of(store, latest_run(store, method))


@pytest.fixture
def again():
    """Build with the settings' recipe, changed: call it with settings and changes."""
    from flows.pair import build, recipe_of
    from pairing.recipe import Recipe

    def built(settings, **changes):
        values = recipe_of(settings, settings.store).to_dict() | changes
        return build(settings, settings.store, Recipe.from_dict(values))[0]

    return built


@pytest.fixture
def files():
    """Name -> bytes of all files of a folder."""
    return lambda folder: {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


def files_of(home):
    """Every file of a home with size and time: the tables of record are files, too."""
    stats = {path: path.stat() for path in home.rglob("*") if path.is_file()}
    return {str(path): (stat.st_size, stat.st_mtime_ns) for path, stat in stats.items()}


@pytest.fixture
def unchanged():
    """Block in which a home must stay as it is, file for file."""

    @contextmanager
    def block(home):
        there, before = home.exists(), files_of(home)
        yield
        assert home.exists() == there
        assert files_of(home) == before

    return block


@pytest.fixture
def no_faces(monkeypatch):
    """Steps that publish no reading face, which has its own tests and a third of their time."""
    for module in (
        "items",
        "ingest",
        "comparisons",
        "measure",
        "pair",
        "pair_imports",
        "evaluate",
    ):
        monkeypatch.setattr(f"flows.{module}.publish", lambda store: None)


# Prefect: one server for all tests of the group `prefect`

PROGRAMS = Path(sys.executable).parent
SECONDS = 180  # a busy machine starts a flow slowly
# Tests that run in the background may ignore interrupts, and children inherit that.
HEEDING = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.fixture(scope="session")
def until():
    """Wait for something to be there: call it with a check and its name in words."""

    def wait(check, what, seconds=SECONDS):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := check():
                return found
            time.sleep(0.2)
        raise AssertionError(f"{what}: not within {seconds} s")

    return wait


@pytest.fixture(scope="session")
def process():
    """A process whose output goes to a file; interrupted at the end, killed if that is no use."""

    @contextmanager
    def started(*command, folder, **environment):
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        quiet = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}
        # The console script would run the code of the checkout that was installed.
        soli = (sys.executable, "-m", "flows")
        line = soli if command[0] == "soli" else (PROGRAMS / command[0],)
        with (folder / "out").open("a") as out:
            running = subprocess.Popen(
                [sys.executable, "-c", HEEDING, *map(str, (*line, *command[1:]))],
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={**kept, **quiet, "PYTHONPATH": str(CHECKOUT), **environment},
            )
            try:
                yield running
            finally:
                running.send_signal(signal.SIGINT)
                try:
                    running.wait(SECONDS)
                finally:
                    running.kill()
                    running.wait()

    return started


def answers(url):
    try:
        return httpx.get(url, trust_env=False).is_success
    except httpx.HTTPError:
        return False


@pytest.fixture(scope="session")
def prefect_api(tmp_path_factory, process, until):
    """Address of a Prefect server's API."""
    folder = tmp_path_factory.mktemp("prefect")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = ("prefect", "server", "start", "--host", "127.0.0.1", "--port", port, "--no-ui")
    with process(*command, folder=folder, PREFECT_HOME=str(folder / "home")):
        url = f"http://127.0.0.1:{port}/api"
        until(lambda: answers(f"{url}/health"), "the Prefect server")
        yield url


@pytest.fixture(scope="session")
def ask(prefect_api, until):
    """Function that asks the Prefect server."""
    with httpx.Client(base_url=prefect_api, trust_env=False, timeout=30) as http:

        def call(path, **body):
            def settled():  # SQLite is locked for a moment now and then: 503, as its clients know
                answer = http.post(path, json=body)
                return answer if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE else None

            answer = until(settled, path)
            assert answer.is_success, answer.text
            return answer.json()

        yield call
