"""The doctor: what is not well is named with the next step, in three seconds, whatever hangs."""

import errno
import http.server
import json
import os
import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from packaging.specifiers import SpecifierSet
from pydantic import SecretStr

from flows import doctor
from flows.beats import beating
from flows.doctor import examine
from flows.versions import installed, locked, outside, ranges

IN_ALL = doctor.SECONDS


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """No Prefect server, and time enough for a busy machine."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setattr(doctor, "SECONDS", 60.0)


def found(settings):
    return {check.what: check for check in examine(settings)}


def test_a_fresh_home_is_well_and_says_what_is_not_there_yet(settings):
    checks = found(settings)
    assert checks["home"].state == checks["tables"].state == checks["chromium"].state == "ok"
    assert checks["versions"].state in {"ok", "warn"}
    assert checks["label studio"].state == "warn"
    assert "soli annotate server" in checks["label studio"].step
    assert not settings.home.exists()  # nothing is written


def test_each_line_that_is_not_ok_names_a_step(settings):
    hopeless = settings.model_copy(update={"label_studio_url": "http://127.0.0.1:9"})
    checks = examine(hopeless)
    assert any(check.state == "fail" for check in checks)
    assert all(check.step for check in checks if check.state != "ok")


def test_what_does_not_answer_costs_no_more_than_one_wait_in_all(settings, monkeypatch):
    with socket.socket() as silent:  # takes connections, and says nothing
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("PREFECT_API_URL", f"{url}/api")
        monkeypatch.setattr(doctor, "SECONDS", IN_ALL)
        began = time.monotonic()
        checks = found(settings.model_copy(update={"label_studio_url": url}))
        seconds = time.monotonic() - began
    assert seconds < IN_ALL + 0.8
    assert checks["label studio"].state == checks["prefect"].state == "fail"
    assert "no answer" in checks["label studio"].found + checks["prefect"].found


def test_a_failure_ends_with_1_and_json_says_the_same(soli, monkeypatch):
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "k" * 40)
    code, out, err = soli("doctor", "--json")
    assert code == 1
    rows = {row["what"]: row for row in json.loads(out)}
    assert rows["label studio"]["state"] == "fail"
    assert set(rows["home"]) == {"what", "state", "found", "step"}
    assert "k" * 40 not in out + err


@pytest.mark.parametrize(
    ("free", "state"), [(20 << 30, "ok"), (5 << 30, "warn"), (1 << 20, "fail")]
)
def test_a_disk_that_is_nearly_full_is_told(settings, monkeypatch, free, state):
    usage = type("Usage", (), {"free": free})
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: usage)
    assert found(settings)["disk"].state == state


@pytest.mark.parametrize(
    ("seconds", "state"), [(0, "ok"), (-3, "ok"), (60, "warn"), (-60, "warn"), (900, "fail")]
)
def test_a_clock_that_is_wrong_is_told(seconds, state):
    (check,) = doctor._clock("clock", datetime.now(UTC) + timedelta(seconds=seconds))
    assert check.state == state


def test_a_package_that_is_absent_or_too_old_is_named_with_its_range():
    have = {"duckdb": "1.4.0", "nothing-like-it": None, "httpx": "0.28.1"}
    wanted = dict.fromkeys(have, SpecifierSet(">=0.28"))
    wanted["duckdb"] = SpecifierSet(">=2.0")
    assert outside(have, wanted) == [
        "duckdb is 1.4.0, needed is >=2.0",
        "nothing-like-it is not installed",
    ]


def test_the_ranges_are_those_of_the_package_and_the_lock_file_keeps_them():
    wanted = ranges()
    assert {"duckdb", "torch", "prefect", "deltalake"} <= set(wanted)
    assert "krippendorff" not in wanted  # of an extra
    pins = locked(doctor.CHECKOUT / "constraints.txt")
    assert outside({name: pins.get(name) for name in wanted}, wanted) == []
    assert outside(installed(wanted), wanted) == []


def test_a_package_within_its_range_but_not_as_locked_is_a_warning(settings, monkeypatch):
    monkeypatch.setattr(doctor, "locked", lambda _: {"duckdb": "2.0.99"})
    check = found(settings)["versions"]
    assert check.state == "warn"
    assert "(2.0.99)" in check.found
    assert "(not in it)" in check.found
    assert "make" in check.step


class Stub(http.server.BaseHTTPRequestHandler):
    """Says what the server's `answers` hold for a path, at the server's own time."""

    def do_GET(self):
        status, body = self.server.answers.get(self.path, (404, "{}"))
        self.send_response_only(status)
        self.send_header("Date", format_datetime(datetime.now(UTC) + self.server.ahead, True))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    do_POST = do_GET  # noqa: N815

    def log_message(self, *arguments):
        pass


@pytest.fixture
def stub(settings, monkeypatch):
    """A server that is Label Studio and Prefect in one; and settings that name it."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stub) as server:
        server.ahead = timedelta()
        server.answers = {
            "/api/version": (200, '{"release": "1.23.2"}'),
            "/api/current-user/whoami": (200, "{}"),
            "/api/health": (200, "true"),
            "/api/admin/version": (200, f'"{installed(["prefect"])["prefect"]}"'),
        }
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        monkeypatch.setenv("PREFECT_API_URL", f"{server.url}/api")
        named = {"label_studio_url": server.url, "label_studio_api_key": SecretStr("k" * 40)}
        yield server, settings.model_copy(update=named)
        server.shutdown()
        thread.join()


def test_servers_that_are_well_are_five_lines_without_a_step(stub):
    _, settings = stub
    checks = found(settings)
    well = {"label studio", "token", "clock of label studio", "prefect", "clock of prefect"}
    assert all(checks[what].state == "ok" and not checks[what].step for what in well)


@pytest.mark.parametrize(
    ("path", "answer", "what", "state", "said", "step"),
    [
        ("/api/current-user/whoami", (401, "{}"), "token", "fail", "refused", "Account & Settings"),
        ("/api/version", (200, "<html>"), "label studio", "fail", "as no Label Studio", "URL"),
        ("/api/version", (502, "{}"), "label studio", "fail", "502", "correct LABEL_STUDIO_URL"),
        ("/api/health", (500, "{}"), "prefect", "fail", "500", "server's log"),
        ("/api/admin/version", (200, '"2.20.1"'), "prefect", "warn", "2.20.1", "minor version"),
        ("/api/admin/version", (404, "{}"), "prefect", "warn", "unknown", "minor version"),
    ],
)
def test_a_server_that_is_not_well_names_the_next_step(
    stub, path, answer, what, *, state, said, step
):
    server, settings = stub
    server.answers[path] = answer
    check = found(settings)[what]
    assert check.state == state
    assert said in check.found
    assert step in check.step
    assert "k" * 40 not in str(check)


@pytest.mark.parametrize(
    ("status", "state", "said"),
    [(200, "ok", "not tried here"), (404, "fail", "no Secret"), (500, "fail", "no answer about")],
)
def test_a_secret_block_that_is_not_there_is_told(stub, status, state, said):
    server, settings = stub
    server.answers["/api/block_types/slug/secret/block_documents/name/ours"] = (status, "{}")
    block = {"label_studio_api_key": None, "label_studio_api_key_block": "ours"}
    check = found(settings.model_copy(update=block))["token"]
    assert check.state == state
    assert said in check.found


def test_a_secret_block_without_a_prefect_server_is_told(stub, monkeypatch):
    _, settings = stub
    monkeypatch.delenv("PREFECT_API_URL")
    block = {"label_studio_api_key": None, "label_studio_api_key_block": "ours"}
    check = found(settings.model_copy(update=block))["token"]
    assert (check.state, "PREFECT_API_URL" in check.step) == ("fail", True)


@pytest.mark.parametrize(
    ("seconds", "state", "said"),
    [(60, "warn", "ours is 60 s behind"), (-60, "warn", "ahead"), (900, "fail", "behind")],
)
def test_a_server_with_another_time_is_told_with_the_way_to_mend_it(stub, seconds, state, said):
    server, settings = stub
    server.ahead = timedelta(seconds=seconds)
    checks = found(settings)
    for what in ("clock of label studio", "clock of prefect"):
        assert checks[what].state == state
        assert said.split()[-1] in checks[what].found
        assert "NTP" in checks[what].step


@pytest.mark.parametrize(
    ("number", "step"), [(errno.ENOSPC, "make room"), (errno.EROFS, "mend its permissions")]
)
def test_a_home_that_cannot_be_written_says_what_to_do(settings, monkeypatch, number, step):
    def refuses(**options):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(doctor, "TemporaryFile", refuses)
    check = found(settings)["home"]
    assert check.state == "fail"
    assert os.strerror(number) in check.found
    assert check.step.startswith(step)


def test_a_package_that_is_too_old_fails_with_the_command_that_mends_it(settings, monkeypatch):
    wanted = ranges() | {"duckdb": SpecifierSet(">=99")}
    monkeypatch.setattr(doctor, "ranges", lambda: wanted)
    check = found(settings)["versions"]
    assert check.state == "fail"
    assert "needed is >=99" in check.found
    assert check.step.startswith("run `make`")


def test_tables_that_are_damaged_are_a_failure_with_a_step(settings):
    log = settings.home / "tables" / "label_events" / "_delta_log"
    log.mkdir(parents=True)
    (log / f"{0:020}.json").write_text("damaged")
    check = found(settings)["tables"]
    assert check.state == "fail"
    assert check.step


def test_a_run_that_died_or_hangs_is_a_warning(settings):
    assert found(settings)["runs"].found == "none going on"
    settings.home.mkdir()
    with beating(settings.home, "soli-ingest", "one"):
        assert found(settings)["runs"].found == "1 going on"
    (settings.home / "beats" / "two.lock").write_text('{"pid": 1, "for": "soli-ingest"}')
    check = found(settings)["runs"]
    assert (check.state, check.found) == ("warn", "1 died, 0 give no sign of progress")
    assert "soli flows watch" in check.step


@pytest.mark.server
def test_a_server_that_is_well_is_told_with_version_token_and_clock(settings, label_studio):
    update = {
        "label_studio_url": label_studio.url,
        "label_studio_api_key": SecretStr(label_studio.token),
    }
    checks = found(settings.model_copy(update=update))
    assert checks["label studio"].state == checks["token"].state == "ok"
    assert "version 1." in checks["label studio"].found
    assert checks["clock of label studio"].state == "ok"


@pytest.mark.server
def test_a_token_that_is_refused_or_missing_is_a_failure(settings, label_studio):
    url = {"label_studio_url": label_studio.url}
    wrong = settings.model_copy(update=url | {"label_studio_api_key": SecretStr("f" * 40)})
    assert found(wrong)["token"].found == "refused"
    assert found(settings.model_copy(update=url))["token"].found == "none is set"


@pytest.mark.slow
def test_an_object_store_that_is_away_is_a_failure(settings, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.setenv(name, "us-east-1")
    check = found(settings.model_copy(update={"tables": "s3://labels/soli"}))["tables"]
    assert check.state == "fail"
    assert check.step
