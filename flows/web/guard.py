"""Who may ask: the Host of every request, its method and its token are checked before the pages.

A page of another site cannot read ours: its requests carry that site's name as Host even where the
name was rebound to our address, and the answers may not be embedded elsewhere.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
import secrets
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flows.page import render

HOST = re.compile(r"(\[[0-9a-f:]+\]|[a-z0-9.-]+)(:\d{1,5})?", re.IGNORECASE)
LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
OPEN = ("/login", "/static/", "/favicon.ico")  # what is answered without a token
LONGEST = 4096  # bytes of a login form
# Nothing but our own style, script and clips; no inline script, no frames, no other site.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self';"
        " media-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "private, no-store",
}


@dataclass(frozen=True)
class Door:
    """What a request has to bring.

    names: hosts that people may write, beside the address that they reach us at.
    token: None: nothing is asked for.
    """

    names: frozenset[str] = frozenset()
    token: str | None = None
    sessions: set[str] = field(default_factory=set)
    """Cookies of those who gave the token; a cookie is shown to every port of a host, so it is
    never the token itself, and ends with the process."""

    def refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Status and words of a request that is not answered; None: it is."""
        headers = Headers(scope=scope)
        if host_of(headers) not in self.names | own_names(scope):
            return 403, "This server does not answer under that name; --name allows one more."
        if headers.get("sec-fetch-site", "none") not in {"same-origin", "none"} and (
            headers.get("sec-fetch-mode") != "navigate"
        ):
            return 403, "Another site asked for this."
        login = scope["path"] == "/login" and self.token is not None
        if scope["method"] not in {"GET", "HEAD"} and not (login and scope["method"] == "POST"):
            return 405, "This page is read-only."
        if not scope["path"].startswith(OPEN) and not self.knows(headers):
            return 401, "This page asks for the token that `soli warehouse ui` keeps in its file."
        return None

    def knows(self, headers: Headers) -> bool:
        """Whether the token, or a cookie that it was changed into, comes with the request."""
        if self.token is None:
            return True
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return same(given.strip(), self.token)
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(cookie_name(headers))
        except CookieError:
            return False
        return cookie is not None and any(same(cookie.value, known) for known in self.sessions)

    async def login(self, request: Request) -> Response:
        """Change the token of a form into a cookie."""
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > LONGEST:
                return said(413, "That is no token.")
        given = parse_qs(body.decode("utf-8", "replace")).get("token", [""])[0].strip()
        if self.token is None or not same(given, self.token):
            return said(401, "That is not the token.")
        session = secrets.token_urlsafe(32)
        self.sessions.add(session)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(cookie_name(request.headers), session, httponly=True, samesite="strict")
        return answer


class Guard:
    """Answers what the door refuses, hands on the rest, and puts HEADERS on every answer."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self.app, self.door = app, door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        refused = self.door.refusal(scope)
        if refused is not None:
            await said(*refused)(scope, receive, send_guarded)
        elif scope["method"] == "POST":
            answer = await self.door.login(Request(scope, receive))
            await answer(scope, receive, send_guarded)
        else:
            await self.app(scope, receive, send_guarded)


def said(status: int, words: str) -> Response:
    """A page with one sentence; with a form where a token would help."""
    html = render("web/error.html", {"status": status, "words": words, "login": status == 401})  # noqa: PLR2004
    return Response(html, status, media_type="text/html")


def host_of(headers: Headers) -> str | None:
    """Host that a request names, without its port; None where it names none, or several.

    The port is left out: through a tunnel it is another one, and rebinding is about names.

    >>> host_of(Headers({"host": "LocalHost:8000"}))
    'localhost'
    """
    given = headers.getlist("host")
    found = HOST.fullmatch(given[0]) if len(given) == 1 else None
    return found[1].lower() if found else None


def own_names(scope: Scope) -> frozenset[str]:
    """The address that the request reached us at, as a Host; every name of it on loopback.

    An address written as a number cannot be rebound.
    """
    address = ipaddress.ip_address(scope["server"][0])
    address = getattr(address, "ipv4_mapped", None) or address
    written = f"[{address}]" if address.version == 6 else str(address)  # noqa: PLR2004
    return LOOPBACK | {written} if address.is_loopback else frozenset({written})


def same(given: str, known: str) -> bool:
    """Compare in a time that says nothing about the known one."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), known.encode())


def cookie_name(headers: Headers) -> str:
    """One per port, so that two such pages on a host keep their own."""
    return f"soli-{headers.get('host', '').rpartition(':')[2]}"
