"""One request to Label Studio: bounded in time, and repeated where that is safe.

Errors say whether trying again later may help.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import httpcore
import httpx

from warehouse.errors import AnnotationError

PAUSES = (0.5, 2.0)  # seconds before a read is repeated; writes never are, blindly
LONGEST_WAIT_SECONDS = 60.0  # before a retry; a server that asks for more is told to the user
CONNECTIONS = 32

BUSY = frozenset(
    (
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    )
)


class Unreachable(AnnotationError):
    """The server or the way to it failed: the same call may work later, unlike other errors."""


class BoundedClient(httpx.Client):
    """HTTP client whose every request ends in time, however slowly the server trickles.

    httpx bounds single reads; a body of one byte a second would never end.
    """

    def __init__(
        self, seconds: float, trust_env: bool, transport: httpx.BaseTransport | None
    ) -> None:
        """Bound requests to this many seconds.

        trust_env: whether proxies named in the environment are used.
        transport: instead of sockets; it keeps time itself.
        """
        super().__init__(
            timeout=seconds,
            follow_redirects=False,  # a redirect to the log-in page is no answer
            limits=httpx.Limits(max_connections=CONNECTIONS),
            trust_env=trust_env,
            transport=transport,
        )
        self._seconds = seconds
        self._due = _Due()
        if transport is None:
            for own in (self._transport, *self._mounts.values()):
                if isinstance(own, httpx.HTTPTransport):
                    pool = own._pool  # noqa: SLF001 - httpx offers no other way to its sockets
                    pool._network_backend = _Sockets(pool._network_backend, self._due)  # noqa: SLF001

    def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Send a request and read its whole answer."""
        self._due.at = time.monotonic() + self._seconds
        return super().send(request, **options)


class _Due(threading.local):
    """Moment, on the monotonic clock, by which this thread's request must have ended."""

    at = float("inf")

    def left(self, timeout: float | None) -> float:
        remaining = self.at - time.monotonic()
        if remaining <= 0:
            raise httpcore.ReadTimeout("the whole answer took too long")
        return remaining if timeout is None else min(timeout, remaining)


class _Sockets(httpcore.NetworkBackend):
    """Connections whose every wait ends when the request is due."""

    def __init__(self, inner: httpcore.NetworkBackend, due: _Due) -> None:
        self._inner, self._due = inner, due

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        stream = self._inner.connect_tcp(
            host, port, self._due.left(timeout), local_address, socket_options
        )
        return _Stream(stream, self._due)


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream, due: _Due) -> None:
        self._inner, self._due = inner, due

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._due.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._due.left(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        inner = self._inner.start_tls(ssl_context, server_hostname, self._due.left(timeout))
        return _Stream(inner, self._due)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def repeated(call: Callable[[], httpx.Response], pauses: Sequence[float]) -> httpx.Response:
    """Answer of the call, made again where the connection broke or the server was busy.

    pauses: seconds before each repetition, where the server does not name its own; none for
        whatever changes the server.
    Returns: the last answer, which may still be a busy server's.
    Raises: httpx.TransportError where the last try broke; a timeout is not tried again.
    """
    for pause in pauses:
        try:
            answer = call()
        except httpx.TimeoutException:
            raise
        except httpx.TransportError:
            time.sleep(pause)
            continue
        wait = retry_after(answer)
        if not is_busy(answer) or (wait or 0.0) > LONGEST_WAIT_SECONDS:
            return answer
        time.sleep(pause if wait is None else wait)
    return call()


def is_busy(answer: httpx.Response) -> bool:
    """Whether the same request may be answered later."""
    return answer.status_code in BUSY


def retry_after(answer: httpx.Response) -> float | None:
    """Seconds that the server asks to wait; None where it names none."""
    text = answer.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdecimal():
        return float(text)
    until, now = _http_date(text), server_time(answer)
    return None if until is None or now is None else max(0.0, (until - now).total_seconds())


def server_time(answer: httpx.Response) -> datetime | None:
    """The server's clock when it answered, to the second below; None where it does not say."""
    return _http_date(answer.headers.get("Date", ""))


def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (TypeError, ValueError, OverflowError):
        return None
