"""A resumed run that is called crashed late is scheduled once more; `test_serving` has the rest."""

import uuid
from types import SimpleNamespace

import pytest
from prefect.client.schemas.objects import StateType

from flows.beats import FOLDER, await_again, awaited, beating, beats
from flows.watching import _told_late

RUN = str(uuid.uuid4())


class Client:
    """Of a Prefect server that knows one run."""

    def __init__(self, state):
        self.state, self.set = state, []

    def read_flow_run(self, run_id):
        return SimpleNamespace(id=run_id, name="silkworm", state_type=self.state)

    def set_flow_run_state(self, run_id, state, *, force):
        assert force
        self.set.append(state.name)


@pytest.fixture
def home(tmp_path):
    (tmp_path / FOLDER).mkdir()
    await_again(tmp_path, RUN)
    return tmp_path


def test_a_resumed_run_that_is_called_crashed_before_it_began_is_scheduled_once_more(home):
    client = Client(StateType.CRASHED)
    (found,) = _told_late(client, home, RUN, dry_run=False)
    assert (found.run, found.outcome) == ("silkworm", "resumed")
    assert client.set == ["Scheduled"]
    assert awaited(home) == []  # so that a run that cannot begin is not begun for ever


@pytest.mark.parametrize("state", [StateType.SCHEDULED, StateType.PENDING])
def test_a_resumed_run_that_waits_for_its_turn_is_awaited(home, state):
    client = Client(state)
    assert _told_late(client, home, RUN, dry_run=False) == client.set == []
    assert awaited(home) == [RUN]


@pytest.mark.parametrize("state", [StateType.RUNNING, StateType.COMPLETED, StateType.FAILED])
def test_a_resumed_run_that_began_is_awaited_no_more_and_its_lock_stays(home, state):
    client = Client(state)
    with beating(home, "soli-train", RUN):
        assert _told_late(client, home, RUN, dry_run=False) == client.set == []
        assert awaited(home) == []
        assert [beat.run_id for beat in beats(home)] == [RUN]


def test_a_dry_run_only_says_it(home):
    client = Client(StateType.CRASHED)
    assert _told_late(client, home, RUN, dry_run=True)
    assert (client.set, awaited(home)) == ([], [RUN])


def test_a_run_that_ends_leaves_no_mark(home):
    with beating(home, "soli-train", RUN):
        pass
    assert awaited(home) == []
