"""Whatever happens on a server, with pulls in between: `labels` is what a naive ledger says."""

import importlib.util
import itertools
import os
import shutil
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import duckdb
import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from annotation.client import Client
from flows.annotate import ingest_project
from flows.settings import Settings

MODEL = Path(__file__).parents[1] / "model"


def load(name):
    """A module of tests/model, which is no package: the folder `tests` is nobody's to import."""
    full = f"soli_model_{name}"
    if full not in sys.modules:
        spec = importlib.util.spec_from_file_location(full, MODEL / f"{name}.py")
        sys.modules[full] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[full])
    return sys.modules[full]


studio, ops, oracles = load("label_studio"), load("operations"), load("oracle")

CHOICES = '<Choices name="{}" toName="video"><Choice value="Pass"/><Choice value="Fail"/></Choices>'
CONFIG = '<View><Video name="video" value="$video"/>{}</View>'.format(
    "".join(map(CHOICES.format, ops.DIMENSIONS))
)
SOURCES = [f"{number}" * 8 + "-1111-4111-8111-111111111111" for number in range(1, 4)]
SERVERS = (0, 0, 1)  # two projects share a server and its ids, the third has its own
LABELS = (
    "SELECT item_id, dimension, annotator_id, value, role, source, annotation_id, created_at, revision"
    " FROM labels{}"
)
FAST = Path("/dev/shm") if Path("/dev/shm").is_dir() else None


class Home:
    """A warehouse and what it says, in the oracle's words."""

    def __init__(self, folder):
        self.settings = Settings(home=folder)
        self.store = self.settings.store

    def pull(self, client, project, full):
        return ingest_project(self.settings, client, client.project(project), full=full).written

    def labels(self, moments=()):
        """Rows of `labels` as of each of these moments, and now."""
        rows = self.store.read("people").to_pylist()
        people = {row["annotator_id"]: (row["source"], row["user_id"]) for row in rows}
        with self.store.connect() as db:
            found = [
                db.execute(LABELS.format("_as_of($1)"), [moment]).fetchall() for moment in moments
            ]
            found.append(db.execute(LABELS.format("")).fetchall())
        return [
            {oracles.Label(*row[:2], people[row[2]], *row[3:]) for row in rows} for rows in found
        ]

    def pulls(self):
        """When each pull was committed."""
        return self.store.query("FROM pulls ORDER BY observed_at")["observed_at"].to_pylist()


class World:
    """Model servers, one home that pulls from them, and the oracle beside it."""

    def __init__(self, folder):
        self.home = Home(folder)
        self.servers = [studio.LabelStudio() for _ in set(SERVERS)]
        self.clients = [
            Client(studio.URL, studio.TOKEN, transport=server) for server in self.servers
        ]
        self.oracle = oracles.Oracle(ops.DIMENSIONS)
        self.drivers = [self._driver(n) for n in range(len(SOURCES))]
        self.history = []

    def _driver(self, number):
        server, client = (which[SERVERS[number]] for which in (self.servers, self.clients))
        fields = {"title": "t", "label_config": CONFIG}
        made = client.create_project({**fields, "description": f"soli-source: {SOURCES[number]}"})
        return ops.Driver(
            client,
            made.id,
            server.users,
            wait=server.wait,
            lag=lambda lag: setattr(server, "lag", lag),
        )

    def visible(self, number):
        """All tasks of a project as they stand, from the model's own memory."""
        server = self.servers[SERVERS[number]]
        return [
            (task["data"], server._on(task["id"]))
            for _, task in sorted(server.tasks.items())
            if task["project"] == self.drivers[number].project
        ]

    def pull(self, number, full):
        """Pull, and note what is to be there if that was a commit; returns whether it was."""
        driver = self.drivers[number]
        written = self.home.pull(driver.client, driver.project, full)
        before = self.oracle.labels()
        self.oracle.pull(SOURCES[number], self.visible(number))
        if written:
            self.history.append(self.oracle.labels())
        else:
            assert self.oracle.labels() == before, "a pull that saw changes committed nothing"
        return written


@contextmanager
def scratch():
    folder = Path(tempfile.mkdtemp(prefix="soli-ledger-", dir=FAST))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def unbroken(home):
    """Each unit's revisions are 1..n, and no two rows share a key."""
    bad = home.store.query(
        "SELECT source, annotation_id, annotation_created_at, dimension, list(revision)"
        " FROM label_events GROUP BY ALL"
        " HAVING max(revision) <> count(*) OR min(revision) <> 1 OR count(DISTINCT revision) <> count(*)"
    )
    return bad.to_pylist()


def differences(found, expected):
    """Labels too many and labels missing, a short line each."""
    signs = [("too many", found - expected), ("missing", expected - found)]
    return [
        f"{sign}: {row.item} {row.dimension} {row.value} {row.role} by {row.person[1]} in"
        f" {row.source[0]}:{row.annotation} of {row.created_at:%H:%M:%S.%f}, revision {row.revision}"
        for sign, rows in signs
        for row in sorted(rows, key=repr)
    ]


def play(rounds, folder):
    world = World(folder)
    for number, operations, full in rounds:
        for operation in operations:
            operation.do(world.drivers[number])
        world.pull(number, full)
    assert not world.pull(rounds[-1][0], full=False), (
        "a pull right after a pull committed something"
    )
    moments = world.home.pulls()
    assert len(moments) == len(world.history)
    found = world.home.labels(moments)
    for moment, said, expected in zip(moments, found[:-1], world.history, strict=True):
        assert not differences(said, expected), f"as of {moment}"
    assert not differences(found[-1], world.oracle.labels()), "now"
    assert unbroken(world.home) == []
    return world


EXAMPLES = int(os.environ.get("SOLI_LEDGER_EXAMPLES", 150))


def tell(rounds):
    """Print the operations where the example fails."""
    for number, operations, full in rounds:
        note(f"in project {number}, then a {'full ' if full else ''}pull:")
        for operation in operations:
            note(f"    {operation}")


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=False,
    report_multiple_bugs=False,
    phases=[Phase.generate, Phase.shrink],
)
@given(ops.spans(ops.operation, st.sampled_from([0, 0, 0, 1, 2]), 3))
def test_labels_are_what_the_naive_ledger_says_now_and_as_of_every_pull(quick, rounds):
    tell(rounds)
    with scratch() as folder:
        play(rounds, folder)


class Lent:
    """A database in memory, empty, in a DuckDB that stays: 0.3 ms instead of 25."""

    engine = duckdb.connect(config={"threads": 1})
    numbers = itertools.count()

    def __init__(self, **_):
        self.name = f"lent_{next(self.numbers)}"
        self.cursor = self.engine.cursor()
        self.cursor.execute(f"ATTACH ':memory:' AS {self.name}; USE {self.name}")

    def __getattr__(self, name):
        return getattr(self.cursor, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.cursor.close()
        self.engine.execute(f"DETACH DATABASE IF EXISTS {self.name}")


@pytest.fixture(scope="module")
def quick():
    """What costs time and is tested elsewhere is left out: faces, and most of the views."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flows.ingest.publish", lambda store: None)
        patch.setattr("warehouse.views.VIEWS", ("answers", "labels"))
        patch.setattr("duckdb.connect", Lent)
        yield


# The same on the real server


@pytest.fixture(scope="module")
def people(admin):
    """Three people of the real server, by id."""
    names = [f"{name}@ledger.example" for name in ("ana", "ben", "eva")]
    return [
        admin.call("POST", "api/users", body={"email": name, "username": name})["id"]
        for name in names
    ]


def told(home, driver):
    """Events and labels with nothing of what a server or a home numbers for itself."""
    rows = home.store.read("people").to_pylist()
    people = {row["annotator_id"]: driver.users.index(row["user_id"]) for row in rows}

    def named(row):
        return row | {
            "annotator_id": people[row["annotator_id"]],
            "name": driver.names[row["annotation_id"], row["annotation_created_at"]],
        }

    events = map(named, home.store.read("label_events").to_pylist())
    labels = map(named, home.store.query("FROM labels").to_pylist())
    shared = ("name", "dimension", "revision", "item_id", "annotator_id", "value")
    return [
        sorted(tuple(str(row[name]) for name in (*shared, *more)) for row in rows)
        for rows, more in ((events, ("event", "gold")), (labels, ("role",)))
    ]


@pytest.mark.server
@pytest.mark.slow
@settings(
    max_examples=20,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
)
@given(ops.spans(ops.change, st.just(0), 2).filter(lambda rounds: len(rounds[0][1]) > 3))
def test_the_model_server_does_what_the_real_one_does(quick, admin, people, rounds):
    tell(rounds)
    with scratch() as folder:
        world = World(folder / "model")
        made = admin.create_project(
            {"title": "ledger", "label_config": CONFIG, "description": f"soli-source: {uuid4()}"}
        )
        real, home = ops.Driver(admin, made.id, people), Home(folder / "real")
        for number, operations, full in rounds:
            for operation in operations:
                operation.do(world.drivers[number])
                operation.do(real)
            world.pull(number, full)
            home.pull(admin, made.id, full)
        assert told(home, real) == told(world.home, world.drivers[0])
        assert world.home.labels()[-1] == world.oracle.labels()
