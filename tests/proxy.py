"""A faulty proxy in front of a real server: threads, plain sockets, one fault at a time."""

import http.client
import json
import re
import threading
import time
from datetime import datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, unquote_plus, urlsplit

FOR_EVER = 10**9
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
AFTER = re.compile(r'"greater",.*?"value": *(-?\d+)')
HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}


class Answer:
    """What the real server said; a fault may change it, or send something else itself."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body


class Proxy:
    """Passes requests on. From the n-th page of tasks on, a fault strikes as often as told.

    asked: the id behind which each page asked for since the last `strike` begins.
    shift: the server's clock as seen through here, against its own: all times in answers and
        questions are moved by it.
    """

    def __init__(self, url, shift=timedelta()):
        self.upstream, self.shift = urlsplit(url), shift
        self.asked = []
        self._fault, self._first, self._left = None, 0, 0
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                proxy._serve(self)

            do_GET = do_POST = do_PATCH = do_DELETE = handle_any  # noqa: N815

            def log_message(self, *arguments):
                pass

        self._httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._httpd.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._httpd.server_port}"
        self._thread = threading.Thread(target=self._httpd.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._httpd.shutdown()
        self._httpd.server_close()
        self._thread.join()

    def strike(self, fault, page=2, times=FOR_EVER):
        """From the page-th page on, `times` requests for pages meet this fault."""
        self.asked = []
        self._fault, self._first, self._left = fault, page, times

    def _serve(self, handler):
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        fault = self._due(handler)
        if fault and getattr(fault, "instead", False):
            fault(handler, None)
            return
        try:
            answer = self._ask(handler, body)
        except OSError:  # the server is gone: so are we, for this request
            handler.close_connection = True
            handler.connection.close()
            return
        (fault or send)(handler, answer)

    def _due(self, handler):
        if handler.command != "GET" or "fields=all" not in handler.path:
            return None
        self.asked.append(int(AFTER.search(unquote_plus(handler.path)).group(1)))
        if self._fault is None or len(self.asked) < self._first or self._left <= 0:
            return None
        self._left -= 1
        return self._fault

    def _ask(self, handler, body):
        link = http.client.HTTPConnection(self.upstream.hostname, self.upstream.port, timeout=30)
        try:
            headers = {k: v for k, v in handler.headers.items() if k.lower() not in HOP | {"host"}}
            link.request(handler.command, self._moved_path(handler.path), body, headers)
            answer = link.getresponse()
            kept = [(k, v) for k, v in answer.getheaders() if k.lower() not in HOP]
            kept.append(("Date", self._date(answer.getheader("Date"))))
            return Answer(answer.status, kept, self._moved_body(answer.read()))
        finally:
            link.close()

    def _moved_path(self, path):
        return quote(_moved(unquote_plus(path), -self.shift), safe="/?&=") if self.shift else path

    def _moved_body(self, body):
        return _moved(body.decode(), self.shift).encode() if self.shift else body

    def _date(self, text):
        return format_datetime(parsedate_to_datetime(text) + self.shift, usegmt=True)


def _moved(text, shift):
    def move(found):
        moment = datetime.fromisoformat(found.group()) + shift
        return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    return MOMENT.sub(move, text)


def send(handler, answer):
    """The answer as it is."""
    handler.send_response_only(answer.status)
    for name, value in answer.headers:
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(answer.body)))
    handler.end_headers()
    handler.wfile.write(answer.body)


def says(status, body=b"{}", **headers):
    """Fault: another answer."""

    def fault(handler, _answer):
        named = [(name.replace("_", "-"), value) for name, value in headers.items()]
        send(handler, Answer(status, named, body))

    fault.instead = True
    return fault


def shaped(change):
    """Fault: the answer's JSON, changed."""

    def fault(handler, answer):
        changed = json.dumps(change(json.loads(answer.body))).encode()
        send(handler, Answer(answer.status, answer.headers, changed))

    return fault


def cut(handler, answer):
    """Fault: the connection ends in the middle of the body."""
    handler.send_response_only(answer.status)
    handler.send_header("Content-Length", str(len(answer.body)))
    handler.end_headers()
    handler.wfile.write(answer.body[: len(answer.body) // 2])
    handler.wfile.flush()
    handler.close_connection = True


def trickle(handler, answer):
    """Fault: a byte now and then, each in time, the whole never; from the status line on."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer.body)
    _drip(handler, head + answer.body)


def trickle_body(handler, answer):
    """Fault: the same, after a head that came at once."""
    handler.send_response_only(answer.status)
    handler.send_header("Content-Length", str(len(answer.body)))
    handler.end_headers()
    _drip(handler, answer.body)


def _drip(handler, content):
    handler.close_connection = True
    try:
        for position in range(len(content)):
            handler.wfile.write(content[position : position + 1])
            time.sleep(0.1)
    except OSError:
        return  # the client gave up


def calls(action):
    """Fault: something happens to the server; the connection breaks."""

    def fault(handler, _answer):
        action()
        handler.close_connection = True
        handler.connection.close()

    fault.instead = True
    return fault
