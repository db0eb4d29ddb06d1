"""A Prefect server that goes away: serving waits for it, a run says so in one line."""

import signal
import socket
import threading
from contextlib import ExitStack, suppress
from urllib.parse import urlsplit

import httpx
import pytest

from flows.beats import beats
from warehouse.lease import lease

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.xdist_group("prefect")]

SECONDS = 180  # a busy machine ends a process slowly
AT_ONCE = {"PREFECT_CLIENT_MAX_RETRIES": "0", "PREFECT_RUNNER_POLL_FREQUENCY": "1"}


class Door:
    """A way to a server that can be shut: then nobody answers, and who talked is cut off."""

    def __init__(self, server):
        self._server, self._ends, self.port = server, [], 0
        self.open()

    def open(self):
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def shut(self):
        for end in (self._listener, *self._ends):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._ends.clear()

    def _accept(self, listener):
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(self._server)
                self._ends += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=pass_on, args=(one, other), daemon=True).start()


def pass_on(one, other):
    with suppress(OSError):
        while data := one.recv(65536):
            other.sendall(data)
        other.shutdown(socket.SHUT_WR)


@pytest.fixture
def door(prefect_api):
    address = urlsplit(prefect_api)
    made = Door((address.hostname, address.port))
    yield made
    made.shut()


def test_serving_waits_for_a_server_that_goes_away_and_goes_on(door, small, ask, until, process):
    folder = small.home.parent
    (folder / "soli.toml").write_text("[[gates]]\nthreshold = 0.9\n")
    line = ("soli", "--home", small.home, "flows", "serve", "nightly", "--name", "waiting")
    served = {"deployments": {"name": {"any_": ["waiting"]}}}
    url = f"http://127.0.0.1:{door.port}/api"
    with process(
        *line, folder=folder, PREFECT_API_URL=url, PREFECT_HOME=str(folder / "p"), **AT_ONCE
    ) as running:

        def said(words):
            return until(lambda: words in (folder / "out").read_text(), words)

        (deployment,) = until(lambda: ask("/deployments/filter", **served), "the deployment")
        door.shut()
        said("Prefect is away")
        door.open()
        said("Prefect answers again")
        until(lambda: not ask("/deployments/filter", **served)[0]["paused"], "the schedule")
        made = ask(f"/deployments/{deployment['id']}/create_flow_run")
        which = {"flow_runs": {"id": {"any_": [made["id"]]}}}
        until(lambda: ask("/flow_runs/filter", **which)[0]["state_type"] == "FAILED", "the gate")
        running.send_signal(signal.SIGTERM)
        assert running.wait(SECONDS) == 0, (folder / "out").read_text()
    assert ask("/deployments/filter", **served)[0]["paused"]
    out = (folder / "out").read_text()
    assert "stopped; the schedules are paused" in out
    assert "Traceback" not in out


def test_a_server_that_goes_away_during_a_run_is_one_clear_line(door, small, until, process):
    folder = small.home.parent
    served = {"PREFECT_API_URL": f"http://127.0.0.1:{door.port}/api", **AT_ONCE}
    line = ("soli", "--home", small.home, "flows", "run", "measure")
    with ExitStack() as held:
        held.enter_context(lease(small.home / "writer.lock", "a test"))
        with process(*line, folder=folder, PREFECT_HOME=str(folder / "p"), **served) as running:
            until(lambda: beats(small.home), "a beat")
            door.shut()
            held.close()
            code = running.wait(SECONDS)
    out = (folder / "out").read_text()
    assert code == 1, out
    assert "Traceback" not in out
    (told,) = (line for line in out.splitlines() if line.startswith("soli: "))  # and Prefect's own
    assert told.startswith("soli: the Prefect server at PREFECT_API_URL went away")
    assert told.endswith("start the server, and run the same again")


@pytest.mark.parametrize(
    "command", [("serve",), ("run", "nightly"), ("watch",), ("notify", "slack-webhook/team")]
)
def test_a_prefect_server_that_is_away_is_one_clear_line(soli, monkeypatch, settings, command):
    from prefect.settings import PREFECT_API_URL, temporary_settings

    monkeypatch.setenv("SOLI_HOME", str(settings.home))  # commands set it: put back after the test
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        code, _, told = soli("flows", *command)
    assert code == 1
    (line,) = told.splitlines()
    assert "no Prefect server answers at PREFECT_API_URL" in line
    assert "start it with `prefect server start`" in line


@pytest.mark.parametrize("name", ["", " ", "a/b", "<b>"])
def test_a_name_that_prefect_does_not_take_is_refused_at_once(soli, monkeypatch, settings, name):
    monkeypatch.setenv("SOLI_HOME", str(settings.home))
    code, _, told = soli("flows", "serve", "--name", name)
    assert code == 1
    assert told.startswith(f"soli: {name!r} is no name of deployments")


def test_only_a_server_that_does_not_answer_is_waited_for():
    from flows import serving

    request = httpx.Request("GET", "http://127.0.0.1")
    answers = [httpx.Response(code, request=request) for code in (503, 422)]
    busy, refuses = (httpx.HTTPStatusError("", request=request, response=x) for x in answers)
    gone = httpx.ConnectError("refused")
    assert serving._is_outage(
        ExceptionGroup("", [RuntimeError("Service exceeded error threshold."), gone, busy])
    )
    assert not serving._is_outage(refuses)
    assert not serving._is_outage(ExceptionGroup("", [gone, KeyError("ours")]))
