"""What people and programs do in a project, as values: drawn at random, printed, done by `Driver`.

An operation names its task or annotation by a number that is taken modulo how many there are, so
every list of operations makes sense in every project, and short ones stay readable.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from hypothesis import strategies as st

DIMENSIONS = ("motion", "shape")
CHOICES = {"P": ["Pass"], "F": ["Fail"], "?": ["Unsure"], "2": ["Pass", "Fail"], "0": []}
SKIP = "skip"
NO_ITEM = -1


def _nothing(_):
    """Do nothing."""


def result(says):
    """Entries of an annotation: one letter a dimension, `-` for none."""
    return [
        {
            "from_name": dimension,
            "to_name": "video",
            "type": "choices",
            "value": {"choices": CHOICES[letter]},
        }
        for dimension, letter in zip(DIMENSIONS, says, strict=True)
        if letter != "-"
    ]


def said(says):
    """Fields of an annotation that says this, or skips."""
    skipped = says == SKIP
    return {"result": [] if skipped else result(says), "was_cancelled": skipped}


def data_of(item):
    """Task data: the same for the same item. Odd items ask for two design labels, even for one."""
    named = {} if item == NO_ITEM else {"item_id": f"clip_{item}"}
    return {
        **named,
        "prompt": f"a ball, take {item // 2}",
        "video": "https://clips.example/ball.mp4",
        "generator": "north",
        "design_k": 1 + item % 2,
    }


@dataclass(frozen=True)
class Import:
    """A task, with the annotations of an earlier life: (user, what is said, ground truth)."""

    item: int
    annotations: tuple = ()

    def do(self, driver):
        rows = [
            {
                "completed_by": driver.users[user],
                "ground_truth": gold,
                "lead_time": 3.0,
                **said(what),
            }
            for user, what, gold in self.annotations
        ]
        driver.import_task({"data": driver.data(self.item), "annotations": rows})


@dataclass(frozen=True)
class Reimport:
    """Export a task and import it again: new ids, the same people, the same item."""

    task: int

    def do(self, driver):
        task = driver.task(self.task)
        if task is not None:
            raw = driver.client.call("GET", f"api/tasks/{task}")
            for annotation in raw["annotations"]:
                if isinstance(annotation["completed_by"], dict):
                    annotation["completed_by"] = annotation["completed_by"]["id"]
            names = ("completed_by", "result", "was_cancelled", "ground_truth", "lead_time")
            rows = [{name: a[name] for name in names} for a in raw["annotations"]]
            driver.import_task({"data": raw["data"], "annotations": rows})


@dataclass(frozen=True)
class Annotate:
    """A new answer (or skip) on a task, by anybody, as often as they like."""

    task: int
    user: int
    says: str

    def do(self, driver):
        task = driver.task(self.task)
        if task is not None:
            body = {"completed_by": driver.users[self.user], "lead_time": 2.5, **said(self.says)}
            driver.made(driver.client.annotate(task, body), task)


@dataclass(frozen=True)
class Edit:
    """Another answer in an annotation: a correction, a skip, or the end of a skip."""

    annotation: int
    says: str

    def do(self, driver):
        number = driver.annotation(self.annotation)
        if number is not None:
            driver.client.correct(number, said(self.says))


@dataclass(frozen=True)
class Touch:
    """Save an annotation as it is."""

    annotation: int

    def do(self, driver):
        number = driver.annotation(self.annotation)
        if number is not None:
            driver.client.correct(number, {"lead_time": 9.0})


@dataclass(frozen=True)
class Gold:
    """Set or take away the ground-truth flag."""

    annotation: int
    on: bool

    def do(self, driver):
        number = driver.annotation(self.annotation)
        if number is not None:
            driver.client.correct(number, {"ground_truth": self.on})


@dataclass(frozen=True)
class Withdraw:
    """Delete an annotation."""

    annotation: int

    def do(self, driver):
        number = driver.annotation(self.annotation)
        if number is not None:
            driver.client.withdraw(number)
            driver.annotations = [one for one in driver.annotations if one[0] != number]


@dataclass(frozen=True)
class Delete:
    """Delete a task with all its annotations."""

    task: int

    def do(self, driver):
        task = driver.task(self.task)
        if task is not None:
            driver.client.call("DELETE", f"api/tasks/{task}")
            driver.forget(task)


@dataclass(frozen=True)
class Retarget:
    """Edit a task's data so that it shows another item, or none."""

    task: int
    item: int

    def do(self, driver):
        task = driver.task(self.task)
        if task is not None:
            body = {"data": driver.data(self.item)}
            driver.client.call("PATCH", f"api/tasks/{task}", body=body)


@dataclass(frozen=True)
class Wait:
    """Time passes: more or less than the overlap of two pulls."""

    seconds: float

    def do(self, driver):
        driver.wait(self.seconds)


@dataclass(frozen=True)
class Lag:
    """From now on changes are stamped some time before they show, as in slow transactions."""

    seconds: float

    def do(self, driver):
        driver.lag(timedelta(seconds=self.seconds))


class Driver:
    """Does operations in one project through the client, on the model or on the real server.

    users: the server's ids of the three people.
    data: task data of an item number.
    wait, lag: what waiting and late stamps are on this server; nothing on the real one.
    """

    def __init__(self, client, project, users, *, data=data_of, wait=_nothing, lag=_nothing):
        self.client = client
        self.project = project
        self.users = users
        self.data = data
        self.wait = wait
        self.lag = lag
        self.tasks = []
        """Ids of the tasks there are, oldest first."""
        self.annotations = []
        """(id, id of the task) of the annotations there are, oldest first."""
        self.names = {}
        """(id, created_at) of every annotation there ever was -> 0, 1, ... in order."""

    def task(self, number):
        """Id of the task meant; None where there is none."""
        return self.tasks[number % len(self.tasks)] if self.tasks else None

    def annotation(self, number):
        """Id of the annotation meant; None where there is none."""
        there = self.annotations
        return there[number % len(there)][0] if there else None

    def import_task(self, raw):
        """Import tells no ids, but the task that is made has the highest one."""
        self.client.import_tasks(self.project, [raw])
        (task,) = self.client.page(self.project, ["-tasks:id"], 1, (), "all").tasks
        self.tasks.append(task["id"])
        for annotation in sorted(task["annotations"], key=lambda one: one["id"]):
            self.made(annotation, task["id"])

    def made(self, annotation, task):
        """Note a new annotation."""
        self.annotations.append((annotation["id"], task))
        moment = datetime.fromisoformat(annotation["created_at"])
        self.names[annotation["id"], moment] = len(self.names)

    def forget(self, task):
        """Note that a task is gone."""
        self.tasks.remove(task)
        self.annotations = [one for one in self.annotations if one[1] != task]


few = st.integers(0, 5)
users = st.integers(0, 2)
items = st.integers(NO_ITEM, 3)
sound = st.text("PF", min_size=2, max_size=2)
anything = st.one_of(sound, sound, st.text("PF-?20", min_size=2, max_size=2), st.just(SKIP))
imported = st.lists(st.tuples(users, anything, st.booleans()), max_size=3).map(tuple)

change = st.one_of(
    st.builds(Import, items, imported),
    st.builds(Annotate, few, users, anything),
    st.builds(Annotate, few, users, sound),
    st.builds(Edit, few, anything),
    st.builds(Withdraw, few),
    st.builds(Gold, few, st.booleans()),
    st.builds(Delete, few),
    st.builds(Reimport, few),
    st.builds(Retarget, few, items),
    st.builds(Touch, few),
)
operation = st.one_of(
    change,
    change,
    change,
    change,
    st.builds(Wait, st.sampled_from([0.5, 20.0, 45.0, 4000.0])),
    st.builds(Lag, st.sampled_from([0.0, 3.0])),
)


def spans(operations, projects, most):
    """Rounds of a sequence: (project, operations, whether the pull after them is a full one)."""
    some = st.lists(operations, min_size=1, max_size=8)
    return st.lists(st.tuples(projects, some, st.booleans()), min_size=1, max_size=most)
