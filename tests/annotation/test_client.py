import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from annotation.client import Client
from annotation.labeling import DEFAULT_DIMENSIONS, labeling_config
from annotation.payload import User
from warehouse.errors import AnnotationError

TOKEN = "0123456789" * 4


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


@pytest.mark.parametrize("url", ["", "127.0.0.1:8080", "ftp://host", "http://", "http://h:port"])
def test_an_address_that_is_none_is_told_before_anything_is_sent(url):
    assert "LABEL_STUDIO_URL" in message(lambda: Client(url, TOKEN))


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


def test_a_slow_server_is_told_from_none():
    stop = threading.Event()

    class Slow(BaseHTTPRequestHandler):
        def do_GET(self):
            stop.wait(5)

        def log_message(self, *arguments):
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{httpd.server_port}"
        assert "in time" in message(Client(url, TOKEN, timeout=0.2).whoami)
    finally:
        stop.set()
        httpd.shutdown()
        httpd.server_close()


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
