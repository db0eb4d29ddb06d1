"""How long a connection may wait."""

import asyncio
from contextlib import closing, suppress

import pytest
import uvicorn
from uvicorn.server import ServerState

from flows.listening import Connection, is_loopback, listen, place_of, token_of
from warehouse.errors import SettingsError

HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
PATIENCE = 0.2  # s


async def slow_app(scope, receive, send):
    """Reads the body, then takes its time."""
    while (await receive()).get("more_body"):
        pass
    await asyncio.sleep(4 * PATIENCE)
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


async def answer_to(*parts):
    """What comes back until the connection ends, to parts that are sent half a patience apart."""
    config = uvicorn.Config(slow_app, http=Connection, lifespan="off", log_level="critical")
    config.load()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(config, ServerState(), {}), "127.0.0.1", 0)
    async with server, asyncio.timeout(30):
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        answer = b""
        with suppress(ConnectionError), closing(writer):  # it may end between two parts
            for part in parts:
                writer.write(part)
                await asyncio.sleep(PATIENCE / 2)
            answer = await reader.read()
        await asyncio.sleep(0)  # the transport closes at the next turn
    return answer


@pytest.fixture(autouse=True)
def short_patience(monkeypatch):
    monkeypatch.setattr(Connection, "patience", PATIENCE)


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [HEAD],
        [HEAD + b"Content-Length: 9\r\n\r\n", b"abc"],
        [HEAD[place : place + 5] for place in range(0, len(HEAD), 5)],
    ],
    ids=["nothing", "half a head", "half a body", "bit by bit"],
)
def test_a_request_that_never_comes_whole_is_not_waited_for(parts):
    assert b"200" not in asyncio.run(answer_to(*parts))


def test_a_slow_answer_to_a_whole_request_is_waited_for():
    answer = asyncio.run(answer_to(HEAD + b"\r\n"))
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"ok")


@pytest.mark.parametrize(("second", "answers"), [(HEAD + b"\r\n", 2), (HEAD, 1)])
def test_between_requests_a_client_may_take_its_time_but_not_within_one(second, answers):
    pauses = [b""] * 20  # two for the patience: the answer takes four, and four pass after it
    answer = asyncio.run(answer_to(HEAD + b"\r\n", *pauses, second))
    assert answer.count(b"HTTP/1.1 200") == answers


def test_a_token_is_made_once_readable_by_its_owner_alone(tmp_path):
    path = tmp_path / "home" / "serve.token"
    token = token_of(path)
    assert len(token) > 40
    assert token_of(path) == token
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    with pytest.raises(SettingsError, match="others can read the token"):
        token_of(path)
    path.chmod(0o600)
    path.write_text("short")
    with pytest.raises(SettingsError, match="too short"):
        token_of(path)


@pytest.mark.parametrize("host", ["no such host", "127.0.0.1.", "x" * 300])
def test_an_address_that_is_none_is_one_line(host):
    with pytest.raises(SettingsError, match="nobody can listen on"):
        listen(host, 0)


def test_a_port_that_is_taken_is_one_line():
    with listen("127.0.0.1", 0) as first, pytest.raises(SettingsError, match="in use"):
        listen(*place_of(first))


def test_a_name_that_begins_like_loopback_is_not_taken_for_it():
    assert [is_loopback(each) for each in ("127.0.0.9", "::1", "0.0.0.0")] == [True, True, False]
    with pytest.raises(ValueError, match="does not appear"):
        is_loopback("127.example")
