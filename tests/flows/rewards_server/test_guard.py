"""Who may ask, how much, and that a refusal is one JSON object."""

import asyncio
import base64
import json
from dataclasses import replace

import pytest

from flows.rewards_server.guard import Guard, rules_for
from warehouse.errors import SettingsError

HEALTH = "/health"


def said(answer):
    assert answer.headers["content-type"] == "application/json"
    assert list(answer.json()) == ["error"]
    assert "Traceback" not in answer.text
    return answer.status_code, answer.json()["error"]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.1:8090", ""])
def test_another_host_is_refused(make, host):
    status, words = said(make().get(HEALTH, headers={"Host": host}))
    assert (status, "no name of this server" in words) == (421, True)


@pytest.mark.parametrize("host", ["localhost:1", "LOCALHOST", "[::1]:8090", "127.0.0.1"])
def test_this_machine_s_names_are_taken(make, host):
    assert make().get(HEALTH, headers={"Host": host}).status_code == 200


def test_bound_elsewhere_a_token_is_needed():
    with pytest.raises(SettingsError, match="needs a token"):
        rules_for("0.0.0.0")
    assert "trainer-1" in rules_for("0.0.0.0", ("Trainer-1",), "s" * 20).hosts


def test_a_token_is_taken_as_bearer_and_as_a_password_and_no_other(make):
    client = make(token="right" * 5)
    basic = base64.b64encode(b"soli:" + b"right" * 5).decode()
    for good in ("Bearer " + "right" * 5, f"Basic {basic}"):
        assert client.get(HEALTH, headers={"Authorization": good}).status_code == 200
    forged = ("", "Bearer ", "Bearer wrong", "Basic ===", "Basic " + "é", f"Digest {basic}")
    for bad in forged:
        headers = {"Authorization": bad.encode("latin-1", "replace")} if bad else {}
        assert said(client.get(HEALTH, headers=headers))[0] == 401


def test_a_page_elsewhere_cannot_post_without_asking_first(make):
    body = json.dumps({"items": [{"item_id": "v1"}]})
    answer = make().post("/rewards", content=body, headers={"Content-Type": "text/plain"})
    assert said(answer)[0] == 415


def test_a_body_too_large_is_refused_with_and_without_its_length(make):
    rules = replace(rules_for("127.0.0.1"), most_bytes=1 << 20)
    client, headers = make(rules=rules), {"Content-Type": "application/json"}

    async def pieces():
        for _ in range(20):
            yield b" " * (1 << 17)

    for content in (b" " * (2 << 20), pieces()):
        status, words = said(client.post("/rewards", content=content, headers=headers))
        assert (status, "larger than 1 MiB" in words) == (413, True)


def test_a_body_too_slow_is_refused(make):
    rules = replace(rules_for("127.0.0.1"), body_seconds=0.05)

    async def slow():
        yield b"{"
        await asyncio.sleep(1)

    headers = {"Content-Type": "application/json"}
    assert said(make(rules=rules).post("/rewards", content=slow(), headers=headers))[0] == 408


def test_too_many_at_once_are_told_to_come_back(make):
    rules = replace(rules_for("127.0.0.1"), at_once=2)
    client = make(rules=rules)
    item = {"items": [{"video_path": "new.mp4", "prompt": "p"}]}
    answers = client.ask(*[("POST", "/rewards", {"json": item})] * 4)
    assert sorted(answer.status_code for answer in answers) == [200, 200, 503, 503]
    busy = next(answer for answer in answers if answer.status_code == 503)
    assert busy.headers["retry-after"] == "1"
    assert client.get(HEALTH).status_code == 200


def test_what_an_app_raises_is_one_line():
    async def broken(_scope, _receive, _send):
        raise RuntimeError("secret path /x")

    async def ask():
        sent = []

        async def receive():
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message):
            sent.append(message)

        scope = {"type": "http", "method": "GET", "headers": [(b"host", b"localhost")]}
        await Guard(broken, rules_for("127.0.0.1"))(scope, receive, send)
        return sent

    start, body = asyncio.run(ask())
    assert start["status"] == 500
    assert json.loads(body["body"]) == {
        "error": "unexpected RuntimeError; the server's log says more"
    }
