import base64
import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

import annotation.connection
from annotation.client import Client
from annotation.labeling import DEFAULT_DIMENSIONS, labeling_config
from annotation.payload import User
from annotation.transport import Unreachable, retry_after
from warehouse.errors import AnnotationError

TOKEN = "0123456789" * 4


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(annotation.connection, "PAUSES", (0.01, 0.01))


@contextmanager
def answering(*answers):
    """A server that gives these (status, body) in turn, the last one for ever."""
    given = list(answers)
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def reply(self):
            asked.append(f"{self.command} {self.path}")
            status, body = given.pop(0) if len(given) > 1 else given[0]
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Retry-After", "0")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = reply  # noqa: N815

        def log_message(self, *arguments):
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{httpd.server_port}", asked
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


def message(call):
    with pytest.raises(AnnotationError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    assert TOKEN not in text
    return text


def test_no_server_is_named_with_the_command_that_starts_one():
    text = message(lambda: Client("http://127.0.0.1:9", TOKEN).whoami())
    assert "http://127.0.0.1:9" in text
    assert "soli annotate server" in text


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:8080", "ftp://host", "http://", "http://h:port", "http://ann:secret@[x"]
)
def test_an_address_that_is_none_is_told_before_anything_is_sent(url):
    text = message(lambda: Client(url, TOKEN))
    assert "LABEL_STUDIO_URL" in text
    assert "secret" not in text


def test_a_password_in_the_address_is_refused_unseen():
    text = message(lambda: Client("http://ann:secret@host", TOKEN))
    assert "secret" not in text


@pytest.mark.parametrize("token", ["", "  ", "two words", "tökén"])
def test_a_token_that_cannot_be_one_is_told(token):
    assert "LABEL_STUDIO_API_KEY" in message(lambda: Client("http://127.0.0.1:9", token))


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_names_its_variable(status):
    with answering((status, {"detail": "Invalid token."})) as (url, _):
        assert "LABEL_STUDIO_API_KEY" in message(Client(url, TOKEN).whoami)


@pytest.mark.parametrize(
    "body",
    [b"<html>Log in</html>", [], {"tasks": {}, "total": 1}, {"tasks": []}, b"", b"\xff"],
)
def test_an_answer_of_the_wrong_shape_is_never_an_empty_list(body):
    with answering((200, body)) as (url, _):
        text = message(lambda: list(Client(url, TOKEN).tasks(1)))
        assert "is this address right?" in text


def test_a_redirect_to_the_login_page_is_no_answer():
    with answering((302, b"")) as (url, _):
        assert "302" in message(Client(url, TOKEN).whoami)


def test_a_page_that_does_not_go_on_ends_the_pull():
    page = {"tasks": [{"id": 1}], "total": 5}
    with answering((200, page)) as (url, _):
        assert "does not go on" in message(lambda: list(Client(url, TOKEN).tasks(1)))


@pytest.mark.slow
def test_reads_are_repeated_on_a_busy_server_and_writes_are_not():
    busy = (503, {"detail": "busy"})
    with answering(busy, busy, (200, {"id": 5})) as (url, asked):
        assert Client(url, TOKEN).whoami() == User(id=5)
        assert len(asked) == 3
    with answering(busy) as (url, asked):
        client = Client(url, TOKEN)
        assert "503" in message(lambda: client.import_tasks(1, [{}]))
        assert "503" in message(lambda: client.annotate(1, {}))
        assert len(asked) == 2


def failing(*answers):
    """A client whose server gives these in turn; an exception is raised as the network would."""
    given, asked = list(answers), []

    def answer(request):
        asked.append(request)
        found = given.pop(0) if len(given) > 1 else given[0]
        if isinstance(found, Exception):
            raise found
        return found

    return Client("http://127.0.0.1:9", TOKEN, transport=httpx.MockTransport(answer)), asked


def busy(status, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, headers=named, json={"detail": "later"})


USER = httpx.Response(200, json={"id": 5})


@pytest.mark.slow
@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_busy_server_is_worth_another_try_and_a_refusal_is_not(status):
    with pytest.raises(Unreachable, match=f"answered {status}"):
        failing(busy(status))[0].whoami()
    for refusal in (401, 403, 404, 400):
        with pytest.raises(AnnotationError) as caught:
            failing(busy(refusal))[0].whoami()
        assert not isinstance(caught.value, Unreachable)


def test_the_wait_that_the_server_asks_for_is_kept(monkeypatch):
    waits = []
    monkeypatch.setattr(time, "sleep", waits.append)
    client, asked = failing(busy(429, Retry_After="7"), busy(503), USER)
    assert client.whoami() == User(id=5)
    assert (waits, len(asked)) == ([7.0, 0.01], 3)


def test_a_wait_of_an_hour_is_told_instead_of_kept():
    client, asked = failing(busy(429, Retry_After="3600"))
    with pytest.raises(Unreachable, match="run again in 3600 s"):
        client.whoami()
    assert len(asked) == 1


def test_a_time_to_wait_until_is_read_by_the_servers_own_clock():
    date, until = "Fri, 20 Nov 2026 10:00:00 GMT", "Fri, 20 Nov 2026 10:00:30 GMT"
    assert retry_after(busy(503, Date=date, Retry_After=until)) == 30.0
    assert retry_after(busy(503, Date=until, Retry_After=date)) == 0.0
    assert retry_after(busy(503, Date=date, Retry_After="soon")) is None


def test_a_broken_connection_is_tried_again_for_reads_alone():
    cut = httpx.RemoteProtocolError("peer closed connection")
    client, asked = failing(cut, httpx.ConnectError("refused"), USER)
    assert client.whoami() == User(id=5)
    assert len(asked) == 3
    client, asked = failing(cut)
    with pytest.raises(Unreachable, match="RemoteProtocolError"):
        client.import_tasks(1, [{}])
    assert len(asked) == 1


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.whoami(),
        lambda client: client.users(),
        lambda client: client.projects(),
        lambda client: client.project(1),
        lambda client: client.import_tasks(1, []),
        lambda client: client.predict(1, []),
    ],
)
@pytest.mark.parametrize(
    "body",
    [
        [1],
        [{"id": "x"}],
        {"results": [{}]},
        {"results": [None]},
        {"id": None, "task_count": "many", "created": [1]},
    ],
)
def test_other_answers_of_the_wrong_shape_are_told_as_well(call, body):
    client, _ = failing(httpx.Response(200, json=body))
    assert "is this address right?" in message(lambda: call(client))


def test_a_list_of_projects_that_never_ends_is_told():
    again = httpx.Response(200, json={"results": [{"id": 1}], "next": "more"})
    assert "does not go on" in message(failing(again)[0].projects)


def test_an_answer_tells_the_servers_time():
    client, _ = failing(httpx.Response(200, json={"id": 5}, headers={"Date": "nonsense"}), USER)
    client.whoami()
    assert client.server_time is None
    client, _ = failing(busy(200, Date="Fri, 20 Nov 2026 10:00:00 GMT"))
    client.call("GET", "api/version")
    assert client.server_time.isoformat() == "2026-11-20T10:00:00+00:00"


def jwt(**claims):
    def part(content):
        return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'HS256'})}.{part({'exp': 4e9, **claims})}.c2ln"


@pytest.mark.filterwarnings("ignore:The `parse_obj` method")  # the SDK's own
@pytest.mark.parametrize(
    ("answer", "words", "again"),
    [
        (httpx.Response(401, json={"detail": "revoked"}), "refuses the token", False),
        (httpx.Response(502, text="<html>"), "does not renew the access token", True),
        (httpx.Response(200, json={"wrong": 1}), "does not renew the access token", True),
        (busy(503), "does not renew the access token", True),
    ],
)
def test_a_personal_token_that_is_not_renewed_is_told(answer, words, again):
    transport = httpx.MockTransport(lambda _: answer)
    client = Client("http://127.0.0.1:9", jwt(token_type="refresh"), transport=transport)
    with pytest.raises(AnnotationError, match=words) as caught:
        client.whoami()
    assert isinstance(caught.value, Unreachable) == again


@pytest.mark.filterwarnings("ignore:The `parse_obj` method")  # the SDK's own
def test_an_access_token_that_ran_out_by_the_servers_clock_alone_is_renewed():
    """To us it is good for years; the server, whose clock is ahead, refuses it."""
    given = []

    def answer(request):
        if request.url.path == "/api/token/refresh/":
            given.append(jwt(number=len(given)))
            return httpx.Response(200, json={"access": given[-1]})
        good = request.headers["Authorization"] == f"Bearer {given[-1]}" and len(given) == 2
        return USER if good else busy(401)

    transport = httpx.MockTransport(answer)
    client = Client("http://127.0.0.1:9", jwt(token_type="refresh"), transport=transport)
    assert client.whoami() == client.whoami() == User(id=5)
    assert len(given) == 2


@contextmanager
def dripping(first, pause):
    """A server that sends this, and then a byte now and then for ever."""
    stop = threading.Event()

    class Slow(BaseHTTPRequestHandler):
        def do_GET(self):
            try:
                self.wfile.write(first)
                while not stop.wait(pause):
                    self.wfile.write(b"x")
            except OSError:
                return  # the client gave up

        def log_message(self, *arguments):
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{httpd.server_port}"
    finally:
        stop.set()
        httpd.shutdown()
        httpd.server_close()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"


@pytest.mark.parametrize(
    ("first", "pause"), [(b"", 5.0), (b"HTTP/1.1 200 OK\r\nX: ", 0.05), (HEAD, 0.05)]
)
def test_a_server_that_is_silent_or_trickles_is_told_in_time(first, pause):
    with dripping(first, pause) as url:
        began = time.monotonic()
        assert "in time" in message(Client(url, TOKEN, timeout=0.5).whoami)
        assert time.monotonic() - began < 3


@pytest.mark.server
def test_the_real_server_refuses_a_wrong_token(label_studio):
    text = message(Client(label_studio.url, "f" * 40).whoami)
    assert label_studio.url in text
    assert "LABEL_STUDIO_API_KEY" in text


@pytest.mark.server
def test_an_unknown_project_is_told_with_those_that_exist(admin, make_project):
    project, _ = make_project()
    text = message(lambda: admin.project(99_999))
    assert "99999" in text
    assert "Clips of a test" in text
    assert admin.project(project.id).source == project.source


@pytest.mark.server
def test_the_configuration_comes_back_as_it_was_sent_with_its_source(admin, make_project):
    project, _ = make_project()
    config = labeling_config(DEFAULT_DIMENSIONS, project.source)
    assert admin.project(project.id).config == config
    assert admin.find_project(project.source.upper()).id == project.id
    assert admin.find_project("11111111-1111-4111-8111-111111111111") is None


@pytest.mark.server
def test_the_servers_own_reason_reaches_the_message(admin, make_project):
    project, _ = make_project()
    text = message(lambda: admin.import_tasks(project.id, [{"data": {"wrong": 1}}]))
    assert '"video" key is expected' in text


@pytest.mark.server
def test_paging_by_id_gives_every_task_once(admin, make_project):
    project, _ = make_project()
    pages = list(admin.tasks(project.id, page_size=3))
    assert [(len(page), remaining) for page, remaining in pages] == [(3, 4), (1, 1)]
    items = [task["data"]["item_id"] for page, _ in pages for task in page]
    assert items == ["v0", "v1", "v2", "v3"]
