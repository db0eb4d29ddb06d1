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
class Replace:
    """Delete the newest task and import another: Label Studio on SQLite gives it the same id."""

    other: Import

    def do(self, driver):
        Delete(-1).do(driver)
        self.other.do(driver)


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


any_of_them = st.integers(0, 9)
users = st.integers(0, 2)
clips = st.integers(0, 2)
items = st.one_of(clips, clips, st.just(NO_ITEM))
sound = st.sampled_from(["PP", "PF", "FP", "FF"])
odd = st.sampled_from(["P-", "?P", "2F", "F0", "--"])
anything = st.one_of(sound, sound, odd, st.just(SKIP))
mostly_no_gold = st.sampled_from([False, False, False, True])
answer = st.tuples(users, anything, mostly_no_gold)
first = st.builds(Import, clips, st.lists(answer, min_size=1, max_size=3).map(tuple))
edit = st.builds(Edit, any_of_them, anything)
annotate = st.builds(Annotate, any_of_them, users, anything)
withdraw = st.builds(Withdraw, any_of_them)

change = st.one_of(
    edit,
    edit,
    annotate,
    annotate,
    withdraw,
    withdraw,
    st.builds(Gold, any_of_them, st.booleans()),
    st.builds(Import, items, st.lists(answer, max_size=3).map(tuple)),
    st.builds(Replace, first),
    st.builds(Delete, any_of_them),
    st.builds(Reimport, any_of_them),
    st.builds(Retarget, any_of_them, items),
    st.builds(Touch, any_of_them),
)
waits = st.builds(Wait, st.sampled_from([0.5, 20.0]))
operation = st.one_of(*[change] * 8, waits)
# What happens to time between a pull and the changes after it; a pull reads 30 seconds twice.
LATE, LATER = Wait(45.0), Wait(4000.0)
times = st.sampled_from([(), (Lag(3.0),), (LATE,), (LATER,), (LATE, Lag(3.0)), (Lag(0.0),)])
timeless = st.just(())


@st.composite
def sequences(draw, operations, projects, longest, before=timeless):
    """Rounds: (project, operations, whether the pull after them is a full one).

    Each project begins with some tasks, so that there is something to change.
    before: operations between a pull and the next round.
    """
    rounds = []
    there = set()
    for number in draw(st.lists(projects, min_size=2, max_size=longest)):
        begin = draw(st.lists(first, min_size=2, max_size=3)) if number not in there else []
        pause = list(draw(before)) if there else []
        then = draw(st.lists(operations, min_size=1, max_size=6))
        full = draw(st.sampled_from([False, False, False, True])) if there else False
        rounds.append((number, begin + pause + then, full))
        there.add(number)
    return rounds
