"""The whole story on the tiny world: real Label Studio, real Prefect, real DeepSpeed.

One home is run through while another process keeps asking every view; a second one, with the same
seed, is killed with -9 in five different steps and must end at the same digests.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import duckdb
import pytest

from agreement.verify import verify
from annotation import server
from flows import demo
from flows.measure import labels_of
from warehouse.audit import audit
from warehouse.contracts import TABLES
from warehouse.store import Store
from warehouse.views import VIEWS

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.xdist_group("demo")]

KILLED_IN = ("make the world", "six people judge", "pull again", "build pairs", "train")
LIMIT_SECONDS = 240
CHECKOUT = Path(__file__).parents[2]
SOLI = (sys.executable, "-m", "flows")
PASSED_ON = ("PATH", "SOLI_LABEL_STUDIO")


def start(home):
    """The demo as a process; what it says goes to files, which no orphan of it can hold open."""
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    environment |= {"HOME": str(home.parent), "PYTHONUNBUFFERED": "1"}
    with (home.parent / "out").open("w") as out, (home.parent / "err").open("w") as err:
        return subprocess.Popen(
            [*SOLI, "--home", str(home), "demo", "--world", "tiny", "--json"],
            stdout=out,
            stderr=err,
            env=environment,
            cwd=CHECKOUT,
        )


def finish(home):
    process = start(home)
    try:
        code = process.wait(LIMIT_SECONDS)
    finally:
        process.kill()
        process.wait()
    assert code == 0, (home.parent / "err").read_text()
    return json.loads((home.parent / "out").read_text())


def kill_in(home, step):
    """Start the demo and kill it with -9 a moment after the step began."""
    process = start(home)
    deadline = time.monotonic() + LIMIT_SECONDS
    said = home.parent / "err"
    while f"· {step}\n" not in said.read_text() and time.monotonic() < deadline:
        assert process.poll() is None, said.read_text()
        time.sleep(0.05)
    time.sleep(0.7)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, f"the demo ended before or in {step!r}"


def end_leftovers(home):
    """End what killed demos left behind: by process id, only what works in this home."""
    server.stop(home / "labelstudio")
    demo._end_orphans(home)


class Asker(threading.Thread):
    """Asks every view of the newest face, over and over, as somebody else's process would."""

    def __init__(self, home):
        super().__init__(daemon=True)
        self.face = home / "warehouse.duckdb"
        self.done = threading.Event()
        self.answers = 0
        self.errors = []

    def run(self):
        while not self.done.is_set():
            if self.face.exists():
                try:
                    self.ask()
                except duckdb.Error as error:
                    self.errors.append(error)
            time.sleep(0.2)

    def ask(self):
        with duckdb.connect(self.face, read_only=True) as db:
            for name in (*VIEWS, *(t for t, table in TABLES.items() if not table.private)):
                db.execute(f"SELECT count(*) FROM {name}").fetchone()
                self.answers += 1


@pytest.fixture(scope="module")
def whole(tmp_path_factory, label_studio_template):
    """A home where the demo ran through, its outcome, and who asked meanwhile."""
    home = tmp_path_factory.mktemp("whole") / "home"
    asker = Asker(home)
    asker.start()
    try:
        outcome = finish(home)
    finally:
        asker.done.set()
        asker.join()
        end_leftovers(home)
    return home, outcome, asker


@pytest.fixture(scope="module")
def killed(tmp_path_factory, label_studio_template):
    """A home where the demo was killed in five steps before it ran through."""
    home = tmp_path_factory.mktemp("killed") / "home"
    try:
        for step in KILLED_IN:
            kill_in(home, step)
        outcome = finish(home)
    finally:
        end_leftovers(home)
    return home, outcome


def test_every_view_answers_while_the_flow_runs(whole):
    _, _, asker = whole
    assert asker.errors == []
    assert asker.answers > 20 * len(VIEWS)


def test_the_warehouse_is_what_its_contracts_say(whole):
    home, _, _ = whole
    assert [row for row in audit(Store(home)) if row["problems"]] == []


def test_labels_came_with_skips_corrections_and_withdrawals(whole):
    _, outcome, _ = whole
    assert {"seen", "changed", "skipped", "withdrawn"} <= set(outcome["events"])


def test_agreement_equals_krippendorff_and_statsmodels_on_the_demos_own_labels(whole):
    home, _, _ = whole
    rows = verify(labels_of(Store(home))).to_pylist()
    assert len(rows) == 6
    assert all(abs(row["difference"]) <= 1e-9 for row in rows)


def test_calibration_items_have_six_design_labels_unless_one_was_withdrawn(whole):
    home, _, _ = whole
    rows = Store(home).query(
        "SELECT design_labels, count(*) AS n FROM label_progress WHERE design_k = 6 GROUP BY ALL"
    )
    counts = {row["design_labels"]: row["n"] for row in rows.to_pylist()}
    assert set(counts) <= {5, 6}
    assert counts[6] > counts.get(5, 0)


def test_every_ordinary_item_has_exactly_its_three_design_labels(whole):
    home, _, _ = whole
    rows = Store(home).query("SELECT DISTINCT design_labels FROM label_progress WHERE design_k = 3")
    assert rows["design_labels"].to_pylist() == [3]


def test_trace_goes_from_a_reward_down_to_annotators(whole):
    home, outcome, _ = whole
    shown = subprocess.run(
        [*SOLI, "--home", home, "trace", f"latest:{outcome['example']}"],
        capture_output=True,
        text=True,
        check=True,
        cwd=CHECKOUT,
    ).stdout
    places = [shown.index(word) for word in ("model", "pair set", "consensus", "label events")]
    assert places == sorted(places)
    people = Store(home).read("people")["annotator_id"].to_pylist()
    assert any(person in shown for person in people)


def test_names_passwords_and_tokens_are_in_no_table_and_not_in_the_report(whole):
    home, outcome, _ = whole
    secrets = json.loads((home / "labelstudio" / "annotators.json").read_text())
    admin = json.loads((home / "labelstudio" / "credentials.json").read_text())
    words = {value for held in secrets.values() for value in held.values()}
    words |= {admin["password"], admin["token"], *secrets, "annotators.example"}
    readable = [Path(outcome["report"]), *(home / "tables").rglob("*"), *(home / "runs").rglob("*")]
    for path in readable:
        if path.is_file():
            content = path.read_bytes()
            for word in words - {"Ana", "Ben", "Lea"}:  # too short to mean anything in binary
                assert word.encode() not in content, path
    for name in ("annotators.json", "credentials.json"):
        assert (home / "labelstudio" / name).stat().st_mode & 0o077 == 0


def test_predictions_reached_label_studio_and_are_hidden(whole, label_studio_binary):
    from annotation.client import Client

    home, _, _ = whole
    with ExitStack() as opened:
        running = opened.enter_context(
            server.start(home / "labelstudio", label_studio_binary, home / "media")
        )
        client = Client(running.url, running.token)
        opened.callback(client.close)
        (project,) = [project for project in client.projects() if project.source]
        detail = client.call("GET", f"api/projects/{project.id}")
        assert detail["show_collab_predictions"] is False
        tasks = [task for page, _ in client.tasks(project.id) for task in page]
        assert all(len(task["predictions"]) == 1 for task in tasks)


def test_a_demo_killed_in_five_steps_ends_at_the_same_digests(whole, killed):
    _, expected, _ = whole
    _, outcome = killed
    for name in ("consensus_digest", "pair_set_digest"):
        assert outcome[name] == expected[name]


def test_a_killed_demo_leaves_a_sound_warehouse(killed):
    home, _ = killed
    assert [row for row in audit(Store(home)) if row["problems"]] == []


def test_the_files_of_the_pair_set_are_the_same_bytes(whole, killed):
    one, other = (next((home / "pair_sets").glob("[0-9a-f]*")) for home in (whole[0], killed[0]))
    for name in ("items.parquet", "pairs.parquet"):
        assert (one / name).read_bytes() == (other / name).read_bytes()


def test_another_seed_or_world_does_not_mix_into_a_home(whole):
    home, _, _ = whole
    shown = subprocess.run(
        [*SOLI, "--home", str(home), "demo", "--seed", "8"],
        capture_output=True,
        text=True,
        check=False,
        cwd=CHECKOUT,
    )
    assert shown.returncode == 1
    assert "choose another folder with --home" in shown.stderr
    assert "Traceback" not in shown.stderr
