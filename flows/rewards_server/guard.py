"""What stands before the app: who may ask, how much, and how long a request may take to come.

Every refusal is one JSON object, {"error": "..."}. The app behind gets requests whose body is
there as a whole, and whatever it raises ends in one line here: a server lives on.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import orjson

from flows.listening import is_loopback
from warehouse.errors import PlatformError, SettingsError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
JSON = "application/json"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rules:
    """Who may ask, and how much."""

    hosts: frozenset[str]
    """Names a request may call the server by, without port, in lower case: a page elsewhere that
    rebinds its own name to our address is refused."""
    token: str | None = None
    """What a request must carry, as bearer or as the password of basic authorisation; None: none.
    Label Studio knows the latter alone."""
    most_bytes: int = 8 * 2**20
    """Of a request's body."""
    body_seconds: float = 10.0
    """In which a body must have come."""
    at_once: int = 256
    """Requests that are answered at the same time."""


class Refused(PlatformError):
    """A request that is not answered, and why."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Guard:
    """An app behind rules."""

    def __init__(self, app: App, rules: Rules) -> None:
        self._app, self._rules, self._now = app, rules, 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request; see ASGI 3."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # nobody speaks WebSocket here
            await send({"type": "websocket.close", "code": 1008})
            return
        self._now += 1
        try:
            await self._answered(scope, receive, send)
        finally:
            self._now -= 1

    async def _answered(self, scope: Message, receive: Receive, send: Send) -> None:
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            self._admit(scope)
            body = await _body(scope, receive, self._rules)
            await self._app(scope, _replayed(body, receive), sending)
        except Refused as refused:
            await refuse(send, refused.status, str(refused))
        except Exception as error:
            log.exception("a request failed")
            if not begun:  # nor has the app said so itself
                words = f"unexpected {type(error).__name__}; the server's log says more"
                await refuse(send, HTTPStatus.INTERNAL_SERVER_ERROR, words)

    def _admit(self, scope: Message) -> None:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        if self._now > self._rules.at_once:
            raise Refused(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"{self._rules.at_once} requests are being answered; ask again in a second",
            )
        host = host_name(headers.get(b"host", ""))
        if host not in self._rules.hosts:
            raise Refused(
                HTTPStatus.MISDIRECTED_REQUEST,
                f"Host {host[:80]!r} is no name of this server; start it with --name",
            )
        if self._rules.token and not is_token(headers.get(b"authorization", ""), self._rules.token):
            raise Refused(
                HTTPStatus.UNAUTHORIZED,
                "the token is missing or wrong; send it as `Authorization: Bearer TOKEN`, or as the"
                " password of basic authorisation",
            )
        # A page elsewhere cannot send this type without asking first, and is never allowed to.
        kind = headers.get(b"content-type", "").partition(";")[0].strip().lower()
        if scope["method"] == "POST" and kind != JSON:
            raise Refused(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                f"Content-Type is {kind[:80]!r}; send JSON as {JSON}",
            )


def rules_for(address: str, names: tuple[str, ...] = (), token: str | None = None) -> Rules:
    """Rules of a server bound to an address, which is a number.

    names: further host names it is called by.
    Raises: SettingsError where others could reach it and it has no token.

    >>> sorted(rules_for("127.0.0.1").hosts)
    ['127.0.0.1', '[::1]', 'localhost']
    """
    alone = is_loopback(address)
    if not alone and not token:
        raise SettingsError(
            f"bound to {address}, others can reach the server: it needs a token (--token-file FILE)"
        )
    written = f"[{address}]" if ":" in address else address
    known = {*LOOPBACK, *names} if alone else {*LOOPBACK, written, *names}
    return Rules(frozenset(name.lower() for name in known), token)


def host_name(header: str) -> str:
    """Name in a Host header, without port.

    >>> host_name("LocalHost:8090"), host_name("[::1]:8090")
    ('localhost', '[::1]')
    """
    text = header.strip().lower()
    if text.startswith("["):
        return text.partition("]")[0] + "]"
    return text.partition(":")[0]


def is_token(authorization: str, token: str) -> bool:
    """Whether an Authorization header carries the token; compared in constant time.

    >>> is_token("Bearer s3", "s3"), is_token("Bearer ", "s3")
    (True, False)
    """
    scheme, _, value = authorization.partition(" ")
    given = value.strip()
    if scheme.lower() == "basic":
        try:
            given = base64.b64decode(given, validate=True).decode().partition(":")[2]
        except ValueError:  # no base64, or no text
            return False
    elif scheme.lower() not in {"bearer", "token"}:
        return False
    return hmac.compare_digest(given.encode(), token.encode())


async def _body(scope: Message, receive: Receive, rules: Rules) -> bytes:
    """A request's body, whole.

    Raises: Refused where it is too large or too slow.
    """
    too_large = Refused(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"the body is larger than {rules.most_bytes >> 20} MiB; send fewer items at once",
    )
    for name, value in scope["headers"]:
        if name == b"content-length" and int(value) > rules.most_bytes:
            raise too_large
    parts, size = [], 0
    try:
        async with asyncio.timeout(rules.body_seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Refused(HTTPStatus.BAD_REQUEST, "the body breaks off")
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > rules.most_bytes:
                    raise too_large
                if not message.get("more_body"):
                    return b"".join(parts)
    except TimeoutError:
        raise Refused(
            HTTPStatus.REQUEST_TIMEOUT,
            f"the body did not come within {rules.body_seconds:g} s; send it faster",
        ) from None


def _replayed(body: bytes, receive: Receive) -> Receive:
    """What the app receives: the body at once, then what the client does next."""
    sent = False

    async def replay() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


async def refuse(send: Send, status: HTTPStatus, reason: str) -> None:
    """Send an error as JSON, and end the connection."""
    body = orjson.dumps({"error": reason})
    headers = {
        "content-type": JSON,
        "content-length": str(len(body)),
        "connection": "close",
        **hints(status),
    }
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": int(status), "headers": raw})
    await send({"type": "http.response.body", "body": body})


def hints(status: HTTPStatus) -> dict[str, str]:
    """Headers that tell a client what it can do about a status."""
    if status == HTTPStatus.UNAUTHORIZED:
        return {"www-authenticate": 'Basic realm="soli"'}
    return {"retry-after": "1"} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
