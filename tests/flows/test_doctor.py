"""The doctor: what is not well is named with the next step, in three seconds, whatever hangs."""

import json
import socket
import time
from datetime import UTC, datetime, timedelta

import pytest
from packaging.specifiers import SpecifierSet
from pydantic import SecretStr

from flows import doctor
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


def test_what_does_not_answer_costs_two_seconds_in_all(settings, monkeypatch):
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
